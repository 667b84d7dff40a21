"""A diff for a terminal: fits a width, colours only when told, never passes on what could act on a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from lab.comparison import Answer, Change, Comparison
from lab.report.diff_view import DiffView, Proof, Section, Table, Words, signs, view
from lab.report.escape import cut, escape_text
from lab.report.matrix import Row
from lab.report.style import Style
from lab.report.terminal import Painter, wrapped
from lab.report.words import counted, sign, value_words, values_words

_NARROWEST = 40
_GAP = "  "
_ROWS = 40
"""So many rows of one table are shown; of regressions all are."""
_PROOFS = 20
_TEXT = 600
"""Characters of one text that are shown; `permlab show` has all of it."""
_COLOURS = {
    Change.REGRESSION: "denied",
    Change.CHANGED: "failed",
    Change.IMPROVEMENT: "passed",
    Change.UNKNOWN: "errored",
}
_ANSWERS = {Answer.REGRESSIONS: "denied", Answer.NO_REGRESSIONS: "passed", Answer.UNKNOWN: "alarm"}

_Grid = Sequence[Sequence[str]]


def render(found: Comparison, style: Style) -> str:
    """The whole report."""
    report = view(found)
    width, painter = max(style.width, _NARROWEST), Painter(on=style.colour)
    blocks = [
        _head(report, width, painter),
        *(block for section in report.sections for block in _section(section, width, painter)),
        _apart(report, width),
        _notes(report, width),
        _summary(report, width, painter),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _head(report: DiffView, width: int, painter: Painter) -> str:
    lines = wrapped(f"diff: {escape_text(report.left)} → {escape_text(report.right)}", width)
    for alarm in report.alarms:
        lines += [painter.paint(line, "alarm") for line in wrapped(_line(alarm), width)]
    return "\n".join(lines)


def _line(words: Words) -> str:
    return escape_text("".join(words))


def _section(section: Section, width: int, painter: Painter) -> Iterator[str]:
    title = section.title.upper() if section.name == Change.REGRESSION else section.title
    first, *rest = wrapped(f"{title}: {section.note}", width)
    colour = _COLOURS.get(Change(section.name), "") if section.name in set(Change) else ""
    yield "\n".join([first.replace(title, painter.paint(title, colour), 1), *rest])
    for table in section.tables:
        yield _table(table, width, painter, rows=None if section.name == Change.REGRESSION else _ROWS)


def _table(table: Table, width: int, painter: Painter, *, rows: int | None) -> str:
    lines = wrapped(": ".join(filter(None, (table.scenario, escape_text(table.question)))), width, "  ", "    ")
    if table.fixed:
        fixed = " · ".join(f"{escape_text(name)} {value_words(value)}" for name, value in table.fixed)
        lines += wrapped(fixed, width, "  ", "    ")
    for name, known in table.whole:
        lines += wrapped(f"any {escape_text(name)}: {', '.join(map(value_words, known))}", width, "  ", "    ")
    shown = table.rows[:rows]
    names = [escape_text(name) for name, _ in table.axes]
    body = [[*_labels(row, table), *signs(row)] for row in shown]
    grid = [[*names, *(escape_text(head) for head in table.heads)], *body]
    colours = [
        [""] * len(grid[0]),
        *([*("" for _ in names), *(slot.outcome.kind if slot.outcome else "" for slot in row.slots)] for row in shown),
    ]
    lines += _aligned(grid, colours, width - 4, painter)
    hidden = sum(len(row.slots[0].records) for row in table.rows[len(shown) :])
    if hidden:
        lines.append(f"    … and {counted(hidden, 'cell')} more (all of them: --format json)")
    for proof in table.proofs[:_PROOFS]:
        lines += _proof(proof, width, painter)
    if len(table.proofs) > _PROOFS:
        lines.append(f"    … and {counted(len(table.proofs) - _PROOFS, 'more text')}")
    for change in table.changes:
        lines += wrapped(_line(change), width, "    ", "      ")
    return "\n".join(lines)


def _labels(row: Row, table: Table) -> Iterator[str]:
    return (values_words(values, known) for values, (_, known) in zip(row.values, table.axes, strict=True))


def _aligned(grid: _Grid, colours: _Grid, width: int, painter: Painter) -> Iterator[str]:
    """Rows as lines, columns as wide as they need to be, or wrapped where that is more than there is room for."""
    widths = [max(len(row[place]) for row in grid) for place in range(len(grid[0]))]
    room = width - len(_GAP) * (len(widths) - 1)
    if sum(widths) > room:
        widths = _narrowed(widths, room)
    for row, paints in zip(grid, colours, strict=True):
        cells = [textwrap.wrap(text, wide) or [""] for text, wide in zip(row, widths, strict=True)]
        for parts in zip_longest(*cells, fillvalue=""):
            padded = (
                painter.paint(part, paint if part else "") + " " * (wide - len(part))
                for part, wide, paint in zip(parts, widths, paints, strict=True)
            )
            yield f"    {_GAP.join(padded)}".rstrip()


def _narrowed(widths: Sequence[int], room: int) -> list[int]:
    """The widest columns made narrower until all fit: what is narrow already keeps its width."""
    limit = max(widths)
    while limit > 1 and sum(min(wide, limit) for wide in widths) > room:
        limit -= 1
    return [min(wide, limit) for wide in widths]


def _proof(proof: Proof, width: int, painter: Painter) -> Iterator[str]:
    mark = sign(proof.outcome)
    phase = f" in phase {escape_text(proof.outcome.phase)}" if proof.outcome.phase else ""
    text = cut(escape_text(proof.text), _TEXT) or "(no text)"
    first, *rest = wrapped(f"{mark}{phase}, {counted(proof.cells, 'cell')}: {text}", width, "    ", "      ")
    yield first.replace(mark, painter.paint(mark, proof.outcome.kind), 1)
    yield from rest
    yield from wrapped(_line(proof.expected), width, "      ")
    yield f"      {escape_text(proof.command)}"


def _apart(report: DiffView, width: int) -> str:
    total = sum(number for _, number in report.apart)
    lines = [f"not comparable: {counted(total, 'cell')}"] if total else []
    for reason, number in report.apart:
        lines += wrapped(f"{counted(number, 'cell')}: {escape_text(reason)}", width, "  ", "    ")
    return "\n".join(lines)


def _notes(report: DiffView, width: int) -> str:
    notes = [f"note: {_line(note)}" for note in report.notes]
    return "\n".join(line for note in (*notes, _line(report.facts)) for line in wrapped(note, width, "", "    "))


def _summary(report: DiffView, width: int, painter: Painter) -> str:
    told = report.summary if report.answer is Answer.REGRESSIONS else f"{report.headline}: {report.summary}"
    lines = wrapped(told, width)
    return "\n".join(painter.paint(line, _ANSWERS[report.answer]) for line in lines)
