"""Whether a record shows what its scenario expected."""

from __future__ import annotations

from lab.model.record import Record, Run
from lab.model.verdict import Denied, Failed


def held(record: Record) -> bool | None:
    """Whether the record's expectation was fulfilled; ``None`` when it has none, or was skipped and so says nothing.

    The verdict must be the expected one, and so must cause and phase where the expectation names them. An errored
    cell does not fulfil any expectation.
    """
    wanted, verdict = record.expectation, record.verdict
    if wanted is None or verdict.kind == "skipped":
        return None
    if verdict.kind != wanted.verdict:
        return False
    if isinstance(verdict, Denied | Failed):
        return wanted.cause in {None, verdict.cause} and wanted.phase in {None, verdict.phase}
    return wanted.cause is None and wanted.phase is None


def unmet(run: Run) -> tuple[Record, ...]:
    """The records whose expectation was not fulfilled, controls included, in the run's order."""
    return tuple(record for record in run.records if held(record) is False)
