"""What all providers share: running package tools and remembering sources that do not answer."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab.errors import HostError, ProvisionError, SourceUnreachable
from lab.process import Completed, run

BUSY_SECONDS = 5.0
"""How long a program that is still open for writing somewhere is tried again."""


@dataclass(slots=True)
class _State:
    """What this process has learned; guarded by ``lock``."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    silent: dict[str, SourceUnreachable] = field(default_factory=dict)


_STATE = _State()


def tool(
    argv: Sequence[str], *, deadline: float, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Completed:
    """Run a package tool or compiler.

    Raises :class:`HostError` when the program is not on this host, and :class:`ProvisionError` when it failed because
    the disk is full, which apt says in the same breath as that its archive does not answer.
    """
    try:
        done = _run_when_closed(argv, deadline=deadline, env=env, cwd=cwd)
    except FileNotFoundError as error:
        raise HostError(
            f"{argv[0]} is not on this host", resolution=f"install {argv[0]}, or choose another provider"
        ) from error
    if not done.ok and b"no space left on device" in (done.stdout + done.stderr).lower():
        raise ProvisionError(
            "the disk is full",
            details=done.tail(),
            resolution="free space below the cache and the temporary directory, or move PERMLAB_CACHE and TMPDIR",
        )
    return done


def _run_when_closed(
    argv: Sequence[str], *, deadline: float, env: Mapping[str, str] | None, cwd: Path | None
) -> Completed:
    """Run a program that may have been written a moment ago.

    Another thread's fork can hold the file open for writing until it execs: ETXTBSY then passes by itself.
    """
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return run(argv, deadline=deadline, env=env, cwd=cwd)
        except OSError as error:
            if error.errno != errno.ETXTBSY or time.monotonic() > until:
                raise
            time.sleep(0.02)


def require_answer(source: str) -> None:
    """Raise the :class:`SourceUnreachable` that ``source`` already gave in this process, if any."""
    with _STATE.lock:
        before = _STATE.silent.get(source)
    if before is not None:
        raise SourceUnreachable(before.brief, details=before.details, resolution=before.resolution)


def remember_silent(source: str, error: SourceUnreachable) -> SourceUnreachable:
    """Note that ``source`` does not answer, so that it is not asked again in this process; returns ``error``."""
    with _STATE.lock:
        _STATE.silent[source] = error
    return error


def forget_silent() -> None:
    """Ask every source again (for long-lived processes, when the network is back)."""
    with _STATE.lock:
        _STATE.silent.clear()
