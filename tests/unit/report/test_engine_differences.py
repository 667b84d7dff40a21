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


def test_one_answer_with_two_reasons_is_two_differences() -> None:
    """What a policy explains hides nothing beside it that is answered in the same words."""

    def denied(step: str) -> Verdict:
        return Denied(cause="capability-missing", phase=Phase.PROCESS, evidence=f"step 2, {step}: EPERM")

    def both(step: str, runtime: str) -> list[Record]:
        return [record("oci", denied(step), runtime=runtime), record("docker", PASSED, runtime=runtime)]

    unexplained, explained = engine_differences([*both("bind 80", "runc@1.1.15"), *both("sethostname", "crun@1.21")])
    assert (unexplained.reason, unexplained.source) == (UNEXPLAINED, "")
    assert [one.axes["runtime"] for one in unexplained.records] == ["crun@1.21"]
    assert "bind every port" in explained.reason


def test_versions_of_one_engine_are_compared_too() -> None:
    refused = Failed(cause="mount-option-invalid", phase=Phase.ADMISSION, evidence="invalid mount option")
    (found,) = engine_differences([record("podman@4.3.1", PASSED), record("podman@3.0.1", refused)])
    assert (found.engine, found.base) == ("podman@4.3.1", "podman@3.0.1")
    assert "newer than podman 3.0" in found.reason
