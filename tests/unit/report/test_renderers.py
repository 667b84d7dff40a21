from __future__ import annotations

import re
import time

import pytest
import report_runs
from hypothesis import given
from hypothesis import strategies as st
from report_strategies import quick, runs

from lab.model.record import Run
from lab.model.scenario import Expectation
from lab.model.verdict import Passed
from lab.report import terminal
from lab.report.formats import RENDERERS
from lab.report.style import Style

ANSI = re.compile(r"\x1b\[[0-9;]*m")


@quick
@given(runs(), st.integers(60, 200))
def test_the_tables_fit_the_width(run: Run, width: int) -> None:
    lines = terminal.render(run, Style(width=width)).splitlines()
    assert all(len(line) <= width for line in lines if "permlab show" not in line)


def test_a_very_narrow_terminal_still_gets_everything() -> None:
    text = terminal.render(report_runs.plain(), Style(width=1))
    assert text.count("✔") >= 9
    assert all(len(line) <= 60 for line in text.splitlines())


@quick
@given(runs())
def test_colour_changes_nothing_but_colour(run: Run) -> None:
    plain = terminal.render(run, Style(width=100))
    assert ANSI.search(plain) is None
    assert ANSI.sub("", terminal.render(run, Style(width=100, colour=True))) == plain


@quick
@given(runs())
def test_every_markdown_row_has_all_its_cells(run: Run) -> None:
    text = RENDERERS["markdown"](run, Style())
    for block in text.split("\n\n"):
        rows = [line for line in block.splitlines() if line.startswith("|")]
        assert len({row.count("|") for row in rows}) <= 1


def test_unmet_expectations_come_with_a_command() -> None:
    text = terminal.render(report_runs.single(), Style(width=140))
    assert "! ✗ cwd-not-searchable" in text
    assert "expected denied: exec-not-permitted (phase exec), found denied: cwd-not-searchable (phase chdir)" in text
    assert "permlab show chdir-cwd/busybox/runc-1.0.0-rc93/oci" in text


def test_long_lists_are_cut_and_say_so() -> None:
    wanted = Expectation(verdict="denied")
    records = [
        report_runs.record(
            {"image": "busybox", "n": str(number), "runtime": "runc@1.0.0", "engine": "oci"},
            Passed(),
            expectation=wanted,
        )
        for number in range(12)
    ]
    text = terminal.render(report_runs.run(records), Style(width=80))
    assert text.count("permlab show") == 5
    assert "… and 7 cells more" in text
    assert "any n: 0, 1, 2" in text


@pytest.mark.parametrize("format_name", RENDERERS)
def test_ten_thousand_records_in_two_seconds(format_name: str) -> None:
    verdicts = (Passed(), report_runs.DENIED, report_runs.MKDIR)
    run = report_runs.run(
        report_runs.record(
            {"image": "busybox", "user": str(user), "runtime": f"runc@1.{minor}.0", "engine": "oci"},
            verdicts[(user * 7 + minor * user) % 3],
        )
        for user in range(500)
        for minor in range(20)
    )
    began = time.process_time()
    RENDERERS[format_name](run, Style(width=100))
    assert time.process_time() - began < 2
