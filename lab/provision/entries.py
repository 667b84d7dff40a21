"""Names and permissions of the entries of an archive, checked before anything is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lab.errors import ArchiveError

MAX_ID = 2**32 - 2
MAX_TIME = 2**33

Parts = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """Permissions of one entry: ``mode`` is the twelve lower bits, ``mtime`` is in whole seconds."""

    mode: int
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    xattrs: Mapping[str, bytes] = field(default_factory=dict)


def kept_xattr(name: str) -> bool:
    """Whether an extended attribute is part of an image: file capabilities and what users set.

    Not kept: what the host's LSM adds, and overlayfs' own attributes, with which an archive could redirect a merge.
    """
    return name == "security.capability" or (name.startswith("user.") and not name.startswith("user.overlay."))


def split(name: str) -> Parts:
    """Components of an entry's name; ``ArchiveError`` for absolute names, ``..`` and NUL."""
    if name.startswith("/"):
        raise ArchiveError(
            f"archive entry {name!r} has an absolute name", resolution="use an archive of relative names"
        )
    parts = tuple(part for part in name.split("/") if part not in {"", "."})
    if ".." in parts:
        raise ArchiveError(f"archive entry {name!r} reaches outside its root", details="its name holds '..'")
    if "\0" in name:
        raise ArchiveError(f"archive entry {name!r} has a NUL byte in its name")
    return parts


def joined(folder: Parts, target: str) -> Parts:
    """Where a symlink in ``folder`` leads, by name; above the root is an error."""
    parts = [] if target.startswith("/") else list(folder)
    for part in target.split("/"):
        if part == "..":
            if not parts:
                raise ArchiveError(f"a symlink to {target!r} leads outside the root")
            parts.pop()
        elif part not in {"", "."}:
            parts.append(part)
    return tuple(parts)


def checked_id(number: int) -> int:
    """A user or group id; ``ArchiveError`` for what the kernel does not take as one."""
    if not 0 <= number <= MAX_ID:
        raise ArchiveError(f"owner {number} is no user or group id")
    return number


def checked_time(seconds: int) -> int:
    """A time that every file system can store: whole seconds, from 1970 on."""
    return max(0, min(seconds, MAX_TIME))
