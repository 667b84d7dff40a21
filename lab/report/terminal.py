"""The report for a terminal: fits a width, colours only when told, never passes on what could act on a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from tabulate import tabulate

from lab.model.record import Record, Run
from lab.report.escape import cut, escape_text
from lab.report.expectations import held
from lab.report.matrix import Matrix, Outcome
from lab.report.style import Style
from lab.report.summary import Report, build
from lab.report.words import (
    ALL_FROM,
    MISSING,
    SURPRISE,
    UNMET,
    column_head,
    counted,
    found_words,
    show_command,
    sign,
    value_words,
    values_words,
    wanted_words,
)

_GAP = 2
_LABEL = 28
_NARROW = 14
_NARROWEST = 40
_SHOWN = 20
_COMMANDS = 5
_COLOURS = {"passed": "32", "denied": "31", "failed": "35", "skipped": "2", "errored": "1;33", "alarm": "1;41;97"}


def render(run: Run, style: Style) -> str:
    """The whole report."""
    report = build(run)
    width = max(style.width, _NARROWEST)
    painter = Painter(on=style.colour)
    blocks = [
        _head(report, width, painter),
        *(block for table in report.matrices for block in _matrix(table, width, painter)),
        _controls(report, width),
        _legend(report, width, painter),
        _unmet(report, width),
        _surprises(report, width),
        _engines(report, width),
        _notes(report, width),
        _summary(report, width),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


class Painter:
    """Puts colours around words, or leaves them as they are."""

    def __init__(self, *, on: bool) -> None:
        self.on = on

    def paint(self, text: str, name: str) -> str:
        """The text in the colour of a verdict kind, or of an ``alarm``."""
        return f"\x1b[{_COLOURS[name]}m{text}\x1b[0m" if self.on and name in _COLOURS else text


def _head(report: Report, width: int, painter: Painter) -> str:
    header, host = report.run.header, report.run.header.host
    lines = wrapped(f"run {header.id} · permlab {header.lab_version} · {header.started}", width)
    facts = (host.os, f"kernel {host.kernel}", host.machine, f"cgroups {host.cgroups}", f"uid {host.uid}")
    lines += wrapped("host: " + " · ".join(escape_text(fact) for fact in facts), width)
    lines += [painter.paint(line, "alarm") for line in _void(report, width)]
    if not report.run.finished:
        lines += wrapped(f"PARTIAL: the run has not come to its end; {MISSING} stands for cells not recorded.", width)
    return "\n".join(lines)


def _void(report: Report, width: int) -> list[str]:
    if not report.run.void:
        return []
    lines = []
    for record in report.broken[:_COMMANDS]:
        lines += wrapped(f"run is VOID: control cell {escape_text(record.cell)}: {_missed(record)}", width)
    rest = len(report.broken) - _COMMANDS
    return [*lines, f"  … and {counted(rest, 'more control cell')}"] if rest > 0 else lines


def _missed(record: Record) -> str:
    wanted = "" if record.expectation is None else f"expected {wanted_words(record.expectation)}, "
    return f"{wanted}found {found_words(record.verdict)}"


def _matrix(table: Matrix, width: int, painter: Painter) -> Iterator[str]:
    lines = wrapped(": ".join(filter(None, (table.scenario, escape_text(table.question)))), width)
    if table.fixed:
        lines += wrapped(" · ".join(f"{name} {value_words(value)}" for name, value in table.fixed), width, "  ")
    for place, (name, known) in enumerate(table.axes):
        if len(known) >= ALL_FROM and any(row.values[place] == known for row in table.rows):
            lines += wrapped(f"any {name}: " + ", ".join(value_words(value) for value in known), width, "  ")
    yield "\n".join(lines)
    labels = _labels(table, max(_NARROW, min(_LABEL, width // (2 * max(len(table.axes), 1)))))
    for wrap, columns in _pages(table, labels, width):
        yield _page(table, labels, columns, painter, wrap=wrap)
    yield _members(table, width)


def _page(
    table: Matrix, labels: Sequence[Sequence[str]], columns: Sequence[int], painter: Painter, *, wrap: bool
) -> str:
    """The axes and some of the columns as one table. Head and rule are rows of it: tabulate would pad its headers."""
    head = [*(name for name, _ in table.axes), *(column_head(table.columns[place]) for place in columns)]
    rule = [
        *("-" * _label_width(table, labels, place) for place in range(len(table.axes))),
        *("-" * _column_width(table, place, wrap=wrap) for place in columns),
    ]
    body = (
        [*label, *(_cell(row.slots[place].outcome, painter, wrap=wrap) for place in columns)]
        for label, row in zip(labels, table.rows, strict=True)
    )
    text = tabulate([head, rule, *body], tablefmt="plain", disable_numparse=True, preserve_whitespace=True)
    return "\n".join(line.rstrip() for line in text.split("\n"))


def _members(table: Matrix, width: int) -> str:
    """What the ranges of the columns stand for, version by version."""
    lines = []
    for column in table.columns:
        if " … " in column.range:
            versions = ", ".join(escape_text(version) for version in column.versions)
            lines += wrapped(f"{escape_text(column.label)}: {versions}", width)
    return "\n".join(lines)


def _labels(table: Matrix, width: int) -> list[list[str]]:
    """The texts of the axes' columns; a value that the row above has too is not said again."""
    labels, above = [], None
    for row in table.rows:
        label, same = [], above is not None
        for place, values in enumerate(row.values):
            same = same and above is not None and above[place] == values
            text = values_words(values, table.axes[place][1])
            label.append("" if same else "\n".join(textwrap.wrap(text, width) or [text]))
        labels.append(label)
        above = row.values
    return labels


