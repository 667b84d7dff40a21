"""What a run keeps of an image's files, so that it can be understood without the image: names, owners, modes, links."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from lab.oracle import mtree
from lab.oracle.tree import Kind, Node
from lab.provision.rootfs import walk

_KINDS = {
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFREG: Kind.FILE,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFCHR: Kind.CHARACTER_DEVICE,
    stat.S_IFBLK: Kind.BLOCK_DEVICE,
    stat.S_IFIFO: Kind.FIFO,
    stat.S_IFSOCK: Kind.SOCKET,
}


def list_tree(root: Path) -> str:
    """The tree as text, as it is on the disk (see :mod:`lab.oracle.mtree`); some 10 µs and 20 bytes for each file."""
    return mtree.encode(_entries(root))


def _entries(root: Path) -> Iterator[tuple[str, Node]]:
    for found in walk(root):
        status, kind = found.status, _KINDS[found.kind]
        yield (
            f"/{found.path}",
            Node(
                kind=kind,
                uid=status.st_uid,
                gid=status.st_gid,
                mode=stat.S_IMODE(status.st_mode),
                target=found.target() if kind is Kind.SYMLINK else "",
            ),
        )
