"""Images from files: OCI image layouts, docker-archives, and root file systems as tar files or folders.

Blobs are checked against their digests before they are read, layers again against the ``diff_ids`` of the image
configuration. Where an index offers several platforms, this machine's is taken.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lab.errors import ArchiveError, DigestMismatch, InputError
from lab.model.image import ImageConfig
from lab.provision import debian
from lab.provision.cache import sha256_file
from lab.provision.entries import Meta
from lab.provision.recipes import read_config
from lab.provision.rootfs import Found, canonical_digest, walk
from lab.provision.tree import Tree
from lab.provision.unpack import Reading, unpack_stream

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
REF_NAME = "org.opencontainers.image.ref.name"
INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
MAX_JSON = 16 << 20
MAX_NESTING = 4

Object = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An image that can be unpacked: ``key`` is its name in the cache, made of a digest of its content."""

    key: str
    config: ImageConfig
    origin: str
    unpack: Callable[[Tree], Mapping[str, object]]


class Blobs(Protocol):
    """Where the blobs of an image are."""

    def file(self, digest: str, size: int | None) -> Path:
        """A file with exactly the bytes of ``digest``; ``ProvisionError`` when there is none."""
        ...

    def manifest(self, digest: str, size: int | None) -> Path:
        """The same for a manifest or index, which registries keep apart."""
        ...


@dataclass(frozen=True, slots=True)
class Layout:
    """The blobs of an OCI image layout's directory."""

    root: Path

    def file(self, digest: str, size: int | None) -> Path:
        """The blob's file, checked."""
        path = self.root / "blobs" / "sha256" / digest.partition(":")[2]
        try:
            if size is not None and path.stat().st_size != size:
                raise DigestMismatch(f"blob {digest} has not the {size} bytes that its descriptor says")
            found = f"sha256:{sha256_file(path)}"
        except OSError as error:
            raise ArchiveError(f"blob {digest} is not in the layout", details=str(error.strerror)) from error
        if found != digest:
            raise DigestMismatch(f"blob {digest} has other bytes", details=f"found {found}")
        return path

    def manifest(self, digest: str, size: int | None) -> Path:
        """A layout keeps manifests among its blobs."""
        return self.file(digest, size)


def oci_layout(rest: str, _work: Path) -> Source:
    """``oci:PATH[:TAG]``."""
    path, tag = _tagged(rest)
    return _from_layout(path, tag, f"OCI layout {path.name}")


def oci_archive(rest: str, work: Path) -> Source:
    """``oci-archive:PATH[:TAG]``: the tar file is unpacked beside, confined as an image would be."""
    path, tag = _tagged(rest)
    return _from_layout(_opened(path, work), tag, f"OCI archive {path.name}")


def _from_layout(root: Path, tag: str, origin: str) -> Source:
    try:
        index = parse((root / "index.json").read_bytes(), "index.json")
    except OSError as error:
        raise ArchiveError(f"{origin} has no index.json", details=str(error.strerror)) from error
    offered = objects(index.get("manifests"), "manifests of index.json")
    named = [each for each in offered if tag and _annotation(each) == tag]
    if tag and not named:
        names = ", ".join(sorted(filter(None, map(_annotation, offered)))) or "none"
        raise InputError(f"{origin} has no image tagged {tag!r}", resolution=f"tags in it: {names}")
    return from_manifest(Layout(root), choose(named or offered, origin), origin)


def from_manifest(blobs: Blobs, descriptor: Object, origin: str) -> Source:
    """The image of a manifest's descriptor (an index is followed to this machine's manifest)."""
    for _ in range(MAX_NESTING):
        digest = digest_of(descriptor)
        manifest = parse(_small(blobs.manifest(digest, _size(descriptor))), digest)
        if "manifests" not in manifest and descriptor.get("mediaType") not in INDEXES:
            break
        descriptor = choose(objects(manifest.get("manifests"), f"manifests of {digest}"), origin)
    else:
        raise ArchiveError(f"{origin}: indexes are nested deeper than {MAX_NESTING}")
    if manifest.get("schemaVersion") != 2:  # noqa: PLR2004  # the only version of image-spec
        raise ArchiveError(f"{origin}: manifest {digest} is not of schema version 2")
    told = manifest.get("config")
    if not isinstance(told, dict):
        raise ArchiveError(f"{origin}: manifest {digest} names no configuration")
    config = parse(_small(blobs.file(digest_of(told), _size(told))), "the image configuration")
    layers = objects(manifest.get("layers"), f"layers of {digest}")
    if len(layers) != len(diff_ids(config)):
        raise ArchiveError(f"{origin}: {len(layers)} layers, {len(diff_ids(config))} diff_ids")

    def unpack(tree: Tree) -> Mapping[str, object]:
        for layer, diff_id in zip(layers, diff_ids(config), strict=True):
            _layer(blobs.file(digest_of(layer), _size(layer)), diff_id, tree)
        return {"manifest": digest, "layers": [digest_of(layer) for layer in layers]}

    return Source(
        key=f"manifest-{digest.partition(':')[2]}",
        config=read_config(config.get("config")),
        origin=f"{origin}, manifest {digest}",
        unpack=unpack,
    )


