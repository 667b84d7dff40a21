"""One cell's container under podman: create, start or exec, and inspect where it did not end well.

Each is a call of its own, which takes podman tens of milliseconds before it does anything: so the first one is made
while the container before runs, and containers are removed some together, while the next one does.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lab import children, process
from lab.engine.bundle import Bundle, look
from lab.engine.podman_home import PodmanHome
from lab.engine.podman_words import SECCOMP
from lab.model.observation import Call, HostFact, Reached
from lab.model.runtime import Runtime
from lab.model.settings import Action, Settings

CALL_DEADLINE = 60.0
"""Seconds for a call that waits for no container."""

KILL_DEADLINE = 10.0
_MONITOR_DIED = (b"(no logs from conmon)", b"write child: broken pipe", b": signal: killed\n")
"""What podman says when conmon, which stands between it and the runtime, is gone before the container runs."""

_HOLDS = b'"op":"hold"'
_PAUSE = 0.01

_OWN_CODES = frozenset({125, 126, 127})
"""podman-run(1): 125 for a fault of podman's, 126 and 127 when the command cannot be invoked or found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodmanCell:
    """A prepared cell: its files, its podman, and the words of its calls with placeholders still in them."""

    bundle: Bundle
    home: PodmanHome
    runtime: Runtime
    create: tuple[str, ...]
    exec: tuple[str, ...] | None
    seccomp: Path | None

    def filled(self, words: tuple[str, ...]) -> tuple[str, ...]:
        """Words with the cell's own paths in the place of placeholders."""
        return tuple(self.bundle.fill(word).replace(SECCOMP, str(self.seccomp)) for word in words)


@dataclass(slots=True, kw_only=True)
class Container:
    """One cell's container, the calls that are made of it, and what has been seen."""

    cell: PodmanCell
    settings: Settings
    calls: list[Call] = field(default_factory=list)
    reached: Reached = Reached.NOTHING
    exit_code: int | None = None
    output: bytes = b""
    fault: str | None = None
    before: tuple[HostFact, ...] = ()

    @property
    def name(self) -> str:
        """What podman and the lab call it."""
        return self.cell.bundle.identifier

    @contextlib.contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.fault = f"podman cannot be started: {error}"

    def create(self) -> None:
        """Look at the host, and create; what podman refuses ends it."""
        self.before = look(self.cell.bundle, self.settings.host)
        with self._noting():
            if self._call("create", *self.cell.filled(self.cell.create), deadline=CALL_DEADLINE).ok:
                self.reached = Reached.CREATED

    def run(self, meanwhile: Callable[[], None]) -> None:
        """Start what was created, and wait for its end."""
        if self.reached is Reached.NOTHING:
            return
        with self._noting():
            if self.settings.action is Action.EXEC:
                self._exec_beside(meanwhile)
            else:
                done = self._call("start", "--attach", self.name, deadline=self.settings.deadline, meanwhile=meanwhile)
                self._ended(done)

    def _ended(self, done: process.Completed) -> None:
        """How the process ended, where one was started."""
        self.output = done.stdout
        if b'"op":"start"' in done.stdout:
            self.reached = Reached.STARTED
        if done.ok:
            self.reached, self.exit_code = Reached.STARTED, 0
        elif any(text in done.stderr for text in _MONITOR_DIED):
            self.fault = f"the container's monitor died: {done.tail()}"
        elif not done.timed_out:
            self._inspect()

    def _inspect(self) -> None:
        """Ask podman how it ended: an exit code does not tell, because podman's own failures have some, too."""
        seen = self._call("inspect", "--type=container", "--format={{json .State}}", self.name, deadline=CALL_DEADLINE)
        try:
            said = json.loads(seen.stdout) if seen.ok else {}
        except ValueError:
            said = {}
        if said.get("Status") in {"exited", "stopped"} and not str(said.get("StartedAt", "0001")).startswith("0001"):
            self.reached, self.exit_code = Reached.STARTED, int(said.get("ExitCode", -1))

    def _exec_beside(self, meanwhile: Callable[[], None]) -> None:
        """Run the second process in a container whose first one holds."""
        home, log = self.cell.home, self.cell.bundle.path / "held"
        holding = home.begin(home.argv(self.cell.runtime, "start", "--attach", self.name), log)
        try:
            meanwhile()
            until = time.monotonic() + self.settings.deadline
            while not (log.exists() and _HOLDS in log.read_bytes()):
                if holding.poll() is not None or time.monotonic() > until:
                    self._not_held(log, holding.poll())
                    return
                time.sleep(_PAUSE)
            self.reached = Reached.STARTED
            done = self._call("exec", *self.cell.filled(self.cell.exec or ()), deadline=self.settings.deadline)
            self.output, self.exit_code = done.stdout, done.returncode
        finally:
            self._kill()
            process.end_group(holding)

    def _not_held(self, log: Path, code: int | None) -> None:
        """The start that failed, as a call; a container that ended or hangs says nothing about the exec."""
        said = log.read_bytes() if log.exists() else b""
        argv = self.cell.home.argv(self.cell.runtime, "start", "--attach", self.name)
        if code in _OWN_CODES:
            self.calls.append(Call(verb="start", argv=argv, returncode=code or 0, stdout=b"", stderr=said, seconds=0.0))
        else:
            self.fault = "the container to exec into ended" if code is not None else "the container did not start"

    def remove(self, *, at_once: bool) -> None:
        """Remove the container; that podman does not do it at once is the lab's fault, not the cell's."""
        if self.reached is Reached.NOTHING:
            return
        with self._noting():
            said = self.cell.home.remove(self.name, self.cell.runtime, at_once=at_once)
            if said is not None and at_once:
                self.fault = self.fault or f"the container cannot be removed: {said}"

    def _call(
        self, verb: str, *words: str, deadline: float, meanwhile: Callable[[], None] | None = None
    ) -> process.Completed:
        home = self.cell.home
        done = home.call(
            home.argv(self.cell.runtime, verb, *words), deadline=deadline, on_deadline=self._kill, meanwhile=meanwhile
        )
        self.calls.append(
            Call(
                verb=verb,
                argv=done.argv,
                returncode=done.returncode,
                stdout=b"" if verb in {"start", "exec"} else done.stdout,
                stderr=done.stderr,
                seconds=done.seconds,
                timed_out=done.timed_out,
                truncated=done.truncated,
            )
        )
        if done.timed_out:
            self.fault = f"`{verb}` did not end within its deadline of {deadline:g} s"
            self._end_rest()  # tini cannot pass SIGKILL on
        return done

    def _kill(self) -> None:
        """End the container before podman is ended, so that nothing is left of it."""
        home = self.cell.home
        if not home.call(home.argv(self.cell.runtime, "kill", self.name), deadline=KILL_DEADLINE).ok:
            self._end_rest()

    def _end_rest(self) -> None:
        """SIGKILL to what has the container's name in its command: a podman that hangs, a conmon and its child."""
        for pid in children.saying(self.name):
            below = children.of(pid) if children.name_of(pid) == "conmon" else ()
            for number in (*below, pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
