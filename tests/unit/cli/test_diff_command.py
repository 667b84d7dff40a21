"""`permlab diff` over stored runs that were made up: words, exit codes, formats."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import report_runs
from click.testing import CliRunner, Result

from lab.cli.diff import split_axis
from lab.cli.main import permlab
from lab.errors import InputError, LabError
from lab.model.record import Record, Run
from lab.model.scenario import Expectation
from lab.model.verdict import Errored, Passed, Skipped, Verdict
from lab.store.runs import create

MAPS = ("0:100000:65536", "0:100000:1000,1000:0:1", "none")
PASSED = Passed()


def cell(verdict: Verdict, user: str = "0:0", runtime: str = "runc@1.1.5") -> Record:
    return report_runs.record({"image": "busybox", "user": user, "runtime": runtime, "engine": "oci"}, verdict)


@pytest.fixture(name="store")
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PERMLAB_RUNS", str(tmp_path))
    return tmp_path


def keep(directory: Path, name: str, *records: Record, lab_version: str = "0.1.0") -> None:
    header = replace(report_runs.header({"chdir-cwd": ""}), id=name, lab_version=lab_version)
    with create(directory, header) as writer:
        for record in records:
            writer.record(record)
        writer.finish()


def called(*arguments: str) -> Result:
    result = CliRunner().invoke(permlab, ["diff", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit | LabError)
    return result


@pytest.mark.parametrize(
    ("before", "after", "code", "last"),
    [
        (PASSED, PASSED, 0, "no regressions"),
        (report_runs.DENIED, PASSED, 0, "no regressions"),
        (report_runs.DENIED, report_runs.MKDIR, 0, "no regressions"),
        (PASSED, report_runs.DENIED, 1, "2 regressions"),
        (PASSED, report_runs.MKDIR, 1, "2 regressions"),
        (PASSED, Errored(reason="deadline"), 3, "cannot be told"),
        (PASSED, Skipped(reason="no cgroups"), 3, "cannot be told"),
        (Errored(reason="deadline"), report_runs.DENIED, 3, "cannot be told"),
    ],
)
def test_exit_codes(store: Path, before: Verdict, after: Verdict, code: int, last: str) -> None:
    keep(store, "a", cell(before), cell(before, "1"))
    keep(store, "b", cell(after), cell(after, "1"))
    result = called("a", "last")
    assert result.exit_code == code
    assert result.stdout.splitlines()[-1].startswith(last)


def test_a_lost_cell_is_told_and_ends_with_3_but_a_regression_counts_more(store: Path) -> None:
    keep(store, "a", cell(PASSED), cell(PASSED, "1"), cell(PASSED, "2"))
    keep(store, "b", cell(PASSED), cell(Errored(reason="deadline"), "1"), cell(PASSED, "2"))
    keep(store, "c", cell(PASSED), cell(Errored(reason="deadline"), "1"), cell(report_runs.DENIED, "2"))
    assert (called("a", "b").exit_code, called("b", "a").exit_code, called("a", "c").exit_code) == (3, 0, 1)
    assert "NOT KNOWN: 1 cell passed before and errored now" in called("a", "c").stdout


def test_a_void_run_is_not_trusted(store: Path) -> None:
    control = replace(
        cell(report_runs.DENIED), control=True, scenario="controls", expectation=Expectation(verdict="passed")
    )
    keep(store, "a", cell(PASSED))
    keep(store, "b", cell(report_runs.DENIED), replace(control, cell="controls/x"))
    for arguments in (("a", "b"), ("b", "a")):
        result = called(*arguments)
        assert result.exit_code == 3
        assert "VOID: run b cannot be trusted" in result.stdout
    data = json.loads(called("a", "b", "--format", "json").stdout)
    assert (data["answer"], data["void"], data["left"]["void"], data["right"]["void"]) == (
        "cannot be told",
        True,
        False,
        True,
    )


def test_two_values_of_an_axis(store: Path) -> None:
    keep(store, "a", cell(PASSED, runtime="runc@1.1.5"), cell(report_runs.DENIED, runtime="runc@1.1.6"))
    result = called("a", "--axis", "runtime=runc@1.1.5,runc@1.1.6", "--format", "json")
    assert result.exit_code == 1
    (regression,) = json.loads(result.stdout)["regressions"]
    assert (regression["left"]["verdict"], regression["right"]["verdict"]) == ("passed", "denied")
    assert regression["axes"] == {"image": "busybox", "user": "0:0", "engine": "oci"}
    assert called("a", "--axis", "runtime=runc@1.1.6,runc@1.1.5").exit_code == 0


def test_a_value_of_each_run(store: Path) -> None:
    keep(store, "a", cell(PASSED, runtime="runc@1.1.5"))
    keep(store, "b", cell(report_runs.DENIED, runtime="runc@1.1.6"))
    assert called("a", "b").exit_code == 3
    assert called("a", "b", "--axis", "runtime=runc@1.1.5,runc@1.1.6").exit_code == 1


def test_runs_of_different_labs_are_judged_by_the_same_rules(store: Path) -> None:
    observed = report_runs.observed()  # a chdir that was denied
    stale = replace(observed, verdict=PASSED)
    keep(store, "a", stale, lab_version="0.0.1")
    keep(store, "b", observed)
    result = called("a", "b")
    assert result.exit_code == 0
    assert "measured by different versions of permlab: 0.0.1 → 0.1.0; both are judged by today's rules" in result.stdout
    keep(store, "c", stale)
    assert called("c", "b").exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("a",), "two runs, or one run and --axis"),
        (("a", "nope"), "no stored run 'nope'"),
        (("a", "--axis", "runtime"), "is not NAME=X,Y"),
        (("a", "--axis", "caps=cri,none"), "axes: image, user, runtime, engine"),
        (("a", "--axis", "runtime=runc@1.1.5,runc@9"), "values there: runc@1.1.5, runc@1.1.6"),
        (("a", "--axis", "runtime=runc,crun@*"), "values there: runc@1.1.5, runc@1.1.6"),
        (("a", "--axis", "runtime=runc@1.1.5,runc@1.1.5"), "both sides are the same cells"),
        (("a", "b", "--axis", "user=1,0:0"), "values in A: 0:0\nvalues in B: 1"),
    ],
)
def test_bad_words_are_told(store: Path, arguments: tuple[str, ...], words: str) -> None:
    keep(store, "a", cell(PASSED), cell(PASSED, runtime="runc@1.1.6"))
    keep(store, "b", cell(PASSED, "1"))
    result = called(*arguments)
    assert isinstance(result.exception, InputError)
    assert words in str(result.exception)


def mapped() -> Run:
    axes = ({"image": "busybox", "userns": value, "runtime": "runc@1.1.5", "engine": "oci"} for value in MAPS)
    return report_runs.run(report_runs.record(one, PASSED) for one in axes)


@pytest.mark.parametrize(("left", "right"), [(0, 1), (1, 0), (1, 2), (2, 1), (0, 2)])
def test_values_may_have_commas(left: int, right: int) -> None:
    run = mapped()
    assert split_axis(f"userns={MAPS[left]},{MAPS[right]}", run, run) == ("userns", MAPS[left], MAPS[right])
