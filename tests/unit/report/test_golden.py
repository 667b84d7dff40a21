"""Every renderer against the files of ``tests/golden``.

After a change that is meant: ``PERMLAB_UPDATE_GOLDEN=1 pytest tests/unit/report`` writes the files anew; read the diff.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import report_runs

from lab.model.record import Run
from lab.report.cell import show
from lab.report.document import schema_text
from lab.report.formats import RENDERERS, SUFFIXES
from lab.report.style import Style

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden"
RUNS: dict[str, Callable[[], Run]] = {
    "plain": report_runs.plain,
    "void": report_runs.void,
    "partial": report_runs.partial,
    "empty": report_runs.empty,
    "hostile": report_runs.hostile,
    "engines": report_runs.engines,
    "single": report_runs.single,
    "only-controls": report_runs.only_controls,
}


def check(path: Path, text: str) -> None:
    if os.environ.get("PERMLAB_UPDATE_GOLDEN"):
        path.write_bytes(text.encode())
    assert text == path.read_bytes().decode()


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("format_name", [name for name in RENDERERS if name != "html"])  # style and script say little
def test_report(format_name: str, name: str) -> None:
    text = RENDERERS[format_name](RUNS[name](), Style(width=100))
    check(GOLDEN / f"report-{name}{SUFFIXES[format_name]}", text)


@pytest.mark.parametrize(("name", "style"), [("narrow", Style(width=48)), ("colour", Style(width=160, colour=True))])
def test_terminal_styles(name: str, style: Style) -> None:
    check(GOLDEN / f"report-plain-{name}.txt", RENDERERS["terminal"](report_runs.plain(), style))


def test_show() -> None:
    record = report_runs.observed()
    check(GOLDEN / "show-observed.txt", show(report_runs.run([record]), record))


def test_show_of_a_skipped_cell() -> None:
    run = report_runs.hostile()
    record = next(one for one in run.records if one.verdict.kind == "skipped")
    check(GOLDEN / "show-skipped.txt", show(run, record))


def test_schema_is_current() -> None:
    check(ROOT / "lab" / "report" / "report.schema.json", schema_text())
