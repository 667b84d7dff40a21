"""The embedded engine: a bundle given straight to the runtime, no daemon in between."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from lab import children, process
from lab.engine import families, host
from lab.engine.base import Job, Prepared
from lab.engine.bundle import Bundle, caller_of, look, make_bundle, release_bundle
from lab.engine.cgroups import CGROUPS, kill_cgroup
from lab.engine.nudge import nudge
from lab.engine.streams import Streams, open_streams
from lab.engine.subordinate import SubordinateIds
from lab.engine.words import foreign_words
from lab.engine.workspace import Workspace
from lab.errors import HostError, InputError
from lab.model.engine import EngineBuild, EngineFamily
from lab.model.observation import Call, Observation, Reached
from lab.model.runtime import Family, Runtime
from lab.model.scenario import Resolved
from lab.model.settings import Action, Settings
from lab.oci.capabilities import full_name
from lab.oci.spec import process_args
from lab.oci.users import UserNotFound


@dataclass(slots=True, kw_only=True)
class OciEngine:
    """Runs cells by calling an OCI runtime itself. ``probe_layer`` is the directory that holds the probe.

    ``subordinate`` gives ranges to rootless callers; all engines of a run share one.
    """

    workspace: Workspace
    probe_layer: Path
    subordinate: SubordinateIds | None = None
    name: str = "oci"
    build: EngineBuild | None = None
    _subordinate: SubordinateIds = field(init=False)
    _running: dict[int, _Calls] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._subordinate = self.subordinate or SubordinateIds(workspace=self.workspace, cache=None)

    def skip_reason(self, resolved: Resolved, runtime: Runtime | None) -> str | None:
        """Why this host cannot run the cell, or ``None``."""
        settings = resolved.settings
        if reason := foreign_words(settings, EngineFamily.OCI):
            return reason
        rootless = bool(caller_of(settings)[0])
        mapped = rootless or settings.linux.uid_mappings or settings.linux.namespaces.get("user", "host") != "host"
        if mapped and self.workspace.outer is not None:
            return "the lab runs in a chroot, where the kernel lets nobody make a user namespace (user_namespaces(7))"
        if not self.workspace.privileged:
            if not settings.caller.rootless:
                return "needs root: the cell's runtime is called by uid 0"
            if settings.caller.subordinate_ids or settings.linux.uid_mappings:
                return "needs root: subordinate ids are given in private copies of the account files"
            if resolved.runtime.startswith("crun@") and host.cgroup_layout() == "hybrid":
                return "needs root: crun refuses a hybrid cgroup tree, which only a private mount namespace can hide"
        return self._rootless_reason(settings, runtime) if rootless else None

    def _rootless_reason(self, settings: Settings, runtime: Runtime | None) -> str | None:
        """Why an ordinary user cannot be the cell's caller here, or ``None``."""
        if reason := host.user_namespaces():
            return f"this host lets no ordinary user make a user namespace: {reason}"
        if runtime is not None and not host.searchable(Path(runtime.path)):
            return "the cache is below a directory that an ordinary user may not search (set PERMLAB_CACHE)"
        if runtime is not None and settings.caller.subordinate_ids is not None:
            return self._subordinate.skip_reason()
        return None

    def open(self, tell: Callable[[str], None]) -> None:
        """Nothing to do: there is no daemon."""

    def prepare(self, job: Job) -> Prepared:
        """Make the bundle; what the conversion refuses, or this host cannot do, is noted, not raised."""
        started = time.monotonic()
        prepared = Prepared(job=job)
        settings = job.resolved.settings
        ids = settings.caller.subordinate_ids
        try:
            if ids is not None:
                self._subordinate.grant(*caller_of(settings), ids)
            bundle = make_bundle(self.workspace, job.serial, job.image, self.probe_layer, settings)
        except UserNotFound as error:
            prepared.refusal = str(error)
        except (HostError, InputError) as error:
            prepared.fault = f"{error.brief}: {error.details}"
        else:
            prepared.state = bundle
            prepared.config = bundle.stored
            if bundle.caller[0] and self.workspace.privileged:
                os.chown(bundle.path, *bundle.caller)
        prepared.seconds["prepare"] = time.monotonic() - started
        return prepared

    def execute(self, prepared: Prepared, meanwhile: Callable[[], None]) -> Observation:
        """Call the runtime as the cell's action says, and look at the host before and after."""
        bundle = prepared.state
        if not isinstance(bundle, Bundle):
            return Observation(refusal=prepared.refusal, fault=prepared.fault, seconds=prepared.seconds)
        settings = prepared.job.resolved.settings
        started = time.monotonic()
        before = look(bundle, settings.host)
        calls = _Calls(self.workspace, bundle, prepared.job.runtime, settings, meanwhile)
        with open_streams(bundle, settings.caller) as streams, _inherited(bundle, settings) as fds:
            self._running[prepared.job.serial] = calls
            try:
                observation = _ACTIONS[settings.action](calls, streams, fds)
            except OSError as error:
                observation = Observation(fault=f"the runtime cannot be started: {error}")
            finally:
                del self._running[prepared.job.serial]
        output = streams.written("stdout", observation.output)
        return replace(
            observation,
            output=output,
            reached=_reached(observation, output, bundle),
            host_before=before,
            host_after=look(bundle, settings.host),
            seconds={**prepared.seconds, "execute": time.monotonic() - started},
        )

    def interrupt(self) -> None:
        """Kill the containers that other threads are waiting for in :meth:`execute`."""
        for calls in tuple(self._running.values()):
            calls.kill()

    def discard(self, prepared: Prepared) -> None:
        """Remove the cell's bundle, and its container where the runtime left one."""
        bundle = prepared.state
        if isinstance(bundle, Bundle):
            calls = _Calls(self.workspace, bundle, prepared.job.runtime, prepared.job.resolved.settings)
            if calls.remembered:
                calls.delete()
            release_bundle(self.workspace, bundle)

    def close(self) -> None:
        """Nothing to do: no container outlives its cell."""


