"""What this process has besides the children that it starts: adopted ones, and inherited descriptors."""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Collection, Iterator
from pathlib import Path


def keep_descriptors() -> None:
    """Let no process that this one starts inherit a descriptor that this one was started with, but the three streams.

    :class:`subprocess.Popen` sees to that by itself, posix_spawn(3) does not; all that Python opens is marked anyway.
    """
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the descriptor of the listing itself
            if int(name) not in {0, 1, 2}:
                os.set_inheritable(int(name), False)  # noqa: FBT003  # the standard library's signature


def wait_orphan(pid: int, until: float) -> int | None:
    """The return code of a process that this one adopted (it is a subreaper), as in :class:`Completed`.

    ``None`` when it did not end before the moment ``until`` on the monotonic clock, or is no child of this process.
    """
    while True:
        try:
            done, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            return None
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= until:
            return None
        time.sleep(0.002)


def has_ended(pid: int, until: float) -> bool:
    """Wait until a process, which need not be a child, has ended; false when the moment ``until`` came first."""
    try:
        ended = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(ended, select.POLLIN)
        return bool(poll.poll(max(0.0, until - time.monotonic()) * 1000))
    finally:
        os.close(ended)


def reap_adopted(names: Collection[str], until: float) -> None:
    """Wait for the children of these names, until the moment ``until`` on the monotonic clock.

    For children that this process adopted; ``names`` must be none of a program that it starts itself.
    """
    while left := [pid for pid, name in _children() if name in names]:
        for pid in left:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        if time.monotonic() >= until:
            return
        time.sleep(0.01)


def _children() -> Iterator[tuple[int, str]]:
    """The (pid, name) of every child of this process."""
    for child in of(os.getpid()):
        if name := name_of(child):
            yield child, name


def of(pid: int) -> tuple[int, ...]:
    """The children of a process; none for one that has gone."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for path in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (path / "children").read_text().split())
    return tuple(found)


def name_of(pid: int) -> str:
    """What ps(1) calls a process; empty for one that has gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().rstrip("\n")
    except OSError:
        return ""


def saying(word: str) -> tuple[int, ...]:
    """The processes that have ``word`` among their arguments, alone or as ``--option=word``."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                arguments = (entry / "cmdline").read_bytes().split(b"\0")
                if word.encode() in {argument.rpartition(b"=")[2] for argument in arguments}:
                    found.append(int(entry.name))
    return tuple(found)