def docker_archive(rest: str, work: Path) -> Source:
    """``docker-archive:PATH[:REF]``: what ``docker save`` writes, of any age."""
    path, ref = _tagged(rest)
    folder = _opened(path, work)
    origin = f"docker-archive {path.name}"
    with Tree(folder) as tree:
        images = objects(_json(tree.read("manifest.json"), "manifest.json"), "manifest.json")
        found = [image for image in images if not ref or _wanted(ref, _words(image.get("RepoTags") or []))]
        if len(found) != 1:
            names = ", ".join(name for image in images for name in _words(image.get("RepoTags") or [])) or "none"
            raise InputError(
                f"{origin} has {len(found)} images that match", resolution=f"append :NAME:TAG; names in it: {names}"
            )
        raw = tree.read(str(found[0].get("Config")))
    config = parse(raw, "the image configuration")
    layers = _words(found[0].get("Layers"))
    if len(layers) != len(diff_ids(config)):
        raise ArchiveError(f"{origin}: {len(layers)} layers, {len(diff_ids(config))} diff_ids")

    def unpack(tree: Tree) -> Mapping[str, object]:
        with Tree(folder) as archive:
            for name, diff_id in zip(layers, diff_ids(config), strict=True):
                with archive.opened(name) as stream:
                    unpack_stream(stream, tree, Reading(label=f"layer {diff_id}", whiteouts=True, diff_id=diff_id))
        return {"layers": list(diff_ids(config))}

    digest = hashlib.sha256(raw).hexdigest()
    return Source(
        key=f"config-{digest}",
        config=read_config(config.get("config")),
        origin=f"{origin}, configuration sha256:{digest}",
        unpack=unpack,
    )


def _wanted(ref: str, names: Sequence[str]) -> bool:
    return ref in names or f"{ref}:latest" in names


def rootfs(rest: str, _work: Path) -> Source:
    """``rootfs:PATH``: a folder or a tar file; no configuration, so user and working directory are the defaults."""
    path = Path(rest)
    if path.is_dir():
        digest = canonical_digest(path).partition(":")[2]
        return Source(key=f"folder-{digest}", config=ImageConfig(), origin=f"folder {path.name}", unpack=_folder(path))
    if not path.is_file():
        raise InputError(f"there is no file or folder {rest}")

    def unpack(tree: Tree) -> Mapping[str, object]:
        with path.open("rb") as stream:
            unpack_stream(stream, tree, Reading(label=path.name))
        return {"archive": f"sha256:{digest}"}

    digest = sha256_file(path)
    origin = f"tar file {path.name}, sha256:{digest}"
    return Source(key=f"tar-{digest}", config=ImageConfig(), origin=origin, unpack=unpack)


def _folder(path: Path) -> Callable[[Tree], Mapping[str, object]]:
    def unpack(tree: Tree) -> Mapping[str, object]:
        names: dict[tuple[int, int], str] = {}
        for found in walk(path):
            status = found.status
            first = names.setdefault((status.st_dev, status.st_ino), found.path)
            if first != found.path:
                tree.hardlink(found.path, first)
            else:
                _copy(found, tree)
        return {}

    return unpack


def _copy(found: Found, tree: Tree) -> None:
    status = found.status
    meta = Meta(
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        mtime=int(status.st_mtime),
        xattrs=found.xattrs(),
    )
    if found.kind == stat.S_IFDIR:
        tree.directory(found.path, meta)
    elif found.kind == stat.S_IFREG:
        with found.opened() as fd:
            tree.file(found.path, meta, _read(fd))
    elif found.kind == stat.S_IFLNK:
        tree.symlink(found.path, found.target(), meta)
    elif found.kind != stat.S_IFSOCK:  # a socket means nothing without its listener
        tree.node(found.path, found.kind, status.st_rdev, meta)


