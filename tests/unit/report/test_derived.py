"""What was worked out from a rule is never shown as if it had been measured."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest
import report_runs

from lab.classify.again import judged_again
from lab.comparison import Side, compare
from lab.model.observation import DERIVED, Observation
from lab.model.record import Record, Run
from lab.model.verdict import Denied, Passed
from lab.report.cell import show
from lab.report.diff_formats import DIFF_RENDERERS
from lab.report.formats import RENDERERS
from lab.report.style import Style

REFUSAL = "container has runAsNonRoot and image will run as root"


def record(runtime: str, refusal: str | None) -> Record:
    axes = {"image": "busybox", "user": "0", "runtime": runtime, "engine": "cri"}
    return judged_again(report_runs.record(axes, Passed(), observation=Observation(refusal=refusal)))


def run() -> Run:
    """Three cells: derived, the same said by a platform, and passed."""
    return report_runs.run(
        [
            record("runc@1.1.5", f"{DERIVED}: {REFUSAL}"),
            replace(record("runc@1.3.6", None), verdict=record("runc@1.1.5", f"{DERIVED}: {REFUSAL}").verdict),
            record("runc@1.5.2", None),
        ]
    )


def told(form: str) -> str:
    return RENDERERS[form](run(), Style(width=160))


def test_the_record_knows() -> None:
    derived, said, passed = run().records
    assert (derived.derived, said.derived, passed.derived) == (True, False, False)
    assert isinstance(derived.verdict, Denied)
    assert derived.verdict == said.verdict


@pytest.mark.parametrize("form", ["terminal", "markdown", "html"])
def test_the_tables_mark_it_and_the_summary_counts_it(form: str) -> None:
    text = told(form)
    assert "✗ run-as-non-root (derived)" in text
    assert "1 derived from a rule, not measured" in text
    assert DERIVED in text


def test_equal_answers_of_which_one_was_measured_are_not_joined() -> None:
    assert "1.1.5, 1.3.6" not in told("markdown")
    (found,) = json.loads(told("statements"))["scenarios"]["chdir-cwd"]["statements"]
    assert [(one["derived"], one["versions"]) for one in found["fails"]] == [(True, ["1.1.5"]), (False, ["1.3.6"])]


def test_programs_are_told() -> None:
    document = json.loads(told("json"))
    assert [cell["derived"] for cell in document["cells"]] == [True, False, False]
    assert document["summary"]["derived"] == 1
    assert [row["derived"] for row in csv.DictReader(io.StringIO(told("csv")))] == ["true", "false", "false"]
    assert '<property name="derived" value="1 cell" />' in told("junit")
    assert f"{DERIVED}: {REFUSAL}" in told("junit")


def test_the_picture_marks_it() -> None:
    assert "(derived)" in told("svg")


def test_one_record_and_diffs_tell_it() -> None:
    found = run()
    assert DERIVED in show(found, found.records[0])
    sides = (Side(run=found, values={"runtime": name}) for name in ("runc@1.5.2", "runc@1.1.5"))
    compared = compare(*sides)
    for form in ("terminal", "markdown"):
        assert "(derived)" in DIFF_RENDERERS[form](compared, Style(width=160))
