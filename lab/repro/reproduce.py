"""A record → a folder that shows its outcome: made, tried, made smaller, tried again."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab.errors import EngineError
from lab.model.verdict import Passed, Verdict
from lab.report.words import found_words
from lab.repro.case import Case
from lab.repro.folder import DIGESTS, EXPECTED, README, write_case, write_text
from lab.repro.making import Origin, make_case
from lab.repro.minimise import Level, minimise
from lab.repro.readme import digests, readme
from lab.repro.trial import Outcome, Trials, check_folder, key_of, run_folder

MOST_RUNS = 400
"""Runs that making a case smaller may take, unless the user says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """A case that shows what its record says.

    ``whole`` is the cell in full, ``case`` what is left of it; ``runs`` is how often a runtime was called. ``complete``
    tells that no single further part can go; otherwise it was not asked for, or the runs were used up.
    """

    origin: Origin
    whole: Case
    case: Case
    outcome: Outcome
    runs: int
    complete: bool


def reproduce(
    origin: Origin, *, minimal: bool = True, most: int = MOST_RUNS, tell: Callable[[str], None] = lambda _: None
) -> Reproduction:
    """Make the case, show that it gives the record's verdict, and take away what that does not need.

    A passed cell stays whole: there is no failure to keep. Raises :class:`EngineError` when the case, called by a
    script, shows something else than the record says.
    """
    whole = make_case(origin)
    key = key_of(origin.record.verdict)
    with tempfile.TemporaryDirectory(prefix="permlab-repro-") as place:
        Path(place).chmod(0o755)
        trials = Trials(runtime=Path(origin.runtime.path), place=Path(place), most=most)
        outcome = _shown(trials, whole, origin.record.verdict, "the cell in full")
        small = minimal and not isinstance(origin.record.verdict, Passed)
        case = minimise(whole, lambda case: trials.shows(case, key), _telling(trials, tell)) if small else whole
        if case != whole:
            outcome = _shown(trials, case, origin.record.verdict, "the smallest case, tried once more,")
        complete = small and not trials.exhausted
        return Reproduction(origin=origin, whole=whole, case=case, outcome=outcome, runs=trials.runs, complete=complete)


def _shown(trials: Trials, case: Case, wanted: Verdict, what: str) -> Outcome:
    outcome = trials.run(case)
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


def write_folder(found: Reproduction, folder: Path) -> bool:
    """Write the folder, and run its script twice more from there: for the expected text, and to check it.

    Returns whether the check says "reproduced": false for a text that is never the same twice.
    """
    runtime = Path(found.origin.runtime.path)
    write_case(found.case, folder)
    outcome = run_folder(folder, found.case, runtime)
    write_text(folder, EXPECTED, outcome.text)
    write_text(folder, DIGESTS, digests(found.origin, folder))
    write_text(
        folder,
        README,
        readme(found.origin, found.whole, found.case, outcome.text, complete=found.complete, runs=found.runs),
    )
    return check_folder(folder, found.case, runtime).ok
