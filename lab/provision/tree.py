"""Writing below one directory and nowhere else, whatever names and links a stranger chose.

A :class:`Tree` holds a descriptor of its root and reaches everything through ``openat``-style calls, one component
at a time, never following a link in the kernel. A symlink met on the way is resolved *inside* the root, as a process
chrooted there would see it; one that climbs above the root, or leads to something that does not exist, is an
:class:`~lab.errors.ArchiveError`. Names with ``..`` and absolute names are errors too. The last component is never
followed: what is there gives way to the new entry.

Owners, modes and times of directories are applied by :meth:`Tree.finish`, deepest first, because a directory of mode
0555 could not be filled by an ordinary user. What the caller is not allowed to keep (owners, device nodes,
capabilities) is noted in :class:`Losses`.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Self

from lab.errors import ArchiveError, HostError
from lab.provision.entries import Meta, Parts, checked_id, checked_time, joined, kept_xattr, split
from lab.provision.losses import Losses, LostNode

MAX_DEPTH = 200
"""Deepest directory that an archive may make."""

MAX_HOPS = 40
"""Symlinks followed for one name; Linux' own limit."""


class Tree:
    """A directory that is being filled; see the module's text. Not for use by several threads at once.

    Used as a context manager; :meth:`finish` must be called for the tree to be whole. Operating-system errors are
    raised as :class:`ArchiveError` naming the entry, or :class:`HostError` when the host is at fault (disk full).
    """

    def __init__(self, root: Path) -> None:
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        self._dirs: dict[Parts, Meta] = {(): Meta(mode=0o755)}
        self.privileged = _may_chown(self._root)
        self.losses = Losses(owners_kept=self.privileged)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._root)

    def directory(self, name: str, meta: Meta, *, through_link: bool = False) -> Parts:
        """Make a directory, or give an existing one a new ``meta``; ``through_link`` keeps a link to a directory."""
        with _naming(name):
            parts = split(name)
            if through_link and self._leads_to_directory(parts):
                fd, canonical = self._walk(parts)
                os.close(fd)
                return canonical
            if not parts:
                self._dirs[()] = meta
                return ()
            with self._place(parts) as (fd, leaf, canonical):
                found = _lstat(fd, leaf)
                if found is None or not stat.S_ISDIR(found.st_mode):
                    self._delete(fd, leaf, canonical)
                    os.mkdir(leaf, 0o700, dir_fd=fd)
                self._dirs[canonical] = meta
        return canonical

    def file(self, name: str, meta: Meta, chunks: Iterable[bytes]) -> Parts:
        """Write a regular file, replacing whatever had the name."""
        with _naming(name), self._place(split(name)) as (fd, leaf, canonical):
            self._delete(fd, leaf, canonical)
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW
            with os.fdopen(os.open(leaf, flags, 0o600, dir_fd=fd), "wb", buffering=0) as out:
                for chunk in chunks:
                    out.write(chunk)
                self._apply(out.fileno(), meta, canonical)
        return canonical

    def symlink(self, name: str, target: str, meta: Meta) -> Parts:
        """Make a symlink; its target is only text here, wherever it leads."""
        with _naming(name), self._place(split(name)) as (fd, leaf, canonical):
            self._delete(fd, leaf, canonical)
            os.symlink(target, leaf, dir_fd=fd)
            uid, gid = checked_id(meta.uid), checked_id(meta.gid)
            if self.privileged:
                os.chown(leaf, uid, gid, dir_fd=fd, follow_symlinks=False)
            self.losses.owner(canonical, meta.uid, meta.gid)
            os.utime(leaf, (checked_time(meta.mtime),) * 2, dir_fd=fd, follow_symlinks=False)
        return canonical

    def hardlink(self, name: str, target: str) -> Parts:
        """Give an existing entry (not a directory) of this tree a second name."""
        with _naming(name), self._place(split(name)) as (fd, leaf, canonical):
            goal = split(target)
            if not goal:
                raise ArchiveError(f"archive entry {name!r} is a hard link to the root")
            source, parent = self._walk(goal[:-1])
            try:
                origin = (*parent, goal[-1])
                if origin == canonical:
                    return canonical
                if not self.losses.link(canonical, origin):
                    found = _lstat(source, goal[-1])
                    if found is None or stat.S_ISDIR(found.st_mode):
                        raise ArchiveError(
                            f"archive entry {name!r} is a hard link to {target!r}, which is no file here"
                        )
                    self._delete(fd, leaf, canonical)
                    os.link(goal[-1], leaf, src_dir_fd=source, dst_dir_fd=fd, follow_symlinks=False)
                    self.losses.link(canonical, origin)
            finally:
                os.close(source)
        return canonical

    def node(self, name: str, kind: int, rdev: int, meta: Meta) -> Parts:
        """Make a fifo or device node; ``kind`` is ``stat.S_IFIFO``, ``S_IFCHR`` or ``S_IFBLK``.

        A node that this host does not allow is noted as lost, and so is a character device 0:0, which overlayfs would
        read as "deleted here".
        """
        with _naming(name), self._place(split(name)) as (fd, leaf, canonical):
            self._delete(fd, leaf, canonical)
            if (kind == stat.S_IFCHR and rdev == 0) or not _mknod(leaf, kind, rdev, fd):
                node = LostNode(kind=kind, mode=meta.mode, uid=meta.uid, gid=meta.gid, rdev=rdev)
                self.losses.nodes["/".join(canonical)] = node
            else:
                with _anchored(leaf, fd) as path:
                    self._apply(path, meta, canonical)
        return canonical

    def remove(self, name: str, *, keep: frozenset[Parts] | set[Parts] = frozenset()) -> None:
        """Remove an entry and what is below it, except entries in ``keep`` and their parents; absent is fine."""
        with _naming(name):
            parts = split(name)
            if not parts or not self.exists("/".join(parts[:-1])):
                return
            with self._place(parts) as (fd, leaf, canonical):
                self._delete(fd, leaf, canonical, keep)

    def clear(self, name: str, *, keep: frozenset[Parts] | set[Parts] = frozenset()) -> None:
        """Remove what is inside a directory, except entries in ``keep`` and their parents."""
        with _naming(name):
            fd, canonical = self._walk(split(name), create=True)
            try:
                self._empty(fd, canonical, keep)
            finally:
                os.close(fd)

    def exists(self, name: str) -> bool:
        """Whether the name leads to something inside the tree (links on the way resolved, the last one not)."""
        parts = split(name)
        try:
            fd, _ = self._walk(parts[:-1])
        except (ArchiveError, OSError):
            return False
        try:
            return not parts or _lstat(fd, parts[-1]) is not None
        finally:
            os.close(fd)

    def names(self, name: str) -> tuple[str, ...]:
        """What a directory of the tree holds, sorted."""
        with _naming(name):
            fd, _ = self._walk(split(name))
            try:
                return tuple(sorted(os.listdir(fd)))
            finally:
                os.close(fd)

    @contextmanager
    def opened(self, name: str) -> Iterator[IO[bytes]]:
        """A regular file of the tree for reading; a symlink to one is resolved inside the root."""
        parts = split(name)
        for _ in range(MAX_HOPS):
            with _naming(name), self._place(parts) as (fd, leaf, canonical):
                try:
                    opened = os.open(leaf, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=fd)
                except OSError as error:
                    if error.errno != errno.ELOOP:
                        raise
                    parts = joined(canonical[:-1], os.readlink(leaf, dir_fd=fd))
                    continue
            with os.fdopen(opened, "rb") as stream:
                yield stream
            return
        raise ArchiveError(f"archive entry {name!r} is behind too many symlinks")

    def read(self, name: str, limit: int = 64 << 20) -> bytes:
        """The bytes of a regular file of the tree, at most ``limit``."""
        with self.opened(name) as stream:
            content = stream.read(limit + 1)
        if len(content) > limit:
            raise ArchiveError(f"archive entry {name!r} is larger than is sensible")
        return content

    def finish(self) -> Losses:
        """Apply what was put off for directories; the tree must not be written afterwards."""
        for parts in sorted(self._dirs, key=len, reverse=True):
            with _naming("/".join(parts) or "."):
                fd, _ = self._walk(parts, links=False)
                try:
                    self._apply(fd, self._dirs[parts], parts)
                finally:
                    os.close(fd)
        return self.losses

    def _walk(self, parts: Sequence[str], *, create: bool = False, links: bool = True) -> tuple[int, Parts]:
        """Open a directory of the tree for reading; returns its descriptor and its name without links."""
        pending = [(part, False) for part in reversed(parts)]
        opened, hops = [os.dup(self._root)], 0
        done: list[str] = []
        try:
            while pending:
                part, linked = pending.pop()
                if part == "..":
                    if not done:
                        raise ArchiveError(f"{'/'.join(parts)!r} goes through a symlink that leads outside the root")
                    os.close(opened.pop())
                    done.pop()
                    continue
                step = self._step(opened[-1], part, (*done, part), create=create and not linked)
                if isinstance(step, int):
                    opened.append(step)
                    done.append(part)
                    if len(done) > MAX_DEPTH:
                        raise ArchiveError(f"directories nested deeper than {MAX_DEPTH}")
                    continue
                hops += 1
                if hops > MAX_HOPS or not links:
                    raise ArchiveError(f"{'/'.join(parts)!r} goes through too many symlinks")
                if step.startswith("/"):
                    while done:
                        os.close(opened.pop())
                        done.pop()
                pending += [(piece, True) for piece in reversed(step.split("/")) if piece not in {"", "."}]
            return opened.pop(), tuple(done)
        finally:
            for fd in opened:
                os.close(fd)

    def _step(self, fd: int, part: str, canonical: Parts, *, create: bool) -> int | str:
        """Open one component: its descriptor, or the target when it is a symlink."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
        try:
            return os.open(part, flags, dir_fd=fd)
        except FileNotFoundError:
            if not create:
                raise ArchiveError(f"{'/'.join(canonical)!r} does not exist inside the root") from None
            os.mkdir(part, 0o700, dir_fd=fd)
            self._dirs[canonical] = Meta(mode=0o755)
            return os.open(part, flags, dir_fd=fd)
        except NotADirectoryError:
            try:
                return os.readlink(part, dir_fd=fd)
            except OSError:
                raise ArchiveError(f"{'/'.join(canonical)!r} is not a directory") from None

    @contextmanager
    def _place(self, parts: Parts) -> Iterator[tuple[int, str, Parts]]:
        """The directory that an entry goes into, its last component, and its name without links."""
        if not parts:
            raise ArchiveError("an archive entry other than a directory names the root")
        fd, canonical = self._walk(parts[:-1], create=True)
        try:
            yield fd, parts[-1], (*canonical, parts[-1])
        finally:
            os.close(fd)

    def _leads_to_directory(self, parts: Parts) -> bool:
        try:
            fd, _ = self._walk(parts)
        except (ArchiveError, OSError):
            return False
        os.close(fd)
        return True

    def _delete(self, fd: int, leaf: str, canonical: Parts, keep: frozenset[Parts] | set[Parts] = frozenset()) -> None:
        found = _lstat(fd, leaf)
        if found is not None and stat.S_ISDIR(found.st_mode):
            inner = os.open(leaf, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
            try:
                self._empty(inner, canonical, keep)
                if canonical in keep or os.listdir(inner):
                    return
            finally:
                os.close(inner)
            os.rmdir(leaf, dir_fd=fd)
            self._dirs.pop(canonical, None)
        elif canonical not in keep:
            if found is not None:
                os.unlink(leaf, dir_fd=fd)
            self.losses.forget(canonical)

    def _empty(self, fd: int, canonical: Parts, keep: frozenset[Parts] | set[Parts]) -> None:
        for leaf in os.listdir(fd):
            self._delete(fd, leaf, (*canonical, leaf), keep)
        self.losses.forget_below(canonical, keep)

    def _apply(self, target: int | str, meta: Meta, canonical: Parts) -> None:
        """Owner first: changing it clears setuid bits and file capabilities."""
        uid, gid = checked_id(meta.uid), checked_id(meta.gid)
        if self.privileged:
            os.chown(target, uid, gid)
        self.losses.owner(canonical, meta.uid, meta.gid)
        os.chmod(target, meta.mode & 0o7777)
        for name, value in meta.xattrs.items():
            if not kept_xattr(name):
                self.losses.ignored[name] = self.losses.ignored.get(name, 0) + 1
                continue
            try:
                os.setxattr(target, name, value)
            except OSError as error:
                if error.errno not in {errno.EPERM, errno.ENOTSUP, errno.EACCES}:
                    raise
                self.losses.xattrs.setdefault("/".join(canonical), {})[name] = value
        os.utime(target, (checked_time(meta.mtime),) * 2)


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Errors of the operating system in the lab's words, with the entry's name."""
    try:
        yield
    except ArchiveError as error:
        if repr(name) not in error.brief:
            raise ArchiveError(f"archive entry {name!r} is refused: {error.brief}", details=error.details) from error
        raise
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE}:
            raise HostError(
                "an image cannot be unpacked on this host",
                details=f"{name!r}: {error.strerror}",
                resolution="free some space, or set PERMLAB_CACHE to a place that has it",
            ) from error
        raise ArchiveError(f"archive entry {name!r} cannot be made", details=str(error.strerror)) from error


def _mknod(leaf: str, kind: int, rdev: int, fd: int) -> bool:
    try:
        os.mknod(leaf, kind | 0o600, rdev, dir_fd=fd)
    except PermissionError:
        return False
    return True


@contextmanager
def _anchored(leaf: str, fd: int) -> Iterator[str]:
    """A path that means exactly this inode: chmod has no form that does not follow links on this kernel's libc."""
    inode = os.open(leaf, os.O_PATH | os.O_NOFOLLOW, dir_fd=fd)
    try:
        yield f"/proc/self/fd/{inode}"
    finally:
        os.close(inode)


def _lstat(fd: int, leaf: str) -> os.stat_result | None:
    try:
        return os.stat(leaf, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _may_chown(fd: int) -> bool:
    """Whether this process can give files away, to any owner: root of the host can, root of a small userns cannot."""
    if os.geteuid() != 0:
        return False
    try:
        os.chown(fd, 65532, 65532)
        os.chown(fd, os.geteuid(), os.getegid())
    except OSError:
        return False
    return True
