"""The podman engine: cells through podman's command line, rootful or rootless.

A cell is `podman create`, `start --attach`, `inspect` where it did not end well, and `rm`: separate calls, so that a
failure keeps its phase and podman's own words. There is no daemon; what outlives a call is conmon, below the run's
cgroup.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lab import children, process
from lab.engine.base import EngineContext, Job, Prepared
from lab.engine.bundle import Bundle, caller_of, look, make_fixture, remove_bundle
from lab.engine.docker_images import Layers, config_of
from lab.engine.host import user_namespaces
from lab.engine.once import Once
from lab.engine.podman_home import PodmanHome
from lab.engine.podman_words import SECCOMP, create_words, exec_words, inexpressible
from lab.engine.workspace import kill_cgroups
from lab.errors import EngineError, HostError, LabError
from lab.model.engine import EngineBuild, EngineName
from lab.model.observation import Call, Observation, Reached
from lab.model.runtime import Runtime
from lab.model.scenario import Resolved
from lab.model.settings import Action, Settings
from lab.oci.spec import PROBE
from lab.provision.engines import pull_engine

CALL_DEADLINE = 60.0
"""Seconds for a call that waits for no container."""

_LEFT = frozenset({"conmon", "podman", "podman pause"})
"""What a podman leaves to the lab, a subreaper; podman's own calls are tini's children."""

REAP_SECONDS = 2.0
REMOVE_TRIES = 10
REMOVE_PAUSE = 0.2
_HOLDS = b'"op":"hold"'
_PAUSE = 0.01

OWN_CODES = frozenset({125, 126, 127})
"""podman-run(1): 125 for a fault of podman's, 126 and 127 when the command cannot be invoked or found."""


ROOTLESS_RANGE = (200_000, 65_536)
"""The subordinate ids (first, size) of a rootless podman whose cell names none: it cannot store an image without."""


def _podman_caller(settings: Settings) -> tuple[tuple[int, int], tuple[int, int] | None]:
    """Who calls podman, (uid, gid), and the range of ids that it has."""
    if not settings.caller.rootless:
        return (0, 0), None
    return caller_of(settings), settings.caller.subordinate_ids or ROOTLESS_RANGE


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


