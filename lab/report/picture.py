"""Run → a picture of its matrices, for a README. Pure.

Bounded, because a picture of ten thousand rows helps nobody: what is left out is counted, and stands in the other
formats.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lab.model.record import Run
from lab.report.escape import cut, escape_text
from lab.report.matrix import Column, Matrix, Outcome, Row
from lab.report.scene import (
    PAPER,
    QUIET,
    VERDICTS,
    Box,
    Line,
    Scene,
    Shape,
    Text,
    mark,
    text_width,
)
from lab.report.style import Style
from lab.report.summary import Report, build
from lab.report.svg import draw
from lab.report.words import DERIVED, SURPRISE, UNMET, column_head, counted, value_words, values_words

_TABLES, _ROWS, _COLUMNS = 4, 40, 14
"""So much of a run is drawn: matrices, rows of each, columns of each."""
_SIZE, _LEADING = 13.0, 18.0
_MARGIN, _PAD, _MARK, _RADIUS = 20.0, 8.0, 10.0, 4.0
_LABEL, _CAUSE, _LEAST, _LINES = 22, 14, 60, 4
"""Characters of an axis's values and of a cause on one line; of the whole picture at least; lines of one place."""
_LINE = "#d1d9e0"


def render(run: Run, style: Style) -> str:  # noqa: ARG001  # every renderer takes a style; this one has no use for it
    """The picture as SVG."""
    return draw(picture(run))


def picture(run: Run) -> Scene:
    """What the picture shows: title, question and table of each matrix, and below them what was measured where."""
    report = build(run)
    tables = [_Table.of(matrix) for matrix in report.matrices[:_TABLES]]
    width = max([text_width(" " * _LEAST, _SIZE), *(table.width for table in tables)])
    room = int(width / text_width(" ", _SIZE))
    shapes: list[Shape] = []
    top = _MARGIN
    for table in tables:
        shapes += table.shapes(top, room)
        top += table.height(room) + _MARGIN
    for line in (line for note in _notes(report, len(tables)) for line in _wrapped(note, room)):
        shapes.append(_text(_MARGIN, top + _LEADING, line, QUIET.ink))
        top += _LEADING
    paper = Box(x=0, y=0, width=width + 2 * _MARGIN, height=top + _MARGIN, fill=PAPER.fill, radius=_RADIUS)
    numbers = ", ".join(f"{number:,} {kind}" for kind, number in report.counts.verdicts.items() if number)
    return Scene(
        width=paper.width,
        height=paper.height,
        title=_title(report),
        description=f"{counted(report.counts.cells, 'cell')}: {numbers or 'nothing measured'}",
        shapes=(paper, *shapes),
    )


def _title(report: Report) -> str:
    asked = "; ".join(f"{escape_text(table.scenario)}: {escape_text(table.question)}" for table in report.matrices)
    return asked or "permlab: nothing measured"


def _notes(report: Report, drawn: int) -> Iterator[str]:
    header = report.run.header
    rest = len(report.matrices) - drawn
    if rest:
        yield f"… and {counted(rest, 'more scenario')}"
    if report.run.void:
        yield "VOID: a control cell did not show what it must; nothing of this can be trusted."
    if not report.run.finished:
        yield "partial: the run has not come to its end"
    facts = (counted(report.counts.cells, "cell"), f"measured {header.started[:10]}", f"permlab {header.lab_version}")
    yield " · ".join(escape_text(fact) for fact in (*facts, header.host.os, f"kernel {header.host.kernel}"))


def _text(x: float, y: float, text: str, fill: str, *, bold: bool = False) -> Text:
    return Text(x=x, y=y, text=text, fill=fill, size=_SIZE, bold=bold)


def _wrapped(text: str, width: int) -> list[str]:
    """A few lines of a text, the last one cut."""
    lines = textwrap.wrap(text, width) or [""]
    return lines if len(lines) <= _LINES else [*lines[: _LINES - 1], cut(" ".join(lines[_LINES - 1 :]), width)]


