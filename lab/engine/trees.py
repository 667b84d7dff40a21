"""Edits of a directory tree that never reach outside it, whatever symlinks a stranger's image holds."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import stat
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, assert_never

from lab.errors import HostError
from lab.model.settings import Edit, EditKind

_SYS_OPENAT2 = 437
_RESOLVE_IN_ROOT = 0x10
_libc = ctypes.CDLL(None, use_errno=True)

LONGEST_TEXT = 1 << 22
"""Bytes read of a stranger's text file."""

Owner = Callable[[int, int], tuple[int, int]]
"""Maps the uid and gid that an edit names to the ones that the host file gets."""


def as_named(uid: int, gid: int) -> tuple[int, int]:
    """The owner as the edit names it."""
    return uid, gid


def open_in_root(root: int, path: str, flags: int) -> int:
    """Open ``path`` as if ``root`` (a directory fd) were ``/``, symlinks included (openat2, RESOLVE_IN_ROOT)."""
    how = struct.pack("=QQQ", flags | os.O_CLOEXEC, 0, _RESOLVE_IN_ROOT)
    fd: int = _libc.syscall(_SYS_OPENAT2, root, path.encode() or b".", how, ctypes.c_size_t(len(how)))
    if fd < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return fd


def read_text(root: Path, path: str) -> str:
    """The start of a regular text file inside a tree; empty when it is not there, or is a pipe or a device."""
    base = os.open(root, os.O_PATH | os.O_DIRECTORY)
    try:
        fd = open_in_root(base, path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return ""
    finally:
        os.close(base)
    try:
        return os.read(fd, LONGEST_TEXT).decode(errors="replace") if stat.S_ISREG(os.fstat(fd).st_mode) else ""
    finally:
        os.close(fd)


def lstat_in_root(root: Path, path: str) -> os.stat_result | None:
    """``lstat`` of a path inside a tree, or ``None`` when it does not exist."""
    base = os.open(root, os.O_PATH | os.O_DIRECTORY)
    try:
        fd = open_in_root(base, path, os.O_PATH | os.O_NOFOLLOW)
    except OSError:
        return None
    finally:
        os.close(base)
    try:
        return os.fstat(fd)
    finally:
        os.close(fd)


def apply_edits(root: Path, edits: Iterable[Edit], probe: Path, owner: Owner = as_named) -> None:
    """Make every edit, in order; missing parents become directories 0:0 0755 (mapped by ``owner``)."""
    base = os.open(root, os.O_PATH | os.O_DIRECTORY)
    try:
        for edit in edits:
            try:
                _apply(base, edit, probe, owner)
            except OSError as error:
                raise HostError(f"the edit of {edit.path} ({edit.kind}) cannot be made", details=str(error)) from error
    finally:
        os.close(base)


@contextmanager
def _parent(base: int, path: str, owner: Owner) -> Iterator[tuple[int, str]]:
    """The open parent directory of ``path`` and its last part; parents are made as needed."""
    *above, name = PurePosixPath("/", path.lstrip("/")).parts[1:] or (".",)
    if ".." in (*above, name) or "\0" in path:
        raise OSError(errno.EINVAL, "a path without `..` is expected", path)
    current = os.dup(base)
    walked = ""
    try:
        for part in above:
            walked += f"/{part}"
            try:
                opened = open_in_root(base, walked, os.O_PATH | os.O_DIRECTORY)
            except FileNotFoundError:
                os.mkdir(part, dir_fd=current)
                os.chmod(part, 0o755, dir_fd=current)  # noqa: S103  # whatever the lab's umask
                os.chown(part, *owner(0, 0), dir_fd=current)
                opened = open_in_root(base, walked, os.O_PATH | os.O_DIRECTORY)
            os.close(current)
            current = opened
        yield current, name
    finally:
        os.close(current)


def _apply(base: int, edit: Edit, probe: Path, owner: Owner) -> None:
    with _parent(base, edit.path, owner) as (parent, name):
        match edit.kind:
            case EditKind.REMOVE:
                _remove(parent, name)
                return
            case EditKind.SYMLINK:
                _remove(parent, name)
                os.symlink(edit.target, name, dir_fd=parent)
                os.chown(name, *owner(edit.uid, edit.gid), dir_fd=parent, follow_symlinks=False)
                return
            case EditKind.FILE if edit.append:
                with _open_file(parent, name, os.O_WRONLY | os.O_APPEND) as stream:
                    stream.write(edit.content.encode())
                return
            case EditKind.DIRECTORY:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, dir_fd=parent)
            case EditKind.FILE:
                _remove(parent, name)
                with _open_file(parent, name, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as stream:
                    stream.write(probe.read_bytes() if edit.program else edit.content.encode())
            case EditKind.CHARACTER_DEVICE | EditKind.BLOCK_DEVICE:
                _remove(parent, name)
                kind = stat.S_IFCHR if edit.kind is EditKind.CHARACTER_DEVICE else stat.S_IFBLK
                os.mknod(name, kind, os.makedev(edit.major, edit.minor), dir_fd=parent)
            case EditKind.FIFO:
                _remove(parent, name)
                os.mkfifo(name, dir_fd=parent)
            case _:
                assert_never(edit.kind)
        _own(parent, name, edit, owner)


def _own(parent: int, name: str, edit: Edit, owner: Owner) -> None:
    """Owner first, then mode: chown(2) clears setuid bits."""
    default = 0o755 if edit.kind is EditKind.DIRECTORY else 0o644
    fd = open_in_root(parent, name, os.O_PATH | os.O_NOFOLLOW)
    try:
        link = f"/proc/self/fd/{fd}"
        os.chown(link, *owner(edit.uid, edit.gid))
        Path(link).chmod(default if edit.mode is None else edit.mode)
    finally:
        os.close(fd)


def _open_file(parent: int, name: str, flags: int) -> IO[bytes]:
    return os.fdopen(os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600, dir_fd=parent), "wb")


def _remove(parent: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        return
    except IsADirectoryError:
        shutil.rmtree(name, dir_fd=parent)
