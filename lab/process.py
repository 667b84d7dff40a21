"""The only module that starts processes.

Every process gets an argv list (never a shell string), closed or given stdin, a small environment, its own process
group and a deadline; its output comes back as bytes of bounded size. A process that outlives its deadline is asked
to stop (SIGTERM to its group) and, after a grace period, killed (SIGKILL).
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

OUTPUT_LIMIT = 1 << 20
"""Bytes kept of each output stream; what comes after is read and dropped (a container must not fill the disk)."""

GRACE_SECONDS = 2.0
"""Time between the polite SIGTERM and SIGKILL."""

QUIET_SECONDS = 1.0
"""Time after which a caller may look after a process that has not ended yet."""

_running: dict[int, subprocess.Popen[bytes]] = {}

BASE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """As whom a process is started; ``None`` keeps the lab's own value."""

    uid: int | None = None
    gid: int | None = None
    groups: tuple[int, ...] = ()
    umask: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """How a process ended.

    ``returncode`` is the exit code, or ``-N`` for signal N as in :mod:`subprocess`; ``seconds`` is wall time.
    ``truncated`` tells that a stream was longer than ``OUTPUT_LIMIT``.
    """

    argv: tuple[str, ...]
    returncode: int
    stdout: bytes
    stderr: bytes
    seconds: float
    timed_out: bool = False
    truncated: bool = False

    @property
    def ok(self) -> bool:
        """Whether the process ended by itself with exit code 0."""
        return self.returncode == 0 and not self.timed_out

    def tail(self, limit: int = 2000) -> str:
        """The end of stderr (or of stdout when stderr is empty), decoded for people."""
        return (self.stderr or self.stdout)[-limit:].decode("utf-8", "replace").strip()


