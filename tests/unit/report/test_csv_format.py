from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
import report_runs
from hypothesis import given
from hypothesis import strategies as st
from report_strategies import quick, runs

from lab.model.record import Run
from lab.model.verdict import Errored, Passed
from lab.report.csv_format import COLUMNS, render
from lab.report.expectations import held
from lab.report.style import Style

DOCS = Path(__file__).parents[3] / "docs"
STARTS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # noqa: RUF001  # spreadsheets take full-width signs too


def read(run: Run) -> list[dict[str, str]]:
    text = render(run, Style())
    assert text.endswith("\r\n")
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert {len(row) for row in rows} == {len(rows[0])}
    assert tuple(rows[0][: len(COLUMNS)]) == COLUMNS
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def with_reason(text: str) -> Run:
    return report_runs.run([report_runs.record({"image": "busybox", "runtime": "runc@1.0.0"}, Errored(reason=text))])


@quick
@given(runs())
def test_one_row_for_each_record(run: Run) -> None:
    rows = read(run)
    assert [(row["cell"], row["verdict"]) for row in rows] == [(one.cell, one.verdict.kind) for one in run.records]
    assert [row["held"] for row in rows] == [
        {True: "true", False: "false", None: ""}[held(record)] for record in run.records
    ]
    for row, record in zip(rows, run.records, strict=True):
        axes = {name.removeprefix("axis:"): value for name, value in row.items() if name.startswith("axis:") and value}
        assert axes == record.axes


@quick
@given(st.text(st.characters()))
def test_no_text_starts_a_formula(text: str) -> None:
    (row,) = read(with_reason(text))
    assert not any(part.lstrip().startswith(STARTS) for part in row["text"].split(";"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("  @SUM(1)", "'  @SUM(1)"),
        ('a;=HYPERLINK("http://x")', 'a;\'=HYPERLINK("http://x")'),
        ("\t=1", "\\t=1"),
        ("1 - 1 = 0", "1 - 1 = 0"),
        ('say "no",\nthen\x00', 'say "no",\\nthen\\x00'),
    ],
)
def test_texts_of_strangers(text: str, shown: str) -> None:
    (row,) = read(with_reason(text))
    assert row["text"] == shown


def test_facts_of_a_refusal() -> None:
    (row,) = read(report_runs.run([report_runs.observed()]))
    assert (row["cause"], row["phase"], row["exit_code"], row["seconds"]) == (
        "cwd-not-searchable",
        "chdir",
        "137",
        "0.0433",
    )
    assert (row["expected"], row["held"], row["text_differs"]) == ("passed", "false", "true")
    assert row["runtime_sha256"] == report_runs.SHA


def test_an_axis_named_as_a_formula_or_a_column() -> None:
    axes = {"image": "busybox", "=1": "-1", "verdict": "x", "runtime": "runc@1.0.0"}
    (row,) = read(report_runs.run([report_runs.record(axes, Passed())]))
    assert (row["axis:=1"], row["axis:verdict"], row["verdict"]) == ("'-1", "x", "passed")


def test_every_column_is_documented() -> None:
    text = (DOCS / "report-format.md").read_text(encoding="utf-8")
    assert [column for column in COLUMNS if f"`{column}`" not in text] == []
