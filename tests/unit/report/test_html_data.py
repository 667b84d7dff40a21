"""The data blocks of the page say what the run says."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import report_runs

from lab.model.record import Run
from lab.report.html.data import details_block, line, matrix_block, tables
from lab.report.html.frame import json_block
from lab.report.summary import build

TEXT = "</script><!--<script>\x1b[1m\u202e\u2028\udcff"


def blocks(run: Run) -> tuple[dict[str, Any], dict[str, Any]]:
    report = build(run)
    matrix, records = matrix_block(report, tables(report))
    return json.loads(json_block(matrix)), json.loads(json_block(details_block(report, records)))


@pytest.mark.parametrize("name", ["plain", "partial", "void", "only_controls", "engines", "single", "hostile", "empty"])
def test_every_cell_stands_once_with_its_outcome(name: str) -> None:
    run: Run = getattr(report_runs, name)()
    matrix, details = blocks(run)
    verdicts = {record.cell: record.verdict.kind for record in run.records}
    assert {
        cell: matrix["outcomes"][place][0] for cell, place in zip(matrix["ids"], matrix["cells"], strict=True)
    } == verdicts
    assert len(details["cells"]) == len(run.records)
    numbers = [cell for table in matrix["scenarios"] for row in table["cells"] for cell in row if cell >= 0]
    assert sorted(numbers) == list(range(len(run.records)))


def test_a_row_and_a_column_say_the_axes_of_their_cell() -> None:
    run = report_runs.engines()
    matrix, _ = blocks(run)
    axes = {record.cell: dict(record.axes) for record in run.records}
    for table in matrix["scenarios"]:
        for row, cells in zip(table["rows"], table["cells"], strict=True):
            values = {name: known[place] for (name, known), place in zip(table["axes"], row, strict=True)}
            for (family, version, engine, _, _), cell in zip(table["columns"], cells, strict=True):
                if cell >= 0:
                    told = {**dict(table["fixed"]), **values, "runtime": f"{family}@{version}", "engine": engine}
                    assert {name: value for name, value in told.items() if value is not None} == axes[
                        matrix["ids"][cell]
                    ]


def test_eras_are_adjacent_versions_that_are_equal_in_every_row() -> None:
    matrix, _ = blocks(report_runs.plain())
    columns = matrix["scenarios"][0]["columns"]
    assert [(version, era) for family, version, _, _, era in columns if family == "runc"] == [
        ("1.0.0-rc9", 0),
        ("1.0.0-rc10", 1),
        ("1.0.0-rc92", 1),
        ("1.0.0-rc93", 2),
        ("1.0.0-rc93+debian11", 2),
        ("1.0.0-rc94", 3),
        ("1.1.5", 3),
        ("1.1.15+debian13", 3),
        ("1.5.2", 3),
    ]
    assert [era for family, *_, era in columns if family != "runc"] == [4, 4, 5]  # no era spans two runtimes


@pytest.mark.parametrize(
    ("version", "named"),
    [("1.0.0-rc93+debian11", "1.0"), ("1.10.2", "1.10"), ("7", "7.0"), ("0.0-20221219", "0.0"), ("mine", "other")],
)
def test_the_line_of_a_version(version: str, named: str) -> None:
    assert line(version) == named


def test_configs_expectations_and_texts_are_kept_once() -> None:
    run = report_runs.plain()
    _, details = blocks(run)
    assert list(details["configs"]) == [report_runs.CONFIG]
    assert len(details["expectations"]) == 2
    assert len(details["texts"]) == len(set(details["texts"]))


def test_no_text_leaves_its_block() -> None:
    written = json_block({TEXT: [TEXT]})
    assert written.isascii()
    assert "<" not in written
    assert json.loads(written) == {TEXT: [TEXT]}


def test_where_the_cache_lay_is_not_told() -> None:
    record = report_runs.observed()
    run = report_runs.run([record])
    runtime = {**run.runtimes[report_runs.SHA], "path": "/cache/runc"}
    _, details = blocks(replace(run, runtimes={report_runs.SHA: runtime}))
    assert "runc --root '/a b' run x" in details["texts"]
    assert not any("/cache" in text for text in details["texts"])
    assert "path" not in details["runtimes"][report_runs.SHA]
    assert "rootfs" not in json.dumps(details["images"])


def test_output_that_is_no_fact_is_one_text() -> None:
    _, details = blocks(report_runs.run([report_runs.observed()]))
    *_, facts, output, _host = details["cells"][0][-1]
    texts = details["texts"]
    assert [json.loads(texts[fact])["op"] for fact in facts] == ["start", "open", "end"]
    assert texts[output] == "\x1b[2Jnoise \udcff"
