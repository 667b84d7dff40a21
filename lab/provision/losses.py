"""What an unpacking could not keep: the difference between an archive's words and the files on the disk.

With it, the canonical digest of a tree (``lab.provision.rootfs``) is the same whether root or an ordinary user
unpacked it, and a report can say what was lost.
"""

from __future__ import annotations

import stat
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from lab.errors import ProvisionError

EXAMPLES = 3
Parts = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LostNode:
    """A node that was not made; ``kind`` is the file type of ``st_mode``."""

    kind: int
    mode: int
    uid: int
    gid: int
    rdev: int


@dataclass(slots=True, kw_only=True)
class Losses:
    """Collected while a tree is filled; paths are relative, without links, ``""`` is the root.

    With ``owners_kept`` false every file belongs to the caller and was meant to belong to 0:0, except those in
    ``owners`` (path → uid, gid). ``xattrs`` could not be set; ``ignored`` counts attributes that are no part of an
    image, by name.
    """

    owners_kept: bool = True
    owners: dict[str, tuple[int, int]] = field(default_factory=dict)
    nodes: dict[str, LostNode] = field(default_factory=dict)
    xattrs: dict[str, dict[str, bytes]] = field(default_factory=dict)
    ignored: dict[str, int] = field(default_factory=dict)

    def owner(self, path: Parts, uid: int, gid: int) -> None:
        """Note the owner that an entry was meant to have."""
        if self.owners_kept:
            return
        if (uid, gid) == (0, 0):
            self.owners.pop("/".join(path), None)
        else:
            self.owners["/".join(path)] = (uid, gid)

    def link(self, path: Parts, origin: Parts) -> bool:
        """A second name of ``origin`` shares its losses; true when ``origin`` is itself a lost node."""
        here, there = "/".join(path), "/".join(origin)
        if there in self.nodes:
            self.nodes[here] = self.nodes[there]
            return True
        if there in self.owners:
            self.owners[here] = self.owners[there]
        if there in self.xattrs:
            self.xattrs[here] = self.xattrs[there]
        return False

    def forget(self, path: Parts) -> None:
        """The entry is gone."""
        name = "/".join(path)
        for table in (self.owners, self.nodes, self.xattrs):
            table.pop(name, None)

    def forget_below(self, path: Parts, keep: AbstractSet[Parts]) -> None:
        """Lost nodes are on no disk: those below a directory that is emptied go with it."""
        prefix = "".join(f"{part}/" for part in path)
        for name in [name for name in self.nodes if name.startswith(prefix) and tuple(name.split("/")) not in keep]:
            del self.nodes[name]

    def summary(self) -> tuple[str, ...]:
        """One line per kind of loss, with its count and first examples."""
        lines = []
        if not self.owners_kept:
            shown = [f"{name or '.'} ({uid}:{gid})" for name, (uid, gid) in sorted(self.owners.items())[:EXAMPLES]]
            others = f"; {len(self.owners)} were meant for others than 0:0: {', '.join(shown)}" if shown else ""
            lines.append(f"owners: every file belongs to the user who unpacked it{others}")
        if self.nodes:
            shown = [f"{name} ({_kind(node)})" for name, node in sorted(self.nodes.items())[:EXAMPLES]]
            lines.append(f"nodes: {len(self.nodes)} not made: {', '.join(shown)}")
        if self.xattrs:
            shown = [f"{name} ({', '.join(sorted(found))})" for name, found in sorted(self.xattrs.items())[:EXAMPLES]]
            lines.append(f"attributes: {len(self.xattrs)} files lost some: {', '.join(shown)}")
        lines += [f"attributes: {name} is no part of an image ({count} files)" for name, count in self.ignored.items()]
        return tuple(lines)

    def encode(self) -> dict[str, object]:
        """As a JSON object, the inverse of :func:`decode`."""
        return {
            "owners_kept": self.owners_kept,
            "owners": {name: list(pair) for name, pair in self.owners.items()},
            "nodes": {name: [n.kind, n.mode, n.uid, n.gid, n.rdev] for name, n in self.nodes.items()},
            "xattrs": {name: {key: raw.hex() for key, raw in found.items()} for name, found in self.xattrs.items()},
            "ignored": self.ignored,
        }


def decode(data: object) -> Losses:
    """Read what :meth:`Losses.encode` wrote; ``ProvisionError`` when it is something else."""
    try:
        return _decoded(data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProvisionError(
            "the cache's record of an image cannot be read", details=repr(error), resolution="remove the cache entry"
        ) from error


def _decoded(data: Any) -> Losses:  # noqa: ANN401  # JSON from the disk; wrong shapes raise
    return Losses(
        owners_kept=bool(data["owners_kept"]),
        owners={name: (int(uid), int(gid)) for name, (uid, gid) in data["owners"].items()},
        nodes={
            name: LostNode(kind=kind, mode=mode, uid=uid, gid=gid, rdev=rdev)
            for name, (kind, mode, uid, gid, rdev) in data["nodes"].items()
        },
        xattrs={
            name: {key: bytes.fromhex(raw) for key, raw in found.items()} for name, found in data["xattrs"].items()
        },
        ignored=dict(data["ignored"]),
    )


def _kind(node: LostNode) -> str:
    return {stat.S_IFCHR: "character device", stat.S_IFBLK: "block device"}.get(node.kind, "fifo")
