"""The order of the rules, over observations made by hand."""

from __future__ import annotations

import json

import pytest

from lab.classify.judge import judge
from lab.model.observation import Call, Observation, Reached
from lab.model.settings import Check
from lab.model.verdict import Denied, Errored, Failed, Passed, Phase

START = {"step": 0, "op": "start", "fsuid": 1000, "fsgid": 0, "groups": [0], "cwd": "/", "umask": "0022"}
TOUCH = {"step": 1, "op": "touch", "args": ["/x"], "ok": False, "errno": "EACCES", "call": "openat"}
END = {"op": "end", "steps": 1}


def lines(*facts: dict[str, object]) -> bytes:
    return b"".join(json.dumps(fact).encode() + b"\n" for fact in facts)


def seen(
    stderr: bytes = b"",
    *,
    returncode: int = 0,
    output: bytes = b"",
    reached: Reached = Reached.NOTHING,
    verb: str = "run",
    fault: str | None = None,
    refusal: str | None = None,
) -> Observation:
    call = Call(verb=verb, argv=(), returncode=returncode, stdout=b"", stderr=stderr, seconds=0.1)
    return Observation(
        calls=(call,), reached=reached, exit_code=returncode, output=output, fault=fault, refusal=refusal
    )


def test_a_container_that_ran_to_its_end_passes() -> None:
    assert judge(seen(output=lines(START, END), reached=Reached.STARTED)) == Passed()
    assert judge(seen(reached=Reached.CREATED)) == Passed()


def test_a_fault_of_the_lab_comes_before_everything() -> None:
    verdict = judge(seen(b"chdir: Permission denied", returncode=1, fault="the deadline"))
    assert verdict == Errored(reason="the deadline")


def test_a_runtime_that_fails_with_an_unknown_text_is_not_judged_by_facts_that_are_missing() -> None:
    checks = (Check(fact="start.umask", equals="0027", cause="umask-ignored"),)
    verdict = judge(seen(b"a text that no rule knows", returncode=1, reached=Reached.CREATED), checks=checks)
    assert isinstance(verdict, Failed)
    assert verdict.cause == "unrecognised"


@pytest.mark.parametrize(
    "text",
    [
        b"/x/crun: error while loading shared libraries: libyajl.so.2: cannot open shared object file",
        b"/x/crun: /lib/libc.so.6: version `GLIBC_2.38' not found (required by /x/crun)",
        b"setpriv: unknown capability: bogus",
        b'time="x" level=error msg="mkdir /run/x: no space left on device"',
    ],
)
def test_texts_of_the_labs_own_faults_are_no_findings(text: bytes) -> None:
    assert isinstance(judge(seen(text, returncode=127)), Errored)


def test_a_step_that_the_probe_does_not_know_is_the_labs_fault() -> None:
    verdict = judge(seen(returncode=64, output=lines({"op": "usage", "error": "no step `fly`"})))
    assert verdict == Errored(reason="the probe does not know a step: no step `fly`")


def test_a_refusal_is_judged_by_its_text() -> None:
    text = "unable to find user app: no matching entries in passwd file"
    assert judge(Observation(refusal=text)) == Denied(cause="user-not-found", phase=Phase.CREATE, evidence=text)
    unknown = judge(Observation(refusal="the moon is full"))
    assert unknown == Failed(cause="unrecognised", phase=Phase.CREATE, evidence="the moon is full")


def test_an_unknown_text_is_unrecognised_and_podmans_addition_is_not_looked_at() -> None:
    verdict = judge(seen(b"Error: something new: OCI permission denied\n", returncode=126))
    assert isinstance(verdict, Failed)
    assert verdict.cause == "unrecognised"


def test_a_failure_without_a_word_says_how_the_call_ended() -> None:
    assert judge(seen(returncode=-9)) == Failed(
        cause="unrecognised", phase=Phase.CREATE, evidence="`run` ended with -9"
    )


def test_once_the_container_is_made_a_programs_words_are_not_the_runtimes() -> None:
    said = b'cp: x: exec: "y": permission denied\n'
    verdict = judge(seen(said, returncode=1, reached=Reached.CREATED))
    assert isinstance(verdict, Failed)
    assert verdict.cause == "unrecognised"
    assert verdict.phase is Phase.PROCESS


def test_a_runtime_that_failed_after_start_is_still_heard() -> None:
    said = b'standard_init_linux.go:211: exec user process caused "permission denied"\n'
    verdict = judge(seen(said, returncode=1, reached=Reached.CREATED))
    assert isinstance(verdict, Denied)
    assert (verdict.cause, verdict.phase) == ("exec-not-permitted", Phase.EXEC)


