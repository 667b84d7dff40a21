"""A cell's files before its runtime is called: the image's tree, the scenario's edits, fixtures and mounts. Pure.

Follows what ``lab.engine.trees`` and ``lab.engine.bundle`` really do to the disk.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from lab.model.settings import Edit, EditKind, Fixture, Settings
from lab.oci.spec import PROBE
from lab.oracle.credentials import Credentials
from lab.oracle.files import Files, Mounted, Outside, Refused
from lab.oracle.ids import IdMaps
from lab.oracle.spec import Spec
from lab.oracle.tree import UNMAPPED, Kind, Layer, Node, Nodes

_BASE = {
    "/proc": "proc",
    "/dev": "tmpfs",
    "/dev/pts": "devpts",
    "/dev/shm": "tmpfs",  # noqa: S108  # the container's, as every engine mounts it
    "/dev/mqueue": "mqueue",
    "/sys": "sysfs",
}
"""The mounts that every container gets: what is in them is the kernel's, and outside the model."""

_BIND_OPTIONS = {"bind", "rbind", "rw", "ro", "nosuid", "nodev", "noexec", "exec", "suid", "dev", "private", "rprivate"}
_TMPFS_OPTION = re.compile(r"(?:mode=[0-7]+|size=\w+|rw|nosuid|nodev|noexec|strictatime|relatime|noatime)")
_LAB = Credentials(effective=frozenset({"CAP_DAC_OVERRIDE"}))
"""The lab itself, which makes the files: uid 0 of the host."""
_SEARCHABLE = 0o001
ROOT = "the root file system"
_LINK_MODE = 0o777

Owner = Callable[[int, int], tuple[int, int]]


def mapped_tree(nodes: Nodes, maps: IdMaps) -> Nodes:
    """An image's tree under a cell's maps (an id-mapped mount)."""
    if maps.initial:
        return nodes
    owners: dict[tuple[int, int], tuple[int, int]] = {}
    mapped = {}
    for path, node in nodes.items():
        key = (node.uid, node.gid)
        if key not in owners:
            owners[key] = maps.outside(*key)
        uid, gid = owners[key]
        mapped[path] = replace(node, uid=uid, gid=gid)
    return mapped


def make_files(image: Nodes, settings: Settings, spec: Spec) -> Files:
    """What the container will see; ``image`` is its tree under the cell's maps. Raises :class:`Outside`."""
    layer = Layer(image)
    usual = Node(kind=Kind.DIRECTORY, mode=0o755)
    layer.put(posixpath.dirname(PROBE), usual)
    layer.put(PROBE, Node(mode=0o755, probe=True))
    own = _owner(spec.maps)
    files = Files(Mounted(destination="/", what=ROOT, layer=layer))
    _edit(layer, settings.rootfs, own)
    fixtures = {name: _fixture(fixture) for name, fixture in settings.fixtures.items()}
    for mount in spec.mounts:
        files.mount(_mount(files, mount, settings.fixtures, fixtures, own))
    return files


def fixture_words(name: str) -> str:
    """How a mounted fixture is called."""
    return f"the fixture {name}"


def _owner(maps: IdMaps) -> Owner:
    """Host ids for the ids of an edit; one that the maps do not have keeps its number."""

    def own(uid: int, gid: int) -> tuple[int, int]:
        outside = maps.outside(uid, gid)
        return (uid if outside[0] == UNMAPPED else outside[0], gid if outside[1] == UNMAPPED else outside[1])

    return own


def _fixture(fixture: Fixture) -> Layer:
    kind = Kind.FILE if fixture.file else Kind.DIRECTORY
    layer = Layer({"/": Node(kind=kind, uid=fixture.uid, gid=fixture.gid, mode=fixture.mode)})
    _edit(layer, fixture.entries, lambda uid, gid: (uid, gid))
    return layer


def _edit(layer: Layer, edits: tuple[Edit, ...], own: Owner) -> None:
    files = Files(Mounted(destination="/", what="a tree", layer=layer))
    for edit in edits:
        try:
            _apply(files, layer, edit, own)
        except Refused as error:
            raise Outside(f"the lab cannot make the edit of {edit.path}: {error}") from None


