"""Root file systems on the disk: their canonical digest, a copy of one, and how to remove one.

**The canonical digest** is ``sha256:`` over one line per entry, in the byte order of the paths (the root is ``""``).
A line is a JSON array without blanks, non-ASCII escaped, ended by a newline::

    [path, type, mode, uid, gid, size, content, link, rdev, xattrs]

``type`` is one of ``d f l p c b s``; ``mode`` the twelve lower bits in octal digits (``"755"``; ``""`` for symlinks,
whose mode means nothing); ``size`` and ``content`` (hex sha256 of the bytes) are filled for regular files, else 0 and
``""``; ``link`` is the target of a symlink, or for the second and later names of one inode the first name in that
order, whose line carries the content; ``rdev`` is ``"major:minor"`` of a device, else ``""``; ``xattrs`` maps the
attributes that belong to an image (``lab.provision.entries.kept_xattr``) to hex values. Times are no part of it. What
an unprivileged unpacking lost is put back from its :class:`~lab.provision.losses.Losses`, so the digest names the
image and not the user who unpacked it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.errors import HostError
from lab.provision.entries import kept_xattr
from lab.provision.losses import Losses

TYPES = {
    stat.S_IFDIR: "d",
    stat.S_IFREG: "f",
    stat.S_IFLNK: "l",
    stat.S_IFIFO: "p",
    stat.S_IFCHR: "c",
    stat.S_IFBLK: "b",
    stat.S_IFSOCK: "s",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One entry met by :func:`walk`: its relative path, its status, and how to reach it without following links."""

    path: str
    status: os.stat_result
    parent: int
    leaf: str

    @property
    def kind(self) -> int:
        """The file type bits."""
        return stat.S_IFMT(self.status.st_mode)

    @contextmanager
    def opened(self) -> Iterator[int]:
        """A descriptor for reading a regular file or directory, also of one whose mode denies that to its owner."""
        with _reading(self.parent, self.leaf, self.status) as fd:
            yield fd

    def target(self) -> str:
        """Where a symlink points."""
        return os.readlink(self.leaf, dir_fd=self.parent)

    def xattrs(self) -> dict[str, bytes]:
        """The attributes that belong to an image; symlinks and nodes have none."""
        if self.kind not in {stat.S_IFREG, stat.S_IFDIR}:
            return {}
        with self.opened() as fd:
            try:
                return {name: os.getxattr(fd, name) for name in sorted(os.listxattr(fd)) if kept_xattr(name)}
            except OSError as error:
                if error.errno != errno.ENOTSUP:
                    raise
                return {}


def walk(root: Path) -> Iterator[Found]:
    """Every entry at and below ``root``, parents before children, names of a directory sorted; links not followed."""
    top = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield from _below(Found(path="", status=os.fstat(top), parent=top, leaf="."))
    finally:
        os.close(top)


def _below(found: Found) -> Iterator[Found]:
    yield found
    if found.kind != stat.S_IFDIR:
        return
    with found.opened() as fd:
        for leaf in sorted(os.listdir(fd)):
            status = os.stat(leaf, dir_fd=fd, follow_symlinks=False)
            path = f"{found.path}/{leaf}" if found.path else leaf
            yield from _below(Found(path=path, status=status, parent=fd, leaf=leaf))


@contextmanager
def _reading(parent: int, leaf: str, status: os.stat_result) -> Iterator[int]:
    # O_NONBLOCK: what was a file when it was looked at may be a fifo now
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    closed = 0
    try:
        fd = os.open(leaf, flags, dir_fd=parent)
    except PermissionError:
        closed = os.open(leaf, os.O_PATH | os.O_NOFOLLOW, dir_fd=parent)
        try:
            os.chmod(f"/proc/self/fd/{closed}", stat.S_IMODE(status.st_mode) | stat.S_IRUSR | stat.S_IXUSR)
            fd = os.open(f"/proc/self/fd/{closed}", os.O_RDONLY | os.O_NONBLOCK)
        except OSError:
            os.close(closed)
            raise
    try:
        yield fd
    finally:
        os.close(fd)
        if closed:
            os.chmod(f"/proc/self/fd/{closed}", stat.S_IMODE(status.st_mode))
            os.close(closed)


