"""Files as the model knows them: a plain mapping path → node, with nothing but what decides about access.

Paths are absolute and canonical (``/``, ``/home/nonroot``). Owners are host ids; :data:`UNMAPPED` stands for an owner
that an id-mapped mount cannot show.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

UNMAPPED = -1


class Kind(StrEnum):
    """Types of files, in the words of the probe and of an observation's host facts."""

    DIRECTORY = "directory"
    FILE = "file"
    SYMLINK = "symlink"
    CHARACTER_DEVICE = "character-device"
    BLOCK_DEVICE = "block-device"
    FIFO = "fifo"
    SOCKET = "socket"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One file. ``mode`` has the twelve permission bits; ``probe`` tells that its bytes are the lab's own program."""

    kind: Kind = Kind.FILE
    uid: int = 0
    gid: int = 0
    mode: int = 0o644
    target: str = ""
    probe: bool = False

    def __str__(self) -> str:
        owner = "an unmapped owner" if self.uid == UNMAPPED else f"{self.uid}:{self.gid}"
        return f"{self.kind} {self.mode:04o} {owner}"


Nodes = Mapping[str, Node]


@dataclass(slots=True)
class Layer:
    """What one cell changed on top of a tree that it shares with others; ``None`` stands for what was removed."""

    below: Nodes
    changed: dict[str, Node | None] = field(default_factory=dict)

    def get(self, path: str) -> Node | None:
        """The node at a canonical path."""
        return self.changed[path] if path in self.changed else self.below.get(path)

    def put(self, path: str, node: Node) -> None:
        """Make or replace one node."""
        self.changed[path] = node

    def remove(self, path: str) -> None:
        """Take a node away, with everything below it."""
        node = self.get(path)
        for inside in self.inside(path) if node is not None and node.kind is Kind.DIRECTORY else ():
            self.changed[inside] = None
        self.changed[path] = None

    def inside(self, path: str) -> tuple[str, ...]:
        """The paths of everything below a directory."""
        start = path.rstrip("/") + "/"
        known = {*self.below, *self.changed}
        return tuple(one for one in known if one.startswith(start) and one != "/" and self.get(one) is not None)

    def copy(self) -> Layer:
        """The same files, for a change of their own."""
        return Layer(self.below, dict(self.changed))
