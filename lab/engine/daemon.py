"""A long-lived process that an engine starts for itself: started, watched, ended."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab import process
from lab.engine.cgroups import in_cgroup, kill_cgroups
from lab.errors import EngineError

START_DEADLINE = 30.0
STOP_GRACE = 5.0
_TAIL = 600
_PAUSE = 0.02
_SIGNAL_BASE = 128


@dataclass(slots=True, kw_only=True)
class Daemon:
    """One daemon.

    ``env`` is its whole environment (the run's own, so that `permlab clean` finds it), ``log`` what it writes;
    ``ready`` tells whether it answers. ``cgroup`` is one below the run's: what the daemon starts and leaves to itself
    (the shims of containerd) ends with the run.
    """

    argv: Sequence[str]
    env: Mapping[str, str]
    log: Path
    ready: Callable[[], bool]
    cgroup: str
    _started: subprocess.Popen[bytes] | None = field(init=False, default=None)

    @property
    def name(self) -> str:
        """What its log is called after, for messages."""
        return self.log.stem

    def start(self, deadline: float = START_DEADLINE) -> None:
        """Start it and wait until it answers, for ``deadline`` seconds.

        Raises :class:`EngineError` with the end of its log when it ends instead, or does not answer in time.
        """
        self._started = process.spawn(in_cgroup(self.cgroup, self.argv), env=self.env, log=self.log)
        until = time.monotonic() + deadline
        while not self.ready():
            if not self.alive:
                raise EngineError(f"{self.name} ended while it was starting", details=self.tail())
            if time.monotonic() > until:
                self.stop()
                raise EngineError(f"{self.name} did not answer within {deadline:g} s", details=self.tail())
            time.sleep(_PAUSE)

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._started is not None and self._started.poll() is None

    @property
    def pid(self) -> int | None:
        """Its process id, while it runs."""
        return self._started.pid if self._started is not None and self.alive else None

    def signal(self, number: int) -> None:
        """Send it a signal; no error when it has ended."""
        if self._started is not None:
            self._started.send_signal(number)

    def stop(self) -> None:
        """End it, politely first, and what it left to itself; safe to call when it never ran."""
        if self._started is not None:
            process.end_group(self._started, grace=STOP_GRACE)
            kill_cgroups(self.cgroup)

    def ending(self) -> str | None:
        """How it ended, for messages; ``None`` while it runs."""
        if self._started is None or self.alive:
            return None
        code = self._started.returncode
        number = -code if code < 0 else code - _SIGNAL_BASE
        if number > 0:
            return f"{self.name} was ended by signal {number}"
        return f"{self.name} ended with exit code {code}: {self.tail().rpartition(chr(10))[2]}"

    def tail(self) -> str:
        """The end of its log."""
        try:
            return self.log.read_bytes()[-_TAIL:].decode("utf-8", "replace").strip()
        except FileNotFoundError:
            return ""