def test_a_start_that_ended_well_may_still_tell_that_the_program_could_not_run() -> None:
    def call(verb: str, stderr: bytes) -> Call:
        return Call(verb=verb, argv=(), returncode=0, stdout=b"", stderr=stderr, seconds=0.1)

    said = b"exec container process `/p`: Permission denied\n"
    made = Observation(calls=(call("create", b""), call("start", said)), reached=Reached.STARTED, exit_code=1)
    verdict = judge(made)
    assert isinstance(verdict, Denied)
    assert (verdict.cause, verdict.phase) == ("exec-not-permitted", Phase.EXEC)


def test_when_the_probe_spoke_stderr_is_not_the_reason() -> None:
    said = b"chdir: Permission denied\n"
    verdict = judge(seen(said, returncode=3, output=lines(START, END), reached=Reached.STARTED))
    assert isinstance(verdict, Failed)
    assert verdict.cause == "unrecognised"


def test_a_refused_step_denies_unless_it_is_tolerated() -> None:
    observation = seen(output=lines(START, TOUCH, END), reached=Reached.STARTED)
    verdict = judge(observation)
    assert isinstance(verdict, Denied)
    assert verdict.cause == "write-denied"
    assert verdict.evidence == "step 1, touch /x: EACCES (openat); uid 1000, groups 0"
    assert judge(observation, tolerate=("EACCES",)) == Passed()
    assert judge(observation, tolerate=("EPERM",)) == verdict


def test_a_step_whose_outcome_a_check_names_is_judged_by_the_check() -> None:
    observation = seen(output=lines(START, TOUCH, END), reached=Reached.STARTED)
    assert judge(observation, checks=(Check(fact="step.1.errno", equals="EACCES"),)) == Passed()
    verdict = judge(
        observation,
        checks=(Check(fact="step.1.ok", equals=True, verdict="denied", cause="home-unwritable", phase="process"),),
    )
    assert verdict == Denied(
        cause="home-unwritable", phase=Phase.PROCESS, evidence="step.1.ok: expected True, found False"
    )


def test_checks_come_before_the_exit_code_which_a_check_may_judge() -> None:
    ended = seen(b"no\n", returncode=3, reached=Reached.CREATED)
    assert judge(ended, checks=(Check(fact="exit_code", equals=3),)) == Passed()
    verdict = judge(ended, checks=(Check(fact="stderr", contains="yes"),))
    assert isinstance(verdict, Failed)
    assert verdict.cause == "check-failed"


@pytest.mark.parametrize(("code", "evidence"), [(137, "ended by signal 9"), (-15, "ended by signal 15")])
def test_a_process_that_a_signal_ended_was_killed(code: int, evidence: str) -> None:
    verdict = judge(seen(returncode=code, reached=Reached.CREATED))
    assert verdict == Failed(cause="killed", phase=Phase.PROCESS, evidence=evidence)


def test_255_is_an_exit_code() -> None:
    verdict = judge(seen(b"odd\n", returncode=255, reached=Reached.CREATED))
    assert verdict == Failed(cause="unrecognised", phase=Phase.PROCESS, evidence="odd")


def test_a_stranger_cannot_write_to_the_terminal_through_evidence() -> None:
    verdict = judge(seen(b"\x1b[31mred\xff\x07" + b"x" * 5000, returncode=1))
    assert isinstance(verdict, Failed)
    assert "\x1b" not in verdict.evidence
    assert len(verdict.evidence) <= 300


def test_a_program_whose_account_is_missing() -> None:
    verdict = judge(seen(b"whoami: cannot find name for user ID 4321\n", returncode=1, reached=Reached.CREATED))
    assert verdict == Denied(cause="account-missing", phase=Phase.PROCESS, evidence="cannot find name for user ID 4321")


def test_a_spawned_program_that_fails_is_judged_by_its_words() -> None:
    spawn: dict[str, object] = {
        "step": 1, "op": "spawn", "args": ["2", "/bin/x"], "ok": True, "exit": 1, "stderr": "x: Read-only file system",
    }  # fmt: skip
    verdict = judge(seen(output=lines(START, spawn, END), reached=Reached.STARTED))
    assert isinstance(verdict, Denied)
    assert verdict.cause == "erofs"
    spawn["stderr"] = "odd"
    verdict = judge(seen(output=lines(START, spawn, END), reached=Reached.STARTED))
    assert isinstance(verdict, Failed)
    assert verdict.cause == "unrecognised"
    judged = (Check(fact="step.1.exit", equals=1),)
    assert judge(seen(output=lines(START, spawn, END), reached=Reached.STARTED), checks=judged) == Passed()
