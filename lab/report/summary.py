"""What a report says below its matrices: counts, legend, unmet expectations, notes. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from lab.model.record import Record, Run
from lab.model.verdict import VERDICT_KINDS, Denied, Errored, Failed, Skipped
from lab.oracle.prediction import Prediction
from lab.oracle.runs import Predictions, predict_run
from lab.report.engines import EngineDifference, engine_differences
from lab.report.escape import escape_text
from lab.report.expectations import held, unmet
from lab.report.matrix import Matrix, controls, matrices
from lab.report.words import counted, found_words, wanted_words


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseEntry:
    """One cause of the legend. ``evidence`` is an example: the text of the first cell that shows it.

    ``derived`` tells that it was worked out from an admission rule, not measured.
    """

    kind: str
    cause: str
    phase: str
    count: int
    evidence: str
    derived: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonEntry:
    """Why cells were skipped or errored, and how many."""

    kind: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MissedEntry:
    """Records that missed the same expectation in the same way."""

    wanted: str
    found: str
    source: str
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SurpriseEntry:
    """Records that differ from their prediction in the same way: a new change of a runtime, or a fault of the lab."""

    predicted: str
    found: str
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """``verdicts`` maps every verdict kind to its number of cells; expectations are counted as they held or not.

    ``derived`` counts the cells whose answer was worked out from a rule, not measured. Controls are in none of these;
    they are counted by themselves.
    """

    cells: int
    derived: int
    verdicts: dict[str, int]
    held: int
    not_held: int
    controls: int
    controls_not_held: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that the terminal and Markdown renderers show of a run.

    ``differing`` counts the cells whose error text belongs to another version than the one that ran, by (runtime,
    range that the text speaks for). ``engines`` lists where cells that are equal but for their engine differ.
    """

    run: Run
    matrices: tuple[Matrix, ...]
    controls: tuple[Record, ...]
    counts: Counts
    causes: tuple[CauseEntry, ...]
    reasons: tuple[ReasonEntry, ...]
    missed: tuple[MissedEntry, ...]
    broken: tuple[Record, ...]
    differing: tuple[tuple[tuple[str, str], int], ...]
    predictions: Predictions
    surprises: tuple[SurpriseEntry, ...]
    engines: tuple[EngineDifference, ...]

    @property
    def derived(self) -> str:
        """How many cells were not measured, in words; empty where all were."""
        return f"{self.counts.derived:,} derived from a rule, not measured" if self.counts.derived else ""

    @property
    def predicted(self) -> str:
        """How many cells have a prediction, in words; empty where none has."""
        count = sum(isinstance(self.predictions.cells[r.cell], Prediction) for r in self.run.records if not r.control)
        surprises = counted(len(self.predictions.surprises), "surprise")
        return f"predicted: {count:,} of {counted(self.counts.cells, 'cell')}, {surprises}" if count else ""


def build(run: Run) -> Report:
    """The whole view of a run; the last one is kept, because a run is often shown in several formats."""
    return _build(_Same(run))


@dataclass(frozen=True, slots=True, eq=False)
class _Same:
    """A run as a key: equal to itself, and to no other however alike."""

    run: Run

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.run is other.run

    def __hash__(self) -> int:
        return id(self.run)


@lru_cache(maxsize=1)
def _build(key: _Same) -> Report:
    run = key.run
    predictions = predict_run(run)
    tables, control_records = matrices(run, predictions.surprises), controls(run)
    ordered = [record for table in tables for record in table.records()]
    places = {record.cell: place for place, record in enumerate([*control_records, *ordered])}
    not_met = sorted(unmet(run), key=lambda record: places[record.cell])
    texts = Counter((r.axes.get("runtime", ""), r.speaks_for) for r in ordered if r.text_differs)
    return Report(
        run=run,
        matrices=tables,
        controls=control_records,
        counts=counts(run),
        causes=_causes(ordered),
        reasons=_reasons(ordered),
        missed=_missed(not_met),
        broken=tuple(record for record in not_met if record.control),
        differing=tuple(texts.items()),
        predictions=predictions,
        surprises=_surprises([*control_records, *ordered], predictions),
        engines=engine_differences(ordered),
    )


def counts(run: Run) -> Counts:
    """The numbers of a run."""
    cells = [record for record in run.records if not record.control]
    kinds: Counter[str] = Counter(record.verdict.kind for record in cells)
    expectations = Counter(held(record) for record in cells)
    control_records = controls(run)
    return Counts(
        cells=len(cells),
        derived=sum(record.derived for record in cells),
        verdicts={kind: kinds[kind] for kind in VERDICT_KINDS},
        held=expectations[True],
        not_held=expectations[False],
        controls=len(control_records),
        controls_not_held=sum(held(record) is False for record in control_records),
    )


def _missed(records: Iterable[Record]) -> tuple[MissedEntry, ...]:
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        if record.expectation is not None:
            key = (wanted_words(record.expectation), found_words(record.verdict), record.expectation.source)
            groups.setdefault(key, []).append(record)
    return tuple(
        MissedEntry(wanted=wanted, found=found, source=source, records=tuple(some))
        for (wanted, found, source), some in groups.items()
    )


def _surprises(records: Iterable[Record], predictions: Predictions) -> tuple[SurpriseEntry, ...]:
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        text = predictions.surprises.get(record.cell)
        if text is not None:
            groups.setdefault((escape_text(text), found_words(record.verdict)), []).append(record)
    return tuple(
        SurpriseEntry(predicted=predicted, found=found, records=tuple(some))
        for (predicted, found), some in groups.items()
    )


def _causes(records: Iterable[Record]) -> tuple[CauseEntry, ...]:
    found: dict[tuple[str, str, str, bool], tuple[int, str]] = {}
    for record in records:
        verdict = record.verdict
        if isinstance(verdict, Denied | Failed):
            key = (verdict.kind, verdict.cause, str(verdict.phase), record.derived)
            count, evidence = found.get(key, (0, verdict.evidence))
            found[key] = (count + 1, evidence or verdict.evidence)
    return tuple(
        CauseEntry(kind=kind, cause=cause, phase=phase, count=count, evidence=evidence, derived=derived)
        for (kind, cause, phase, derived), (count, evidence) in sorted(found.items())
    )


def _reasons(records: Iterable[Record]) -> tuple[ReasonEntry, ...]:
    found = Counter(
        (record.verdict.kind, record.verdict.reason)
        for record in records
        if isinstance(record.verdict, Skipped | Errored)
    )
    ordered = sorted(found.items(), key=lambda item: (item[0][0], -item[1], item[0][1]))
    return tuple(ReasonEntry(kind=kind, reason=reason, count=count) for (kind, reason), count in ordered)