def _reached(observation: Observation, output: bytes, bundle: Bundle) -> Reached:
    """Started: the probe spoke, or a process without the probe was waited for; created: the runtime noted a pid."""
    if observation.reached is Reached.STARTED or b'"op":"start"' in output:
        return Reached.STARTED
    return Reached.CREATED if (bundle.path / "pid").exists() else observation.reached


@contextlib.contextmanager
def _inherited(bundle: Bundle, settings: Settings) -> Iterator[tuple[int, ...]]:
    """Descriptors that the runtime inherits, at the lowest free number from the one that the cell names."""
    fds: list[int] = []
    try:
        for number, fixture in settings.caller.fds.items():
            opened = os.open(bundle.fixtures[fixture], os.O_RDONLY | os.O_CLOEXEC)
            fds.append(fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, int(number)))
            os.close(opened)
        yield tuple(fds)
    finally:
        for fd in fds:
            os.close(fd)


@dataclass(slots=True)
class _Calls:
    """The calls of one cell's runtime, all with the same caller; ``meanwhile`` is called during the first."""

    workspace: Workspace
    bundle: Bundle
    runtime: Runtime
    settings: Settings
    meanwhile: Callable[[], None] | None = None

    @property
    def state(self) -> Path:
        """The runtime's state directory."""
        return self.workspace.state_of(self.bundle.caller)

    def argv(self, verb: str, *arguments: str) -> tuple[str, ...]:
        """A call as the caller makes it, with its capabilities taken away by setpriv."""
        caller = self.settings.caller
        command = families.command(self.runtime.name, self.runtime.path, str(self.state), caller.runtime_flags, verb)
        dropped = ",".join(f"-{full_name(name)[4:].lower()}" for name in caller.drop_capabilities)
        prefix = ("setpriv", f"--bounding-set={dropped}", f"--inh-caps={dropped}") if dropped else ()
        return (*prefix, *command, *arguments, self.bundle.identifier)

    def call(
        self,
        verb: str,
        *arguments: str,
        after: tuple[str, ...] = (),
        streams: Mapping[str, int] | None = None,
        fds: tuple[int, ...] = (),
    ) -> process.Completed:
        """Make a call; ``after`` stands behind the container's id; a stream that is not given is a pipe."""
        given = streams or {}
        caller = self.settings.caller
        uid, gid = self.bundle.caller
        meanwhile, self.meanwhile = self.meanwhile, None
        return process.run(
            (*self.argv(verb, *arguments), *after),
            deadline=self.settings.deadline,
            env=self.environment(),
            identity=process.Identity(
                uid=uid if uid != os.geteuid() else None,
                gid=gid if uid != os.geteuid() else None,
                groups=(gid,),  # as initgroups(3) does at a login: the account's own group is among its groups
                umask=caller.umask if caller.umask != self.workspace.umask else None,
            ),
            stdin=given.get("stdin"),
            stdout=given.get("stdout"),
            stderr=given.get("stderr"),
            pass_fds=fds,
            on_deadline=self.kill,
            on_quiet=nudge,
            meanwhile=meanwhile,
            quick=True,
        )

    def environment(self) -> dict[str, str]:
        """The run's own environment; a rootless caller gets a runtime directory that it owns.

        Only a caller with subordinate ids finds the tools that map them.
        """
        own = {**self.workspace.environment, "XDG_RUNTIME_DIR": str(self.state)}
        if self.settings.caller.subordinate_ids is not None:
            own["PATH"] = f"{self.workspace.tools}:{own['PATH']}"
        return own

    def kill(self) -> None:
        """SIGKILL to everything of the container, by its cgroup and by the pid that the runtime noted."""
        for hierarchy in CGROUPS.glob("*/"):
            kill_cgroup(hierarchy / self.bundle.cgroup.lstrip("/"))
        kill_cgroup(CGROUPS / self.bundle.cgroup.lstrip("/"))
        with contextlib.suppress(OSError, ValueError):
            os.kill(int((self.bundle.path / "pid").read_text()), 9)

    @property
    def remembered(self) -> bool:
        """Whether the runtime still has state of the container; gVisor's files bear the sandbox's name after the id."""
        identifier = self.bundle.identifier
        if self.runtime.name.family is Family.RUNSC:
            return any(self.state.glob(f"{identifier}_sandbox:*"))
        return (self.state / identifier).exists()

    def delete(self) -> None:
        """Let the runtime forget the container; what it cannot remove goes with the workspace."""
        self.kill()
        self.call("delete", "--force")

    @property
    def bundle_flags(self) -> tuple[str, ...]:
        """Flags of run and create."""
        path = self.bundle.path
        return ("--bundle", str(path), "--pid-file", str(path / "pid"), *self.settings.caller.verb_flags)