def small_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """PATH, HOME, a fixed locale, and what the package tools need to reach their registries; nothing else leaks in."""
    env = {"PATH": BASE_PATH, "LC_ALL": "C.UTF-8", "HOME": os.environ.get("HOME", "/")}
    passed = {"SSL_CERT_FILE", "SSL_CERT_DIR", "TMPDIR"}
    env |= {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy") or name in passed}
    if extra:
        env.update(extra)
    return env


def run(
    argv: Sequence[str],
    *,
    deadline: float,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: int | IO[bytes] | None = None,
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
    identity: Identity | None = None,
    pass_fds: Sequence[int] = (),
    output_limit: int = OUTPUT_LIMIT,
    on_deadline: Callable[[], None] | None = None,
    on_quiet: Callable[[int], None] | None = None,
) -> Completed:
    """Start ``argv``, wait for it at most ``deadline`` seconds, and return how it ended.

    ``env`` is the whole environment (default: :func:`small_environment`). ``stdin`` is closed (an empty pipe) unless
    given; ``stdout`` and ``stderr`` are pipes unless given. ``on_deadline`` is called before the process group is
    killed, so that a caller can end what the process has detached. ``on_quiet`` is called with the process's pid
    after every ``QUIET_SECONDS`` of waiting.

    Raises ``FileNotFoundError`` or ``PermissionError`` when the program cannot be started.
    """
    who = identity or Identity()
    started = time.monotonic()
    process = subprocess.Popen(  # noqa: S603  # an argv list, built by the lab
        list(argv),
        env=dict(env) if env is not None else small_environment(),
        cwd=cwd,
        stdin=subprocess.PIPE if stdin is None else stdin,
        stdout=subprocess.PIPE if stdout is None else stdout,
        stderr=subprocess.PIPE if stderr is None else stderr,
        user=who.uid,
        group=who.gid,
        extra_groups=None if who.uid is None else list(who.groups),
        umask=-1 if who.umask is None else who.umask,
        pass_fds=tuple(pass_fds),
        process_group=0,
    )
    if process.stdin is not None:
        process.stdin.close()
    _running[process.pid] = process
    pipes = {"stdout": process.stdout, "stderr": process.stderr}
    collector = Collector({name: pipe.fileno() for name, pipe in pipes.items() if pipe is not None}, output_limit)
    timed_out = not _finish(process, collector, started + deadline, on_quiet)
    if timed_out:
        if on_deadline is not None:
            on_deadline()
        end_group(process)
        collector.drain(time.monotonic() + GRACE_SECONDS)
    for pipe in pipes.values():
        if pipe is not None:
            pipe.close()
    returncode = process.wait()
    _running.pop(process.pid, None)
    return Completed(
        argv=tuple(argv),
        returncode=returncode,
        stdout=collector.bytes_of("stdout"),
        stderr=collector.bytes_of("stderr"),
        seconds=time.monotonic() - started,
        timed_out=timed_out,
        truncated=collector.truncated,
    )


def spawn(
    argv: Sequence[str], *, env: Mapping[str, str] | None = None, log: Path, identity: Identity | None = None
) -> subprocess.Popen[bytes]:
    """Start a long-lived process (a daemon) whose output goes to ``log``; end it with :func:`end_group`."""
    who = identity or Identity()
    with log.open("ab") as out:
        return subprocess.Popen(  # noqa: S603  # an argv list, built by the lab
            list(argv),
            env=dict(env) if env is not None else small_environment(),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            user=who.uid,
            group=who.gid,
            extra_groups=None if who.uid is None else list(who.groups),
            process_group=0,
        )


def end_group(process: subprocess.Popen[bytes], grace: float = GRACE_SECONDS) -> None:
    """Ask the group of a process that this module started to stop; kill what has not after ``grace`` seconds.

    Nothing is sent once the process has been waited for: its number could be another group's by then.
    """
    if process.returncode is not None:
        return
    _signal_group(process.pid, signal.SIGTERM)
    if not _wait(process, time.monotonic() + grace):
        _signal_group(process.pid, signal.SIGKILL)
        _wait(process, time.monotonic() + grace)
    _signal_group(process.pid, signal.SIGKILL)  # those of the group that outlived their leader


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _finish(
    process: subprocess.Popen[bytes], collector: Collector, until: float, on_quiet: Callable[[int], None] | None
) -> bool:
    """Read all output and wait for the end; false when the moment ``until`` came first."""
    while True:
        pause = until if on_quiet is None else min(until, time.monotonic() + QUIET_SECONDS)
        if collector.drain(pause) and _wait(process, pause):
            return True
        if on_quiet is None or time.monotonic() >= until:
            return False
        on_quiet(process.pid)


def _wait(process: subprocess.Popen[bytes], until: float) -> bool:
    try:
        process.wait(max(0.0, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        return False
    return True


def end_all() -> None:
    """End every process that :func:`run` is waiting for, from another thread: the user has had enough.

    What those threads start next is theirs to leave out; call it again until they have ended.
    """
    for process in tuple(_running.values()):
        end_group(process, grace=0.5)


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


class Collector:
    """Reads several descriptors to their end, keeping at most ``limit`` bytes of each; it does not close them."""

    def __init__(self, descriptors: Mapping[str, int], limit: int = OUTPUT_LIMIT) -> None:
        self.truncated = False
        self._limit = limit
        self._open = dict(descriptors)
        self._kept = {name: bytearray() for name in descriptors}

    def bytes_of(self, name: str) -> bytes:
        """What was kept of one descriptor; empty for a name that was not given."""
        return bytes(self._kept.get(name, b""))

    def drain(self, until: float, enough: Callable[[], bool] | None = None) -> bool:
        """Read until all descriptors end, or ``enough()`` says so after a chunk (true).

        False when the moment ``until`` on the monotonic clock came first.
        """
        with selectors.PollSelector() as selector:
            for name, fd in self._open.items():
                selector.register(fd, selectors.EVENT_READ, name)
            while self._open:
                left = until - time.monotonic()
                if left <= 0:
                    return False
                for key, _ in selector.select(left):
                    if not self._take(key.data, key.fd):
                        selector.unregister(key.fd)
                        del self._open[key.data]
                if enough is not None and enough():
                    return True
        return True

    def _take(self, name: str, fd: int) -> bool:
        try:
            chunk = os.read(fd, 65536)
        except OSError:  # the other side of a pseudo-terminal has gone (EIO)
            return False
        room = self._limit - len(self._kept[name])
        self.truncated |= len(chunk) > room
        self._kept[name] += chunk[: max(0, room)]
        return bool(chunk)