@dataclass(kw_only=True)
class PodmanEngine:
    """Runs cells on one build of podman: one storage for root and one for each rootless caller."""

    engine: EngineName
    context: EngineContext
    name: str = field(init=False)
    build: EngineBuild | None = None
    _homes: Once[PodmanHome] = field(default_factory=Once)

    def __post_init__(self) -> None:
        self.name = str(self.engine)
        workspace, cache, probe = self.context.workspace, self.context.cache, self.context.probe_layer
        self._layers = Layers(workspace=workspace, cache=cache, probe_layer=probe)
        self._subordinate = self.context.subordinate

    def skip_reason(self, resolved: Resolved, runtime: Runtime | None) -> str | None:
        """Why the cell cannot run: what podman has no word for, or what this host does not allow."""
        settings = resolved.settings
        if not self.context.workspace.privileged:
            return "needs root: the lab gives podman a mount namespace and account files of its own"
        mapped = settings.caller.rootless or settings.linux.uid_mappings or settings.podman.userns
        if mapped and self.context.workspace.outer is not None:
            return "the lab runs in a chroot, where the kernel lets nobody make a user namespace (user_namespaces(7))"
        if settings.caller.rootless:
            if reason := user_namespaces():
                return f"this host lets no ordinary user make a user namespace: {reason}"
            if runtime is not None and (reason := self._subordinate.skip_reason()):
                return reason
        return inexpressible(settings)

    def open(self, tell: Callable[[str], None]) -> None:
        """Provision the build; there is nothing to start."""
        self.build = pull_engine(self.context.cache, self.engine, progress=tell)

    def prepare(self, job: Job) -> Prepared:
        """Make fixtures and load the image; what fails is noted, not raised."""
        started = time.monotonic()
        prepared = Prepared(job=job)
        try:
            cell = self._cell(job)
        except LabError as error:
            prepared.fault = f"{error.brief}: {error.details}"
        else:
            prepared.state = cell
            said = {"create": cell.create, "exec": cell.exec}
            prepared.config = json.dumps({verb: words for verb, words in said.items() if words is not None})
        prepared.seconds["prepare"] = time.monotonic() - started
        return prepared

    def _cell(self, job: Job) -> PodmanCell:
        settings = job.resolved.settings
        home = self._homes.get(caller := _podman_caller(settings), lambda: self._made(*caller))
        image = home.image(job.image, config_of(job.image.config, settings), settings.rootfs, job.runtime)
        bundle = self._bundle(job.serial, settings, home)
        name = bundle.identifier
        words = create_words(settings, image=image, name=name, cgroup_parent=home.cgroup)
        profile = home.seccomp(job.runtime)
        if settings.linux.seccomp is not None:
            profile = bundle.path / "seccomp.json"
            profile.write_text(json.dumps(settings.linux.seccomp))
        elif profile is not None and not any(option.startswith("seccomp") for option in settings.podman.security_opt):
            words = (f"--security-opt=seccomp={SECCOMP}", *words)
        beside = exec_words(settings.exec, name) if settings.action is Action.EXEC and settings.exec else None
        return PodmanCell(bundle=bundle, home=home, runtime=job.runtime, create=words, exec=beside, seccomp=profile)

    def _made(self, caller: tuple[int, int], ids: tuple[int, int] | None) -> PodmanHome:
        if self.build is None:
            raise EngineError(f"{self.name} is not open")
        workspace = self.context.workspace
        place = workspace.root / self.engine.slug / "-".join(map(str, (*caller, *(ids or ()))))
        home = PodmanHome(build=self.build, workspace=workspace, layers=self._layers, caller=caller, place=place)
        try:
            home.set_up()
        except OSError as error:
            raise HostError("podman's directories cannot be made", details=str(error)) from error
        if ids is not None:
            self._subordinate.grant(*caller, ids)
            workspace.add_account("group", f"permlab-{caller[1]}:x:{caller[1]}:")
        return home

    def _bundle(self, serial: int, settings: Settings, home: PodmanHome) -> Bundle:
        workspace = self.context.workspace
        bundle = Bundle(
            path=workspace.root / "cells" / f"{self.engine.slug}-{serial}",
            identifier=f"permlab-{workspace.run_id}-{serial}",
            caller=home.caller,
            cgroup="",
        )
        probe = self.context.probe_layer / PROBE.lstrip("/")
        try:
            bundle.path.mkdir(parents=True)
            for name, fixture in settings.fixtures.items():
                bundle.fixtures[name] = make_fixture(workspace, bundle, name, fixture, probe)
        except OSError as error:
            remove_bundle(bundle)
            raise HostError("the cell's fixtures cannot be made", details=str(error)) from error
        except HostError:
            remove_bundle(bundle)
            raise
        return bundle

    def execute(self, prepared: Prepared, meanwhile: Callable[[], None]) -> Observation:
        """Make the cell's calls, and look at the host before and after."""
        cell = prepared.state
        if not isinstance(cell, PodmanCell):
            return Observation(refusal=prepared.refusal, fault=prepared.fault, seconds=prepared.seconds)
        settings = prepared.job.resolved.settings
        started = time.monotonic()
        before = look(cell.bundle, settings.host)
        container = _Container(cell=cell, settings=settings)
        try:
            container.run(meanwhile)
        except OSError as error:
            container.fault = f"podman cannot be started: {error}"
        finally:
            container.remove()
        return Observation(
            calls=tuple(container.calls),
            reached=container.reached,
            exit_code=container.exit_code,
            output=container.output,
            host_before=before,
            host_after=look(cell.bundle, settings.host),
            fault=container.fault,
            seconds={**prepared.seconds, "execute": time.monotonic() - started},
        )

    def interrupt(self) -> None:
        """Kill every container of this podman."""
        kill_cgroups(f"{self.context.workspace.cgroup}/{self.engine.slug}")

    def discard(self, prepared: Prepared) -> None:
        """Remove the cell's files; its container is gone already."""
        if isinstance(prepared.state, PodmanCell):
            remove_bundle(prepared.state.bundle)

    def close(self) -> None:
        """End what podman left: conmon and containers of a run that was stopped, a rootless podman's pause process."""
        self.interrupt()
        for home in self._homes.values():
            home.end()
        children.reap_adopted(_LEFT, time.monotonic() + REAP_SECONDS)


