"""Images as engines take them: layers as tar files, an image config, and an archive that holds both.

A layer's *diff id* is ``sha256:`` of its uncompressed tar; an image's id is ``sha256:`` of its config (image-spec,
config.md). Both are made without times, so the same tree gives the same ids on every host, and an engine that has a
layer already takes an image's new config alone.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import tarfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from lab.model.image import Image, ImageConfig
from lab.provision.cache import Cache
from lab.provision.debian import architecture
from lab.provision.rootfs import Found, walk

KIND = "layers"
WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
_OPAQUE_XATTR = "trusted.overlay.opaque"
_EPOCH = "1970-01-01T00:00:00Z"
_TYPES = {
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer: its tar file and its diff id."""

    path: Path
    diff_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LayeredImage:
    """An image as an engine knows it: its layers, lowest first, and the bytes of its config."""

    layers: tuple[Layer, ...]
    config: bytes

    @property
    def id(self) -> str:
        """``sha256:…`` of the config."""
        return f"sha256:{hashlib.sha256(self.config).hexdigest()}"


def image_layer(cache: Cache, image: Image) -> Layer:
    """The image's whole root file system as one layer, made once and kept in the cache."""
    name = image.digest.removeprefix("sha256:")
    entry = cache.make(KIND, name, partial(_write_image_layer, Path(image.rootfs)))
    return Layer(path=entry.path / "layer.tar", diff_id=str(entry.facts["diff_id"]))


def _write_image_layer(rootfs: Path, directory: Path) -> Mapping[str, object]:
    return {"diff_id": write_layer(rootfs, directory / "layer.tar")}


def write_layer(tree: Path, target: Path) -> str:
    """Write ``tree``, or an overlay's upper directory, as a layer; its diff id.

    Owners, modes, links, device nodes and the attributes that belong to an image are kept, times are not. What an
    overlay marks as removed becomes a whiteout (image-spec, layer.md).
    """
    with target.open("w+b") as out:
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
            names: dict[tuple[int, int], str] = {}
            for found in walk(tree):
                _add(archive, found, names)
        out.seek(0)
        return f"sha256:{hashlib.file_digest(out, 'sha256').hexdigest()}"


def _add(archive: tarfile.TarFile, found: Found, names: dict[tuple[int, int], str]) -> None:
    status = found.status
    if found.kind == stat.S_IFCHR and status.st_rdev == 0:
        folder, slash, name = found.path.rpartition("/")
        archive.addfile(tarfile.TarInfo(f"{folder}{slash}{WHITEOUT}{name}"))
        return
    kind = _TYPES.get(found.kind)
    if kind is None:  # a socket: no archive format has one
        return
    entry = tarfile.TarInfo(found.path or ".")
    entry.type, entry.mode = kind, stat.S_IMODE(status.st_mode)
    entry.uid, entry.gid = status.st_uid, status.st_gid
    entry.devmajor, entry.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
    entry.pax_headers = {
        f"SCHILY.xattr.{name}": value.decode("utf-8", "surrogateescape") for name, value in found.xattrs().items()
    }
    first = names.setdefault((status.st_dev, status.st_ino), entry.name)
    if found.kind == stat.S_IFLNK:
        entry.linkname = found.target()
    elif found.kind == stat.S_IFREG and first != entry.name:
        entry.type, entry.linkname = tarfile.LNKTYPE, first
    elif found.kind == stat.S_IFREG:
        entry.size = status.st_size
        with found.opened() as fd, os.fdopen(os.dup(fd), "rb") as content:
            archive.addfile(entry, content)
        return
    archive.addfile(entry)
    if found.kind == stat.S_IFDIR and _is_opaque(found):
        archive.addfile(tarfile.TarInfo(f"{found.path}/{OPAQUE}".lstrip("/")))


def _is_opaque(found: Found) -> bool:
    with found.opened() as fd:
        try:
            return os.getxattr(fd, _OPAQUE_XATTR) == b"y"
        except OSError:
            return False


def layered(layers: Sequence[Layer], config: ImageConfig, labels: Mapping[str, str]) -> LayeredImage:
    """An image of these layers, lowest first, with the config of image-spec."""
    said: dict[str, Any] = {
        "User": config.user,
        "WorkingDir": config.working_dir,
        "Env": list(config.env),
        "Entrypoint": list(config.entrypoint),
        "Cmd": list(config.cmd),
        "Labels": dict(labels),
    }
    document = {
        "architecture": architecture(),
        "os": "linux",
        "created": _EPOCH,
        "config": {key: value for key, value in said.items() if value},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [{"created": _EPOCH, "created_by": "permlab"} for _ in layers],
    }
    return LayeredImage(layers=tuple(layers), config=json.dumps(document, sort_keys=True).encode())


def write_docker_archive(
    image: LayeredImage, out: IO[bytes], known: Collection[str] = (), tag: str | None = None
) -> None:
    """Write what ``docker load`` reads; layers whose diff ids the engine knows already are named, but left empty.

    ``tag`` names the image, for an engine that keeps none without a name.
    """
    names = [f"{layer.diff_id.removeprefix('sha256:')}/layer.tar" for layer in image.layers]
    config = f"{image.id.removeprefix('sha256:')}.json"
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, layer in dict(zip(names, image.layers, strict=True)).items():
            if layer.diff_id in known:
                _put(archive, name, b"")
            else:
                archive.add(layer.path, name, recursive=False, filter=_anonymous)
        _put(archive, config, image.config)
        manifest = [{"Config": config, "RepoTags": None if tag is None else [tag], "Layers": names}]
        _put(archive, "manifest.json", json.dumps(manifest).encode())


def _put(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = 0
    return entry
