"""The only module that starts processes.

Every process gets an argv list (never a shell string), closed or given stdin, a small environment, its own process
group and a deadline; its output comes back as bytes of bounded size. A process that outlives its deadline is asked
to stop (SIGTERM to its group) and, after a grace period, killed (SIGKILL).
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

OUTPUT_LIMIT = 1 << 20
"""Bytes kept of each output stream; what comes after is read and dropped (a container must not fill the disk)."""

GRACE_SECONDS = 2.0
"""Time between the polite SIGTERM and SIGKILL."""

QUIET_SECONDS = 1.0
"""Time after which a caller may look after a process that has not ended yet."""

_running: dict[int, Started] = {}

_RESTORED = (signal.SIGPIPE, signal.SIGXFSZ)
"""Signals that Python ignores and that a program expects at their defaults."""

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
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
    identity: Identity | None = None,
    pass_fds: Sequence[int] = (),
    output_limit: int = OUTPUT_LIMIT,
    on_deadline: Callable[[], None] | None = None,
    on_quiet: Callable[[int], None] | None = None,
    meanwhile: Callable[[], None] | None = None,
    quick: bool = False,
) -> Completed:
    """Start ``argv``, wait for it at most ``deadline`` seconds, and return how it ended.

    These are seconds in which the lab waits: what ``meanwhile`` takes is not counted, as nobody reads what the process
    writes in that time, and a process that has ended long before must not look late.

    ``env`` is the whole environment (default: :func:`small_environment`). ``stdin``, ``stdout`` and ``stderr`` are
    descriptors; without one, stdin is an empty pipe, and stdout and stderr are pipes that are read. ``on_deadline`` is
    called before the process group is killed, so that a caller can end what the process has detached. ``on_quiet`` is
    called with the process's pid after every ``QUIET_SECONDS`` of waiting. ``meanwhile`` is called once, when the
    process has been started. ``quick`` starts the process by posix_spawn(3), which takes half the time, where the other
    arguments allow that; it counts on :func:`lab.children.keep_descriptors`.

    Raises ``FileNotFoundError`` or ``PermissionError`` when the program cannot be started.
    """
    started = time.monotonic()
    streams, reading = _streams(stdin, stdout, stderr)
    try:
        variables = env if env is not None else small_environment()
        process = _start(
            tuple(argv), variables, streams, who=identity or Identity(), cwd=cwd, fds=tuple(pass_fds), quick=quick
        )
    except BaseException:
        _close(reading.values())
        raise
    finally:
        _close(set(streams) - {stdin, stdout, stderr})
    _running[process.pid] = process
    collector = Collector(reading, output_limit)
    try:
        if meanwhile is not None:
            meanwhile()
        timed_out = not _finish(process, collector, time.monotonic() + deadline, on_quiet)
        if timed_out:
            if on_deadline is not None:
                on_deadline()
            end_group(process)
            collector.drain(time.monotonic() + GRACE_SECONDS)
    except BaseException:  # ^C in the caller's thread: the process, in a group of its own, has not seen it
        end_group(process, grace=0.5)
        raise
    finally:
        _close(reading.values())
        _running.pop(process.pid, None)
    returncode = process.wait()
    return Completed(
        argv=tuple(argv),
        returncode=returncode,
        stdout=collector.bytes_of("stdout"),
        stderr=collector.bytes_of("stderr"),
        seconds=time.monotonic() - started,
        timed_out=timed_out,
        truncated=collector.truncated,
    )


def _streams(*given: int | None) -> tuple[list[int], dict[str, int]]:
    """Descriptors for stdin, stdout and stderr, with new pipes in the place of ``None``, and the ends to read."""
    streams, reading = [], {}
    for name, fd in zip(("stdin", "stdout", "stderr"), given, strict=True):
        if fd is not None:
            streams.append(fd)
            continue
        read, write = os.pipe()
        if name == "stdin":
            os.close(write)
            streams.append(read)
        else:
            reading[name] = read
            streams.append(write)
    return streams, reading


def _close(descriptors: Iterable[int]) -> None:
    for fd in descriptors:
        os.close(fd)


class Started(Protocol):
    """A child of this process: :class:`subprocess.Popen`, or what does as it does."""

    pid: int
    returncode: int | None

    def wait(self, timeout: float | None = None) -> int:
        """The return code, as in :class:`Completed`; raises ``subprocess.TimeoutExpired``."""


def _start(
    argv: tuple[str, ...],
    env: Mapping[str, str],
    streams: Sequence[int],
    *,
    who: Identity,
    cwd: Path | None,
    fds: tuple[int, ...],
    quick: bool,
) -> Started:
    if quick and cwd is None and not fds and who.uid is None and who.umask is None and os.path.isabs(argv[0]):
        return _Spawned(argv, env, streams)
    return subprocess.Popen(  # noqa: S603  # an argv list, built by the lab
        argv,
        env=env,
        cwd=cwd,
        stdin=streams[0],
        stdout=streams[1],
        stderr=streams[2],
        user=who.uid,
        group=who.gid,
        extra_groups=None if who.uid is None else list(who.groups),
        umask=-1 if who.umask is None else who.umask,
        pass_fds=fds,
        process_group=0,
    )


class _Spawned:
    """A process that posix_spawn(3) made."""

    __slots__ = ("_lock", "pid", "returncode")

    def __init__(self, argv: tuple[str, ...], env: Mapping[str, str], streams: Sequence[int]) -> None:
        self._lock = threading.Lock()
        self.returncode: int | None = None
        self.pid = os.posix_spawn(
            argv[0],
            argv,
            env,
            file_actions=[(os.POSIX_SPAWN_DUP2, fd, place) for place, fd in enumerate(streams)],
            setpgroup=0,
            setsigdef=_RESTORED,
        )

    def wait(self, timeout: float | None = None) -> int:
        """The return code; see :class:`Started`."""
        if not self._ended():
            with contextlib.suppress(ProcessLookupError):  # another thread has waited for it just now
                self._sleep(timeout)
            if not self._ended():
                raise subprocess.TimeoutExpired([], timeout or 0)
        assert self.returncode is not None  # noqa: S101  # for the type checker: _ended says so
        return self.returncode

    def _sleep(self, timeout: float | None) -> None:
        descriptor = os.pidfd_open(self.pid)
        try:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            poll.poll(None if timeout is None else timeout * 1000)
        finally:
            os.close(descriptor)

    def _ended(self) -> bool:
        with self._lock:
            if self.returncode is None:
                done, status = os.waitpid(self.pid, os.WNOHANG)
                if done:
                    self.returncode = os.waitstatus_to_exitcode(status)
            return self.returncode is not None


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


def end_group(process: Started, grace: float = GRACE_SECONDS) -> None:
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


def _finish(process: Started, collector: Collector, until: float, on_quiet: Callable[[int], None] | None) -> bool:
    """Read all output and wait for the end; false when the moment ``until`` came first."""
    while True:
        pause = until if on_quiet is None else min(until, time.monotonic() + QUIET_SECONDS)
        if collector.drain(pause) and _wait(process, pause):
            return True
        if on_quiet is None or time.monotonic() >= until:
            return False
        on_quiet(process.pid)


def _wait(process: Started, until: float) -> bool:
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

    def drain(self, until: float, enough: Callable[[], bool] | None = None, beside: int | None = None) -> bool:
        """Read until all descriptors end, or ``enough()`` says so after a chunk (true).

        Where a descriptor ``beside`` is given, until that one has something to read. False when the moment ``until`` on
        the monotonic clock came first.
        """
        poll, names = select.poll(), {fd: name for name, fd in self._open.items()}
        for fd in (*names, *(() if beside is None else (beside,))):
            poll.register(fd, select.POLLIN)
        while self._open or beside is not None:
            left = until - time.monotonic()
            if left <= 0:
                return False
            for fd, _ in poll.poll(left * 1000):
                if fd == beside:
                    return True
                if not self._take(names[fd], fd):
                    poll.unregister(fd)
                    del self._open[names[fd]]
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
