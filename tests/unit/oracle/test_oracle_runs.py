from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from typing import Any

import pytest
from oracle_runs import DENIED, STEPS, skipped, stored_run, with_verdict

from lab.model.record import Record, Run
from lab.model.verdict import Errored, Failed, Passed, Phase, Verdict
from lab.oracle.prediction import NoPrediction, Prediction
from lab.oracle.runs import predict_record, predict_run
from lab.report.cell import show
from lab.report.formats import RENDERERS
from lab.report.style import Style

RC93, NEW, YOUKI = "runc@1.0.0-rc93", "runc@1.1.5", "youki@0.7.0"


def of(run: Run, runtime: str) -> Record:
    return next(r for r in run.records if (r.axes["user"], r.axes["runtime"]) == ("1000:0", runtime))


def render(run: Run, form: str) -> str:
    return RENDERERS[form](run, Style(width=120))


def test_what_is_measured_as_predicted_is_no_surprise() -> None:
    found = predict_run(stored_run())

    assert found.count == 4
    assert not found.surprises
    assert {str(one) for one in found.cells.values() if isinstance(one, Prediction)} == {
        "passed",
        "denied: cwd-not-searchable (phase chdir)",
    }
    assert isinstance(found.cells[of(stored_run(), YOUKI).cell], NoPrediction)


@pytest.mark.parametrize(
    ("runtime", "verdict"),
    [
        (RC93, Passed()),
        (NEW, DENIED),
        (RC93, replace(DENIED, cause="cwd-not-creatable")),
        (RC93, replace(DENIED, phase=Phase.CREATE)),
        (NEW, Failed(cause="unrecognised", phase=Phase.CREATE, evidence="?")),
    ],
)
def test_another_verdict_cause_or_phase_is_a_surprise(runtime: str, verdict: Verdict) -> None:
    run = with_verdict(stored_run(), runtime, verdict)

    assert list(predict_run(run).surprises) == [of(run, runtime).cell]


def test_another_errno_of_a_step_is_a_surprise() -> None:
    run = stored_run()
    wrong = STEPS.replace(b'"pwd","args":[],"ok":true', b'"pwd","args":[],"ok":false,"errno":"EACCES","call":"getcwd"')
    records = tuple(
        replace(r, observation=replace(r.observation, output=wrong)) if r is of(run, NEW) and r.observation else r
        for r in run.records
    )

    assert list(predict_run(replace(run, records=records)).surprises.values()) == [
        "predicted step 2: ok, measured EACCES"
    ]


def test_a_prediction_never_fills_a_cell_that_was_not_measured() -> None:
    run = with_verdict(skipped(stored_run(), RC93), NEW, Errored(reason="the lab broke"))
    found = predict_run(run)

    assert not found.surprises
    assert str(found.cells[of(run, RC93).cell]) == "denied: cwd-not-searchable (phase chdir)"
    assert str(found.cells[of(run, NEW).cell]) == "passed"
    assert predict_record(run, of(run, RC93)) == found.cells[of(run, RC93).cell]
    cells = {cell["id"]: cell for cell in json.loads(render(run, "json"))["cells"]}
    assert cells[of(run, RC93).cell]["verdict"] == "skipped"
    assert cells[of(run, RC93).cell]["prediction"]["verdict"] == "denied"
    assert "skip" in render(run, "terminal")
    assert "ERR" in render(run, "terminal")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"images": {}}, "without the image's tree"),
        ({"images": {"i": {"tree": "nothing"}}}, "tree that does not read"),
        ({"configs": {}}, "without the image's tree, or without the config"),
    ],
)
def test_a_run_that_lacks_what_is_needed_has_no_predictions(change: dict[str, Any], words: str) -> None:
    run = replace(stored_run(), **change)
    found = predict_record(run, of(run, NEW))

    assert isinstance(found, NoPrediction)
    assert words in found.reason
    assert predict_run(run).count == 0
    assert "predicted" not in render(run, "terminal")


def test_a_scenario_that_does_not_read_and_other_labs_and_engines_have_no_predictions() -> None:
    run = stored_run()
    unread = replace(run, header=replace(run.header, scenarios={"mine": "format = 2"}))
    ordinary = replace(run, header=replace(run.header, host=replace(run.header.host, uid=1000)))
    docker = replace(run, records=tuple(replace(r, axes={**r.axes, "engine": "docker"}) for r in run.records))

    assert [predict_run(one).count for one in (unread, ordinary, docker)] == [0, 0, 0]


def test_reports_are_quiet_about_agreement_and_mark_a_surprise() -> None:
    quiet = stored_run()
    loud = with_verdict(quiet, NEW, DENIED)

    for form in ("terminal", "markdown"):
        assert "predicted: 4 of 6 cells, 0 surprises" in render(quiet, form)
        assert "≠" not in render(quiet, form)
        assert "predicted: 4 of 6 cells, 1 surprise" in render(loud, form)
        assert "≠ ✗ cwd-not-searchable" in render(loud, form)
        assert "a new change of a runtime, or a fault of the lab" in render(loud, form)
    summary = json.loads(render(loud, "json"))["summary"]
    assert (summary["predicted"], summary["surprises"]) == (4, 1)


def test_every_format_has_the_predictions() -> None:
    run = with_verdict(stored_run(), NEW, DENIED)
    rows = list(csv.DictReader(io.StringIO(render(run, "csv"))))
    assert sum(bool(row["predicted"]) for row in rows) == 4
    (odd,) = (row for row in rows if row["surprise"])
    assert (odd["axis:runtime"], odd["predicted"], odd["verdict"]) == (NEW, "passed", "denied")
    junit = render(run, "junit")
    assert 'name="predicted" value="4 of 6 cells, 1 surprise"' in junit
    assert junit.count("≠ a surprise: predicted passed") == 1
    statements = json.loads(render(run, "statements"))["scenarios"].values()
    assert [one["surprises"] for scenario in statements for one in scenario["statements"] if one["surprises"]] == [
        [NEW.partition("@")[2]]
    ]


def test_cells_that_differ_in_surprise_only_are_not_joined() -> None:
    run = with_verdict(stored_run(), NEW, DENIED)

    assert "1.0.0-rc93, 1.1.5" not in render(run, "markdown")


def test_show_tells_the_calls_and_where_one_is_refused() -> None:
    run = stored_run()
    text = show(run, of(run, RC93))
    surprising = with_verdict(run, RC93, Passed())

    assert "prediction, not a measurement" in text
    assert "EACCES: no permission to search /home/nonroot (directory 0700 65532:65532)" in text
    assert "https://github.com/opencontainers/runc/pull/2712" in text
    assert "SURPRISE" not in text
    assert "NO, a SURPRISE: predicted denied" in show(surprising, of(surprising, RC93))
    assert "no prediction: the model knows no era of youki" in show(run, of(run, YOUKI))


@pytest.mark.parametrize(("digest", "shared"), [("sha256:one", True), ("sha256:two", False), ("", False)])
def test_combinations_of_equal_settings_share_a_prediction(digest: str, *, shared: bool) -> None:
    run = stored_run()
    one = of(run, RC93)
    one = replace(one, provenance=replace(one.provenance, settings="sha256:one" if digest else ""))
    other = replace(
        one,
        cell=f"{one.cell}/again",
        axes={**one.axes, "again": "yes"},
        provenance=replace(one.provenance, settings=digest),
    )
    cells = predict_run(replace(run, records=(one, other))).cells

    assert cells[one.cell] == cells[other.cell]
    assert (cells[one.cell] is cells[other.cell]) is shared
