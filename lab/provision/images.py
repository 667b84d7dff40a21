"""Images by name: built from a recipe, or taken from a layout, an archive, a folder or a registry.

A reference is a recipe's name (``recipes.toml``), or one of these, spelled as containers-transports(5) does:

=============================  ==============================================================
``oci:PATH[:TAG]``             a directory in OCI image layout
``oci-archive:PATH[:TAG]``     a tar file of one
``docker-archive:PATH[:REF]``  what ``docker save`` writes
``docker://HOST/NAME[:TAG]``   a registry (also ``@sha256:…``); plain HTTP on loopback only
``rootfs:PATH``                a directory, or a tar file of one (permlab's own spelling)
=============================  ==============================================================

Every image is unpacked once into the cache's kind ``images``, at ``<entry>/rootfs``, and never written afterwards:
runs use it as the lower directory of an overlay. The entry's own directories have mode 0755; for a container in a
user namespace the directories above the cache must be searchable too (a cache below ``/root`` is not). An ordinary
user's unpacking cannot keep owners; it lives under a name of its own, so that root never takes it for a whole one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from lab.errors import DigestMismatch, HostError, InputError
from lab.model.image import Image, ImageConfig
from lab.provision import archives, recipes, registry
from lab.provision.cache import Cache, Entry
from lab.provision.listing import list_tree
from lab.provision.losses import decode
from lab.provision.rootfs import canonical_digest
from lab.provision.tree import Tree

KIND = "images"
PINNED = "pinned"
"""The cache's kind that remembers what a registry's digest came to, so that it needs no network again."""

Fill = Callable[[Path, Tree], Mapping[str, object]]


def pull_image(cache: Cache, reference: str) -> Image:
    """The image that ``reference`` names, from the cache or made now.

    :raises InputError: for a reference that means nothing.
    :raises ProvisionError: when it cannot be had: unreachable, damaged, not what its digest says.
    :raises HostError: when a file cannot be read, or the cache cannot be written.
    """
    try:
        recipe = recipes.recipes().get(reference)
        return _built(cache, recipe) if recipe is not None else _taken(cache, reference)
    except OSError as error:
        raise HostError(f"the image {reference} cannot be read or kept", details=str(error)) from error


def check_reference(reference: str) -> None:
    """Raise :class:`InputError` for a reference that means nothing; whether there is such an image is not asked."""
    transport, _, rest = reference.partition(":")
    if reference not in recipes.recipes() and (transport not in TRANSPORTS or not rest):
        raise InputError(
            f"unknown image {reference!r}",
            resolution=f"one of {', '.join(recipes.recipes())}, or {', '.join(f'{name}:…' for name in TRANSPORTS)}",
        )


def _built(cache: Cache, recipe: recipes.Recipe) -> Image:
    entry = _unpacked(
        cache, f"{_slug(recipe.suite)}-{recipe.key}", lambda root, tree: recipes.build(cache, recipe, root, tree)
    )
    return _image(recipe.name, entry, recipe.config, f"recipe {recipe.name}, Debian {recipe.suite}")


def _taken(cache: Cache, reference: str) -> Image:
    check_reference(reference)
    transport, _, rest = reference.partition(":")
    pinned = _slug(rest) if transport == "docker" and "@" in rest else ""
    known = cache.get(PINNED, pinned) if pinned else None
    if known is not None:
        entry = cache.get(KIND, str(known.facts["entry"]))
        if entry is not None:
            return _image(reference, entry, recipes.read_config(known.facts["config"]), str(known.facts["origin"]))
        cache.drop(PINNED, pinned)
    with cache.scratch() as work:
        source = TRANSPORTS[transport](rest, work)
        entry = _unpacked(cache, source.key, lambda _, tree: source.unpack(tree))
    if pinned:
        words = {"User": source.config.user, "WorkingDir": source.config.working_dir, "Env": source.config.env}
        words |= {"Entrypoint": source.config.entrypoint, "Cmd": source.config.cmd}
        facts = {"entry": entry.path.name, "config": words, "origin": source.origin}
        cache.make(PINNED, pinned, lambda _: facts)
    return _image(reference, entry, source.config, source.origin)


def verify_image(cache: Cache, reference: str) -> Image:
    """The image, after its files were compared with the digest recorded when it was unpacked.

    :raises DigestMismatch: when they differ.
    """
    image = pull_image(cache, reference)
    rootfs = Path(image.rootfs)
    entry = cache.get(KIND, rootfs.parent.name)
    lost = decode(entry.facts["lost"]) if entry is not None else None
    found = canonical_digest(rootfs, lost)
    if found != image.digest:
        raise DigestMismatch(
            f"the unpacked image {reference} is not what it was",
            details=f"recorded {image.digest}, found {found}",
            resolution=f"remove {rootfs.parent.name} from the cache's folder {KIND}; it is then unpacked again",
        )
    return image


TRANSPORTS: Mapping[str, Callable[[str, Path], archives.Source]] = {
    "oci": archives.oci_layout,
    "oci-archive": archives.oci_archive,
    "docker-archive": archives.docker_archive,
    "docker": registry.source,
    "rootfs": archives.rootfs,
}


def _unpacked(cache: Cache, name: str, fill: Fill) -> Entry:
    def make(directory: Path) -> Mapping[str, object]:
        directory.chmod(0o755)
        root = directory / "rootfs"
        root.mkdir()
        with Tree(root) as tree:
            facts = fill(root, tree)
            losses = tree.finish()
        digest = canonical_digest(root, losses)
        return {
            **facts,
            "digest": digest,
            "lost": losses.encode(),
            "squashed": list(losses.summary()),
            "tree": list_tree(root),
        }

    own = name if os.geteuid() == 0 else f"{name}-uid{os.geteuid()}"
    entry = cache.make(KIND, own, make)
    if not (entry.path / "rootfs").is_dir():  # somebody tidied up by hand
        cache.drop(KIND, own)
        entry = cache.make(KIND, own, make)
    return entry


def _image(reference: str, entry: Entry, config: ImageConfig, origin: str) -> Image:
    squashed, rootfs = entry.facts["squashed"], entry.path / "rootfs"
    return Image(
        name=reference,
        rootfs=str(rootfs),
        digest=str(entry.facts["digest"]),
        config=config,
        origin=origin,
        squashed=tuple(str(line) for line in squashed) if isinstance(squashed, list) else (),
        tree=str(entry.facts.get("tree") or list_tree(rootfs)),  # an older lab's entry has no list
    )


def _slug(text: str) -> str:
    """A directory name without what overlay's mount options or a shell would read as something else."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", text)
