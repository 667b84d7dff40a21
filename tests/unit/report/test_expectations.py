from __future__ import annotations

import pytest
import report_runs

from lab.model.scenario import Expectation
from lab.model.verdict import Errored, Passed, Skipped, Verdict
from lab.report.expectations import held, intermittent, unmet

DENIED = report_runs.DENIED


@pytest.mark.parametrize(
    ("verdict", "wanted", "expected"),
    [
        (Passed(), None, None),
        (Errored(reason="x"), None, None),
        (Skipped(reason="x"), Expectation(verdict="passed"), None),
        (Errored(reason="x"), Expectation(verdict="passed"), False),
        (Errored(reason="x"), Expectation(verdict="failed"), False),
        (Passed(), Expectation(verdict="passed"), True),
        (Passed(), Expectation(verdict="denied"), False),
        (DENIED, Expectation(verdict="denied"), True),
        (DENIED, Expectation(verdict="failed"), False),
        (DENIED, Expectation(verdict="denied", cause="cwd-not-searchable", phase="chdir"), True),
        (DENIED, Expectation(verdict="denied", cause="exec-not-permitted"), False),
        (DENIED, Expectation(verdict="denied", cause="cwd-not-searchable", phase="exec"), False),
        (report_runs.MKDIR, Expectation(verdict="failed", phase="create"), True),
        (DENIED, Expectation(verdict="passed", intermittent="a race"), None),
        (Passed(), Expectation(verdict="passed", intermittent="a race"), True),
        (Errored(reason="x"), Expectation(verdict="passed", intermittent="a race"), False),
    ],
)
def test_held(verdict: Verdict, wanted: Expectation | None, expected: bool | None) -> None:  # noqa: FBT001  # a table
    record = report_runs.record({"image": "busybox"}, verdict, expectation=wanted)
    assert held(record) is expected
    assert unmet(report_runs.run([record])) == ((record,) if expected is False else ())


def test_why_a_cell_that_is_known_to_be_intermittent_showed_something_else() -> None:
    wanted = Expectation(verdict="passed", intermittent="a race")
    assert intermittent(report_runs.record({"image": "busybox"}, DENIED, expectation=wanted)) == "a race"
    assert intermittent(report_runs.record({"image": "busybox"}, Passed(), expectation=wanted)) == ""
    assert intermittent(report_runs.record({"image": "busybox"}, Errored(reason="x"), expectation=wanted)) == ""
