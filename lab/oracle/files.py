"""The container's files as one process finds them: trees, the mounts over them, and the walk along a path."""

from __future__ import annotations

import posixpath
from collections import deque
from dataclasses import dataclass, field

from lab.oracle.access import EXECUTE, STICKY, WRITE, owns, permits
from lab.oracle.credentials import Credentials
from lab.oracle.tree import Kind, Layer, Node

_MOST_LINKS = 40
"""MAXSYMLINKS of the kernel."""
_EVERYBODY_WRITES = 0o002
_LONGEST = 255
"""NAME_MAX of most file systems; what becomes of longer names and paths is outside the model."""


class Outside(Exception):
    """The model does not reach this; the text says what. Nothing is guessed in its place."""


class Refused(Exception):
    """The kernel would refuse with ``errno``; the text says where and why."""

    def __init__(self, errno: str, why: str) -> None:
        super().__init__(f"{errno}: {why}")
        self.errno = errno
        self.why = why


@dataclass(slots=True, kw_only=True)
class Mounted:
    """One file system in the container. ``layer`` is ``None`` where the model does not know what is in it."""

    destination: str
    what: str
    layer: Layer | None
    readonly: bool = False
    noexec: bool = False

    def copy(self) -> Mounted:
        """The same file system, for a change of its own."""
        return Mounted(
            destination=self.destination,
            what=self.what,
            layer=None if self.layer is None else self.layer.copy(),
            readonly=self.readonly,
            noexec=self.noexec,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a path leads: a canonical path, and the node there, if there is one."""

    path: str
    node: Node | None


@dataclass(slots=True)
class Files:
    """All that a container sees: its root, and what is mounted over it, the longest path first.

    ``_covered`` holds the destinations: most paths are below none, which one look at all of them tells.
    """

    root: Mounted
    mounts: list[Mounted] = field(default_factory=list)
    _covered: tuple[str, ...] = ()

    def mount(self, mounted: Mounted) -> None:
        """Cover a directory, or a file."""
        self.mounts.append(mounted)
        self.mounts.sort(key=lambda one: -len(one.destination))
        self._covered = tuple(one.destination for one in self.mounts)

    def copy(self) -> Files:
        """The same files, for a change of their own."""
        return Files(self.root.copy(), [one if one.layer is None else one.copy() for one in self.mounts], self._covered)

    def mount_of(self, path: str) -> Mounted:
        """The file system that a canonical path is on."""
        for one in self.mounts if path.startswith(self._covered) else ():
            where = one.destination
            if path.startswith(where) and path[len(where) : len(where) + 1] in {"", "/"}:
                return one
        return self.root

    def node(self, path: str) -> Node | None:
        """The node at a canonical path; raises :class:`Outside` in a file system that the model does not know."""
        mount = self.mount_of(path)
        if mount.layer is None:
            raise Outside(f"{path} is on {mount.what}")
        return mount.layer.get(_inner(mount, path))

    def put(self, path: str, node: Node) -> None:
        """Make or replace the node at a canonical path."""
        mount = self.mount_of(path)
        if mount.layer is not None:
            mount.layer.put(_inner(mount, path), node)

    def remove(self, path: str) -> None:
        """Remove the node at a canonical path."""
        mount = self.mount_of(path)
        if mount.layer is not None:
            mount.layer.remove(_inner(mount, path))

    def empty(self, path: str) -> bool:
        """Whether a directory has nothing in it, mount points included."""
        mount = self.mount_of(path)
        if mount.layer is None or any(one.destination.startswith(_slash(path)) for one in self.mounts):
            return False
        return not mount.layer.inside(_inner(mount, path))

    def writable(self, path: str) -> None:
        """Raise EROFS where the file system is read-only."""
        if self.mount_of(path).readonly:
            raise Refused("EROFS", f"{path} is on a read-only mount")

    def walk(self, who: Credentials, path: str, *, cwd: str = "/", follow: bool = True) -> Place:
        """Follow ``path`` as ``who`` (path_resolution(7)); raises :class:`Refused` and :class:`Outside`.

        Every directory that is left for another must be searchable. The last part may be missing; a symlink there is
        followed unless ``follow`` is false.
        """
        if not path:
            raise Refused("ENOENT", "the path is empty")
        if len(path) > _LONGEST:
            raise Outside("a very long path")
        current = "/" if path.startswith("/") else cwd
        node = self._known(current)
        pending, links = deque(_parts(path)), 0
        while pending:
            self._search(who, current, node)
            part = pending.popleft()
            if part == ".":
                continue
            child = posixpath.dirname(current) if part == ".." else f"{_slash(current)}{part}"
            found = self.node(child)
            if found is None and pending:
                raise Refused("ENOENT", f"{child} does not exist")
            if found is None:
                return Place(path=child, node=None)
            if found.kind is Kind.SYMLINK and (pending or follow):
                links += 1
                self._follow(who, current, node, found, links)
                pending.extendleft(reversed(_parts(found.target)))
                current = "/" if found.target.startswith("/") else current
                node = self._known(current)
                continue
            current, node = child, found
        if path.endswith("/") and node.kind is not Kind.DIRECTORY:
            raise Refused("ENOTDIR", f"{current} is a {node.kind}")
        return Place(path=current, node=node)

    def _known(self, path: str) -> Node:
        node = self.node(path)
        if node is None:
            raise Outside(f"{path} is gone, and somebody is still there")
        return node

    def _search(self, who: Credentials, path: str, node: Node) -> None:
        if node.kind is not Kind.DIRECTORY:
            raise Refused("ENOTDIR", f"{path} is a {node.kind}")
        if not permits(who, node, EXECUTE):
            raise Refused("EACCES", f"no permission to search {path} ({node})")

    def _follow(self, who: Credentials, path: str, above: Node, link: Node, links: int) -> None:
        if links > _MOST_LINKS or not link.target:
            raise Refused("ELOOP", f"too many symlinks, the last one in {path}")
        if above.mode & STICKY and above.mode & _EVERYBODY_WRITES and not owns(who, link) and link.uid != above.uid:
            raise Outside(f"whether a symlink in {path} is followed depends on the host's fs.protected_symlinks")

    def directory(self, who: Credentials, path: str, *, cwd: str = "/") -> str:
        """Where ``chdir`` leads; raises :class:`Refused`."""
        place = self.walk(who, path, cwd=cwd)
        if place.node is None:
            raise Refused("ENOENT", f"{place.path} does not exist")
        self._search(who, place.path, place.node)
        return place.path

    def may_change(self, who: Credentials, path: str) -> None:
        """Raise where ``who`` may not make or remove names in a directory."""
        node = self._known(path)
        if not permits(who, node, WRITE | EXECUTE):
            raise Refused("EACCES", f"no permission to write in {path} ({node})")


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]


def _slash(path: str) -> str:
    return path if path.endswith("/") else f"{path}/"


def _inner(mount: Mounted, path: str) -> str:
    return path if mount.destination == "/" else path[len(mount.destination) :] or "/"
