"""From a cell's item to its record, and from the record to pytest's outcome."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from lab.classify.again import judged_again
from lab.codec import settings_digest
from lab.errors import LabError, SourceUnreachable
from lab.model.record import Record
from lab.model.verdict import Denied, Errored, Failed, Passed, Skipped
from lab.pytest_plugin.bench import Bench, broken_controls, open_bench, opened_bench
from lab.pytest_plugin.choice import Choice, activate
from lab.pytest_plugin.failure import LabFault, commands, not_as_expected
from lab.report.escape import escape_text
from lab.report.expectations import held, intermittent
from lab.report.words import found_words, show_command
from lab.scenario.resolve import expectation_of, resolve

if TYPE_CHECKING:
    from lab.pytest_plugin.collecting import CellItem


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A record and the id of the run that holds it."""

    record: Record
    run: str


@contextmanager
def _told() -> Generator[None]:
    """Make an error that the lab names a fault without a traceback."""
    try:
        yield
    except LabError as error:
        raise LabFault(error.brief, str(error)) from None


def prepare(item: CellItem) -> None:
    """Open the lab and supply it for the first item; raise where nothing can be said about this item's runtime."""
    if activate(item.config).runs:
        return
    with _told():
        bench = _bench(item)
        if not bench.supplied(item.task):
            bench.supply([one.task for one in _chosen(item)])
        lacking = bench.lacking(item.task)
        if isinstance(lacking, SourceUnreachable):
            pytest.skip(escape_text(f"{lacking.brief}: {lacking.details}"))
        if lacking is not None:
            raise lacking
        broken = bench.broken_controls(item.task)
    _trust(item, broken, bench.session.header.id)


def measure(item: CellItem) -> Measured:
    """The item's record: measured now, or as a stored run has it; skips where the stored runs have none."""
    choice = activate(item.config)
    if choice.runs:
        return _stored(item, choice)
    with _told():
        bench = _bench(item)
        return Measured(record=bench.measure(item.task), run=bench.session.header.id)


def _stored(item: CellItem, choice: Choice) -> Measured:
    run = next((run for run in choice.runs if item.task.cell.id in run.records), None)
    if run is None:
        pytest.skip(f"run {', '.join(run.id for run in choice.runs)} has no such cell")
    record = judged_again(run.records[item.task.cell.id])
    if record.provenance.settings not in {"", settings_digest(resolve(item.task.scenario, item.task.cell).settings)}:
        pytest.skip(f"run {run.id} measured this cell when its scenario said something else")
    _trust(item, broken_controls(run.controls, item.task.cell.value("runtime")), run.id)
    expectation = expectation_of(item.task.scenario, item.task.cell)
    return Measured(record=replace(record, expectation=expectation), run=run.id)


def tell_outcome(item: CellItem, measured: Measured) -> None:
    """Return for a cell that passes, raise for any other; what it showed goes into the report's properties."""
    record = measured.record
    item.user_properties += _properties(measured)
    match record.verdict:
        case Skipped(reason=reason):
            pytest.skip(escape_text(reason))
        case Errored(reason=reason):
            brief = f"errored: {escape_text(reason)}"
            raise LabFault(brief, _text(brief, commands(record, measured.run, item.scenario_file.shown)))
    if held(record) is False or intermittent(record):
        raise not_as_expected(record, run=measured.run, scenario=item.scenario_file.shown)
    if not isinstance(record.verdict, Passed):
        because = "no expectation" if record.expectation is None else "as expected"
        item.user_properties.append(("permlab-shown", f"{found_words(record.verdict)}, {because}"))


def _properties(measured: Measured) -> Iterator[tuple[str, object]]:
    verdict = measured.record.verdict
    yield "permlab-run", measured.run
    yield "permlab-verdict", verdict.kind
    if isinstance(verdict, Denied | Failed):
        yield "permlab-cause", verdict.cause
        yield "permlab-phase", verdict.phase.value
        yield "permlab-evidence", escape_text(verdict.evidence)


def _bench(item: CellItem) -> Bench:
    bench = opened_bench(item.config)
    if bench is None:
        texts = {one.task.scenario.id: one.scenario_file.text for one in _chosen(item)}
        bench = open_bench(item.config, texts)
    return bench


def _chosen(item: CellItem) -> Sequence[CellItem]:
    """All items of this pytest that are cells; before anything ran, so that what they need is made ready at once."""
    return [one for one in item.session.items if isinstance(one, type(item))]


def _trust(item: CellItem, broken: Sequence[Record], run: str) -> None:
    """Refuse to say anything about a runtime whose control cells do not show what they must."""
    if broken:
        brief = f"void: a control cell of {item.task.cell.value('runtime')} did not show what it must"
        raise LabFault(
            brief,
            _text(
                brief,
                [pair for one in broken for pair in (("control", one.cell), ("found", found_words(one.verdict)))]
                + [("show", f"{show_command(broken[0])} --run {run}")],
            ),
        )


def _text(brief: str, pairs: Iterable[tuple[str, str]]) -> str:
    return "\n".join([brief, *(f"{name:<10}{line}".rstrip() for name, line in pairs)])
