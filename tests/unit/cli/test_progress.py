"""What a log gets of a run's progress."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass

import pytest

from lab.cli import scenarios
from lab.cli.common import style
from lab.cli.main import main
from lab.cli.progress import Progress, interruptible


def test_a_log_gets_lines_and_no_animation(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress() as progress:
        for cells in (1, 2, 3):
            progress.expect(cells)
            progress.note(f"{cells} more")
        assert capsys.readouterr().err == "1 more\n2 more\n3 more\n"
        progress.bar.refresh()
        assert capsys.readouterr().err == "\r0 of 6 cells, 00:00\n"
    assert capsys.readouterr().err.strip() == ""


@dataclass
class Target:
    interrupted: bool = False

    def interrupt(self) -> None:
        self.interrupted = True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_is_told_to_its_target_and_raised_only_when_there_is_none(number: int) -> None:
    before, target = signal.getsignal(number), Target()
    with interruptible() as interruption:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        interruption.reaches(target)
        signal.raise_signal(number)
        assert target.interrupted
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_streams_that_the_caller_closed_are_the_null_device(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(sys, "argv", ["permlab", "plan", "umask"])
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    with pytest.raises(SystemExit) as ended:
        main()
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        assert stream.name == os.devnull
        stream.close()
    signal.signal(signal.SIGTERM, before)
    assert ended.value.code == 0


def test_sigterm_ends_a_command_as_an_interrupt_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(sys, "argv", ["permlab", "scenarios"])
    monkeypatch.setattr(scenarios.command, "callback", lambda **_: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(SystemExit) as ended:
        main()
    signal.signal(signal.SIGTERM, before)
    assert ended.value.code == 130
    assert "interrupted" in capsys.readouterr().err


@pytest.mark.parametrize(("columns", "width"), [("80", 80), ("", 120), ("abc", 120), ("-5", 120)])
def test_a_width_that_is_no_number_is_none(monkeypatch: pytest.MonkeyPatch, columns: str, width: int) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert style().width == width
