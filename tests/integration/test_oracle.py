"""The oracle against real containers: what it predicts is what is measured, and a wrong measurement stands out."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from lab_session import CRUN, RUNC, Lab, user_cache

from lab.codec import encode_record
from lab.model.record import Run
from lab.model.verdict import Denied, Passed
from lab.oracle.prediction import Prediction
from lab.oracle.runs import predict_run
from lab.store.runs import read, stored

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]

HERE = Path(__file__).parent / "oracle"
ERA_C = "runc@1.0.0-rc93+debian11"
ALL = f"{ERA_C},{RUNC},{CRUN}"


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab with one stored run of the shipped scenarios of the chdir story."""
    lab = Lab(tmp_path_factory.mktemp("oracle"), user_cache())
    names = ("crossplane", "openshift-uid", "chdir-cwd", "chdir-kinds", "chdir-caller", "chdir-exec")
    done = lab.call("run", *names, "--runtimes", ALL)
    assert done.returncode == 0, done.stderr.decode()
    return lab


def described(run: Run) -> Iterator[str]:
    """Each surprise with what was measured, and each cell without a prediction."""
    found = predict_run(run)
    for record in run.records:
        predicted = found.cells[record.cell]
        if record.cell in found.surprises:
            yield f"{record.cell}: {found.surprises[record.cell]}, measured {record.verdict}"
        elif not isinstance(predicted, Prediction):
            yield f"{record.cell}: {predicted.reason}"


def test_the_shipped_scenarios_are_predicted_as_they_are_measured(story: Lab) -> None:
    run = story.last()

    assert list(described(run)) == []
    assert len({record.verdict for record in run.records if record.axes["runtime"] == ERA_C}) > 1


@pytest.mark.parametrize("name", ["steps", "starts"])
def test_every_cell_of_the_models_own_scenarios_is_predicted(tmp_path: Path, name: str) -> None:
    lab = Lab(tmp_path, user_cache())
    done = lab.call("run", str(HERE / f"{name}.toml"), "--runtimes", RUNC if name == "steps" else ALL)
    assert done.returncode == 0, done.stderr.decode()

    assert list(described(lab.last())) == []


def test_a_planted_measurement_is_flagged_and_explained(story: Lab, tmp_path: Path) -> None:
    cell = f"openshift-uid/distroless-static:nonroot/caps=cri/row=workdir_kept/{ERA_C.replace('@', '-')}/oci"
    path = stored(story.place / "runs")[-1]
    record = next(one for one in read(path).records if one.cell == cell)
    assert isinstance(record.verdict, Denied)
    lab = Lab(tmp_path, user_cache())
    (tmp_path / "runs").mkdir()
    planted = path.read_bytes().replace(encode_record(record), encode_record(replace(record, verdict=Passed())))
    (tmp_path / "runs" / path.name).write_bytes(planted)

    shown = lab.call("show", cell).stdout.decode()
    report = lab.call("show", "--format", "terminal").stdout.decode()

    assert "NO, a SURPRISE: predicted denied: cwd-not-searchable (phase chdir)" in shown
    assert "EACCES: no permission to search /home/nonroot (directory 0700 65532:65532)" in shown
    assert "1 surprise: a new change of a runtime, or a fault of the lab" in report
    assert "≠ ✔" in report


def test_a_stored_run_is_predicted_without_image_runtime_or_scenario_file(story: Lab, tmp_path: Path) -> None:
    path = stored(story.place / "runs")[-1]
    lab = Lab(tmp_path, tmp_path / "empty-cache")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / path.name).write_bytes(path.read_bytes())

    summary = json.loads(lab.call("show", "--format", "json").stdout)["summary"]

    assert summary["predicted"] == summary["cells"]
    assert summary["surprises"] == 0


def test_a_seccomp_filter_is_outside_the_model(tmp_path: Path) -> None:
    lab = Lab(tmp_path, user_cache())
    assert lab.call("run", "seccomp-unknown-call", "--runtimes", RUNC).returncode == 0
    run = lab.last()
    found = predict_run(run)

    assert {str(found.cells[r.cell]) for r in run.records if r.scenario == "seccomp-unknown-call"} == {
        "NoPrediction(reason='outside the model: linux: seccomp')"
    }
    assert not found.surprises
