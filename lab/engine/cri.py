"""The cri engine: cells as calls of the Kubernetes CRI on a private containerd, as a kubelet makes them."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import grpc

from lab.engine.base import EngineContext, Job, Prepared
from lab.engine.bundle import look, make_engine_bundle, remove_bundle
from lab.engine.cri_container import PATIENCE, CriCell, CriContainer
from lab.engine.cri_daemon import PAUSE, Containerd
from lab.engine.cri_words import (
    admission,
    container_words,
    exec_words,
    inexpressible,
    own_network,
    sandbox_words,
    unknown_to,
)
from lab.engine.docker_images import Layers, config_of
from lab.engine.once import Once
from lab.errors import EngineError, LabError
from lab.model.engine import EngineBuild, EngineName
from lab.model.image import Image, ImageConfig
from lab.model.observation import DERIVED, Observation
from lab.model.runtime import Family, Runtime
from lab.model.scenario import Resolved
from lab.model.settings import Settings
from lab.oci.spec import DEFAULT_PATH, PROBE
from lab.provision.engines import pull_engine
from lab.provision.layers import Layer, layered, write_layer

LABEL = "permlab.run"
_STATE = Path("/var/lib")
"""Where containerd's network library keeps what a plugin answered (libcni, ``CacheDir``)."""


@dataclass(kw_only=True)
class CriEngine:
    """Runs cells over the CRI on a containerd of one build."""

    engine: EngineName
    context: EngineContext
    name: str = field(init=False)
    build: EngineBuild | None = None
    _daemon: Containerd | None = None
    _images: Once[str] = field(default_factory=Once)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.name = str(self.engine)
        workspace, cache, probe = self.context.workspace, self.context.cache, self.context.probe_layer
        self._layers = Layers(workspace=workspace, cache=cache, probe_layer=probe)

    def skip_reason(self, resolved: Resolved, runtime: Runtime | None) -> str | None:
        """Why the cell cannot run: what the CRI has no word for, or what this host does not allow."""
        if not self.context.workspace.privileged:
            return "needs root: the lab starts a containerd of its own"
        if runtime is not None and runtime.name.family is Family.RUNSC:
            return "the lab has no containerd shim for gVisor"
        for mount in resolved.settings.mounts:
            if mount.source is not None and not os.path.exists(mount.source):
                return f"the host has no {mount.source}, and containerd would make it there"
        if own_network(resolved.settings) and _STATE in self.context.cache.root.resolve().parents:
            return f"a pod of its own network needs a private {_STATE}, and the lab's cache is there"
        return inexpressible(resolved.settings) or (
            unknown_to(self.build.name.version or "", resolved.settings) if self.build is not None else None
        )

    def open(self, tell: Callable[[str], None]) -> None:
        """Provision the build, start containerd, give it the image of its sandboxes."""
        self.build = pull_engine(self.context.cache, self.engine, progress=tell)
        self.context.workspace.own_state_directory(self.context.cache.root)
        self._daemon = Containerd(build=self.build, workspace=self.context.workspace)
        self._daemon.start()
        folder = self.context.workspace.root / f"{self._daemon.place.name}-pause"
        folder.mkdir()
        layer = Layer(path=folder / "l.tar", diff_id=write_layer(self.context.probe_layer, folder / "l.tar"))
        config = ImageConfig(
            entrypoint=(PROBE, "--to", "/dev/null", "hold"), user="65535:65535", env=(f"PATH={DEFAULT_PATH}",)
        )
        self._daemon.load(layered((layer,), config, {LABEL: self.context.workspace.run_id}), PAUSE)

    def prepare(self, job: Job) -> Prepared:
        """Make fixtures, load the image, find the runtime's handler; what fails is noted, not raised."""
        started = time.monotonic()
        prepared = Prepared(job=job)
        try:
            settings = job.resolved.settings
            refused = admission(settings, config_of(job.image.config, settings).user)
            if refused is not None:
                prepared.refusal = f"{DERIVED}: {refused}"
            else:
                prepared.state = self._cell(job)
        except LabError as error:
            prepared.fault = f"{error.brief}: {error.details}"
        except grpc.RpcError as error:
            said = None if self._daemon is None else self._daemon.ended(PATIENCE)
            prepared.fault = said or f"containerd does not answer: {error.code()}"
        else:
            if prepared.state is not None:
                cell = prepared.state
                stored = {"sandbox": cell.sandbox, "container": cell.container}
                prepared.config = json.dumps(stored | ({"exec": cell.exec} if cell.exec is not None else {}))
        prepared.seconds["prepare"] = time.monotonic() - started
        return prepared

    def _cell(self, job: Job) -> CriCell:
        settings, daemon = job.resolved.settings, self._daemon
        if daemon is None or self._stopping.is_set():
            raise EngineError(f"{self.name} is not open")
        daemon.revive()
        user = config_of(job.image.config, settings).user
        return CriCell(
            daemon=daemon,
            handler=daemon.handler(job.runtime),
            sandbox=sandbox_words(settings),
            container=container_words(settings, image=self._image(daemon, job.image, settings), image_user=user),
            exec=exec_words(settings.exec) if settings.exec is not None else None,
            bundle=make_engine_bundle(self.context.workspace, self.context.probe_layer, settings),
        )

    def _image(self, daemon: Containerd, image: Image, settings: Settings) -> str:
        config = config_of(image.config, settings)

        def load() -> str:
            layers = self._layers.of(image, settings.rootfs)
            made = layered(layers, config, {LABEL: self.context.workspace.run_id})
            return daemon.load(made, f"permlab.invalid/i-{made.id[-16:]}:1")

        return self._images.get((image.digest, config, settings.rootfs), load)

    def execute(self, prepared: Prepared, meanwhile: Callable[[], None] = lambda: None) -> Observation:
        """Make the cell's calls, and look at the host before and after."""
        cell = prepared.state
        if not isinstance(cell, CriCell):
            return Observation(refusal=prepared.refusal, fault=prepared.fault, seconds=prepared.seconds)
        started = time.monotonic()
        container = CriContainer(cell=cell, settings=prepared.job.resolved.settings)
        before = look(cell.bundle, container.settings.host)
        with container.noting():
            cell.daemon.revive()
            container.run(meanwhile)
        prepared.seconds["execute"] = time.monotonic() - started
        prepared.rest = partial(_finish, prepared, container)
        observation = Observation(host_before=before)
        return observation if container.over else prepared.complete(observation)

    def beside(self, image: Image, settings: Settings) -> tuple[Containerd, str]:
        """The containerd, and the name of a cell's image on it, for another program."""
        if self._daemon is None:
            raise EngineError(f"{self.name} is not open")
        return self._daemon, self._image(self._daemon, image, settings)

    def interrupt(self) -> None:
        """Kill the containers that other threads wait for."""
        self._stopping.set()
        if self._daemon is not None:
            self._daemon.kill_containers()

    def discard(self, prepared: Prepared) -> None:
        """Remove the cell's fixtures; its container is gone already."""
        if isinstance(prepared.state, CriCell):
            remove_bundle(prepared.state.bundle)

    def close(self) -> None:
        """End containerd."""
        self._stopping.set()
        if self._daemon is not None:
            self._daemon.stop()


def _finish(prepared: Prepared, container: CriContainer, observation: Observation) -> Observation:
    started, seen = time.monotonic(), container.seen
    container.finish()
    after = look(container.cell.bundle, container.settings.host)
    return seen.added_to(observation, after, prepared.seconds, started)
