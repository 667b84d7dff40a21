"""From the runtime's init to the program: the calls of an era, one after the other, until one is refused."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from typing import Literal, assert_never

from lab.model.verdict import Phase
from lab.oracle.access import EXECUTE, SET_GID, SET_UID, permits
from lab.oracle.credentials import Capabilities, Credentials, apply, become, execute, runtime_init
from lab.oracle.eras import Call, Era
from lab.oracle.files import Files, Outside, Place, Refused
from lab.oracle.ids import IdMaps
from lab.oracle.prediction import Reason
from lab.oracle.spec import ProcessSpec
from lab.oracle.tree import UNMAPPED, Kind, Node

_REFUSALS = frozenset({"EACCES", "EPERM"})


class Stopped(Exception):
    """The container does not start: the verdict, and the cause as ``lab.classify`` names it."""

    def __init__(self, kind: Literal["denied", "failed"], cause: str, phase: Phase) -> None:
        super().__init__(f"{kind}: {cause}")
        self.kind: Literal["denied", "failed"] = kind
        self.cause = cause
        self.phase = phase


@dataclass(slots=True, kw_only=True)
class Process:
    """A process in the container: who it is and where it stands. ``umask`` is what the lab's callers have."""

    who: Credentials
    cwd: str = "/"
    umask: int = 0o022


@dataclass(slots=True, kw_only=True)
class Start:
    """One start. ``held`` is what the runtime's caller has; ``makes_cwd`` is false for ``exec``."""

    era: Era
    files: Files
    spec: ProcessSpec
    maps: IdMaps
    held: Capabilities
    makes_cwd: bool = True
    reasoning: list[Reason] = field(default_factory=list)

    def go(self) -> Process:
        """The process as it stands before its program's first instruction.

        Raises :class:`Stopped` where the runtime would say why it cannot start, and :class:`Outside`.
        """
        process = Process(who=runtime_init(self.held, self.maps))
        unmapped = self._unmapped()
        try:
            if self.makes_cwd and self.era.makes_cwd is not None:
                self._call(self.era.makes_cwd, process)
            there = False
            for call in self.era.calls:
                if call is Call.SET_USER and unmapped is not None:
                    break
                if call is not Call.CHDIR_AGAIN or not there:
                    there = self._call(call, process) or there
        except Stopped:
            if unmapped is not None:
                raise Outside("two reasons not to start: an id that is not mapped, and the working directory") from None
            raise
        if unmapped is not None:
            self._note(Call.SET_USER, process, "EINVAL: the user namespace does not map the id")
            raise unmapped
        return self._execute(process)

    def _unmapped(self) -> Stopped | None:
        uid, gid = self.maps.outside(self.spec.uid, self.spec.gid)
        groups = [self.maps.outside(0, group)[1] for group in self.spec.groups]
        gids = UNMAPPED in {gid, *groups}
        if uid == UNMAPPED and gids:
            raise Outside("a uid and a gid that are not mapped: which one is told depends on the runtime")
        if uid == UNMAPPED:
            return Stopped("denied", "uid-not-mapped", Phase.CREATE)
        return Stopped("denied", "gid-not-mapped", Phase.CREATE) if gids else None

    def _call(self, call: Call, process: Process) -> bool:
        """Make one call; whether the process then stands in its working directory."""
        match call:
            case Call.MAKE_CWD | Call.TRY_MAKE_CWD:
                self._make_cwd(call, process)
            case Call.CHDIR | Call.TRY_CHDIR | Call.CHDIR_AGAIN:
                return self._chdir(call, process)
            case Call.SET_USER:
                process.who = become(process.who, self.spec.uid, self.spec.gid, self.spec.groups)
                self._note(f"{call} {self.spec.uid}:{self.spec.gid}", process, "done")
            case Call.SET_CAPABILITIES:
                if not self.spec.sets.everything <= process.who.bounding:
                    raise Outside("capabilities that the runtime itself does not have")
                process.who = apply(process.who, self.spec.sets, no_new_privileges=self.spec.no_new_privileges)
                self._note(call, process, "done")
            case _:
                assert_never(call)
        return False

    def _note(self, call: str, process: Process, outcome: str) -> None:
        self.reasoning.append(Reason(call=call, who=str(process.who), outcome=outcome))

    def _chdir(self, call: Call, process: Process) -> bool:
        said = f"{call.value.replace('chdir', f'chdir {self.spec.cwd}', 1)}"
        try:
            process.cwd = self.files.directory(process.who, self.spec.cwd)
        except Refused as refused:
            if call is Call.TRY_CHDIR and refused.errno in _REFUSALS:
                self._note(said, process, str(refused))
                return False
            if refused.errno == "ENOENT" and self.makes_cwd and not self.era.missing_cwd_known:
                raise Outside("whether this version makes a missing working directory was not measured") from None
            self._note(said, process, str(refused))
            raise _chdir_verdict(refused.errno) from None
        self._note(said, process, "done")
        return True

    def _make_cwd(self, call: Call, process: Process) -> None:
        """What Go's os.MkdirAll does: nothing where stat(2) shows a directory."""
        said = call.value.replace("cwd", self.spec.cwd, 1)
        try:
            made = self._make_directory(
                process.who, posixpath.normpath(self.spec.cwd), any_mount=call is not Call.MAKE_CWD
            )
        except Refused as refused:
            self._note(said, process, str(refused))
            if call is Call.MAKE_CWD:
                raise _mkdir_verdict(refused.errno) from None
        else:
            self._note(said, process, "made" if made else "it is there")

    def _make_directory(self, who: Credentials, path: str, *, any_mount: bool) -> bool:
        """Make ``path`` and what is missing above it, mode 0755.

        With ``any_mount`` also on a mount that becomes read-only: crun makes the directory before that.
        """
        try:
            place = self.files.walk(who, path)
        except Refused:
            place = Place(path=path, node=None)
        if place.node is not None:
            if place.node.kind is not Kind.DIRECTORY:
                raise Refused("ENOTDIR", f"{place.path} is a {place.node.kind}")
            return False
        if path != "/":
            self._make_directory(who, posixpath.dirname(path), any_mount=any_mount)
        place = self.files.walk(who, path, follow=False)
        if place.node is not None:
            raise Refused("EEXIST", f"{place.path} is a {place.node.kind}")
        if not any_mount:
            self.files.writable(place.path)
        self.files.may_change(who, posixpath.dirname(place.path))
        uid, gid = self.maps.outside(who.uid, who.gid)
        self.files.put(place.path, Node(kind=Kind.DIRECTORY, uid=uid, gid=gid, mode=0o755))
        return True

    def _execute(self, process: Process) -> Process:
        program = self.spec.args[0] if self.spec.args else ""
        if not program.startswith("/"):
            raise Outside(f"how the program {program!r} is found in PATH")
        try:
            node = may_execute(self.files, process.who, program, cwd=process.cwd)
        except Refused as refused:
            self._note(f"execve {program}", process, str(refused))
            raise _exec_verdict(refused.errno) from None
        if not node.probe:
            raise Outside(f"what {program} does once it has started")
        if node.mode & (SET_UID | SET_GID):
            raise Outside(f"{program} is a set-id program")
        process.who = execute(process.who)
        self._note(f"execve {program}", process, "done")
        return process


