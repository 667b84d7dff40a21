"""What a log gets of a run's progress."""

from __future__ import annotations

import pytest

from lab.cli.progress import Progress


def test_a_log_gets_lines_and_no_animation(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress() as progress:
        for cells in (1, 2, 3):
            progress.expect(cells)
            progress.note(f"{cells} more")
        assert capsys.readouterr().err == "1 more\n2 more\n3 more\n"
        progress.bar.refresh()
        assert capsys.readouterr().err == "\r0 of 6 cells, 00:00\n"
    assert capsys.readouterr().err.strip() == ""
