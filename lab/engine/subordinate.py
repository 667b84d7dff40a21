"""Subordinate ids for rootless callers: a range in the lab's private account files, and the tools that map it.

An ordinary user may map a range of other ids only with newuidmap and newgidmap (setuid programs of Debian's package
``uidmap``), which read ``/etc/subuid`` and ``/etc/subgid`` and want an account with the caller's own uid and gid. All
of this is seen by the lab and its children alone, and goes with the workspace: nothing setuid stays in the cache.
"""

from __future__ import annotations

import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path

from lab import process
from lab.engine.workspace import Workspace
from lab.errors import HostError, LabError
from lab.provision.cache import Cache
from lab.provision.debian import fetch, unpack

TOOLS = ("newuidmap", "newgidmap")
SUITE = "bookworm"
"""Its build needs no newer libc than any host that the lab supports."""

_UID_FIELD, _GID_FIELD = 2, 3


@dataclass(slots=True, kw_only=True)
class SubordinateIds:
    """What one run needs to give ranges to its callers. ``cache`` is where the package is kept."""

    workspace: Workspace
    cache: Cache | None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _reason: str | None = None
    _asked: bool = False

    def skip_reason(self) -> str | None:
        """Why no range can be given here, or ``None``; the first call makes the tools ready."""
        with self._lock:
            if not self._asked:
                self._asked = True
                self._reason = self._make_ready()
            return self._reason

    def grant(self, uid: int, gid: int, ids: tuple[int, int], *, alone: bool = False) -> None:
        """Give the caller the range (first id, size), for as long as the run lasts; the same again changes nothing.

        Raises :class:`HostError` when the host has an account with this uid and another gid, or, for a caller that
        takes every range that it has (``alone``), when it has another one.
        """
        with self._lock:
            accounts = self.workspace.root / "accounts"
            rows = [line.split(":") for line in (accounts / "passwd").read_text().splitlines()]
            own = next((row for row in rows if len(row) > _GID_FIELD and row[_UID_FIELD] == str(uid)), None)
            if own is None:
                self.workspace.add_account("passwd", f"permlab-{uid}:x:{uid}:{gid}::/:/usr/sbin/nologin")
            elif own[_GID_FIELD] != str(gid):
                raise HostError(
                    f"uid {uid} is the host's account {own[0]}, whose group is {own[_GID_FIELD]} and not {gid}",
                    resolution="name another uid or gid for the cell's caller",
                )
            line, names = f"{uid}:{ids[0]}:{ids[1]}", {str(uid), own[0] if own is not None else f"permlab-{uid}"}
            for name in ("subuid", "subgid"):
                if alone and (others := _ranges(accounts / name, names) - {line}):
                    raise HostError(
                        f"uid {uid} has another range of subordinate ids: {', '.join(sorted(others))} in /etc/{name}",
                        resolution="name another uid for the cell's caller (caller.uid)",
                    )
                self.workspace.add_account(name, line)

    def _make_ready(self) -> str | None:
        lacking = [n for n in ("passwd", "subuid", "subgid") if not (self.workspace.root / "accounts" / n).is_file()]
        if lacking:
            return f"this host has no /etc/{lacking[0]} that a private copy could stand in for"
        try:
            self.workspace.tools.mkdir()
            for tool, source in self._sources().items():
                target = self.workspace.tools / tool
                shutil.copyfile(source, target)
                target.chmod(0o4755)
                asked = process.run([str(target)], deadline=10)
                if b"usage" not in asked.stderr.lower():
                    return f"{tool} does not run here: {asked.tail()}"
        except (LabError, OSError) as error:
            return f"newuidmap and newgidmap cannot be had: {error}"
        return None

    def _sources(self) -> dict[str, Path]:
        """The tools as files: the host's own, else those of Debian's package."""
        found = {tool: shutil.which(tool, path=process.BASE_PATH) for tool in TOOLS}
        if all(found.values()):
            return {tool: Path(path) for tool, path in found.items() if path is not None}
        if self.cache is None:
            raise HostError("the host has none, and there is no cache to fetch them into")
        unpacked = self.workspace.root / "uidmap"
        unpack(fetch(self.cache, SUITE, ["uidmap"])[0].path, unpacked)
        return {tool: unpacked / "usr" / "bin" / tool for tool in TOOLS}


def _ranges(path: Path, names: set[str]) -> set[str]:
    """The lines of a subuid or subgid file that give one of these names a range."""
    return {line for line in path.read_text().splitlines() if line.partition(":")[0] in names}