def _apply(files: Files, layer: Layer, edit: Edit, own: Owner) -> None:
    *above, name = [part for part in edit.path.split("/") if part] or ["."]
    if ".." in (*above, name):
        raise Outside(f"an edit of {edit.path}")
    current = "/"
    for part in above:
        place = files.walk(_LAB, posixpath.join(current, part))
        if place.node is None:
            uid, gid = own(0, 0)
            layer.put(place.path, Node(kind=Kind.DIRECTORY, uid=uid, gid=gid, mode=0o755))
        current = place.path
    path = current if name == "." else posixpath.join(current, name)
    there = layer.get(path)
    if edit.kind is EditKind.FILE and edit.append:
        if there is None or there.kind is not Kind.FILE:
            raise Outside(f"an edit that appends to {path}")
        return
    if edit.kind is not EditKind.DIRECTORY:
        layer.remove(path)
    elif there is not None and there.kind is not Kind.DIRECTORY:
        raise Outside(f"an edit that makes a directory of {path}")
    if edit.kind is not EditKind.REMOVE:
        layer.put(path, _edited(edit, own))


def _edited(edit: Edit, own: Owner) -> Node:
    uid, gid = own(edit.uid, edit.gid)
    kind = Kind(edit.kind)
    if kind is Kind.SYMLINK:
        return Node(kind=kind, uid=uid, gid=gid, mode=_LINK_MODE, target=edit.target)
    mode = (0o755 if kind is Kind.DIRECTORY else 0o644) if edit.mode is None else edit.mode
    return Node(kind=kind, uid=uid, gid=gid, mode=mode, probe=edit.program is not None)


def _mount(
    files: Files, mount: Mapping[str, Any], known: Mapping[str, Fixture], fixtures: Mapping[str, Layer], own: Owner
) -> Mounted:
    destination, kind, options = mount.get("destination", ""), mount.get("type", ""), mount.get("options", [])
    if _BASE.get(destination) == kind:
        return Mounted(destination=destination, what=f"the {kind} of every container", layer=None)
    if set(mount) - {"destination", "type", "source", "options"}:
        raise Outside(f"an id-mapped mount on {destination}")
    if kind == "tmpfs" and all(_TMPFS_OPTION.fullmatch(option) for option in options):
        _mount_point(files, destination, Kind.DIRECTORY, own)
        return Mounted(destination=destination, what="a tmpfs", layer=None)
    source = re.fullmatch(r"\$\{fixture:(.+)\}", str(mount.get("source", "")))
    fixture = known.get(source[1]) if source else None
    if kind != "bind" or source is None or fixture is None or not set(options) <= _BIND_OPTIONS:
        raise Outside(f"the {kind} mount on {destination}, with options {','.join(options)}")
    if own(0, 0) != (0, 0) and not fixture.parent_mode & _SEARCHABLE:
        raise Outside(f"the source of {destination} is below a directory that the user namespace may not search")
    if "ro" in fixture.mount_options or (fixture.mount_options and set(options) - {"bind", "rbind"}):
        raise Outside(f"what the source of {destination} is on the host, and what the mount makes of it")
    flags = {*options, *fixture.mount_options}
    _mount_point(files, destination, Kind.FILE if fixture.file else Kind.DIRECTORY, own)
    return Mounted(
        destination=destination,
        what=fixture_words(source[1]),
        layer=fixtures[source[1]],
        readonly="ro" in flags,
        noexec="noexec" in flags,
    )


def _mount_point(files: Files, destination: str, kind: Kind, own: Owner) -> None:
    """The runtime makes a mount point that does not exist; raises :class:`Outside` for anything but the plain case."""
    if posixpath.normpath(destination) != destination or not destination.startswith("/") or destination == "/":
        raise Outside(f"the mount point {destination}")
    current = "/"
    uid, gid = own(0, 0)
    *above, name = destination.strip("/").split("/")
    for part, wanted in (*((one, Kind.DIRECTORY) for one in above), (name, kind)):
        current = posixpath.join(current, part)
        node = files.node(current)
        if node is None and files.mount_of(current).readonly:
            raise Outside(f"a mount point on a read-only mount: {current}")
        if node is None:
            files.put(current, Node(kind=wanted, uid=uid, gid=gid, mode=0o755))
        elif node.kind is not wanted:
            raise Outside(f"the mount point {destination}, where {current} is a {node.kind}")
