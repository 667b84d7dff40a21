"""What stands on the disk beside config.json: the root file system and the fixtures, with exact owners and modes."""

from __future__ import annotations

import io
import os
import shlex
import stat
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from lab.engine.trees import Owner
from lab.provision.rootfs import walk

ROOTFS = "rootfs"
FIXTURES = "fixtures"
FILES = "files"
"""Where contents stand that a shell script cannot hold."""
_DIRECTORY_MODE, _FILE_MODE = 0o755, 0o644
_LONGEST_LINE = 200


class Kind(StrEnum):
    """Kinds of entries."""

    DIRECTORY = "directory"
    FILE = "file"
    SYMLINK = "symlink"
    FIFO = "fifo"
    CHARACTER_DEVICE = "character device"
    BLOCK_DEVICE = "block device"
    LINK = "hard link"


_KINDS: Mapping[int, Kind] = {
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFREG: Kind.FILE,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFIFO: Kind.FIFO,
    stat.S_IFCHR: Kind.CHARACTER_DEVICE,
    stat.S_IFBLK: Kind.BLOCK_DEVICE,
}
_TYPES: Mapping[Kind, bytes] = {
    Kind.DIRECTORY: tarfile.DIRTYPE,
    Kind.FILE: tarfile.REGTYPE,
    Kind.SYMLINK: tarfile.SYMTYPE,
    Kind.FIFO: tarfile.FIFOTYPE,
    Kind.CHARACTER_DEVICE: tarfile.CHRTYPE,
    Kind.BLOCK_DEVICE: tarfile.BLKTYPE,
    Kind.LINK: tarfile.LNKTYPE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry. ``path`` is relative (``rootfs/etc/passwd``); owners are the host's ids.

    ``target`` is a symlink's text, or the path of the entry that a hard link is another name of.
    """

    path: str
    kind: Kind = Kind.DIRECTORY
    mode: int = _DIRECTORY_MODE
    uid: int = 0
    gid: int = 0
    content: bytes = b""
    target: str = ""
    device: tuple[int, int] = (0, 0)
    xattrs: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def plain(self) -> Entry:
        """The same with the owner and mode that nobody has to think about."""
        mode = _DIRECTORY_MODE if self.kind is Kind.DIRECTORY or self.mode & 0o111 else _FILE_MODE
        return replace(self, uid=0, gid=0, mode=mode, xattrs={})

    def __str__(self) -> str:
        """As ``ls -ln`` would say it: ``directory 0700 65532:65532 rootfs/home/nonroot``."""
        tail = f" → {self.target}" if self.target else ""
        size = f" ({len(self.content)} bytes)" if self.content else ""
        return f"{self.kind} {self.mode:04o} {self.uid}:{self.gid} {self.path}{tail}{size}"


def read_tree(place: Path, prefix: str, owner: Callable[[str], Owner]) -> Iterator[Entry]:
    """The entries at and below ``place``, parents first, as ``prefix/…``; ``owner(path)`` translates owners.

    Sockets are left out, as no container can have been given one.
    """
    names: dict[tuple[int, int], str] = {}
    for found in walk(place):
        kind = _KINDS.get(found.kind)
        if kind is None:
            continue
        path = f"{prefix}/{found.path}".rstrip("/")
        uid, gid = owner(path)(found.status.st_uid, found.status.st_gid)
        target, content = "", b""
        inode = (found.status.st_dev, found.status.st_ino)
        if kind is not Kind.DIRECTORY and inode in names:
            kind, target = Kind.LINK, names[inode]
        elif kind is Kind.SYMLINK:
            target = found.target()
        elif kind is Kind.FILE:
            with found.opened() as fd, os.fdopen(os.dup(fd), "rb") as stream:
                content = stream.read()
        names[inode] = path
        yield Entry(
            path=path,
            kind=kind,
            mode=stat.S_IMODE(found.status.st_mode),
            uid=uid,
            gid=gid,
            content=content,
            target=target,
            device=(os.major(found.status.st_rdev), os.minor(found.status.st_rdev)),
            xattrs=found.xattrs(),
        )


def archive(entries: tuple[Entry, ...]) -> bytes:
    """The entries as a pax archive with numeric owners, the same bytes for the same entries."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for entry in entries:
            info = tarfile.TarInfo(entry.path)
            info.type, info.mode, info.uid, info.gid = _TYPES[entry.kind], entry.mode, entry.uid, entry.gid
            info.size, info.linkname = len(entry.content), entry.target
            info.devmajor, info.devminor = entry.device
            info.pax_headers = {
                f"SCHILY.xattr.{name}": value.decode("utf-8", "surrogateescape") for name, value in entry.xattrs.items()
            }
            tar.addfile(info, io.BytesIO(entry.content))
    return buffer.getvalue()


def recipe(entries: tuple[Entry, ...]) -> tuple[str, Mapping[str, bytes]]:
    """A shell script that makes the entries in the directory ``$1``, and the files beside it that it copies."""
    files: dict[str, bytes] = {}
    lines = [
        "#!/bin/sh",
        "# Make the root file system (and what else is bound) in the directory $1, as root: owners and modes count.",
        "set -eu",
        'here=$(cd "$(dirname "$0")" && pwd)',
        'cd "$1"',
        "umask 022",
        "",
    ]
    for entry in entries:
        lines += _making(entry, files)
    # owners and modes last and from the inside out, so that no directory is closed before it is filled
    for entry in reversed(entries):
        lines += _owning(entry)
    return "\n".join(lines) + "\n", files


def _making(entry: Entry, files: dict[str, bytes]) -> Iterator[str]:
    path = shlex.quote(entry.path)
    match entry.kind:
        case Kind.DIRECTORY:
            yield f"mkdir {path}"
        case Kind.FILE:
            yield from _filling(entry, path, files)
        case Kind.SYMLINK:
            yield f"ln -s {shlex.quote(entry.target)} {path}"
        case Kind.LINK:
            yield f"ln {shlex.quote(entry.target)} {path}"
        case Kind.FIFO:
            yield f"mkfifo {path}"
        case Kind.CHARACTER_DEVICE | Kind.BLOCK_DEVICE:
            letter = "c" if entry.kind is Kind.CHARACTER_DEVICE else "b"
            yield f"mknod {path} {letter} {entry.device[0]} {entry.device[1]}"


def _filling(entry: Entry, path: str, files: dict[str, bytes]) -> Iterator[str]:
    text = entry.content.decode("ascii", "replace")
    lines = text.splitlines()
    if not entry.content:
        yield f": >{path}"
    elif text.endswith("\n") and all(line.isprintable() and len(line) < _LONGEST_LINE for line in lines):
        yield f"printf '%s\\n' {' '.join(shlex.quote(line) for line in lines)} >{path}"
    else:
        name = f"{len(files)}-{entry.path.rpartition('/')[2]}"
        files[name] = entry.content
        yield f'cat "$here"/{FILES}/{shlex.quote(name)} >{path}'


def _owning(entry: Entry) -> Iterator[str]:
    path = shlex.quote(entry.path)
    if entry.kind is Kind.LINK:
        return
    if (entry.uid, entry.gid) != (0, 0):
        yield f"chown -h {entry.uid}:{entry.gid} {path}"
    usual = _DIRECTORY_MODE if entry.kind is Kind.DIRECTORY else _FILE_MODE
    if entry.kind is not Kind.SYMLINK and entry.mode != usual:
        yield f"chmod {entry.mode:04o} {path}"
    for name, value in entry.xattrs.items():
        yield f"setfattr -n {shlex.quote(name)} -v 0x{value.hex()} {path}"