def _as_call(verb: str, done: process.Completed, stderr: bytes | None = None) -> Call:
    return Call(
        verb=verb,
        argv=done.argv,
        returncode=done.returncode,
        stdout=b"",
        stderr=done.stderr if stderr is None else stderr,
        seconds=done.seconds,
        timed_out=done.timed_out,
        truncated=done.truncated,
    )


def _deadline_fault(settings: Settings, *calls: Call) -> str | None:
    late = next((call for call in calls if call.timed_out), None)
    return None if late is None else f"`{late.verb}` did not end within its deadline of {settings.deadline:g} s"


def _run(calls: _Calls, streams: Streams, fds: tuple[int, ...]) -> Observation:
    done = calls.call("run", *calls.bundle_flags, streams=streams.given, fds=fds)
    call = _as_call("run", done, streams.written("stderr", done.stderr))
    return Observation(
        calls=(call,),
        exit_code=done.returncode,
        output=done.stdout,
        fault=_deadline_fault(calls.settings, call),
    )


def _create_start(calls: _Calls, streams: Streams, fds: tuple[int, ...]) -> Observation:
    with _Detached(calls, streams, fds) as container:
        made = container.made
        if all(call.returncode == 0 for call in made):
            until = time.monotonic() + calls.settings.deadline
            ended = container.collector.drain(until)
            code = children.wait_orphan(container.pid, until) if ended else None
            fault = None if ended else f"the container did not end within its deadline of {calls.settings.deadline:g} s"
        else:
            container.collector.drain(time.monotonic() + 1)
            code, fault = None, _deadline_fault(calls.settings, *made)
        return Observation(
            calls=container.calls_with_stderr(),
            reached=Reached.STARTED if code is not None else Reached.NOTHING,
            exit_code=code,
            output=container.collector.bytes_of("stdout"),
            fault=fault,
        )