def may_execute(files: Files, who: Credentials, path: str, *, cwd: str) -> Node:
    """The program that execve(2) would start; raises :class:`Refused` and :class:`Outside`."""
    place = files.walk(who, path, cwd=cwd)
    if place.node is None:
        raise Refused("ENOENT", f"{place.path} does not exist")
    if place.node.kind is not Kind.FILE:
        raise Outside(f"a {place.node.kind} as program")
    if not permits(who, place.node, EXECUTE):
        raise Refused("EACCES", f"no permission to execute {place.path} ({place.node})")
    if files.mount_of(place.path).noexec:
        raise Refused("EACCES", f"{place.path} is on a noexec mount")
    return place.node


def _chdir_verdict(errno: str) -> Stopped:
    match errno:
        case "EACCES":
            return Stopped("denied", "cwd-not-searchable", Phase.CHDIR)
        case "ENOENT":
            return Stopped("failed", "cwd-missing", Phase.CHDIR)
        case "ENOTDIR":
            return Stopped("failed", "cwd-not-directory", Phase.CHDIR)
    raise Outside(f"chdir that ends with {errno}")


def _mkdir_verdict(errno: str) -> Stopped:
    match errno:
        case "EACCES" | "EEXIST" | "EROFS":
            return Stopped("denied", "cwd-not-creatable", Phase.CREATE)
        case "ENOTDIR":
            return Stopped("failed", "cwd-not-directory", Phase.CREATE)
    raise Outside(f"mkdir that ends with {errno}")


def _exec_verdict(errno: str) -> Stopped:
    match errno:
        case "EACCES":
            return Stopped("denied", "exec-not-permitted", Phase.EXEC)
        case "ENOENT":
            return Stopped("failed", "program-not-found", Phase.EXEC)
    raise Outside(f"execve that ends with {errno}")
