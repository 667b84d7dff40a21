from __future__ import annotations

from pathlib import Path

import pytest
import report_runs

from lab.errors import StoreError
from lab.model.record import Record
from lab.model.scenario import Expectation
from lab.model.verdict import Errored, Failed, Passed, Phase, Skipped
from lab.pytest_plugin.bench import ATTEMPTS, broken_controls, new_run
from lab.store import runs as store


def take(monkeypatch: pytest.MonkeyPatch, *ids: str) -> None:
    """Let these be the next ids of runs."""
    left = iter(ids)
    monkeypatch.setattr(store, "new_run_id", lambda: next(left))


def test_workers_that_start_in_the_same_moment_write_different_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    monkeypatch.setenv("PERMLAB_RUNS", str(tmp_path))
    take(monkeypatch, "one", "one", "one", "two")
    for name in ("one", "two"):
        with new_run(pytestconfig, {"mine": "text"}) as writer:
            assert writer.path.stem == name
    header = store.read(tmp_path / "two.jsonl").header
    assert header.argv[0] == "pytest"
    assert header.scenarios == {"mine": "text"}


def test_an_id_that_stays_taken_and_a_place_that_cannot_be_written_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    monkeypatch.setenv("PERMLAB_RUNS", str(tmp_path))
    take(monkeypatch, *["one"] * (ATTEMPTS + 1))
    new_run(pytestconfig, {}).close()
    with pytest.raises(StoreError, match="cannot be stored"):
        new_run(pytestconfig, {})
    (tmp_path / "file").touch()
    monkeypatch.setenv("PERMLAB_RUNS", str(tmp_path / "file"))
    take(monkeypatch, *["two"] * ATTEMPTS)
    with pytest.raises(StoreError, match="cannot be stored"):
        new_run(pytestconfig, {})


def test_controls_are_broken_for_their_own_runtime_only() -> None:
    def control(runtime: str, verdict: Passed | Failed | Skipped | Errored) -> Record:
        wanted = Expectation(verdict="passed")
        return report_runs.record({"runtime": runtime}, verdict, expectation=wanted, control=True)

    failed = Failed(cause="check-failed", phase=Phase.PROCESS, evidence="")
    records = [
        control("runc@1.1.5", Passed()),
        control("runc@1.3.6", failed),
        control("crun@1.21", Skipped(reason="no root")),
        control("crun@1.28", Errored(reason="the disk is full")),
    ]
    for runtime, broken in (("runc@1.1.5", 0), ("runc@1.3.6", 1), ("crun@1.21", 0), ("crun@1.28", 1)):
        assert len(broken_controls(records, runtime)) == broken
