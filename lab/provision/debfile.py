"""One Debian package file: its control files and its tree, read here so that owners survive and names stay inside.

``dpkg-deb`` would give the files to the caller when that is an ordinary user, and forget whom they belong to; a
:class:`~lab.provision.tree.Tree` remembers. The format is an ``ar`` archive of ``debian-binary``, ``control.tar.*``
and ``data.tar.*`` (deb(5)).
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from lab.errors import ArchiveError
from lab.provision.tree import Tree
from lab.provision.unpack import DEFAULT_LIMITS, Forward, Reading, decompressed, faults, unpack_stream

MAGIC = b"!<arch>\n"
HEADER = 60
MAX_CONTROL_MEMBER = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package file: ``control`` holds its control files by name (``control``, ``md5sums``, …) as bytes."""

    path: Path
    control: Mapping[str, bytes]

    def field(self, name: str) -> str:
        """A one-line field of the control file, ``""`` when absent."""
        for line in self.control["control"].decode("utf-8", "replace").splitlines():
            key, _, value = line.partition(":")
            if key.lower() == name.lower():
                return value.strip()
        return ""

    def unpack(self, tree: Tree, skip: Callable[[str], bool] | None = None) -> tuple[str, ...]:
        """Unpack the package's files into ``tree``; directories keep symlinks to directories, as dpkg does it.

        ``skip`` leaves names out. Returns the names of what was unpacked, as dpkg's ``.list`` files write them.
        """
        names: list[str] = []

        def leave_out(name: str) -> bool:
            left = skip is not None and skip(name)
            if not left:
                names.append(f"/{name.rstrip('/') or '.'}")
            return left

        with self.path.open("rb") as stream:
            data = _member(stream, self.path.name, "data.tar")
            unpack_stream(data, tree, Reading(label=self.path.name, through_links=True, skip=leave_out))
        return tuple(names)


def read(path: Path) -> Package:
    """Read a package's control files; ``ArchiveError`` when the file is no package."""
    with path.open("rb") as stream, faults(path.name):
        source = Forward(decompressed(_member(stream, path.name, "control.tar")), DEFAULT_LIMITS)
        with tarfile.open(fileobj=source, mode="r:") as archive:
            control = {}
            for member in archive:
                content = archive.extractfile(member) if member.isreg() else None
                if content is not None and member.size <= MAX_CONTROL_MEMBER:
                    control[member.name.removeprefix("./")] = content.read()
    if "control" not in control:
        raise ArchiveError(f"{path.name} is no Debian package", details="it has no control file")
    return Package(path=path, control=control)


def _member(stream: IO[bytes], label: str, prefix: str) -> IO[bytes]:
    """The member of the ``ar`` archive whose name starts with ``prefix``."""
    if stream.read(len(MAGIC)) != MAGIC:
        raise ArchiveError(f"{label} is no Debian package", details="it does not start as an ar archive")
    while len(header := stream.read(HEADER)) == HEADER:
        name, size = header[:16].decode("ascii", "replace").strip().rstrip("/"), header[48:58].strip()
        if not size.isdigit() or header[58:] != b"`\n":
            break
        if name.startswith(prefix):
            return io.BufferedReader(_Part(stream, int(size)))
        stream.seek(int(size) + int(size) % 2, io.SEEK_CUR)
    raise ArchiveError(f"{label} is damaged", details=f"no {prefix} in it")


class _Part(io.RawIOBase):
    """The next ``size`` bytes of a stream."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        super().__init__()
        self._stream = stream
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]  # typeshed's WriteableBuffer is private
        chunk = self._stream.read(min(len(buffer), self._left))
        self._left -= len(chunk)
        buffer[: len(chunk)] = chunk
        return len(chunk)
