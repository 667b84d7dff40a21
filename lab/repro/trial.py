"""A case really run, by its own script, and judged as every cell is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from lab import process
from lab.classify.judge import judge
from lab.engine.workspace import PREFIX
from lab.errors import EngineError
from lab.model.observation import Call, HostFact, Observation, Reached
from lab.model.settings import Action
from lab.model.verdict import Denied, Failed, Verdict
from lab.repro.case import Case
from lab.repro.folder import CHECK, RUN, write_case

_VERBS: Mapping[Action, tuple[str, ...]] = {
    Action.RUN: ("run",),
    Action.CREATE_START: ("create", "start"),
    Action.EXEC: ("create", "start", "exec"),
}
_PATIENCE = 5
"""Deadlines of its calls that a whole script gets."""
_LATE = 124
"""Exit code of timeout(1) when the time was over."""
_CANNOT = 3
"""Exit code of the script where a host cannot run it."""
_FILE_TYPES = {"regular file": "file", "regular empty file": "file", "symbolic link": "symlink"}
"""What stat(1) calls otherwise than the lab."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run of the script showed: the verdict, and the text that the next run must show again."""

    verdict: Verdict
    text: str

    @property
    def key(self) -> tuple[str, ...]:
        """What two outcomes are compared by: verdict, cause and phase."""
        return key_of(self.verdict)


def key_of(verdict: Verdict) -> tuple[str, ...]:
    """What two verdicts are compared by."""
    return (verdict.kind, verdict.cause, verdict.phase) if isinstance(verdict, Denied | Failed) else (verdict.kind,)


@dataclass(slots=True, kw_only=True)
class Trials:
    """Runs cases in directories below ``place``; a case that was run with a runtime before is not run again.

    At most ``most`` runs are made by :meth:`outcome`; then what it does not know is ``None``. An interrupt raises
    ``KeyboardInterrupt`` when the script that runs has ended: it leaves nothing behind, unless it is killed. What is
    left then bears ``label``, an id like a run's, so that `permlab clean` finds it.
    """

    place: Path
    most: int
    label: str
    runs: int = 0
    interrupted: bool = False
    _known: dict[tuple[str, Path], Outcome] = field(default_factory=dict)

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment of every script: it mounts below ``place``, and its processes and cgroups have the label."""
        words = {"TMPDIR": str(self.place), "PERMLAB_RUN": self.label, "REPRO_GROUP": f"{PREFIX}{self.label}"}
        return process.small_environment(words)

    @property
    def exhausted(self) -> bool:
        """Whether the runs are used up."""
        return self.runs >= self.most

    def interrupt(self) -> None:
        """The user has had enough."""
        self.interrupted = True

    def outcome(self, case: Case, runtime: Path) -> Outcome | None:
        """What the case shows with a runtime."""
        name = (_digest(case), runtime)
        if name not in self._known:
            if self.exhausted:
                return None
            self._known[name] = self.run(case, runtime)
        return self._known[name]

    def run(self, case: Case, runtime: Path) -> Outcome:
        """Write the case as a folder, run its script, and judge what it showed."""
        self.runs += 1
        folder = self.place / str(self.runs)
        write_case(case, folder)
        try:
            return run_folder(folder, case, runtime, self.environment)
        finally:
            shutil.rmtree(folder)
            if self.interrupted:
                raise KeyboardInterrupt


def run_folder(folder: Path, case: Case, runtime: Path, env: Mapping[str, str]) -> Outcome:
    """Run a folder's script; raises :class:`EngineError` when the script itself cannot do its work."""
    out = folder / "out"
    done = _script(folder, case, env, "--output", str(out), str(runtime))
    if done.returncode == _CANNOT and not (out / "text").exists():
        raise EngineError("the reproduction's script cannot run here", details=done.tail())
    seen = observed(case, out, fault=None if not done.timed_out else "run.sh did not end")
    text = (out / "text").read_text(errors="surrogateescape") if (out / "text").exists() else ""
    shutil.rmtree(out)
    return Outcome(verdict=judge(seen, tolerate=case.tolerate, checks=case.checks), text=text)


def check_folder(folder: Path, case: Case, runtime: Path, env: Mapping[str, str]) -> process.Completed:
    """Run a folder's script in its check mode."""
    return _script(folder, case, env, CHECK, str(runtime))


def _script(folder: Path, case: Case, env: Mapping[str, str], *arguments: str) -> process.Completed:
    return process.run(
        ["sh", str(folder / RUN), *arguments],
        deadline=_PATIENCE * case.call.seconds + 60,
        env=env,
        output_limit=1 << 22,
    )


def observed(case: Case, out: Path, *, fault: str | None = None) -> Observation:
    """The observation that a script's output makes."""
    verbs = [verb for verb in _VERBS[case.call.action] if (out / f"{verb}.code").exists()]
    codes = {verb: int((out / f"{verb}.code").read_text()) for verb in verbs}
    texts = {verb: _bytes(out / f"{verb}.stderr") for verb in verbs}
    action = case.call.action
    if action is not Action.RUN and "create" in verbs:
        # what goes through the container's stderr belongs to the call that failed, else to start
        last = next((verb for verb in verbs if verb != "exec" and codes[verb]), [v for v in verbs if v != "exec"][-1])
        texts[last] = texts[last] or _bytes(out / "container.stderr")
    final = {Action.RUN: "run", Action.EXEC: "exec", Action.CREATE_START: ""}[action]
    late = "the call did not end in time" if _LATE in codes.values() else None
    return Observation(
        calls=tuple(
            Call(verb=verb, argv=(), returncode=codes[verb], stdout=b"", stderr=texts[verb], seconds=0)
            for verb in verbs
        ),
        reached=_reached(out),
        exit_code=codes.get(final),
        output=_bytes(out / f"{final if final in verbs else 'container'}.stdout"),
        host_after=tuple(_host_fact(line) for line in _bytes(out / "host").decode(errors="replace").splitlines()),
        fault=fault or late or (None if verbs else "run.sh called no runtime"),
    )


def _reached(out: Path) -> Reached:
    if b'"op":"start"' in _bytes(out / "run.stdout") + _bytes(out / "container.stdout"):
        return Reached.STARTED
    return Reached.CREATED if (out / "pid").exists() else Reached.NOTHING


def _host_fact(line: str) -> HostFact:
    place, kind, *rest = [*line.split("|"), ""]
    if not kind:
        return HostFact(path=place)
    mode, uid, gid, size = rest[:4]
    return HostFact(
        path=place, type=_FILE_TYPES.get(kind, kind), mode=int(mode, 8), uid=int(uid), gid=int(gid), size=int(size)
    )


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _digest(case: Case) -> str:
    told = json.dumps([case.config, case.process, [str(entry) for entry in case.tree], case.call.dropped])
    content = b"".join(sha256(entry.content).digest() for entry in case.tree)
    return sha256(told.encode() + content).hexdigest()
