"""The probe's steps that open files: open(2) with its flags, in the order in which the kernel asks (fs/namei.c)."""

from __future__ import annotations

from collections.abc import Collection

from lab.oracle.access import EXECUTE, READ, STICKY, WRITE, owns, permits
from lab.oracle.files import Files, Outside, Place, Refused
from lab.oracle.making import new_node
from lab.oracle.start import Process
from lab.oracle.tree import Kind, Node

_KNOWN = frozenset({"rdonly", "wronly", "rdwr", "creat", "excl", "trunc", "append", "directory", "sync"})
_OTHERS_WRITE = 0o022


def open_file(files: Files, process: Process, path: str, flags: Collection[str]) -> Node:
    """The file that is opened, made when missing; raises :class:`Refused` and :class:`Outside`."""
    unknown = sorted(set(flags) - _KNOWN)
    if unknown:
        raise Outside(f"open with {', '.join(unknown)}")
    exclusive = {"creat", "excl"} <= set(flags)
    place = files.walk(process.who, path, cwd=process.cwd, follow=not exclusive)
    if place.node is None:
        return _create(files, process, place, flags)
    if exclusive:
        raise Refused("EEXIST", f"{place.path} exists")
    _check(files, process, place.path, place.node, flags)
    return place.node


def _create(files: Files, process: Process, place: Place, flags: Collection[str]) -> Node:
    if "creat" not in flags:
        raise Refused("ENOENT", f"{place.path} does not exist")
    if "directory" in flags:
        raise Outside("open with creat and directory")
    return new_node(files, process, place, Node(kind=Kind.FILE, mode=0o666))


def _check(files: Files, process: Process, path: str, node: Node, flags: Collection[str]) -> None:
    writes = not {"wronly", "rdwr", "trunc"}.isdisjoint(flags)
    if node.kind is Kind.DIRECTORY and (writes or "creat" in flags):
        raise Refused("EISDIR", f"{path} is a directory")
    if "directory" in flags and node.kind is not Kind.DIRECTORY:
        raise Refused("ENOTDIR", f"{path} is a {node.kind}")
    if node.kind not in {Kind.DIRECTORY, Kind.FILE}:
        raise Outside(f"opening a {node.kind}")
    if writes and node.probe:
        raise Outside("writing to a program that may be running")
    if "creat" in flags:
        _protected(files, process, path, node)
    if "trunc" in flags:
        files.writable(path)
    want = (WRITE if writes else 0) | (0 if "wronly" in flags else READ)
    if not permits(process.who, node, want):
        raise Refused("EACCES", f"no permission to {_words(want)} {path} ({node})")
    if writes:
        files.writable(path)


def _protected(files: Files, process: Process, path: str, node: Node) -> None:
    above = files.node(path.rpartition("/")[0] or "/")
    if above is not None and above.mode & STICKY and above.mode & _OTHERS_WRITE and not owns(process.who, node):
        raise Outside("what O_CREAT does in a sticky directory depends on the host's fs.protected_regular")


def _words(want: int) -> str:
    words = ((READ, "read"), (WRITE, "write"), (EXECUTE, "execute"))
    return " and ".join(word for bit, word in words if want & bit)
