"""Tar streams into a :class:`~lab.provision.tree.Tree`: compressions, layers with whiteouts, limits.

Compression is told from the first bytes, never from a name or media type. An archive is read once, forwards, with
bounded memory; every fault of it (truncated, garbage, too large, reaching outside) is one
:class:`~lab.errors.ArchiveError`.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import stat
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Protocol, cast

import zstandard

from lab.errors import ArchiveError, DigestMismatch
from lab.provision.entries import Meta, Parts
from lab.provision.tree import Tree

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
CHUNK = 1 << 20
XATTR = "SCHILY.xattr."

FAULTS = (tarfile.TarError, zlib.error, lzma.LZMAError, zstandard.ZstdError, EOFError, gzip.BadGzipFile, ValueError)
"""What the decoders raise for bytes that are not what they should be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How large one archive may be: a bomb ends here. Bytes are counted after decompression, headers included."""

    size: int = 16 << 30
    entries: int = 1_000_000
    header: int = 1 << 20


DEFAULT_LIMITS = Limits()


class Readable(Protocol):
    """What decoders offer."""

    def read(self, size: int = -1, /) -> bytes:
        """At most ``size`` bytes; empty at the end."""
        ...


class Forward(io.RawIOBase):
    """A stream that is read once, forwards: counts and hashes what passes, and refuses to hold much at a time."""

    def __init__(self, source: Readable, limits: Limits) -> None:
        super().__init__()
        self._source = source
        self._limits = limits
        self._position = 0
        self.last = b""
        self.digest = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        """Exactly ``size`` bytes, fewer only at the end."""
        if size < 0 or size > max(CHUNK, self._limits.header):
            raise ArchiveError("an archive has a header larger than is sensible", details=f"{size} bytes")
        pieces, left = [], size
        while left:
            piece = self._source.read(left)
            if not piece:
                break
            pieces.append(piece)
            left -= len(piece)
        self.last = b"".join(pieces)
        self.digest.update(self.last)
        self._position += len(self.last)
        if self._position > self._limits.size:
            raise ArchiveError("an archive is larger than is sensible", details=f"more than {self._limits.size} bytes")
        return self.last

    def tell(self) -> int:
        """Bytes passed so far."""
        return self._position

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Skip forwards to ``offset``."""
        if whence or offset < self._position:
            raise ArchiveError("an archive is not in order")
        while self._position < offset and self.read(min(CHUNK, offset - self._position)):
            pass
        return self._position

    def seekable(self) -> bool:
        """Forwards only, which is all that tarfile does."""
        return True

    def readable(self) -> bool:
        """Yes."""
        return True

    def drain(self) -> None:
        """Read to the end, so that the digest is that of the whole stream."""
        while self.read(CHUNK):
            pass


def decompressed(stream: IO[bytes]) -> Readable:
    """The stream's content, through gzip, zstd, xz, bzip2 or nothing, as its first bytes say."""
    buffered = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(cast("io.RawIOBase", stream))
    start = buffered.peek(6)[:6]
    if start.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=buffered, mode="rb")
    if start.startswith(b"\x28\xb5\x2f\xfd"):
        return zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(buffered, read_across_frames=True)
    if start.startswith(b"\xfd7zXZ\x00"):
        return lzma.LZMAFile(buffered, "rb")
    if start.startswith(b"BZh"):
        return bz2.BZ2File(buffered, "rb")
    return buffered


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How an archive is read.

    ``label`` names it in errors. ``whiteouts`` reads image-spec's ``.wh.`` entries (a layer). ``through_links`` lets a
    directory entry keep a symlink to a directory, as dpkg does. ``skip`` leaves entries out by name. ``diff_id``
    (``sha256:…``) is the digest that the decompressed bytes must have; without it the archive must end with tar's end
    marker, as nothing else shows that it is whole.
    """

    label: str
    whiteouts: bool = False
    through_links: bool = False
    skip: Callable[[str], bool] | None = None
    diff_id: str | None = None
    limits: Limits = DEFAULT_LIMITS


def unpack_stream(stream: IO[bytes], tree: Tree, how: Reading) -> None:
    """Unpack one tar archive, compressed or not, into ``tree``.

    :raises ArchiveError: for anything wrong with the archive.
    :raises DigestMismatch: when the content is not that of ``diff_id``.
    """
    with faults(how.label):
        source = Forward(decompressed(stream), how.limits)
        archive = tarfile.TarFile(fileobj=source, mode="r", encoding="utf-8", errors="surrogateescape")
        filler = _Filler(tree, archive, how)
        count = 0
        while (member := archive.next()) is not None:
            count += 1
            if count > how.limits.entries:
                raise ArchiveError(f"{how.label} has more than {how.limits.entries} entries")
            filler.add(member)
            archive.members.clear()  # type: ignore[attr-defined]  # tarfile keeps every header otherwise
        if source.last.strip(b"\0"):
            raise ArchiveError(f"{how.label} is damaged", details=f"no tar header at byte {source.tell() - 512}")
        if how.diff_id is None and not source.last:
            raise ArchiveError(f"{how.label} is truncated", details="it ends without tar's end marker")
        source.drain()
        if how.diff_id is not None and f"sha256:{source.digest.hexdigest()}" != how.diff_id:
            raise DigestMismatch(
                f"{how.label} is not the layer that its image names",
                details=f"content sha256:{source.digest.hexdigest()}, expected {how.diff_id}",
            )


@contextmanager
def faults(label: str) -> Iterator[None]:
    """Turn the decoders' many errors into one."""
    try:
        yield
    except FAULTS as error:
        raise ArchiveError(
            f"{label} cannot be read as an archive",
            details=f"{type(error).__name__}: {error}",
            resolution="fetch or make it again; it may be truncated",
        ) from error
    except OSError as error:
        # bz2 and lzma say "Invalid data stream" as an OSError without errno; a real one has its errno
        if error.errno is not None:
            raise
        raise ArchiveError(f"{label} cannot be read as an archive", details=str(error)) from error