def canonical_digest(root: Path, losses: Losses | None = None) -> str:
    """``sha256:…`` of the tree as the module's text defines it."""
    lost = losses or Losses()
    lines: dict[str, list[object]] = {}
    inodes: dict[tuple[int, int], list[Found]] = {}
    contents: dict[tuple[int, int], str] = {}
    for found in walk(root):
        key = (found.status.st_dev, found.status.st_ino)
        if found.kind == stat.S_IFREG and key not in contents:
            contents[key] = _content(found)
        if found.kind != stat.S_IFDIR and found.status.st_nlink > 1:
            inodes.setdefault(key, []).append(found)
        lines[found.path] = _line(found, contents.get(key, ""), lost)
    for names in inodes.values():
        first, *others = sorted((found.path for found in names), key=os.fsencode)
        for path in others:
            lines[path][5:8] = [0, "", first]
    for path, node in lost.nodes.items():
        rdev = f"{os.major(node.rdev)}:{os.minor(node.rdev)}"
        lines[path] = [path, TYPES[node.kind], f"{node.mode:o}", node.uid, node.gid, 0, "", "", rdev, {}]
    digest = hashlib.sha256()
    for path in sorted(lines, key=os.fsencode):
        digest.update(json.dumps(lines[path], separators=(",", ":"), sort_keys=True).encode() + b"\n")
    return f"sha256:{digest.hexdigest()}"


def _content(found: Found) -> str:
    with found.opened() as fd, os.fdopen(os.dup(fd), "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _line(found: Found, content: str, lost: Losses) -> list[object]:
    status, kind = found.status, found.kind
    uid, gid = (status.st_uid, status.st_gid) if lost.owners_kept else lost.owners.get(found.path, (0, 0))
    link = found.target() if kind == stat.S_IFLNK else ""
    device = kind in {stat.S_IFCHR, stat.S_IFBLK}
    xattrs = found.xattrs() | lost.xattrs.get(found.path, {})
    return [
        found.path,
        TYPES[kind],
        "" if kind == stat.S_IFLNK else f"{stat.S_IMODE(status.st_mode):o}",
        uid,
        gid,
        status.st_size if kind == stat.S_IFREG else 0,
        content,
        link,
        f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}" if device else "",
        {name: value.hex() for name, value in sorted(xattrs.items())},
    ]


def copy_tree(source: Path, target: Path) -> None:
    """Copy a root file system to the new directory ``target``, for hosts on which overlayfs cannot be used.

    Keeps modes, symlinks, hard links, times and attributes; owners and device nodes where the caller may.

    :raises HostError: when something cannot be read or written (disk full).
    """
    try:
        target.mkdir(mode=0o700)
        later: list[tuple[Path, Found]] = []
        links: dict[tuple[int, int], Path] = {}
        for found in walk(source):
            place = target / found.path
            key = (found.status.st_dev, found.status.st_ino)
            if found.kind == stat.S_IFDIR:
                if found.path:
                    place.mkdir(mode=0o700)
                _copy_status(found, place, mode=False)
                later.append((place, found))
            elif key in links:
                os.link(links[key], place, follow_symlinks=False)
            elif _copy_entry(found, place):
                _copy_status(found, place)
                if found.status.st_nlink > 1:
                    links[key] = place
        for place, found in reversed(later):
            os.chmod(place, stat.S_IMODE(found.status.st_mode))
            os.utime(place, ns=(found.status.st_mtime_ns, found.status.st_mtime_ns))
    except OSError as error:
        raise HostError("a root file system cannot be copied", details=str(error)) from error


def _copy_entry(found: Found, place: Path) -> bool:
    """Make one entry that is no directory; false for a device node that this user may not make, and for a socket."""
    if found.kind == stat.S_IFREG:
        with found.opened() as fd, os.fdopen(os.dup(fd), "rb") as stream, place.open("xb") as out:
            shutil.copyfileobj(stream, out, 1 << 20)
    elif found.kind == stat.S_IFLNK:
        place.symlink_to(found.target())
    elif found.kind == stat.S_IFSOCK:
        return False
    else:
        try:
            os.mknod(place, found.kind | 0o600, found.status.st_rdev)
        except PermissionError:
            return False
    return True


def _copy_status(found: Found, place: Path, *, mode: bool = True) -> None:
    status = found.status
    if os.geteuid() == 0:
        os.chown(place, status.st_uid, status.st_gid, follow_symlinks=False)
    if found.kind != stat.S_IFLNK and mode:
        place.chmod(stat.S_IMODE(status.st_mode))
    for name, value in found.xattrs().items():
        try:
            os.setxattr(place, name, value)
        except OSError as error:
            if error.errno not in {errno.EPERM, errno.ENOTSUP, errno.EACCES}:
                raise
    os.utime(place, ns=(status.st_mtime_ns, status.st_mtime_ns), follow_symlinks=False)


def remove_tree(root: Path) -> None:
    """Remove a tree, also one with directories that its owner may not write; absent is fine."""
    if root.is_symlink() or not root.is_dir():
        root.unlink(missing_ok=True)
        return
    if os.geteuid() != 0:
        pending = [root]
        while pending:
            folder = pending.pop()
            folder.chmod(0o700)
            pending += [Path(entry.path) for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
    shutil.rmtree(root)
