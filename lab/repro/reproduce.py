"""A record → a folder that shows its outcome: made, tried, made smaller, tried again."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.engine.workspace import PREFIX, light_beacon
from lab.errors import EngineError
from lab.model.verdict import Denied, Failed, Passed, Phase, Verdict
from lab.report.words import found_words
from lab.repro.case import Case
from lab.repro.cuts import as_root, first_levels, harmless
from lab.repro.folder import DIGESTS, EXPECTED, README, write_case, write_text
from lab.repro.making import Origin, make_case
from lab.repro.minimise import Level, minimise
from lab.repro.readme import Story, digests, readme
from lab.repro.trial import Outcome, Trials, check_folder, key_of, run_folder
from lab.store.runs import new_run_id

MOST_RUNS = 400
"""Runs that making a case smaller may take, unless the user says otherwise."""


AS_ROOT = "as user 0:0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """The same case run otherwise, which does not show the failure: so it is this failure that is kept, not any.

    ``words`` says how: with which runtime, or as root.
    """

    words: str
    runtime: Path
    changed: Callable[[Case], Case | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """A case that shows what its record says.

    ``whole`` is the cell in full, ``case`` what is left of it; ``runs`` is how often a runtime was called. ``complete``
    tells that no single further part can go; otherwise it was not asked for, or the runs were used up. ``witnesses``
    says in words with what the failure never was there.
    """

    origin: Origin
    whole: Case
    case: Case
    outcome: Outcome
    runs: int
    complete: bool = False
    witnesses: tuple[str, ...] = ()


def reproduce(
    origin: Origin, trials: Trials, *, minimal: bool = True, tell: Callable[[str], None] = lambda _: None
) -> Reproduction:
    """Make the case, show that it gives the record's verdict, and take away what that does not need.

    A passed cell stays whole: there is no failure to keep. Raises :class:`EngineError` when the case, called by a
    script, shows something else than the record says.
    """
    whole = make_case(origin, trials.place)
    outcome = _shown(trials, whole, origin, "the cell in full")
    if not minimal or isinstance(origin.record.verdict, Passed):
        return Reproduction(origin=origin, whole=whole, case=whole, outcome=outcome, runs=trials.runs)
    case, witnesses = _smaller(trials, whole, origin, tell)
    if case != whole:
        outcome = _shown(trials, case, origin, "the smallest case, tried once more,")
    return Reproduction(
        origin=origin,
        whole=whole,
        case=case,
        outcome=outcome,
        runs=trials.runs,
        complete=not trials.exhausted,
        witnesses=tuple(witness.words for witness in witnesses),
    )


@contextmanager
def open_trials(most: int = MOST_RUNS) -> Iterator[Trials]:
    """Where cases are tried: a temporary directory that callers who are not root may search."""
    label = new_run_id()
    with closing(light_beacon(label)), tempfile.TemporaryDirectory(prefix=f"{PREFIX}{label}-") as place:
        Path(place).chmod(0o755)
        yield Trials(place=Path(place), most=most, label=label)


def _smaller(
    trials: Trials, whole: Case, origin: Origin, tell: Callable[[str], None]
) -> tuple[Case, tuple[Witness, ...]]:
    """The smallest case, and the witnesses that held all along."""
    key, runtime, other = key_of(origin.record.verdict), Path(origin.runtime.path), origin.witness
    witnesses: list[Witness] = []

    def holds(case: Case) -> bool:
        found = trials.outcome(case, runtime)
        return found is not None and found.key == key and all(_without(trials, one, case, key) for one in witnesses)

    def call(candidate: Witness, case: Case) -> None:
        if _without(trials, candidate, case, key):
            witnesses.append(candidate)
            tell(f"kept: the failure is not there {candidate.words}")

    if other is not None:
        name = f"{other.name.family} {other.name.label}"
        call(Witness(words=f"with {name}", runtime=Path(other.path), changed=lambda case: case), whole)
    told = _telling(trials, tell)
    case = minimise(whole, holds, told, first_levels)
    if harmless(case):  # as root a program could do what the cell's user may not
        call(Witness(words=AS_ROOT, runtime=runtime, changed=as_root), case)
    return minimise(case, holds, told), tuple(witnesses)


def _without(trials: Trials, witness: Witness, case: Case, key: tuple[str, ...]) -> bool:
    """Whether a witness comes to where the failure is, and does not show it; false where that cannot be told."""
    changed = witness.changed(case)
    found = None if changed is None else trials.outcome(changed, witness.runtime)
    return found is not None and comes_past(found.verdict, key)


def comes_past(verdict: Verdict, key: tuple[str, ...]) -> bool:
    """Whether a verdict shows that the failure is not there: it passed, or ended later; an earlier end says nothing.

    Of the ends in phase exec, which is one call, any other one will do: an empty program is not run by anybody.
    """
    if not isinstance(verdict, Denied | Failed):
        return isinstance(verdict, Passed)
    phases = list(Phase)
    own, theirs = phases.index(Phase(key[-1])), phases.index(verdict.phase)
    return theirs > own or (verdict.phase is Phase.EXEC and theirs == own and key_of(verdict) != key)


def _shown(trials: Trials, case: Case, origin: Origin, what: str) -> Outcome:
    wanted = origin.record.verdict
    outcome = trials.run(case, Path(origin.runtime.path))
    if outcome.key != key_of(wanted):
        raise EngineError(
            f"{what} does not show what the record says",
            details=f"record: {found_words(wanted)}\nscript: {found_words(outcome.verdict)}\n{outcome.text}".rstrip(),
            resolution="is the cell stable? `permlab explain CELL` runs it several times",
        )
    return outcome


def _telling(trials: Trials, tell: Callable[[str], None]) -> Callable[[Level], None]:
    def told(level: Level) -> None:
        if level.parts:
            tell(f"{level.name}: {level.gone} of {level.parts} taken away ({trials.runs} runs so far)")

    return told


def write_folder(found: Reproduction, folder: Path, env: Mapping[str, str]) -> bool:
    """Write the folder, and run its script twice more from there: for the expected text, and to check it.

    ``env`` is the environment of :attr:`lab.repro.trial.Trials.environment`.

    Returns whether the check says "reproduced": false for a text that is never the same twice.
    """
    runtime = Path(found.origin.runtime.path)
    write_case(found.case, folder)
    outcome = run_folder(folder, found.case, runtime, env)
    write_text(folder, EXPECTED, outcome.text)
    write_text(folder, DIGESTS, digests(found.origin, folder))
    told = Story(
        whole=found.whole,
        case=found.case,
        text=outcome.text,
        complete=found.complete,
        runs=found.runs,
        witnesses=found.witnesses,
    )
    write_text(folder, README, readme(found.origin, told))
    return check_folder(folder, found.case, runtime, env).ok
