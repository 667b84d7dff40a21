"""The probe's steps, predicted: the lines that it would print, as far as the model knows them.

What a line holds here is meant to be judged by the same rules as a measured one (``lab.classify``), and never stored or
shown as one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType

from lab.model.observation import Fact
from lab.oci.capabilities import BY_NUMBER
from lab.oracle.access import EXECUTE, READ, WRITE, permits
from lab.oracle.credentials import Capabilities
from lab.oracle.files import Files, Outside, Refused
from lab.oracle.ids import Lines
from lab.oracle.making import change_mode, change_owner, existing, make, owned, remove
from lab.oracle.opening import open_file
from lab.oracle.start import Process, may_execute
from lab.oracle.tree import Kind, Node

_ALL_IDS: Lines = ((0, 0, 4294967295),)
Extra = dict[str, object]
Step = Callable[[Files, Process, Sequence[str]], Extra]
"""Carries a step out on the model; returns its facts, raises :class:`Refused` and :class:`Outside`."""


def _identity(process: Process) -> Extra:
    who = process.who
    uids = dict.fromkeys(("ruid", "euid", "suid", "fsuid"), who.uid)
    gids = dict.fromkeys(("rgid", "egid", "sgid", "fsgid"), who.gid)
    return {**uids, **gids, "groups": sorted(who.groups)}


def _capabilities(process: Process) -> Extra:
    who = process.who
    return {
        "caps": {
            "inheritable": _mask(who.inheritable),
            "permitted": _mask(who.permitted),
            "effective": _mask(who.effective),
            "bounding": _mask(who.bounding),
            "ambient": _mask(who.ambient),
        }
    }


@lru_cache(maxsize=256)
def _mask(names: Capabilities) -> str:
    return f"{sum(1 << bit for bit, name in enumerate(BY_NUMBER) if f'CAP_{name}' in names):016x}"


def _maps(process: Process) -> Extra:
    maps = process.who.maps
    return {"uid_map": _map_lines(maps.uids or _ALL_IDS), "gid_map": _map_lines(maps.gids or _ALL_IDS)}


def _map_lines(lines: Lines) -> list[str]:
    return ["".join(f"{number:>10} " for number in line).rstrip() for line in lines]


def _place(process: Process) -> Extra:
    return {"cwd": process.cwd, "cwd_errno": None}


def _umask(process: Process) -> Extra:
    return {"umask": f"{process.umask:04o}"}


def start_fact(process: Process) -> Fact:
    """The first line."""
    return {
        "step": 0,
        "op": "start",
        **_identity(process),
        **_place(process),
        **_umask(process),
        **_capabilities(process),
        "no_new_privs": process.who.no_new_privileges,
        "seccomp": 0,
        **_maps(process),
    }


def _file(process: Process, node: Node) -> Extra:
    uid, gid = process.who.maps.shown(node.uid, node.gid)
    return {"type": str(node.kind), "mode": f"{node.mode:04o}", "uid": uid, "gid": gid}


def _told(facts: Callable[[Process], Extra]) -> Step:
    return lambda _files, process, _args: facts(process)


def _nothing(_files: Files, _process: Process, _args: Sequence[str]) -> Extra:
    return {}


def _stat(files: Files, process: Process, args: Sequence[str]) -> Extra:
    return _file(process, existing(files, process, args[0])[1])


def _lstat(files: Files, process: Process, args: Sequence[str]) -> Extra:
    return _file(process, existing(files, process, args[0], follow=False)[1])


def _readlink(files: Files, process: Process, args: Sequence[str]) -> Extra:
    where, node = existing(files, process, args[0], follow=False)
    if node.kind is not Kind.SYMLINK:
        raise Refused("EINVAL", f"{where} is a {node.kind}")
    return {"target": node.target}


def _ls(files: Files, process: Process, args: Sequence[str]) -> Extra:
    open_file(files, process, args[0], ("rdonly", "directory"))
    return {}


def _read(files: Files, process: Process, args: Sequence[str]) -> Extra:
    if open_file(files, process, args[0], ("rdonly",)).kind is Kind.DIRECTORY:
        raise Refused("EISDIR", f"{args[0]} is a directory")
    return {}


def _opens(*flags: str, facts: bool = False) -> Step:
    def step(files: Files, process: Process, args: Sequence[str]) -> Extra:
        node = open_file(files, process, args[0], flags)
        return _file(process, node) if facts else {}

    return step


def _open(files: Files, process: Process, args: Sequence[str]) -> Extra:
    return _file(process, open_file(files, process, args[0], args[1].split(",")))


def _access(files: Files, process: Process, args: Sequence[str]) -> Extra:
    where, node = existing(files, process, args[0])
    mount = files.mount_of(where)
    granted = {
        "read": permits(process.who, node, READ),
        "write": permits(process.who, node, WRITE),
        "execute": permits(process.who, node, EXECUTE) and not (mount.noexec and node.kind is Kind.FILE),
    }
    told: Extra = {"exists": "ok", **{name: "ok" if good else "EACCES" for name, good in granted.items()}}
    if granted["write"] and mount.readonly and node.kind in {Kind.FILE, Kind.DIRECTORY, Kind.SYMLINK}:
        told["write"] = "EROFS"
    return told


def _octal(text: str) -> int:
    if not re.fullmatch("[0-7]{1,4}", text):
        raise Outside(f"the mode {text!r}")
    return int(text, 8)


def _id(text: str) -> int:
    if not re.fullmatch("-1|[0-9]{1,9}", text):
        raise Outside(f"the id {text!r}")
    return int(text)


def _chdir(files: Files, process: Process, args: Sequence[str]) -> Extra:
    process.cwd = files.directory(process.who, args[0], cwd=process.cwd)
    return _place(process)


def _set_umask(_files: Files, process: Process, args: Sequence[str]) -> Extra:
    before, process.umask = process.umask, _octal(args[0])
    return {"before": f"{before:04o}"}


def _mkdir(files: Files, process: Process, args: Sequence[str]) -> Extra:
    make(files, process, args[0], Node(kind=Kind.DIRECTORY, mode=0o777))
    return {}


def _symlink(files: Files, process: Process, args: Sequence[str]) -> Extra:
    make(files, process, args[1], Node(kind=Kind.SYMLINK, mode=0o777, target=args[0]))
    return {}


def _unlink(files: Files, process: Process, args: Sequence[str]) -> Extra:
    remove(files, process, args[0], directory=False)
    return {}


def _rmdir(files: Files, process: Process, args: Sequence[str]) -> Extra:
    remove(files, process, args[0], directory=True)
    return {}


def _chmod(files: Files, process: Process, args: Sequence[str]) -> Extra:
    change_mode(files, process, args[0], _octal(args[1]))
    return {}


def _utime(files: Files, process: Process, args: Sequence[str]) -> Extra:
    owned(files, process, args[0])
    return {}


def _chown(files: Files, process: Process, args: Sequence[str]) -> Extra:
    change_owner(files, process, args[0], _id(args[1]), _id(args[2]), follow=True)
    return {}


def _lchown(files: Files, process: Process, args: Sequence[str]) -> Extra:
    change_owner(files, process, args[0], _id(args[1]), _id(args[2]), follow=False)
    return {}


def _exec(files: Files, process: Process, args: Sequence[str]) -> Extra:
    if "/" not in args[0]:
        raise Outside(f"how the program {args[0]!r} is found in PATH")
    may_execute(files, process.who, args[0], cwd=process.cwd)
    raise Outside(f"what {args[0]} does once it has started")


_REST = -1
"""All words that remain."""

_STEPS: Mapping[str, tuple[int, Step]] = MappingProxyType(
    {
        "id": (0, _told(_identity)),
        "groups": (0, _told(_identity)),
        "pwd": (0, _told(_place)),
        "caps": (0, _told(_capabilities)),
        "uidmap": (0, _told(_maps)),
        "umask": (0, _told(_umask)),
        **dict.fromkeys(("nnp", "environ", "limits", "rlim", "tty", "namespaces", "hostname", "hold"), (0, _nothing)),
        "env": (1, _nothing),
        "setumask": (1, _set_umask),
        "stat": (1, _stat),
        "lstat": (1, _lstat),
        "readlink": (1, _readlink),
        "ls": (1, _ls),
        "read": (1, _read),
        "cat": (1, _read),
        "touch": (1, _opens("wronly", "creat", facts=True)),
        "append": (1, _opens("wronly", "creat", "append")),
        "write": (2, _opens("wronly", "creat", "trunc")),
        "open": (2, _open),
        "access": (1, _access),
        "chdir": (1, _chdir),
        "mkdir": (1, _mkdir),
        "symlink": (2, _symlink),
        "unlink": (1, _unlink),
        "rmdir": (1, _rmdir),
        "chmod": (2, _chmod),
        "utime": (1, _utime),
        "chown": (3, _chown),
        "lchown": (3, _lchown),
        "exec": (_REST, _exec),
    }
)
"""The steps that the model carries out, and how many words each takes (docs/probe.md)."""


def run_steps(files: Files, process: Process, words: Sequence[str]) -> list[Fact]:
    """The lines of a probe with these arguments; a refused step is told, and the next one follows."""
    facts = [start_fact(process)]
    left = list(words)
    number = 0
    while left:
        number += 1
        op = left.pop(0)
        if op not in _STEPS:
            raise Outside(f"step {number}, {op}")
        count, step = _STEPS[op]
        taken = len(left) if count == _REST else count
        args, left = left[:taken], left[taken:]
        if len(args) < max(count, 1 if count == _REST else 0):
            raise Outside(f"step {number}, {op}, without all its arguments")
        fact: dict[str, object] = {"step": number, "op": op, "args": args}
        try:
            facts.append({**fact, "ok": True, **step(files, process, args)})
        except Refused as refused:
            facts.append({**fact, "ok": False, "errno": refused.errno, "call": op, "why": refused.why})
    return [*facts, {"op": "end", "steps": number}]
