"""Whether a record shows what its scenario expected."""

from __future__ import annotations

from lab.model.record import Record, Run
from lab.model.scenario import Expectation
from lab.model.verdict import Denied, Failed, Verdict


def held(record: Record) -> bool | None:
    """Whether the record's expectation was fulfilled; ``None`` when it has none, or was skipped and so says nothing.

    The verdict must be the expected one, and so must cause and phase where the expectation names them. An errored
    cell does not fulfil any expectation. What was measured of a cell that is known to be intermittent says nothing
    when it is not the expected.
    """
    wanted, verdict = record.expectation, record.verdict
    if wanted is None or verdict.kind == "skipped":
        return None
    return _shown(wanted, verdict) or (None if intermittent(record) else False)


def intermittent(record: Record) -> str:
    """Why a cell showed something else than expected without a fault: it is known to, now and then; else empty."""
    wanted, verdict = record.expectation, record.verdict
    if wanted is None or verdict.kind in {"skipped", "errored"} or _shown(wanted, verdict):
        return ""
    return wanted.intermittent


def _shown(wanted: Expectation, verdict: Verdict) -> bool:
    if verdict.kind != wanted.verdict:
        return False
    if isinstance(verdict, Denied | Failed):
        return wanted.cause in {None, verdict.cause} and wanted.phase in {None, verdict.phase}
    return wanted.cause is None and wanted.phase is None


def unmet(run: Run) -> tuple[Record, ...]:
    """The records whose expectation was not fulfilled, controls included, in the run's order."""
    return tuple(record for record in run.records if held(record) is False)
