"""Where engines differ on equal cells, and why."""

from __future__ import annotations

import pytest

from lab.classify.causes import CAUSES
from lab.model.record import Record
from lab.model.verdict import Denied, Errored, Failed, Passed, Phase, Skipped, Verdict
from lab.report.engines import POLICIES, UNEXPLAINED, engine_differences

PASSED = Passed()
SEARCH = Denied(cause="cwd-not-searchable", phase=Phase.CHDIR, evidence="")
MISSING = Failed(cause="cwd-missing", phase=Phase.CHDIR, evidence="")


def record(engine: str, verdict: Verdict, *, runtime: str = "runc@1.1.15", control: bool = False) -> Record:
    return Record(
        cell=f"s/{runtime}/{engine}",
        scenario="s",
        axes={"runtime": runtime, "engine": engine},
        verdict=verdict,
        control=control,
    )


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.reason[:40])
def test_a_policy_speaks_of_causes_that_exist(policy: object) -> None:
    assert policy in POLICIES
    assert getattr(policy, "causes") <= set(CAUSES)  # noqa: B009  # parametrised as an object


def test_what_a_policy_explains_has_its_reason_and_source() -> None:
    (found,) = engine_differences([record("oci", MISSING), record("docker@20.10.24", PASSED)])
    assert (found.engine, found.base) == ("docker@20.10.24", "oci")
    assert (found.here, found.there) == ("passed", "failed (cwd-missing)")
    assert "Docker makes the working directory" in found.reason
    assert found.source.startswith("https://")


def test_what_nothing_explains_is_said_and_comes_first() -> None:
    records = [
        record("oci", MISSING),
        record("docker", PASSED),
        record("oci", PASSED, runtime="crun@1.21"),
        record("docker", SEARCH, runtime="crun@1.21"),
    ]
    first, second = engine_differences(records)
    assert (first.reason, first.source) == (UNEXPLAINED, "")
    assert first.records == (records[3],)
    assert second.source


def test_equal_answers_other_cells_and_the_unknown_are_no_difference() -> None:
    late = Failed(cause="cwd-missing", phase=Phase.CREATE, evidence="")
    assert not engine_differences([record("oci", MISSING), record("docker", late)])
    assert not engine_differences([record("oci", MISSING), record("docker", PASSED, runtime="crun@1.21")])
    assert not engine_differences([record("oci", MISSING), record("docker", Errored(reason=""))])
    assert not engine_differences([record("oci", Skipped(reason="")), record("docker", PASSED)])
    assert not engine_differences([record("oci", MISSING, control=True), record("docker", PASSED, control=True)])


def test_without_oci_the_first_engine_is_the_base() -> None:
    (found,) = engine_differences([record("podman", PASSED), record("cri", SEARCH)])
    assert (found.engine, found.base) == ("podman", "cri")
    assert "effective for every user" in found.reason
