"""Observation → Verdict. Pure, and the same for new and for stored observations.

The order: a fault of the lab; a refusal before any runtime was called; the runtime's own text, where the container did
not start; the probe's steps; the scenario's checks; a program's exit code. What no rule knows is ``unrecognised``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lab.classify import checks as fact_checks
from lab.classify.causes import CAUSES
from lab.classify.evidence import bounded, shown, tail
from lab.classify.finding import Finding
from lab.classify.lines import NEWEST
from lab.classify.programs import judge_program
from lab.classify.steps import first_refused
from lab.classify.texts import judge_text, lab_fault
from lab.codec import decode_facts
from lab.model.observation import DERIVED, Call, Fact, Observation, Reached
from lab.model.settings import Check
from lab.model.verdict import Denied, Errored, Failed, Passed, Phase, Verdict

_SIGNAL_BASE = 128
_LAST_SIGNAL = 64


def judge(observation: Observation, *, tolerate: tuple[str, ...] = (), checks: tuple[Check, ...] = ()) -> Verdict:
    """What is concluded. ``tolerate`` names errnos that steps may end with; ``checks`` are facts that must hold.

    A step whose outcome (``ok``, ``errno``, ``exit``) a check names is judged by that check alone.
    """
    candidates = _candidates(observation, frozenset(tolerate), checks)
    return next((verdict for verdict in candidates if verdict is not None), Passed())


def _candidates(seen: Observation, tolerate: frozenset[str], checks: Sequence[Check]) -> Iterator[Verdict | None]:
    """What each rule says, in order; the first that says anything decides."""
    facts = decode_facts(seen.output)
    yield _fault(seen, facts)
    yield None if seen.refusal is None else _refused(seen.refusal)
    if not any(fact.get("op") == "start" for fact in facts):
        yield _verdict(_not_started(seen))
    yield _verdict(first_refused(facts, tolerate=tolerate, judged=fact_checks.judged_steps(checks)))
    if not facts and any(check.fact.startswith(("start.", "step.")) for check in checks):
        yield _verdict(_ended_badly(seen, facts))  # a probe that never spoke: its facts are not wrong, but missing
    yield fact_checks.first_broken(checks, facts, seen)
    if not any(check.fact == "exit_code" for check in checks):
        yield _verdict(_ended_badly(seen, facts))


def _verdict(found: Finding | None) -> Denied | Failed | None:
    if found is None:
        return None
    verdict = Denied if CAUSES[found.cause].verdict == "denied" else Failed
    return verdict(cause=found.cause, phase=found.phase, evidence=found.evidence)


def _fault(observation: Observation, facts: Sequence[Fact]) -> Errored | None:
    if observation.fault is not None:
        return Errored(reason=observation.fault)
    for fact in facts:
        if fact.get("op") == "usage":
            return Errored(reason=bounded(f"the probe does not know a step: {fact.get('error')}"))
    failing = failing_call(observation)
    reason = lab_fault(failing.stderr) if failing is not None and observation.reached is Reached.NOTHING else None
    return None if reason is None else Errored(reason=reason)


def failing_call(observation: Observation) -> Call | None:
    """The first call that did not succeed; what came after it says no more.

    Where all succeeded but the process ended with an error, the last one that has a text: crun's ``start`` ends well
    even when the program then cannot be executed.
    """
    failed = next((call for call in observation.calls if call.returncode), None)
    if failed is None and observation.exit_code:
        return next((call for call in reversed(observation.calls) if call.stderr), None)
    return failed


def _refused(text: str) -> Denied | Failed | None:
    if text.startswith(DERIVED):
        return _verdict(Finding("run-as-non-root", Phase.ADMISSION, bounded(text)))
    found = judge_text(text.encode(), marked_only=False)
    return _verdict(found or Finding("unrecognised", Phase.CREATE, bounded(text)))


def _not_started(observation: Observation) -> Finding | None:
    """The runtime's text, where a call failed and the probe did not speak.

    Where the runtime had already made the container, stderr is also the program's: then only lines in a runtime's own
    form count.
    """
    failing = failing_call(observation)
    if failing is None:
        return None
    shared = not failing.returncode or (failing.verb in {"run", "exec"} and observation.reached is not Reached.NOTHING)
    found = judge_text(failing.stderr, marked_only=shared and failing.verb != "exec")
    if found is not None or shared:
        return found
    said = failing.stderr or failing.stdout
    return Finding("unrecognised", Phase.CREATE, tail(said) or f"`{failing.verb}` ended with {failing.returncode}")


def _ended_badly(observation: Observation, facts: Sequence[Fact]) -> Finding | None:
    """A process that ended with an error: its own text where it is known, else ``unrecognised``."""
    code = observation.exit_code
    if not code:
        return None
    text = b"".join(call.stderr for call in observation.calls)
    program = not facts or facts[-1].get("op") == "exec"
    if program and (found := judge_program(shown(text[-NEWEST:]))):
        return found
    if code < 0 or _SIGNAL_BASE < code <= _SIGNAL_BASE + _LAST_SIGNAL:
        return Finding("killed", Phase.PROCESS, f"ended by signal {-code if code < 0 else code - _SIGNAL_BASE}")
    return Finding("unrecognised", Phase.PROCESS, tail(text) or f"the process ended with exit code {code}, and no text")
