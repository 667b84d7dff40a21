"""Checks: naming a fact, comparing it."""

from __future__ import annotations

import json

import pytest

from lab.classify.checks import MISSING, first_broken, judged_steps, look_up
from lab.codec import decode_facts
from lab.model.observation import Call, HostFact, Observation, Reached
from lab.model.settings import Check
from lab.model.verdict import Denied, Failed, Phase

FACTS = [
    {"step": 0, "op": "start", "umask": "0022", "groups": [0, 27], "caps": {"effective": "00"}, "home": None},
    {"step": 1, "op": "stat", "args": ["/x"], "ok": True, "uid": 0, "mode": "0644", "size": 1},
    {"step": 2, "op": "ls", "ok": False, "errno": "EACCES", "names": ["a", "b"]},
    {"step": 3, "op": "exec", "ok": None},
    {"step": 3, "op": "exec", "ok": False, "errno": "ENOENT"},
    {"op": "end", "steps": 3},
]
SEEN = Observation(
    calls=(Call(verb="run", argv=(), returncode=0, stdout=b"", stderr=b"warn\xff\n", seconds=0),),
    reached=Reached.STARTED,
    exit_code=0,
    output=b"".join(json.dumps(fact).encode() + b"\n" for fact in FACTS),
    host_after=(
        HostFact(path="fixture:data/a.txt", type="file", uid=100, gid=7, mode=0o600, size=3),
        HostFact(path="fixture:data", type="directory", uid=0, gid=0, mode=0o755, size=60),
        HostFact(path="rootfs:/etc/x", type=""),
    ),
)
DECODED = decode_facts(SEEN.output)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("start.umask", "0022"),
        ("start.groups.1", 27),
        ("start.caps.effective", "00"),
        ("step.1.uid", 0),
        ("step.2.errno", "EACCES"),
        ("step.3.errno", "ENOENT"),
        ("end.steps", 3),
        ("exit_code", 0),
        ("reached", "started"),
        ("stderr", "warn\\xff\n"),
        ("host.data/a.txt.uid", 100),
        ("host.data.type", "directory"),
        ("host.data/.mode", 0o755),
        ("host.rootfs/etc/x.type", ""),
        ("host.rootfs/etc/x.uid", MISSING),
        ("host.none.uid", MISSING),
        ("host.data.colour", MISSING),
        ("step.0.umask", MISSING),
        ("step.9.ok", MISSING),
        ("start.groups.2", MISSING),
        ("start.groups.x", MISSING),
        ("nothing", MISSING),
        ("", MISSING),
    ],
)
def test_facts_are_found_by_their_path(path: str, value: object) -> None:
    assert look_up(path, DECODED, SEEN) == value


@pytest.mark.parametrize(
    "check",
    [
        Check(fact="start.umask", equals="0022"),
        Check(fact="start.umask", equals=0o22),
        Check(fact="start.umask", equals="022"),
        Check(fact="host.data/a.txt.mode", equals=0o600),
        Check(fact="host.data/a.txt.mode", equals="0600"),
        Check(fact="step.1.mode", equals=0o644),
        Check(fact="step.1.ok", equals=True),
        Check(fact="start.groups", equals=[0, 27]),
        Check(fact="start.groups", contains=27),
        Check(fact="step.2.names", contains="a"),
        Check(fact="stderr", contains="warn"),
        Check(fact="step.1.size", equals=1),
        Check(fact="start.umask"),
        Check(fact="host.rootfs/etc/x.type", equals=""),
    ],
)
def test_checks_that_hold(check: Check) -> None:
    assert first_broken((check,), DECODED, SEEN) is None


@pytest.mark.parametrize(
    ("check", "evidence"),
    [
        (Check(fact="start.umask", equals=0o77), "start.umask: expected 0077, found 0022"),
        (Check(fact="host.data/a.txt.mode", equals="0644"), "host.data/a.txt.mode: expected 0644, found 0600"),
        (Check(fact="step.1.size", equals=True), "step.1.size: expected True, found 1"),
        (Check(fact="step.1.ok", equals=1), "step.1.ok: expected 1, found True"),
        (Check(fact="start.groups", contains=5), "start.groups: expected to contain 5, found [0, 27]"),
        (Check(fact="start.home"), "start.home: expected any value, found None"),
        (Check(fact="step.9.ok", equals=True), "step.9.ok: expected True, found nothing"),
        (Check(fact="exit_code", contains="0"), "exit_code: expected to contain 0, found 0"),
    ],
)
def test_checks_that_do_not_hold(check: Check, evidence: str) -> None:
    broken = first_broken((check,), DECODED, SEEN)
    assert broken == Failed(cause="check-failed", phase=Phase.PROCESS, evidence=evidence)


def test_the_first_broken_check_decides_with_its_own_words() -> None:
    checks = (
        Check(fact="exit_code", equals=0),
        Check(fact="host.data/a.txt.uid", equals=0, verdict="denied", cause="owner-mismatch", phase="host-after"),
        Check(fact="exit_code", equals=1),
    )
    broken = first_broken(checks, DECODED, SEEN)
    evidence = "host.data/a.txt.uid: expected 0, found 100"
    assert broken == Denied(cause="owner-mismatch", phase=Phase.HOST_AFTER, evidence=evidence)


def test_only_checks_of_a_steps_outcome_take_it_over() -> None:
    checks = (
        Check(fact="step.2.errno", equals="EACCES"),
        Check(fact="step.4.exit", equals=1),
        Check(fact="step.1.uid", equals=0),
        Check(fact="start.ok"),
    )
    assert judged_steps(checks) == {2, 4}