def _cell_lines(outcome: Outcome | None) -> list[str]:
    """What stands in a cell beside its mark."""
    if outcome is None:
        return [""]
    marks = UNMET * outcome.unmet + SURPRISE * outcome.surprise
    words = {"passed": "", "skipped": "skip", "errored": "ERR"}.get(outcome.kind, escape_text(outcome.cause))
    return _wrapped(f"{marks} {words}{DERIVED * outcome.derived}".strip(), _CAUSE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """A matrix as lines of text in a grid. ``heads`` and ``labels`` hold the lines of each place."""

    matrix: Matrix
    rows: Sequence[Row]
    columns: Sequence[Column]
    heads: Sequence[Sequence[str]]
    labels: Sequence[Sequence[Sequence[str]]]
    widths: Sequence[float]

    @classmethod
    def of(cls, matrix: Matrix) -> _Table:
        rows, columns = matrix.rows[:_ROWS], matrix.columns[:_COLUMNS]
        heads = [
            *(_wrapped(escape_text(name), _LABEL) for name, _ in matrix.axes),
            *([cut(line, _LABEL) for line in column_head(column).split("\n")] for column in columns),
        ]
        labels = [
            [
                _wrapped(values_words(values, known), _LABEL)
                for values, (_, known) in zip(row.values, matrix.axes, strict=True)
            ]
            for row in rows
        ]
        axes = len(matrix.axes)
        widths = [
            2 * _PAD + _widest([head, *(label[place] for label in labels)]) for place, head in enumerate(heads[:axes])
        ]
        widths += [
            2 * _PAD
            + max(_widest([head]), _MARK + _PAD + _widest([_cell_lines(row.slots[place].outcome) for row in rows]))
            for place, head in enumerate(heads[axes:])
        ]
        return cls(matrix=matrix, rows=rows, columns=columns, heads=heads, labels=labels, widths=widths)

    @property
    def width(self) -> float:
        return sum(self.widths)

    def height(self, room: int) -> float:
        lines = len(self._title(room)) + len(self._rest()) + _tallest(self.heads)
        return lines * _LEADING + 2 * _PAD + sum(self._row_height(place) for place in range(len(self.rows)))

    def shapes(self, top: float, room: int) -> Iterator[Shape]:
        for place, line in enumerate(self._title(room)):
            top += _LEADING
            yield _text(_MARGIN, top, line, QUIET.ink if place else PAPER.ink, bold=not place)
        top += _PAD
        for left, head in zip(self._lefts(), self.heads, strict=True):
            for place, line in enumerate(head, start=1):
                yield _text(left + _PAD, top + place * _LEADING, line, PAPER.ink, bold=True)
        top += _tallest(self.heads) * _LEADING + _PAD
        for place in range(len(self.rows)):
            yield from self._row(place, top)
            top += self._row_height(place)
        for line in self._rest():
            top += _LEADING
            yield _text(_MARGIN, top, line, QUIET.ink)

    def _title(self, room: int) -> list[str]:
        lines = [cut(escape_text(self.matrix.scenario), room), *_wrapped(escape_text(self.matrix.question), room)]
        fixed = " · ".join(f"{escape_text(name)} {value_words(value)}" for name, value in self.matrix.fixed)
        return [line for line in (*lines, cut(fixed, room)) if line]

    def _rest(self) -> list[str]:
        rows, columns = len(self.matrix.rows) - len(self.rows), len(self.matrix.columns) - len(self.columns)
        parts = [counted(number, noun) for number, noun in ((rows, "more row"), (columns, "more column")) if number]
        return [f"… and {' and '.join(parts)}"] if parts else []

    def _lefts(self) -> list[float]:
        return [_MARGIN + sum(self.widths[:place]) for place in range(len(self.widths))]

    def _row_height(self, place: int) -> float:
        slots = self.rows[place].slots[: len(self.columns)]
        return _tallest([*self.labels[place], *(_cell_lines(slot.outcome) for slot in slots)]) * _LEADING + _PAD

    def _row(self, place: int, top: float) -> Iterator[Shape]:
        row, lefts, height = self.rows[place], self._lefts(), self._row_height(place)
        yield Line(points=((_MARGIN, top), (_MARGIN + self.width, top)), stroke=_LINE, thickness=1)
        for left, lines in zip(lefts, self.labels[place], strict=False):
            for number, line in enumerate(lines, start=1):
                yield _text(left + _PAD, top + number * _LEADING, line, PAPER.ink)
        first = len(self.matrix.axes)
        for left, width, slot in zip(lefts[first:], self.widths[first:], row.slots, strict=False):
            yield from _slot(slot.outcome, Box(x=left + 1, y=top + 2, width=width - 2, height=height - 4, fill=""))


def _slot(outcome: Outcome | None, place: Box) -> Iterator[Shape]:
    if outcome is None:
        return
    colours = VERDICTS[outcome.kind]
    yield Box(x=place.x, y=place.y, width=place.width, height=place.height, fill=colours.fill, radius=_RADIUS)
    strokes = mark(outcome.kind, place.x + _PAD - 1, place.y + _PAD - 1, _MARK)
    yield from strokes
    left = place.x + _PAD - 1 + (_MARK + _PAD if strokes else 0)
    for number, line in enumerate(_cell_lines(outcome), start=1):
        if line:
            yield _text(left, place.y - 2 + number * _LEADING, line, colours.ink)


def _widest(places: Sequence[Sequence[str]]) -> float:
    return max((text_width(line, _SIZE) for lines in places for line in lines), default=0.0)


def _tallest(places: Sequence[Sequence[str]]) -> int:
    return max((len(lines) for lines in places), default=0)
