"""User namespaces, as far as access to files depends on them: maps between the ids inside and those of the host.

user_namespaces(7), "Interaction of capabilities and files": a capability counts for a file only when the namespace
maps both its owner and its group (``privileged_wrt_inode_uidgid`` in kernel/capability.c).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from lab.oracle.tree import UNMAPPED

OVERFLOW = 65534
"""What stat(2) shows for an owner that the namespace does not map (/proc/sys/kernel/overflowuid)."""

Lines = tuple[tuple[int, int, int], ...]
"""``containerID``, ``hostID``, ``size`` of each line; none at all: the initial namespace, where every id is itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdMaps:
    """The maps of one user namespace."""

    uids: Lines = ()
    gids: Lines = ()

    @property
    def initial(self) -> bool:
        """Whether this is the initial user namespace."""
        return not self.uids

    def outside(self, uid: int, gid: int) -> tuple[int, int]:
        """Host ids for ids inside; :data:`UNMAPPED` for those that the maps do not have."""
        return _through(uid, self.uids), _through(gid, self.gids)

    def inside(self, uid: int, gid: int) -> tuple[int, int]:
        """Ids inside for host ids; :data:`UNMAPPED` for those that the maps do not have."""
        return _through(uid, _turned(self.uids)), _through(gid, _turned(self.gids))

    def shown(self, uid: int, gid: int) -> tuple[int, int]:
        """Owner and group of a file as stat(2) shows them inside."""
        own, group = self.inside(uid, gid)
        return (OVERFLOW if own == UNMAPPED else own, OVERFLOW if group == UNMAPPED else group)

    def has(self, uid: int, gid: int) -> bool:
        """Whether a file with these host ids belongs to what capabilities of this namespace rule over."""
        return UNMAPPED not in self.inside(uid, gid)


def _through(number: int, lines: Lines) -> int:
    if not lines:
        return number
    return next((to + number - start for start, to, size in lines if start <= number < start + size), UNMAPPED)


@lru_cache(maxsize=256)
def _turned(lines: Lines) -> Lines:
    return tuple((to, start, size) for start, to, size in lines)
