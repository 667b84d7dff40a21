"""Wakes a runtime that waits for a container which has already ended.

youki, and runc from 1.3.0 to 1.3.5 and of the same months, begin to listen for SIGCHLD when the container has started
already: they never notice one that ends at once, and `run` waits for ever (opencontainers/runc issue 5208; youki 0.7.0:
measured in 3 of some 60 runs). When the signal comes again they collect their child, and give its own exit code.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from lab import children


def nudge(pid: int) -> None:
    """Send SIGCHLD to a process that has a child which has ended and was not waited for; else do nothing."""
    with contextlib.suppress(OSError):
        if any(_ended(child) for child in children.of(pid)):
            os.kill(pid, signal.SIGCHLD)


def _ended(child: int) -> bool:
    """Whether a process is a zombie: the field after the name, which stands in parentheses, is its state."""
    return Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