def _read(fd: int) -> Iterator[bytes]:
    while chunk := os.read(fd, 1 << 20):
        yield chunk


def _tagged(rest: str) -> tuple[Path, str]:
    """Path and what follows it: the shortest path that exists wins, as names after it may hold colons."""
    parts = rest.split(":")
    for length in range(1, len(parts) + 1):
        path = Path(":".join(parts[:length]))
        if path.exists():
            return path, ":".join(parts[length:])
    raise InputError(f"there is no file or folder {rest}")


def _opened(path: Path, work: Path) -> Path:
    """An archive of blobs, unpacked into the temporary directory ``work``; a folder is taken as it is."""
    if path.is_dir():
        return path
    if not path.is_file():
        raise InputError(f"{path} is neither a file nor a folder")
    target = work / "archive"
    target.mkdir()
    with Tree(target) as tree:
        with path.open("rb") as stream:
            unpack_stream(stream, tree, Reading(label=path.name))
        tree.finish()
    return target


def _layer(path: Path, diff_id: str, tree: Tree) -> None:
    with path.open("rb") as stream:
        unpack_stream(stream, tree, Reading(label=f"layer {diff_id}", whiteouts=True, diff_id=diff_id))


def choose(descriptors: Sequence[Object], origin: str) -> Object:
    """This machine's manifest among those of an index."""
    if len(descriptors) == 1 and "platform" not in descriptors[0]:
        return descriptors[0]
    here = {"os": "linux", "architecture": debian.architecture()}
    fitting = [each for each in descriptors if _platform(each) == here]
    unnamed = [each for each in descriptors if "platform" not in each]
    if len(fitting) == 1 or (fitting and not unnamed):
        return fitting[0]
    if not fitting and len(unnamed) == 1:
        return unnamed[0]
    names = ", ".join(sorted(filter(None, map(_annotation, descriptors))))
    raise InputError(
        f"{origin} has {len(descriptors)} images and {len(fitting)} of them are for linux/{here['architecture']}",
        resolution=f"append :TAG; tags in it: {names or 'none'}",
    )


def _platform(descriptor: Object) -> dict[str, object]:
    platform = descriptor.get("platform")
    return {key: platform.get(key) for key in ("os", "architecture")} if isinstance(platform, dict) else {}


def _annotation(descriptor: Object) -> str:
    annotations = descriptor.get("annotations")
    return str(annotations.get(REF_NAME, "")) if isinstance(annotations, dict) else ""


def digest_of(descriptor: Object) -> str:
    """The digest of a descriptor; it becomes part of a path, so nothing but sha256 and 64 hex digits passes."""
    digest = descriptor.get("digest")
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise ArchiveError("a descriptor has no sha256 digest", details=str(digest)[:200])
    return digest


def _size(descriptor: Object) -> int | None:
    size = descriptor.get("size")
    return size if isinstance(size, int) else None


def diff_ids(config: Object) -> tuple[str, ...]:
    """The digests of the decompressed layers."""
    told = config.get("rootfs")
    return _words(told.get("diff_ids")) if isinstance(told, dict) else ()


def _small(path: Path) -> bytes:
    with path.open("rb") as stream:
        content = stream.read(MAX_JSON + 1)
    if len(content) > MAX_JSON:
        raise ArchiveError(f"a manifest or configuration is larger than {MAX_JSON} bytes")
    return content


def _json(raw: bytes, what: str) -> object:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ArchiveError(f"{what} is no JSON", details=str(error)) from error


def parse(raw: bytes, what: str) -> Object:
    """A JSON object; ``ArchiveError`` for anything else."""
    data = _json(raw, what)
    if not isinstance(data, dict):
        raise ArchiveError(f"{what} is no JSON object")
    return data


def objects(data: object, what: str) -> list[Object]:
    """A list of JSON objects; ``ArchiveError`` for anything else."""
    if not isinstance(data, list) or not all(isinstance(each, dict) for each in data):
        raise ArchiveError(f"{what}: a list of objects is expected")
    return data


def _words(data: object) -> tuple[str, ...]:
    if not isinstance(data, list) or not all(isinstance(each, str) for each in data):
        raise ArchiveError("a list of strings is expected in an image's JSON", details=str(data)[:200])
    return tuple(data)
