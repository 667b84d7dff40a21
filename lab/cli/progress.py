"""What a user sees while cells run: a bar on stderr, and ^C that ends everything."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Protocol, Self

from tqdm import tqdm

from lab.cli.common import tell
from lab.model.record import Record


@dataclass(slots=True, kw_only=True)
class Progress:
    """Tells the user what goes on, on stderr: a bar on a terminal; in a log, a line now and then.

    ``so_far``, where given, is called once, when at least half of the cells are there and slow builds still run.
    ``watch`` gets every record. ``expect`` tells how many cells are to come.
    """

    so_far: Callable[[], None] | None = None
    watch: Callable[[Record], None] | None = None
    bar: tqdm[Any] = field(init=False)
    terminal: bool = field(init=False)

    def __post_init__(self) -> None:
        self.terminal = sys.stderr.isatty()
        tqdm.monitor_interval = 0  # no thread of its own beside the lab's
        self.bar = tqdm(
            total=0,
            unit="cell",
            file=sys.stderr,
            dynamic_ncols=True,
            mininterval=0.5 if self.terminal else 10.0,
            bar_format=None if self.terminal else "{n_fmt} of {total_fmt} cells, {elapsed}\n",
            leave=self.terminal,
            delay=1e-9,  # nothing to show before the first ``expect``
        )

    def expect(self, cells: int) -> None:
        """That many more cells are to come."""
        self.bar.total = (self.bar.total or 0) + cells
        if self.terminal:
            self.bar.refresh()

    def note(self, line: str) -> None:
        """A line above the bar."""
        if self.terminal:
            self.bar.write(line, file=sys.stderr)
        else:
            tell(line)

    def done(self, record: Record) -> None:
        """One more cell."""
        self.bar.update()
        if self.watch is not None:
            self.watch(record)

    def pause(self) -> None:
        """What is known so far, when at least half of it is there."""
        if self.so_far is not None and self.bar.n * 2 >= (self.bar.total or 0):
            with tqdm.external_write_mode(file=sys.stderr):
                self.so_far()
            self.so_far = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()


class Interruptible(Protocol):
    """What can be told that the user has had enough: a session, or what else runs containers."""

    interrupted: bool

    def interrupt(self) -> None:
        """Note it, and end soon."""


@dataclass(slots=True)
class Interruption:
    """Where ^C and SIGTERM go: to ``target``, once there is one."""

    target: Interruptible | None = None

    def reaches(self, target: Interruptible) -> None:
        """From now on the target is told."""
        self.target = target

    def handle(self, _number: int, _frame: FrameType | None) -> None:
        """Tell the target; without one, or when it has been told, raise ``KeyboardInterrupt`` here and now."""
        if self.target is None or self.target.interrupted:
            raise KeyboardInterrupt
        self.target.interrupt()


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """^C and SIGTERM end politely what they reach, a second one at once. For the block that opens and closes it, too.

    A target is told, and raises in its own time: where the signal meets the program could be inside a lock, or while
    daemons are being ended.
    """
    interruption = Interruption()
    previous = {number: signal.signal(number, interruption.handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interruption
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