def _pages(table: Matrix, labels: Sequence[Sequence[str]], width: int) -> list[tuple[bool, list[int]]]:
    """Which columns stand in which table, and whether their cells are wrapped.

    All in one table when that fits, with wrapped cells if need be; else as many as fit beside each other, each table
    with the axes in front.
    """
    front = sum(_GAP + _label_width(table, labels, place) for place in range(len(table.axes)))
    whole, narrow = (
        [_column_width(table, place, wrap=wrap) for place in range(len(table.columns))] for wrap in (False, True)
    )
    for wrap, widths in ((False, whole), (True, narrow)):
        if front + sum(widths) + _GAP * (len(widths) - 1) <= width:
            return [(wrap, list(range(len(widths))))]
    wrap = front + max(whole) > width
    return [(wrap, page) for page in _split(narrow if wrap else whole, width - front)]


def _split(widths: Sequence[int], room: int) -> list[list[int]]:
    pages: list[list[int]] = []
    left = 0
    for place, width in enumerate(widths):
        if not pages or width > left:
            pages.append([])
            left = room
        pages[-1].append(place)
        left -= width + _GAP
    return pages


def _label_width(table: Matrix, labels: Sequence[Sequence[str]], place: int) -> int:
    name = table.axes[place][0]
    return max(len(name), *(len(line) for label in labels for line in label[place].split("\n")))


def _column_width(table: Matrix, place: int, *, wrap: bool) -> int:
    outcomes = {row.slots[place].outcome for row in table.rows}
    texts = [column_head(table.columns[place]), *("\n".join(_sign_lines(one, wrap=wrap)) for one in outcomes)]
    return max(len(line) for text in texts for line in text.split("\n"))


def _sign_lines(outcome: Outcome | None, *, wrap: bool) -> list[str]:
    text = sign(outcome)
    return textwrap.wrap(text, _NARROW, subsequent_indent="  ") if wrap else [text]


def _cell(outcome: Outcome | None, painter: Painter, *, wrap: bool) -> str:
    lines = _sign_lines(outcome, wrap=wrap)
    return "\n".join(painter.paint(line, outcome.kind) if outcome else line for line in lines)


def _controls(report: Report, width: int) -> str:
    if not report.controls:
        return ""
    silent = sum(held(record) is None for record in report.controls)
    fine = len(report.controls) - len(report.broken) - silent
    text = f"controls: {fine} of {len(report.controls)} as expected"
    return "\n".join(wrapped(text + (f", {silent} skipped or without expectation" if silent else ""), width))


def _legend(report: Report, width: int, painter: Painter) -> str:
    lines = []
    for entry in report.causes:
        text = sign(Outcome(entry.kind, entry.cause, entry.phase, derived=entry.derived))
        told = f"{text}  {entry.kind} in phase {entry.phase}, {counted(entry.count, 'cell')}"
        told += f"; see docs/causes.md#{escape_text(entry.cause)}"
        first, *rest = wrapped(told, width, "", "    ")
        lines += [first.replace(text, painter.paint(text, entry.kind), 1), *rest]
        lines.append("    " + cut(escape_text(entry.evidence) or "(no text)", width - 4))
    for reason in report.reasons[:_SHOWN]:
        text = f"{sign(Outcome(reason.kind))}  {counted(reason.count, 'cell')}: {escape_text(reason.reason)}"
        lines += wrapped(text, width, "", "    ")
    lines += _more(len(report.reasons), "reason")
    if any(table.gaps for table in report.matrices):
        lines += wrapped(f"{MISSING}  no such cell, or it was not run", width)
    return "\n".join(lines)