@dataclass(slots=True, kw_only=True)
class _Container:
    """One cell's container, the calls that are made of it, and what has been seen."""

    cell: PodmanCell
    settings: Settings
    calls: list[Call] = field(default_factory=list)
    reached: Reached = Reached.NOTHING
    exit_code: int | None = None
    output: bytes = b""
    fault: str | None = None

    @property
    def name(self) -> str:
        return self.cell.bundle.identifier

    def run(self, meanwhile: Callable[[], None]) -> None:
        """Create and start; what podman refuses ends it."""
        made = self._call("create", *self.cell.filled(self.cell.create), deadline=CALL_DEADLINE)
        if not made.ok:
            return
        self.reached = Reached.CREATED
        if self.settings.action is Action.EXEC:
            self._exec_beside(meanwhile)
        else:
            done = self._call("start", "--attach", self.name, deadline=self.settings.deadline, meanwhile=meanwhile)
            self._ended(done)

    def _ended(self, done: process.Completed) -> None:
        """How the process ended, where one was started: podman gives its own failures the codes of a shell."""
        self.output = done.stdout
        if b'"op":"start"' in done.stdout:
            self.reached = Reached.STARTED
        if done.returncode not in OWN_CODES:
            self.reached, self.exit_code = Reached.STARTED, done.returncode
            return
        state = self._call("inspect", "--type=container", "--format={{json .State}}", self.name, deadline=CALL_DEADLINE)
        said = json.loads(state.stdout) if state.ok else {}
        if said.get("Status") in {"exited", "stopped"} and not str(said.get("StartedAt", "")).startswith("0001"):
            self.reached, self.exit_code = Reached.STARTED, int(said["ExitCode"])

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
            done = self._call("exec", *self.cell.filled(self.cell.exec or ()), deadline=self.settings.deadline)
            self.output, self.exit_code = done.stdout, done.returncode
        finally:
            self._kill()
            process.end_group(holding)

    def _not_held(self, log: Path, code: int | None) -> None:
        """The start that failed, as a call; a container that ended or hangs says nothing about the exec."""
        said = log.read_bytes() if log.exists() else b""
        argv = self.cell.home.argv(self.cell.runtime, "start", "--attach", self.name)
        if code in OWN_CODES:
            self.calls.append(Call(verb="start", argv=argv, returncode=code or 0, stdout=b"", stderr=said, seconds=0.0))
        else:
            self.fault = "the container to exec into ended" if code is not None else "the container did not start"

    def remove(self) -> None:
        """Remove the container; that podman does not do it is the lab's fault, not the cell's.

        Its own `container cleanup`, which conmon starts, may still hold a mount (EBUSY): then it is asked again.
        """
        if self.reached is Reached.NOTHING:
            return
        for _ in range(REMOVE_TRIES):
            done = self._call("rm", "--force", self.name, deadline=CALL_DEADLINE)
            if done.ok:
                return
            if "resource busy" not in done.tail():
                break
            self.calls.pop()
            time.sleep(REMOVE_PAUSE)
        self.fault = self.fault or f"the container cannot be removed: {done.tail()}"

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
        return done

    def _kill(self) -> None:
        """End the container before podman is ended, so that nothing is left of it."""
        home = self.cell.home
        home.call(home.argv(self.cell.runtime, "kill", self.name), deadline=CALL_DEADLINE)
