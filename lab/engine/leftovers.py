"""Finds and removes what a killed run left: only what carries the lab's own label."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from lab.engine.cgroups import CGROUPS, remove_cgroups
from lab.engine.workspace import PREFIX, burning_beacons

_ID = r"\d{8}-\d{6}-[0-9a-f]{4}"
_RUN = re.compile(rf"{PREFIX}({_ID})")
_MARKS = re.compile(rf"(?:PERMLAB_RUN=|{PREFIX})({_ID})".encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """What one run that has ended left behind; ``alive`` is set when its lab still runs, and nothing is removed."""

    run_id: str
    alive: bool
    directories: tuple[Path, ...]
    cgroups: tuple[str, ...]
    pids: tuple[int, ...]


def find_leftovers() -> tuple[Leftover, ...]:
    """Everything with the lab's label: directories in the temporary directory, cgroups, processes."""
    directories: dict[str, list[Path]] = {}
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        found = _RUN.match(path.name)
        if found and path.is_dir() and not path.is_symlink():
            directories.setdefault(found[1], []).append(path)
    cgroups = {
        found[1]
        for top in (CGROUPS, *CGROUPS.glob("*/"))
        for path in top.glob(f"{PREFIX}*")
        if (found := _RUN.match(path.name))
    }
    processes, alive = _processes(), burning_beacons()
    return tuple(
        Leftover(
            run_id=run_id,
            alive=run_id in alive,
            directories=tuple(directories.get(run_id, ())),
            cgroups=(f"/{PREFIX}{run_id}",) if run_id in cgroups else (),
            pids=tuple(processes.get(run_id, ())),
        )
        for run_id in sorted({*directories, *cgroups, *processes})
    )


def remove(leftover: Leftover) -> None:
    """End the processes, then remove cgroups and directories."""
    for pid in leftover.pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    for cgroup in leftover.cgroups:
        remove_cgroups(cgroup)
    until = time.monotonic() + 5
    while time.monotonic() < until and leftover.run_id in _processes():
        time.sleep(0.05)
    for directory in leftover.directories:
        shutil.rmtree(directory, ignore_errors=True)


def _processes() -> dict[str, list[int]]:
    """Processes by run: started by its lab (the mark in their environment), or living on its mounts."""
    found: dict[str, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                text = (entry / "environ").read_bytes() + (entry / "mountinfo").read_bytes()
                for run_id in {match.decode() for match in _MARKS.findall(text)}:
                    found.setdefault(run_id, []).append(int(entry.name))
    return found
