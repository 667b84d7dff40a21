"""The podman engine: cells through podman's command line, rootful or rootless.

A cell is `podman create`, `start --attach`, and `inspect` where it did not end well: separate calls, so that a
failure keeps its phase and podman's own words; `rm` removes several. There is no daemon; what outlives a call
(conmon, a rootless podman's pause process) stays in cgroups of the run.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from lab import children
from lab.engine.base import EngineContext, Job, Prepared
from lab.engine.bundle import caller_of, look, make_engine_bundle, remove_bundle
from lab.engine.cgroups import kill_cgroups
from lab.engine.docker_images import Layers, config_of
from lab.engine.host import user_namespaces
from lab.engine.once import Once
from lab.engine.podman_container import Container, PodmanCell
from lab.engine.podman_home import AUTO_ACCOUNT, Caller, PodmanHome, cgroups_of, container_limits, run_root_fits
from lab.engine.podman_words import SECCOMP, create_words, exec_words, inexpressible, limit_words
from lab.errors import EngineError, HostError, LabError
from lab.model.engine import EngineBuild, EngineName
from lab.model.image import Image
from lab.model.observation import Observation
from lab.model.runtime import Runtime
from lab.model.scenario import Resolved
from lab.model.settings import Action, Settings
from lab.provision.engines import pull_engine

_LEFT = frozenset({"conmon", "podman", "podman pause"})
"""What a podman leaves to the lab, a subreaper; podman's own calls are tini's children."""

REAP_SECONDS = 2.0
ROOTLESS_RANGE = (200_000, 65_536)
"""The subordinate ids (first, size) of a rootless podman whose cell names none: it cannot store an image without."""

_AUTO_RANGE = f"{AUTO_ACCOUNT}:1000000:1048576"
AUTO_LINES = {
    "passwd": f"{AUTO_ACCOUNT}:x:999999:999999::/:/usr/sbin/nologin",
    "subuid": _AUTO_RANGE,
    "subgid": _AUTO_RANGE,
}
"""From where a rootful podman takes the ids of ``--userns=auto``; libsubid, which 5.8 asks, wants an account, too."""


def caller_for(settings: Settings) -> Caller:
    """Who calls podman for a cell."""
    auto = (settings.podman.userns or "").partition(":")[0] == "auto"
    if not settings.caller.rootless:
        return Caller(uid=0, gid=0, auto=auto)
    uid, gid = caller_of(settings)
    return Caller(uid=uid, gid=gid, ids=settings.caller.subordinate_ids or ROOTLESS_RANGE, auto=auto)


@dataclass(kw_only=True)
class PodmanEngine:
    """Runs cells on one build of podman, with a storage for each of its callers."""

    engine: EngineName
    context: EngineContext
    name: str = field(init=False)
    build: EngineBuild | None = None
    _homes: Once[PodmanHome] = field(default_factory=Once)
    _stopping: threading.Event = field(default_factory=threading.Event)

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
        """Provision the build; there is nothing to start.

        Runtimes that podman calls, and podman 3 itself, write below ``/run`` and ``/var/lib`` whatever they are told:
        the lab has its own from now on.
        """
        run_root_fits(self.context.workspace)
        self.build = pull_engine(self.context.cache, self.engine, progress=tell)
        self.context.workspace.own_run_directory()
        self.context.workspace.own_state_directory(self.context.cache.root)

    def beside(self, image: Image, runtime: Runtime, settings: Settings) -> tuple[PodmanHome, str]:
        """The podman that cells of such settings use, and the id of their image in it, for another program."""
        caller = caller_for(settings)
        home = self._homes.get(caller, lambda: self._made(caller))
        return home, home.image(image, config_of(image.config, settings), settings.rootfs, runtime)

    def prepare(self, job: Job) -> Prepared:
        """Make fixtures, load the image, create the container; what fails is noted, not raised."""
        started = time.monotonic()
        prepared = Prepared(job=job)
        try:
            cell = self._cell(job)
        except LabError as error:
            prepared.fault = f"{error.brief}: {error.details}"
        else:
            prepared.state = container = Container(cell=cell, settings=job.resolved.settings)
            said = {"create": cell.create, "exec": cell.exec}
            prepared.config = json.dumps({verb: words for verb, words in said.items() if words is not None})
            if not cell.home.caller.auto:
                container.create()
        prepared.seconds["prepare"] = time.monotonic() - started
        return prepared

    def _cell(self, job: Job) -> PodmanCell:
        settings = job.resolved.settings
        home, image = self.beside(job.image, job.runtime, settings)
        caller = home.caller
        bundle = make_engine_bundle(
            self.context.workspace, self.context.probe_layer, settings, (caller.uid, caller.gid)
        )
        name = bundle.identifier
        words = create_words(settings, image=image, name=name, cgroup_parent=home.containers)
        words = (*limit_words(settings.process, container_limits()), *words)
        profile = home.seccomp(job.runtime)
        if settings.linux.seccomp is not None:
            profile = bundle.seccomp
        elif profile is not None and not any(option.startswith("seccomp") for option in settings.podman.security_opt):
            words = (f"--security-opt=seccomp={SECCOMP}", *words)
        beside = exec_words(settings.exec, name) if settings.action is Action.EXEC and settings.exec else None
        return PodmanCell(bundle=bundle, home=home, runtime=job.runtime, create=words, exec=beside, seccomp=profile)

    def _made(self, caller: Caller) -> PodmanHome:
        if self.build is None or self._stopping.is_set():
            raise EngineError(f"{self.name} is not open")
        workspace = self.context.workspace
        if caller.ids is not None:
            if reason := self._subordinate.skip_reason():
                raise HostError("a rootless podman has no subordinate ids here", details=reason)
            self._subordinate.grant(caller.uid, caller.gid, caller.ids, alone=True)
            workspace.add_account("group", f"permlab-{caller.gid}:x:{caller.gid}:")
        elif caller.auto:
            for file, line in AUTO_LINES.items():
                workspace.add_account(file, line)
        place = workspace.root / self.engine.slug / caller.slug
        home = PodmanHome(build=self.build, workspace=workspace, layers=self._layers, caller=caller, place=place)
        try:
            home.set_up()
        except OSError as error:
            raise HostError("podman's directories cannot be made", details=str(error)) from error
        return home

    def execute(self, prepared: Prepared, meanwhile: Callable[[], None]) -> Observation:
        """Make the cell's calls, and look at the host before and after."""
        container = prepared.state
        if not isinstance(container, Container):
            return Observation(refusal=prepared.refusal, fault=prepared.fault, seconds=prepared.seconds)
        started = time.monotonic()
        home, prepared.rest = container.cell.home, partial(self._finish, prepared, container)
        with home.alone if home.caller.auto else contextlib.nullcontext():
            if home.caller.auto:
                container.create()
            container.run(meanwhile)
            prepared.seconds["execute"] = time.monotonic() - started
            if home.caller.auto or container.fault is not None:
                return prepared.complete(Observation())
        return Observation()

    def _finish(self, prepared: Prepared, container: Container, _: Observation) -> Observation:
        started = time.monotonic()
        if not self._stopping.is_set():
            container.remove(at_once=container.cell.home.caller.auto or container.fault is not None)
        return Observation(
            calls=tuple(container.calls),
            reached=container.reached,
            exit_code=container.exit_code,
            output=container.output,
            host_before=container.before,
            host_after=look(container.cell.bundle, container.settings.host),
            fault=container.fault,
            seconds={**prepared.seconds, "finish": time.monotonic() - started},
        )

    def interrupt(self) -> None:
        """Kill every call and every container of this podman; its storage is not used again."""
        self._stopping.set()
        for cgroup in cgroups_of(self.context.workspace, self.engine.slug):
            kill_cgroups(cgroup)

    def discard(self, prepared: Prepared) -> None:
        """Remove the cell's files; its container is gone already, or goes with the storage."""
        if isinstance(prepared.state, Container):
            remove_bundle(prepared.state.cell.bundle)

    def close(self) -> None:
        """End what podman left: conmon and containers of a run that was stopped, rootless podmans' pause processes."""
        self.interrupt()
        for home in self._homes.values():
            home.end()
        children.reap_adopted(_LEFT, time.monotonic() + REAP_SECONDS)