class _Filler:
    """Members of one archive, in order, into a tree."""

    def __init__(self, tree: Tree, archive: tarfile.TarFile, how: Reading) -> None:
        self._tree = tree
        self._archive = archive
        self._how = how
        self._made: set[Parts] = set()

    def add(self, member: tarfile.TarInfo) -> None:
        if self._how.skip is not None and self._how.skip(member.name.removeprefix("./")):
            return
        leaf = member.name.rstrip("/").rpartition("/")[2]
        if self._how.whiteouts and leaf.startswith(WHITEOUT):
            self._hide(member.name, leaf)
            return
        made = self._make(member)
        for length in range(1, len(made) + 1):
            self._made.add(made[:length])

    def _make(self, member: tarfile.TarInfo) -> Parts:
        meta = _meta(member)
        if member.isdir():
            return self._tree.directory(member.name, meta, through_link=self._how.through_links)
        if member.isreg():
            return self._tree.file(member.name, meta, self._chunks(member))
        if member.issym():
            return self._tree.symlink(member.name, member.linkname, meta)
        if member.islnk():
            return self._tree.hardlink(member.name, member.linkname)
        if member.isfifo():
            return self._tree.node(member.name, stat.S_IFIFO, 0, meta)
        if member.ischr() or member.isblk():
            kind = stat.S_IFCHR if member.ischr() else stat.S_IFBLK
            return self._tree.node(member.name, kind, _device(member), meta)
        raise ArchiveError(f"archive entry {member.name!r} is of the unknown type {member.type!r}")

    def _hide(self, name: str, leaf: str) -> None:
        """A whiteout speaks of the layers below only, wherever in its own layer it stands."""
        folder = name.rstrip("/").removesuffix(leaf)
        if leaf == OPAQUE:
            self._tree.clear(folder, keep=self._made)
        elif leaf.startswith(WHITEOUT * 2):
            return  # aufs' own bookkeeping
        elif leaf.removeprefix(WHITEOUT) in {"", ".", ".."}:
            raise ArchiveError(f"archive entry {name!r} is a whiteout of no name")
        else:
            self._tree.remove(folder + leaf.removeprefix(WHITEOUT), keep=self._made)

    def _chunks(self, member: tarfile.TarInfo) -> Iterator[bytes]:
        source = self._archive.extractfile(member)
        if source is None:
            raise ArchiveError(f"archive entry {member.name!r} has no content")
        left = member.size
        while left:
            chunk = source.read(min(CHUNK, left))
            if not chunk:
                raise ArchiveError(f"the archive ends inside {member.name!r}", resolution="fetch or make it again")
            left -= len(chunk)
            yield chunk


def _meta(member: tarfile.TarInfo) -> Meta:
    xattrs = {
        key.removeprefix(XATTR): value.encode("utf-8", "surrogateescape")
        for key, value in member.pax_headers.items()
        if key.startswith(XATTR)
    }
    return Meta(mode=member.mode & 0o7777, uid=member.uid, gid=member.gid, mtime=_whole(member.mtime), xattrs=xattrs)


def _whole(seconds: float) -> int:
    try:
        return int(seconds)
    except (ValueError, OverflowError):  # pax headers can say "nan" and "inf"
        return 0


def _device(member: tarfile.TarInfo) -> int:
    major, minor = member.devmajor, member.devminor
    if not (0 <= major < 1 << 12 and 0 <= minor < 1 << 20):
        raise ArchiveError(f"archive entry {member.name!r} is of the impossible device {major}:{minor}")
    return (major << 8 & 0xFFF00) | (minor & 0xFF) | ((minor & 0xFFF00) << 12)
