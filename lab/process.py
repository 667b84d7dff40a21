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
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

OUTPUT_LIMIT = 1 << 20
"""Bytes kept of each output stream; what comes after is read and dropped (a container must not fill the disk)."""

GRACE_SECONDS = 2.0
"""Time between the polite SIGTERM and SIGKILL."""

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
    on_start: Callable[[int], None] | None = None,
    on_deadline: Callable[[], None] | None = None,
) -> Completed:
    """Start ``argv``, wait for it at most ``deadline`` seconds, and return how it ended.

    ``env`` is the whole environment (default: :func:`small_environment`). ``stdin`` is closed (an empty pipe) unless
    given; ``stdout`` and ``stderr`` are pipes unless given. ``on_start`` gets the pid; ``on_deadline`` is called
    before the process group is killed, so that a caller can end what the process has detached.

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
    if on_start is not None:
        on_start(process.pid)
    reader = _Reader(process, output_limit)
    timed_out = not reader.drain(started + deadline) or not _wait(process, started + deadline)
    if timed_out:
        if on_deadline is not None:
            on_deadline()
        end_group(process)
        reader.drain(time.monotonic() + GRACE_SECONDS)
    reader.close()
    return Completed(
        argv=tuple(argv),
        returncode=process.wait(),
        stdout=bytes(reader.kept["stdout"]),
        stderr=bytes(reader.kept["stderr"]),
        seconds=time.monotonic() - started,
        timed_out=timed_out,
        truncated=reader.truncated,
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
    """Ask the group of a process that this module started to stop; kill it when it has not after ``grace`` seconds."""
    if process.poll() is not None:
        return
    for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, grace)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        if _wait(process, time.monotonic() + patience):
            return


def _wait(process: subprocess.Popen[bytes], until: float) -> bool:
    try:
        process.wait(max(0.0, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        return False
    return True


@dataclass(slots=True)
class _Reader:
    """Reads both pipes of a process, keeping at most ``limit`` bytes of each."""

    process: subprocess.Popen[bytes]
    limit: int
    truncated: bool = False
    kept: dict[str, bytearray] = field(default_factory=lambda: {"stdout": bytearray(), "stderr": bytearray()})
    _open: dict[str, IO[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, stream in (("stdout", self.process.stdout), ("stderr", self.process.stderr)):
            if stream is not None:
                self._open[name] = stream

    def drain(self, until: float) -> bool:
        """Read until both pipes end (true) or the moment ``until`` on the monotonic clock has come (false)."""
        with selectors.PollSelector() as selector:
            for name, stream in self._open.items():
                selector.register(stream, selectors.EVENT_READ, name)
            while self._open:
                left = until - time.monotonic()
                if left <= 0:
                    return False
                for key, _ in selector.select(left):
                    if not self._take(key.data, key.fd):
                        selector.unregister(key.fileobj)
                        self._open.pop(key.data).close()
        return True

    def _take(self, name: str, fd: int) -> bool:
        chunk = os.read(fd, 65536)
        room = self.limit - len(self.kept[name])
        self.truncated |= len(chunk) > room
        self.kept[name] += chunk[: max(0, room)]
        return bool(chunk)

    def close(self) -> None:
        for stream in self._open.values():
            stream.close()
        self._open.clear()