def _exec(calls: _Calls, streams: Streams, fds: tuple[int, ...]) -> Observation:
    with _Detached(calls, streams, fds) as container:
        until = time.monotonic() + calls.settings.deadline
        collector = container.collector
        started = all(call.returncode == 0 for call in container.made) and collector.drain(
            until, enough=lambda: b'"hold"' in collector.bytes_of("stdout")
        )
        if not started or b'"hold"' not in collector.bytes_of("stdout"):
            collector.drain(time.monotonic() + 1)
            return Observation(
                calls=container.calls_with_stderr(),
                output=collector.bytes_of("stdout"),
                fault=_deadline_fault(calls.settings, *container.made)
                or (None if any(call.returncode for call in container.made) else "the container to exec into ended"),
            )
        flags = calls.settings.exec_flags
        if flags:
            program = calls.settings.exec
            done = calls.call("exec", *flags, after=tuple(process_args(program)) if program else ())
        else:
            done = calls.call("exec", "--process", str(calls.bundle.path / "process.json"))
        call = _as_call("exec", done)
        return Observation(
            calls=(*container.calls_with_stderr(), call),
            reached=Reached.CREATED,
            exit_code=done.returncode,
            output=done.stdout,
            fault=_deadline_fault(calls.settings, call),
        )


class _Detached:
    """A container made with create and start, whose streams are pipes that the lab reads."""

    def __init__(self, calls: _Calls, streams: Streams, fds: tuple[int, ...]) -> None:
        self._calls, self._streams, self._fds = calls, streams, fds
        self.made: list[Call] = []

    def __enter__(self) -> Self:
        reading, given = {}, dict(self._streams.given)
        for name in ("stdout", "stderr"):
            if name not in given:
                reading[name], given[name] = os.pipe()
        self._reading = reading
        self.collector = process.Collector(reading)
        try:
            created = self._calls.call("create", *self._calls.bundle_flags, streams=given, fds=self._fds)
        finally:
            for name in reading:
                os.close(given[name])
        self.made.append(_as_call("create", created))
        if created.ok:
            self.made.append(_as_call("start", self._calls.call("start")))
        return self

    @property
    def pid(self) -> int:
        """The container's first process, as the runtime noted it."""
        return int((self._calls.bundle.path / "pid").read_text())

    def calls_with_stderr(self) -> tuple[Call, ...]:
        """The calls; what went through the container's stderr belongs to the one that failed, else to start."""
        text = self.collector.bytes_of("stderr")
        *before, last = self.made
        if last.verb == "start" and last.stderr:
            return tuple(self.made)
        return (*before, replace(last, stderr=self._streams.written("stderr", text) or last.stderr))

    def __exit__(self, *_: object) -> None:
        if self._calls.remembered:
            self._calls.delete()
        with contextlib.suppress(OSError, ValueError):
            children.wait_orphan(self.pid, time.monotonic() + 1)
        for fd in self._reading.values():
            os.close(fd)


_ACTIONS: dict[Action, Callable[[_Calls, Streams, tuple[int, ...]], Observation]] = {
    Action.RUN: _run,
    Action.CREATE_START: _create_start,
    Action.EXEC: _exec,
}