def _unmet(report: Report, width: int) -> str:
    total = sum(len(entry.records) for entry in report.missed)
    lines = [f"{UNMET} {counted(total, 'expectation')} not met"] if total else []
    for entry in report.missed[:_SHOWN]:
        source = f" — {escape_text(entry.source)}" if entry.source else ""
        text = f"{counted(len(entry.records), 'cell')}: expected {entry.wanted}, found {entry.found}{source}"
        lines += wrapped(text, width, "  ", "    ")
        lines += [f"    {show_command(record)}" for record in entry.records[:_COMMANDS]]
        rest = len(entry.records) - _COMMANDS
        lines += [f"    … and {counted(rest, 'cell')} more"] if rest > 0 else []
    return "\n".join([*lines, *_more(len(report.missed), "kind")])


def _surprises(report: Report, width: int) -> str:
    total = len(report.predictions.surprises)
    text = f"{SURPRISE} {counted(total, 'surprise')}: a new change of a runtime, or a fault of the lab"
    lines = wrapped(text, width) if total else []
    for entry in report.surprises[:_SHOWN]:
        text = f"{counted(len(entry.records), 'cell')}: {entry.predicted}, found {entry.found}"
        lines += wrapped(text, width, "  ", "    ")
        lines += [f"    {show_command(record)}" for record in entry.records[:_COMMANDS]]
        rest = len(entry.records) - _COMMANDS
        lines += [f"    … and {counted(rest, 'cell')} more"] if rest > 0 else []
    return "\n".join([*lines, *_more(len(report.surprises), "kind")])


def _engines(report: Report, width: int) -> str:
    lines = ["engines that differ on equal cells:"] if report.engines else []
    for one in report.engines[:_SHOWN]:
        text = f"{one.engine}: {one.here}, {one.base}: {one.there}; {counted(len(one.records), 'cell')}"
        lines += wrapped(escape_text(text), width, "  ", "    ")
        lines += wrapped(f"{one.reason}{f' ({one.source})' if one.source else ''}", width, "    ", "    ")
        lines += [] if one.source else [f"    {show_command(record)}" for record in one.records[:_COMMANDS]]
    return "\n".join([*lines, *_more(len(report.engines), "kind")])


def _notes(report: Report, width: int) -> str:
    lines = []
    for (runtime, speaks), count in report.differing[:_SHOWN]:
        text = f"note: in {counted(count, 'cell')}, {escape_text(runtime)} writes errors as {escape_text(speaks)} does"
        lines += wrapped(text, width, "", "    ")
    return "\n".join([*lines, *_more(len(report.differing), "runtime")])


def _more(total: int, noun: str) -> list[str]:
    rest = total - _SHOWN
    return [f"  … and {counted(rest, f'more {noun}')} (all of them: --format json)"] if rest > 0 else []


def _summary(report: Report, width: int) -> str:
    numbers = report.counts
    parts = ", ".join(f"{number:,} {kind}" for kind, number in numbers.verdicts.items() if number)
    text = counted(numbers.cells, "cell") + (f": {parts}" if parts else "")
    if numbers.controls and not numbers.cells:
        text = f"{counted(numbers.controls, 'control cell')}, nothing else"
    if numbers.held or numbers.not_held:
        text += f" · expectations: {numbers.held:,} held, {numbers.not_held:,} not"
    text += "".join(f" · {told}" for told in (report.derived, report.predicted) if told)
    if report.run.void:
        text = f"VOID · {text}"
    return "\n".join(wrapped(text, width))


def wrapped(text: str, width: int, first: str = "", rest: str | None = None) -> list[str]:
    """A paragraph as lines of at most ``width``, the first indented by ``first``, the others by ``rest``."""
    indent = first if rest is None else rest
    return textwrap.wrap(text, width, initial_indent=first, subsequent_indent=indent or "  ", break_on_hyphens=False)
