r"""A diff for programs: one JSON document, described in ``docs/compare.md``; one cell stands on one line.

Everything outside ASCII is written as ``\uXXXX``, so that printing the document cannot act on a terminal.
"""

from __future__ import annotations

from collections.abc import Collection

from lab.comparison import Change, Comparison, Pair, Side, shared_axes
from lab.model.record import Record
from lab.model.verdict import Denied, Errored, Failed, Skipped
from lab.report.diff_document import (
    FORMAT,
    AloneEntry,
    DiffDocument,
    DiffSummary,
    MisfitEntry,
    PairEntry,
    ResultEntry,
    SideEntry,
    SwapEntry,
)
from lab.report.expectations import held
from lab.report.json_format import document_text
from lab.report.style import Style


def render(found: Comparison, style: Style) -> str:  # noqa: ARG001  # every renderer takes a style; this one has no use for it
    """The document as text."""
    return document_text(document(found))


def document(found: Comparison) -> DiffDocument:
    """The comparison as the documented types."""
    pairs = {change: tuple(_pair(pair, found.axes) for pair in some) for change, some in found.pairs.items()}
    return DiffDocument(
        format=FORMAT,
        axes=found.axes,
        left=_side(found.left),
        right=_side(found.right),
        answer=found.answer.value,
        void=found.void,
        complete=all(run.finished for run in found.runs),
        summary=DiffSummary(
            compared=found.compared,
            regressions=len(pairs[Change.REGRESSION]),
            changed=len(pairs[Change.CHANGED]),
            improvements=len(pairs[Change.IMPROVEMENT]),
            unknown=len(pairs[Change.UNKNOWN]),
            unchanged=len(pairs[Change.UNCHANGED]),
            added=len(found.added),
            deleted=len(found.deleted),
            not_comparable=len(found.misfits),
        ),
        swaps=tuple(
            SwapEntry(part=swap.part, name=swap.name, left=swap.left, right=swap.right, cells=swap.cells)
            for swap in found.swaps
        ),
        twins=found.twins,
        regressions=pairs[Change.REGRESSION],
        changed=pairs[Change.CHANGED],
        improvements=pairs[Change.IMPROVEMENT],
        unknown=pairs[Change.UNKNOWN],
        deleted=tuple(_alone(record) for record in found.deleted),
        added=tuple(_alone(record) for record in found.added),
        not_comparable=tuple(
            MisfitEntry(
                side=misfit.side,
                reason=misfit.reason,
                scenario=misfit.record.scenario,
                axes=misfit.record.axes,
                result=_result(misfit.record),
            )
            for misfit in found.misfits
        ),
        unchanged=pairs[Change.UNCHANGED],
    )


def _side(side: Side) -> SideEntry:
    header = side.run.header
    return SideEntry(
        run=header.id,
        values=side.values,
        started=header.started,
        finished=side.run.finished,
        void=side.run.void,
        lab_version=header.lab_version,
    )


def _pair(pair: Pair, axes: Collection[str]) -> PairEntry:
    return PairEntry(
        scenario=pair.left.scenario,
        axes=shared_axes(pair.left.axes, axes),
        differs=pair.differs,
        swapped=pair.swapped,
        left=_result(pair.left),
        right=_result(pair.right),
    )


def _alone(record: Record) -> AloneEntry:
    return AloneEntry(scenario=record.scenario, axes=record.axes, result=_result(record))


def _result(record: Record) -> ResultEntry:
    verdict = record.verdict
    refusal = verdict if isinstance(verdict, Denied | Failed) else None
    return ResultEntry(
        cell=record.cell,
        verdict=verdict.kind,
        cause=refusal.cause if refusal else None,
        phase=str(refusal.phase) if refusal else None,
        evidence=refusal.evidence if refusal else None,
        reason=verdict.reason if isinstance(verdict, Skipped | Errored) else None,
        held=held(record),
        source=record.expectation.source if record.expectation else "",
        runtime=record.provenance.runtime,
        image=record.provenance.image,
        engine=record.provenance.engine,
    )
