"""The docker engine: cells as calls of the Docker Engine API, on a private daemon or the user's own.

A cell is create, attach, start, wait, inspect, remove: separate calls, so that a failure keeps its phase, the daemon's
own words, and the container's ``State`` (``Error``, ``ExitCode``).
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from lab.engine.base import EngineContext, Job, Prepared
from lab.engine.bundle import look, make_engine_bundle, remove_bundle
from lab.engine.docker_api import TRANSPORT, CallLog, reason
from lab.engine.docker_container import Container, DockerCell
from lab.engine.docker_daemon import DockerDaemon, PrivateDaemon
from lab.engine.docker_images import LABEL, DaemonImages, ImageRefused, Layers
from lab.engine.docker_user import user_daemon
from lab.engine.docker_words import create_request, exec_request, inexpressible, shares_network
from lab.engine.once import Once
from lab.errors import EngineError, HostError, LabError
from lab.model.engine import EngineBuild, EngineName
from lab.model.image import Image
from lab.model.observation import Observation
from lab.model.runtime import Runtime
from lab.model.scenario import Resolved
from lab.model.settings import Settings
from lab.oci.spec import PROBE
from lab.provision.engines import pull_engine


@dataclass(kw_only=True)
class DockerEngine:
    """Runs cells on Docker daemons of one build: one for each ``userns-remap`` that cells ask for."""

    engine: EngineName
    context: EngineContext
    name: str = field(init=False)
    build: EngineBuild | None = None
    _daemons: Once[DockerDaemon] = field(default_factory=Once)
    _images: Once[DaemonImages] = field(default_factory=Once)
    _networks: Once[str] = field(default_factory=Once)
    _running: dict[str, DockerDaemon] = field(default_factory=dict)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.name = str(self.engine)
        workspace, cache, probe = self.context.workspace, self.context.cache, self.context.probe_layer
        self._layers = Layers(workspace=workspace, cache=cache, probe_layer=probe)

    def skip_reason(self, resolved: Resolved, runtime: Runtime | None) -> str | None:
        """Why the cell cannot run: what Docker has no word for, or what this host does not allow."""
        if not self.context.workspace.privileged:
            return "needs root: the lab starts a Docker daemon of its own"
        if resolved.settings.docker.userns_remap is not None and self.context.workspace.outer is not None:
            return "the lab runs in a chroot, where the kernel lets nobody make a user namespace (user_namespaces(7))"
        return inexpressible(resolved.settings) or self._user_reason(resolved.settings, runtime)

    def _user_reason(self, settings: Settings, runtime: Runtime | None) -> str | None:
        """Why the user's own daemon, where one was given, cannot run a cell."""
        if self.context.docker_host is None:
            return None
        if settings.fixtures:
            return "the user's Docker daemon does not see the lab's private directories (fixtures)"
        if settings.docker.userns_remap is not None:
            return "the user's Docker daemon keeps the userns-remap that it has"
        if self.engine.version is not None:
            return f"{self.name} names a build, but the user's own Docker daemon is to be used"
        if runtime is not None and self.build is not None:
            try:
                self._daemon(None).runtime(runtime)
            except HostError as error:
                return error.brief
        return None

    def open(self, tell: Callable[[str], None]) -> None:
        """Provision the build and start its daemon."""
        if self.context.docker_host is not None:
            label = self.context.workspace.run_id
            found = user_daemon(self.engine, self.context.docker_host, label)
            self._daemons.get(None, lambda: found)
            self.build = found.build
            return
        self.build = pull_engine(self.context.cache, self.engine, progress=tell)
        self._daemon(None)

    def _daemon(self, remap: tuple[int, int] | None) -> DockerDaemon:
        return self._daemons.get(remap, lambda: self._started(remap))

    def _started(self, remap: tuple[int, int] | None) -> PrivateDaemon:
        if self.build is None or self._stopping.is_set():
            raise EngineError(f"{self.name} is not open")
        daemon = PrivateDaemon(build=self.build, workspace=self.context.workspace, remap=remap)
        daemon.start()
        return daemon

    def prepare(self, job: Job) -> Prepared:
        """Make fixtures, load the image, let the daemon know the runtime; what fails is noted, not raised."""
        started = time.monotonic()
        prepared = Prepared(job=job)
        try:
            prepared.state = self._cell(job)
        except ImageRefused as error:
            prepared.refusal = str(error)
        except (LabError, *TRANSPORT) as error:
            details = f"{error.brief}: {error.details}" if isinstance(error, LabError) else str(error)
            prepared.fault = details
        else:
            requests = {"create": prepared.state.create, "exec": prepared.state.exec}
            prepared.config = json.dumps({name: said for name, said in requests.items() if said is not None})
        prepared.seconds["prepare"] = time.monotonic() - started
        return prepared

    def _cell(self, job: Job) -> DockerCell:
        settings = job.resolved.settings
        daemon = self._daemon(settings.docker.userns_remap)
        daemon.revive()
        images = self._images.get(id(daemon), lambda: DaemonImages(daemon=daemon, layers=self._layers))
        request = create_request(settings, image=images.id_of(job.image, settings), runtime=daemon.runtime(job.runtime))
        return DockerCell(
            bundle=make_engine_bundle(self.context.workspace, self.context.probe_layer, settings),
            daemon=daemon,
            create=request,
            exec=exec_request(settings.exec) if settings.exec is not None else None,
        )

    def _network(self, daemon: DockerDaemon, image: str) -> str:
        """The container whose network namespace cells share: it does nothing, and goes with its daemon."""
        run = self.context.workspace.run_id
        name = f"permlab-{run}-network-{daemon.restarts}"
        return self._networks.get((id(daemon), daemon.restarts), lambda: hold_network(daemon, name, image, run))

    def execute(self, prepared: Prepared, meanwhile: Callable[[], None] = lambda: None) -> Observation:
        """Make the cell's calls, and look at the host before and after."""
        cell = prepared.state
        if not isinstance(cell, DockerCell):
            return Observation(refusal=prepared.refusal, fault=prepared.fault, seconds=prepared.seconds)
        started = time.monotonic()
        settings = prepared.job.resolved.settings
        container = Container(
            cell=cell, settings=settings, log=CallLog(cell.daemon.client), label=self.context.workspace.run_id
        )
        before = look(cell.bundle, settings.host)
        self._running[cell.bundle.identifier] = cell.daemon
        with container.noting():
            cell.daemon.revive()
            if shares_network(settings):
                container.network = self._network(cell.daemon, cell.create["Image"])
            container.run(meanwhile)
        prepared.seconds["execute"] = time.monotonic() - started
        prepared.rest = partial(self._finish, prepared, container)
        observation = Observation(host_before=before)
        return observation if container.over else prepared.complete(observation)

    def _finish(self, prepared: Prepared, container: Container, observation: Observation) -> Observation:
        started = time.monotonic()
        bundle, seen = container.cell.bundle, container.seen
        container.finish()
        self._running.pop(bundle.identifier, None)
        after = look(bundle, container.settings.host)
        return seen.added_to(observation, after, prepared.seconds, started)

    def beside(self, image: Image, runtime: Runtime, settings: Settings) -> tuple[str, str, str]:
        """What a `docker` command needs to run such a container on the same daemon: its address, image id, runtime."""
        daemon = self._daemon(None)
        images = self._images.get(id(daemon), lambda: DaemonImages(daemon=daemon, layers=self._layers))
        return daemon.address, images.id_of(image, settings), daemon.runtime(runtime)

    def interrupt(self) -> None:
        """Kill the containers that other threads wait for."""
        self._stopping.set()
        for daemon in {id(daemon): daemon for daemon in self._running.values()}.values():
            daemon.kill_containers()

    def discard(self, prepared: Prepared) -> None:
        """Remove the cell's fixtures; its container is gone already."""
        if isinstance(prepared.state, DockerCell):
            remove_bundle(prepared.state.bundle)

    def close(self) -> None:
        """End the daemons."""
        self._stopping.set()
        for daemon in self._daemons.values():
            daemon.stop()


def hold_network(daemon: DockerDaemon, name: str, image: str, label: str) -> str:
    """Start the container whose network cells share; one that does not start is removed, for the next cell to try."""
    body = {
        "Image": image,
        "Hostname": "permlab",
        "Entrypoint": [PROBE],
        "Cmd": ["hold"],
        "User": "0:0",
        "WorkingDir": "/",
        "Labels": {LABEL: label},
        "HostConfig": {"NetworkMode": "none"},
    }
    try:
        made = str(daemon.client.create_container_from_config(body, name=name)["Id"])
        try:
            daemon.client.start(made)
        except TRANSPORT:
            with contextlib.suppress(*TRANSPORT):
                daemon.client.remove_container(made, force=True)
            raise
    except TRANSPORT as error:
        raise EngineError(f"the container whose network cells share does not start: {reason(error)}") from error
    return made
