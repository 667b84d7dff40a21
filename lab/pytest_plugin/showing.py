"""How the plugin speaks to the user while tests run: above pytest's own lines, past its capturing."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from lab.model.record import Record
from lab.report.escape import escape_text
from lab.supply import WORTH_TELLING


@dataclass(frozen=True, slots=True)
class Showing:
    """A listener of the lab's session that shows its notes."""

    config: pytest.Config

    def note(self, line: str) -> None:
        """Show a line."""
        with self.uncaptured():
            self.write(line)

    def done(self, record: Record) -> None:
        """The cell's item tells."""

    def pause(self) -> None:
        """Nothing is shown in between."""

    @contextmanager
    def uncaptured(self) -> Generator[None]:
        """While the block lasts, what is written reaches the terminal."""
        manager = self.config.pluginmanager.getplugin("capturemanager")
        with manager.global_and_fixture_disabled() if manager else contextlib.nullcontext():
            yield

    @contextmanager
    def slow(self, line: str) -> Generator[None]:
        """Write a line where nothing is captured, when the block takes long enough for somebody to wonder."""
        timer = threading.Timer(WORTH_TELLING, self.write, [line])
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def write(self, line: str) -> None:
        """Write a line, where nothing is captured; of a worker of pytest-xdist nobody sees more than stderr."""
        reporter = self.config.pluginmanager.getplugin("terminalreporter")
        if reporter is None or hasattr(self.config, "workerinput"):
            print(f"permlab: {escape_text(line)}", file=sys.stderr, flush=True)  # noqa: T201  # there is no reporter
        else:
            reporter.ensure_newline()
            reporter.write_line(f"permlab: {escape_text(line)}")
