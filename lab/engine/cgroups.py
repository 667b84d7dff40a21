"""The cgroups of a run, in every hierarchy that lets the lab: made, looked into, emptied, removed."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def hierarchies() -> tuple[Path, ...]:
    """Where cgroup file systems are mounted, by this process's mount table; not directories that only look like one."""
    rows = (line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines())
    return tuple(Path(row[4]) for row in rows if row[row.index("-") + 1] in {"cgroup", "cgroup2"})


def make_cgroups(path: str) -> None:
    """Make a cgroup of the lab in every hierarchy that lets the lab.

    The top of a hierarchy has mode 0555: a runtime that was left without CAP_DAC_OVERRIDE could not make the parent of
    its container's cgroup there, and the outcome of such a cell would depend on which cell came first.
    """
    for hierarchy in hierarchies():
        with contextlib.suppress(OSError):
            (hierarchy / path.lstrip("/")).mkdir()


def remove_cgroups(path: str) -> None:
    """Remove a cgroup of the lab, deepest first, from every hierarchy; processes in it are killed first."""
    for hierarchy in hierarchies():
        top = hierarchy / path.lstrip("/")
        if not top.is_dir():
            continue
        for directory, _, _ in os.walk(top, topdown=False):
            kill_cgroup(Path(directory))
            for _ in range(100):
                try:
                    os.rmdir(directory)
                    break
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.01)


def processes_in(parent: str, name: str) -> tuple[int, ...] | None:
    """The pids in the cgroup ``name`` below one of the lab; ``None`` where there is none, or none any more."""
    for hierarchy in hierarchies():
        with contextlib.suppress(OSError):  # not there (ENOENT), or going (ENODEV)
            return tuple(map(int, (hierarchy / parent.lstrip("/") / name / "cgroup.procs").read_text().split()))
    return None


def kill_cgroups(path: str) -> None:
    """SIGKILL to every process in a cgroup of the lab and below it."""
    for hierarchy in hierarchies():
        for directory, _, _ in os.walk(hierarchy / path.lstrip("/"), topdown=False):
            kill_cgroup(Path(directory))


def in_cgroup(path: str, argv: Sequence[str]) -> tuple[str, ...]:
    """A command that starts ``argv`` in a cgroup of the lab, made when missing: it and its children end with the run.

    One hierarchy is enough to find them again, and a move costs milliseconds in each.
    """
    for hierarchy in hierarchies():
        with contextlib.suppress(OSError):
            place = hierarchy / path.lstrip("/")
            place.mkdir(exist_ok=True)
            return "/bin/sh", "-c", 'echo $$ > "$0"; exec "$@"', str(place / "cgroup.procs"), *argv
    return tuple(argv)


def kill_cgroup(directory: Path) -> None:
    """SIGKILL to every process in one cgroup."""
    with contextlib.suppress(OSError):
        for pid in (directory / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), 9)
