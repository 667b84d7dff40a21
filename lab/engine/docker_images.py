"""Images on a Docker daemon: the lab's own, loaded once, and what cells change of them.

A cell's ``image_user`` and ``image_workdir`` make an image that differs in its config only; its edits of the root file
system make one layer on top, with exact owners and modes (the API's own way to put files in, an archive, would meet
whatever the daemon does with owners). Cells that say the same share both.
"""

from __future__ import annotations

import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from lab.engine import mounts
from lab.engine.docker_daemon import DockerDaemon
from lab.engine.once import Once
from lab.engine.trees import apply_edits
from lab.engine.workspace import Workspace
from lab.errors import HostError
from lab.model.image import Image, ImageConfig
from lab.model.settings import Edit, Settings
from lab.oci.spec import PROBE
from lab.provision.cache import Cache
from lab.provision.layers import Layer, image_layer, layered, write_docker_archive, write_layer

LABEL = "permlab.run"
"""What everything bears that the lab makes on a daemon; its value is the run's id."""


class ImageRefused(Exception):
    """The daemon does not take an image; the text is its own."""


@dataclass(slots=True, kw_only=True)
class Layers:
    """The layers of one run's cells, whatever daemon they go to."""

    workspace: Workspace
    cache: Cache
    probe_layer: Path
    _probes: Once[Layer] = field(default_factory=Once)
    _edits: Once[Layer] = field(default_factory=Once)

    def of(self, image: Image, edits: tuple[Edit, ...]) -> tuple[Layer, ...]:
        """The image's root file system, the probe, and, where there are any, the edits; lowest first.

        Raises :class:`HostError` for an edit that this host refuses.
        """
        probe = self._probes.get(image.rootfs, lambda: self._made(image, ()))
        base = (image_layer(self.cache, image), probe)
        return (*base, self._edits.get((image.rootfs, edits), lambda: self._made(image, edits))) if edits else base

    def _made(self, image: Image, edits: tuple[Edit, ...]) -> Layer:
        """What an overlay's upper directory holds after the edits; without any, the probe itself.

        The top of a layer becomes the top of the container's root file system: it must be as the image has it.
        """
        with self._place() as place:
            lower, upper, merged = place / "lower", place / "upper", place / "merged"
            upper.mkdir()
            top = Path(image.rootfs).stat()
            shutil.chown(upper, top.st_uid, top.st_gid)
            upper.chmod(stat.S_IMODE(top.st_mode))
            if not edits:
                shutil.copytree(self.probe_layer / Path(PROBE).parts[1], upper / Path(PROBE).parts[1])
                return self._kept(upper)
            lower.mkdir()
            merged.mkdir()
            work = place / "work"
            work.mkdir()
            mounts.overlay((self.probe_layer, Path(image.rootfs)), upper, work, merged)
            try:
                apply_edits(merged, edits, self.probe_layer / PROBE.lstrip("/"))
            finally:
                mounts.unmount(merged)
            return self._kept(upper)

    @contextmanager
    def _place(self) -> Iterator[Path]:
        place = Path(tempfile.mkdtemp(prefix="layer-", dir=self.workspace.root))
        try:
            yield place
        except OSError as error:
            raise HostError("a layer of an image cannot be made", details=str(error)) from error
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _kept(self, tree: Path) -> Layer:
        folder = self.workspace.root / "layers"
        folder.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            path = Path(file.name)
        return Layer(path=path, diff_id=write_layer(tree, path))


@dataclass(slots=True, kw_only=True)
class DaemonImages:
    """The images on one daemon.

    ``_known`` are the stacks of layers that it has, each as diff ids, lowest first: a daemon knows a layer by all below
    it (image-spec, ChainID), and an equal one upon others is a new one.
    """

    daemon: DockerDaemon
    layers: Layers
    _loaded: Once[str] = field(default_factory=Once)
    _ids: Once[str] = field(default_factory=Once)
    _known: set[tuple[str, ...]] = field(default_factory=set)

    def id_of(self, image: Image, settings: Settings) -> str:
        """The id of the image that a cell runs on, loaded when the daemon does not have it yet.

        Raises :class:`ImageRefused`, for example for an owner that the daemon's user namespace does not map.
        """
        config = config_of(image.config, settings)
        return self._ids.get(
            (image.digest, config, settings.rootfs), lambda: self._make(image, config, settings.rootfs)
        )

    def _make(self, image: Image, config: ImageConfig, edits: tuple[Edit, ...]) -> str:
        # images of one root file system share its layers: those go in first, by themselves
        base = self.layers.of(image, ())
        self._loaded.get(tuple(layer.diff_id for layer in base), lambda: self._load(base, ImageConfig()))
        return self._load(self.layers.of(image, edits), config)

    def _load(self, layers: tuple[Layer, ...], config: ImageConfig) -> str:
        made = layered(layers, config, {LABEL: self.layers.workspace.run_id})
        ids = tuple(layer.diff_id for layer in layers)
        stacks = [ids[: number + 1] for number in range(len(ids))]
        had = sum(stack in self._known for stack in stacks)
        with tempfile.TemporaryFile(dir=self.layers.workspace.root) as file:
            write_docker_archive(made, file, frozenset(ids) - frozenset(ids[had:]))
            file.seek(0)
            answers = tuple(self.daemon.client.load_image(file, quiet=True))
        refusals = [str(answer["error"]) for answer in answers if "error" in answer]
        if refusals:
            raise ImageRefused(refusals[0])
        self._known.update(stacks)
        return made.id


def config_of(config: ImageConfig, settings: Settings) -> ImageConfig:
    """The image's config as if it had been built with the cell's ``User`` and ``WorkingDir``."""
    return replace(
        config,
        user=config.user if settings.image_user is None else settings.image_user,
        working_dir=config.working_dir if settings.image_workdir is None else settings.image_workdir,
    )
