"""The mount system calls that the lab uses, in its own mount namespace only.

Called through libc directly: starting mount(8) for each cell would cost more than the cell's runtime does.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from pathlib import Path

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MNT_DETACH = 2
CLONE_NEWNS = 0x00020000

FLAGS = {"ro": MS_RDONLY, "nosuid": MS_NOSUID, "nodev": MS_NODEV, "noexec": MS_NOEXEC}
"""Mount options that are flags of mount(2)."""

_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_OPEN_TREE_CLONE = 1
_MOVE_MOUNT_F_EMPTY_PATH = 4
_MOUNT_ATTR_IDMAP = 0x00100000
_SYS_OPEN_TREE, _SYS_MOVE_MOUNT, _SYS_MOUNT_SETATTR = 428, 429, 442
"""Numbers of include/uapi/asm-generic/unistd.h; the same on every architecture since 5.2."""

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def mount(source: str, target: Path, kind: str, flags: int = 0, data: str = "") -> None:
    """Call mount(2); raises ``OSError``."""
    _check(
        _libc.mount(source.encode(), bytes(target), kind.encode(), ctypes.c_ulong(flags), data.encode()),
        f"mount {kind} on {target}",
    )


def unmount(target: Path) -> None:
    """Unmount, detached: a busy mount goes when its last user does."""
    _check(_libc.umount2(bytes(target), MNT_DETACH), f"unmount {target}")


def bind(source: Path, target: Path, options: tuple[str, ...] = ()) -> None:
    """Bind ``source`` on ``target``, with flags such as ``ro`` or ``noexec``."""
    mount(str(source), target, "none", MS_BIND)
    if options:
        flags = sum(FLAGS[option] for option in options)
        mount("none", target, "none", MS_BIND | MS_REMOUNT | flags)


def overlay(lower: tuple[Path, ...], upper: Path | str, work: Path | str, target: Path) -> None:
    """An overlay of ``lower`` (topmost first) with a writable ``upper`` on ``target``."""
    stack = ":".join(str(path).replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,") for path in lower)
    mount("overlay", target, "overlay", 0, f"lowerdir={stack},upperdir={upper},workdir={work},xino=off")


def private_namespace(view: Path) -> int | None:
    """Give this process a mount namespace of its own, from which nothing reaches the host's.

    Where ``/`` is no mount (a chroot), its propagation cannot be set: the process then moves its root to ``view``, a
    bind of it, and gets a descriptor of the old root, for :func:`leave_view`. Raises ``OSError`` where the caller may
    not.
    """
    _check(_libc.unshare(CLONE_NEWNS), "unshare the mount namespace")
    try:
        mount("none", Path("/"), "none", MS_REC | MS_PRIVATE)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    else:
        return None
    here = Path.cwd()
    outer = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    view.mkdir()
    mount("/", view, "none", MS_BIND | MS_REC)
    os.chroot(view)
    os.chdir(here)
    mount("none", Path("/"), "none", MS_REC | MS_PRIVATE)
    return outer


def leave_view(view: Path, outer: int) -> None:
    """Go back to the root that :func:`private_namespace` left, and take the view of it away."""
    here = Path.cwd()
    os.fchdir(outer)
    os.chroot(".")
    os.chdir(here)
    os.close(outer)
    unmount(view)


def id_mapped_copy(source: Path, target: Path, user_namespace: int) -> None:
    """Mount a copy of ``source`` on ``target`` on which ids are mapped as in a user namespace (an open fd of it).

    Needs Linux 5.12 and a file system that supports it; raises ``OSError`` (EINVAL) where it does not.
    """
    tree = _check(
        _libc.syscall(_SYS_OPEN_TREE, _AT_FDCWD, bytes(source), _OPEN_TREE_CLONE | os.O_CLOEXEC), f"open_tree {source}"
    )
    try:
        attributes = struct.pack("=QQQQ", _MOUNT_ATTR_IDMAP, 0, 0, user_namespace)
        _check(
            _libc.syscall(_SYS_MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH, attributes, ctypes.c_size_t(len(attributes))),
            f"mount_setattr {source}",
        )
        _check(
            _libc.syscall(_SYS_MOVE_MOUNT, tree, b"", _AT_FDCWD, bytes(target), _MOVE_MOUNT_F_EMPTY_PATH),
            f"move_mount {target}",
        )
    finally:
        os.close(tree)
