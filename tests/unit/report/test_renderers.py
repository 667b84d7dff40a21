from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
import report_runs
from hypothesis import given
from hypothesis import strategies as st
from report_strategies import quick, runs

from lab.model.record import Run
from lab.model.scenario import Expectation
from lab.model.verdict import Passed
from lab.report import terminal
from lab.report.formats import PICTURES, RENDERERS, SUFFIXES
from lab.report.style import Style
from lab.report.summary import build
from lab.store.runs import create, read

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


def test_very_many_values_in_one_row_are_counted() -> None:
    records = [
        report_runs.record(
            {"image": "busybox", "n": str(number), "runtime": "runc@1.0.0", "engine": "oci"},
            report_runs.DENIED if number == 7 else Passed(),
        )
        for number in range(100)
    ]
    text = terminal.render(report_runs.run(records), Style(width=100))
    assert "… (99 of 100)" in text.replace("\n", " ")


def test_what_formats_share_is_made_once_for_each_run() -> None:
    run = report_runs.plain()
    first = build(run)
    assert build(run) is first
    assert build(replace(run)) is not first
    assert build(report_runs.void()).run.void


def test_every_format_has_a_suffix() -> None:
    assert list(SUFFIXES) == [*RENDERERS, *PICTURES]
    assert len(set(SUFFIXES.values())) == len(SUFFIXES)


@pytest.mark.parametrize("name", ["plain", "partial", "hostile", "void"])
@pytest.mark.parametrize("format_name", RENDERERS)
def test_a_stored_run_renders_as_the_one_in_memory(tmp_path: Path, format_name: str, name: str) -> None:
    run: Run = getattr(report_runs, name)()
    with create(tmp_path, run.header) as writer:
        for kind, known in (("runtime", run.runtimes), ("image", run.images), ("config", run.configs)):
            for digest, facts in known.items():
                writer.describe(kind, digest, facts)
        for record in run.records:
            writer.record(record)
        if run.finished:
            writer.finish()
    stored = replace(read(writer.path), finished=run.finished)
    assert RENDERERS[format_name](stored, Style()) == RENDERERS[format_name](run, Style())


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
