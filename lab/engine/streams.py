"""What a caller gives the runtime as its standard streams, and what was written to them."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from lab.engine.bundle import Bundle
from lab.model.settings import Caller, Stdio
from lab.process import OUTPUT_LIMIT, Collector

NAMES = ("stdin", "stdout", "stderr")


@dataclass(slots=True)
class Streams:
    """Descriptors for stdin, stdout and stderr; a stream that is missing here is a pipe that the caller makes.

    ``kept`` is what was written to files and to the terminal, once all is closed; the terminal's counts as stdout, or
    as stderr where only that is one.
    """

    given: dict[str, int] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    kept: dict[str, bytes] = field(default_factory=dict)
    terminal: int | None = None
    screen: bytes = b""

    def written(self, name: str, piped: bytes) -> bytes:
        """What went to a stream: ``piped`` where it was a pipe, else what its file or the terminal holds."""
        if name in self.kept:
            return self.kept[name]
        if name in self.files:
            return os.pread(self.files[name], OUTPUT_LIMIT, 0)
        return b"" if name in self.given else piped


@contextmanager
def open_streams(bundle: Bundle, caller: Caller) -> Iterator[Streams]:
    """The streams of a caller; all is closed, and the terminal read to its end, when the block ends."""
    streams = Streams()
    if caller.stdin is caller.stdout is caller.stderr is Stdio.PIPE:
        yield streams
        return
    wanted = {name: getattr(caller, name) for name in NAMES}
    slave = -1
    if Stdio.TERMINAL in wanted.values():
        streams.terminal, slave = os.openpty()
    try:
        for name, kind in wanted.items():
            if kind is Stdio.TERMINAL:
                streams.given[name] = os.dup(slave)
            elif kind is not Stdio.PIPE:
                streams.given[name] = _open(bundle, caller, name, kind, streams)
        with _screen(streams, slave):
            yield streams
    finally:
        streams.kept = {name: streams.written(name, b"") for name in streams.files}
        on_screen = next((name for name in ("stdout", "stderr") if wanted[name] is Stdio.TERMINAL), None)
        if on_screen is not None:
            streams.kept[on_screen] = streams.screen
        for fd in streams.given.values():
            os.close(fd)


def _open(bundle: Bundle, caller: Caller, name: str, kind: Stdio, streams: Streams) -> int:
    if kind is Stdio.NULL:
        # never the host's /dev/null: runc 1.1.1 to 1.1.4 and some crun hand it to the container's user
        node = bundle.path / "null"
        if not node.exists():
            os.mknod(node, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        return os.open(node, os.O_RDWR)
    directory = bundle.path if caller.stdio_fixture is None else bundle.fixtures[caller.stdio_fixture]
    path = directory / name
    if kind is Stdio.READ_ONLY_FILE:
        return os.open(path, os.O_RDONLY)
    # read back through this descriptor: the container may put anything in the place of a name
    streams.files[name] = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    return streams.files[name]


@contextmanager
def _screen(streams: Streams, slave: int) -> Iterator[None]:
    """Read the terminal while the block runs, so that nobody blocks on a full one."""
    if streams.terminal is None:
        yield
        return
    collector = Collector({"screen": streams.terminal})
    reader = threading.Thread(target=collector.drain, args=(time.monotonic() + 3600,), daemon=True)
    reader.start()
    try:
        yield
    finally:
        for name in [name for name, fd in streams.given.items() if os.isatty(fd)]:
            os.close(streams.given.pop(name))
        os.close(slave)
        reader.join(5)
        streams.screen = collector.bytes_of("screen").replace(b"\r\n", b"\n")
        os.close(streams.terminal)
