"""What a run ends with."""

from __future__ import annotations

import pytest
import report_runs

from lab.cli.run import exit_code
from lab.model.scenario import Expectation
from lab.model.verdict import Errored, Passed, Skipped, Verdict

AXES = {"image": "busybox", "runtime": "runc@1.1.5", "engine": "oci"}
PASS = Expectation(verdict="passed")
ERROR = Errored(reason="the disk is full")


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ([Passed(), Passed()], 0),
        ([Passed(), Skipped(reason="needs root")], 0),
        ([Passed(), report_runs.DENIED], 1),
        ([report_runs.DENIED, ERROR], 1),
        ([Passed(), ERROR], 3),
        ([ERROR], 3),
        ([], 0),
    ],
)
def test_a_fault_of_the_lab_is_no_expectation_that_did_not_hold(verdicts: list[Verdict], code: int) -> None:
    axes = [{**AXES, "user": str(number)} for number, _ in enumerate(verdicts)]
    records = [report_runs.record(*pair, expectation=PASS) for pair in zip(axes, verdicts, strict=True)]
    assert exit_code(report_runs.run(records)) == code


def test_a_void_run_did_not_hold() -> None:
    control = report_runs.record(AXES, ERROR, expectation=PASS, control=True)
    other = report_runs.record({**AXES, "user": "0"}, Passed(), expectation=PASS)
    assert exit_code(report_runs.run([control, other])) == 1
    assert exit_code(report_runs.run([control])) == 3
