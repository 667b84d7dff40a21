"""The probe's steps that make, remove and change files, in the order in which the kernel asks (fs/namei.c, attr.c)."""

from __future__ import annotations

import posixpath
from dataclasses import replace

from lab.oracle.access import SET_GID, SET_UID, STICKY, member, owns, rules_over
from lab.oracle.files import Files, Place, Refused
from lab.oracle.start import Process
from lab.oracle.tree import UNMAPPED, Kind, Node


def new_node(files: Files, process: Process, place: Place, wanted: Node) -> Node:
    """Make a file that does not exist yet, of the kind, mode (less the umask) and target of ``wanted``.

    Its owner is the process; its group too, or that of a set-gid directory.
    """
    above = posixpath.dirname(place.path)
    files.writable(place.path)
    files.may_change(process.who, above)
    uid, gid = process.who.maps.outside(process.who.uid, process.who.gid)
    mode = wanted.mode if wanted.kind is Kind.SYMLINK else wanted.mode & ~process.umask
    parent = files.node(above)
    if parent is not None and parent.mode & SET_GID:
        gid, mode = parent.gid, mode | (SET_GID if wanted.kind is Kind.DIRECTORY else 0)
    node = replace(wanted, uid=uid, gid=gid, mode=mode)
    files.put(place.path, node)
    return node


def make(files: Files, process: Process, path: str, wanted: Node) -> None:
    """mkdir(2) and symlink(2)."""
    place = files.walk(process.who, path, cwd=process.cwd, follow=False)
    if place.node is not None:
        raise Refused("EEXIST", f"{place.path} exists")
    new_node(files, process, place, wanted)


def remove(files: Files, process: Process, path: str, *, directory: bool) -> None:
    """unlink(2) and rmdir(2)."""
    place = files.walk(process.who, path, cwd=process.cwd, follow=False)
    above = posixpath.dirname(place.path)
    files.writable(above)
    if place.node is None:
        raise Refused("ENOENT", f"{place.path} does not exist")
    files.may_change(process.who, above)
    parent = files.node(above)
    if parent is not None and parent.mode & STICKY and not owns(process.who, place.node):
        powerful = owns(process.who, parent) or rules_over(process.who, place.node, "CAP_FOWNER")
        if not powerful:
            raise Refused("EPERM", f"{above} is sticky, and neither it nor {place.path} belongs to {process.who}")
    if directory and place.node.kind is not Kind.DIRECTORY:
        raise Refused("ENOTDIR", f"{place.path} is a {place.node.kind}")
    if not directory and place.node.kind is Kind.DIRECTORY:
        raise Refused("EISDIR", f"{place.path} is a directory")
    if files.mount_of(place.path).destination == place.path:
        raise Refused("EBUSY", f"{place.path} is a mount point")
    if directory and not files.empty(place.path):
        raise Refused("ENOTEMPTY", f"{place.path} is not empty")
    files.remove(place.path)


def existing(files: Files, process: Process, path: str, *, follow: bool = True) -> tuple[str, Node]:
    """What a path names; raises ENOENT where it names nothing."""
    place = files.walk(process.who, path, cwd=process.cwd, follow=follow)
    if place.node is None:
        raise Refused("ENOENT", f"{place.path} does not exist")
    return place.path, place.node


def owned(files: Files, process: Process, path: str) -> tuple[str, Node]:
    """A file that the process may change the mode and times of; raises EPERM for anybody else's."""
    where, node = existing(files, process, path)
    files.writable(where)
    if not owns(process.who, node) and not rules_over(process.who, node, "CAP_FOWNER"):
        raise Refused("EPERM", f"{where} ({node}) does not belong to {process.who}")
    return where, node


def change_mode(files: Files, process: Process, path: str, mode: int) -> None:
    """chmod(2); only a member of the group (or CAP_FSETID) keeps the set-gid bit."""
    where, node = owned(files, process, path)
    if not member(process.who, node) and not rules_over(process.who, node, "CAP_FSETID"):
        mode &= ~SET_GID
    files.put(where, replace(node, mode=mode))


def change_owner(files: Files, process: Process, path: str, uid: int, gid: int, *, follow: bool) -> None:
    """chown(2) and lchown(2), with ids as the process numbers them; -1 leaves one as it is."""
    who = process.who
    where, node = existing(files, process, path, follow=follow)
    files.writable(where)
    new_uid, new_gid = who.maps.outside(max(uid, 0), max(gid, 0))
    if (uid >= 0 and new_uid == UNMAPPED) or (gid >= 0 and new_gid == UNMAPPED):
        raise Refused("EINVAL", f"{who} has no such id in its user namespace")
    powerful = rules_over(who, node, "CAP_CHOWN")
    if uid >= 0 and not powerful and not (owns(who, node) and uid == who.uid):
        raise Refused("EPERM", f"{who} may not give {where} ({node}) to uid {uid}")
    if (
        gid >= 0
        and not powerful
        and not (owns(who, node) and gid in {who.gid, *who.groups, who.maps.inside(0, node.gid)[1]})
    ):
        raise Refused("EPERM", f"{who} may not give {where} ({node}) to group {gid}")
    changed = replace(node, uid=new_uid if uid >= 0 else node.uid, gid=new_gid if gid >= 0 else node.gid)
    if node.kind is Kind.FILE:
        changed = replace(changed, mode=changed.mode & ~(SET_UID | SET_GID))
    files.put(where, changed)
