"""Run → a badge for a README: what the run says in a few words. Pure.

Drawn by the lab itself: nothing is fetched from a badge service, and no font is.
"""

from __future__ import annotations

from collections.abc import Iterable

from lab.model.record import Record, Run
from lab.report.expectations import held
from lab.report.scene import Box, Colours, Scene, Shape, Text
from lab.report.style import Style
from lab.report.svg import draw

_NAME = Colours(fill="#444c56", ink="#ffffff")
_GOOD = Colours(fill="#116329", ink="#ffffff")
_BAD = Colours(fill="#a40e26", ink="#ffffff")
_PLAIN = Colours(fill="#0550ae", ink="#ffffff")
_SILENT = Colours(fill="#57606a", ink="#ffffff")
_SIZE, _HEIGHT, _BASELINE, _PAD, _RADIUS = 11.0, 20.0, 14.0, 6.0, 3.0


def render(run: Run, style: Style) -> str:  # noqa: ARG001  # every renderer takes a style; this one has no use for it
    """The badge as SVG."""
    return draw(badge(run))


def badge(run: Run) -> Scene:
    """``permlab`` and the run's message beside it."""
    words, colours = message(run)
    name = Text(x=_PAD, y=_BASELINE, text="permlab", fill=_NAME.ink, size=_SIZE)
    left = 2 * _PAD + name.width
    said = Text(x=left + _PAD, y=_BASELINE, text=words, fill=colours.ink, size=_SIZE)
    width = left + 2 * _PAD + said.width
    shapes: tuple[Shape, ...] = (
        Box(x=0, y=0, width=width, height=_HEIGHT, fill=_NAME.fill, radius=_RADIUS),
        Box(x=left, y=0, width=width - left, height=_HEIGHT, fill=colours.fill, radius=_RADIUS),
        Box(x=left, y=0, width=_RADIUS, height=_HEIGHT, fill=colours.fill),
        name,
        said,
    )
    return Scene(width=width, height=_HEIGHT, title=f"permlab: {words}", description=_about(run), shapes=shapes)


def message(run: Run) -> tuple[str, Colours]:
    """The most important thing first: void, unmet expectations, faults of the lab, then what was measured."""
    cells = [record for record in run.records if not record.control]
    missed = sum(held(record) is False and record.verdict.kind != "errored" for record in cells)
    met = sum(held(record) is True for record in cells)
    errored, passed, refused = (_count(cells, kinds) for kinds in (("errored",), ("passed",), ("denied", "failed")))
    if run.void:
        return "void", _SILENT
    if missed:
        return f"{missed:,} of {missed + met:,} not as expected", _BAD
    if errored:
        return f"{errored:,} errored", _SILENT
    if met:
        return f"{met:,} as expected", _GOOD
    if passed or refused:
        return f"{passed:,} pass, {refused:,} do not", _PLAIN
    return "nothing measured", _SILENT


def _count(cells: Iterable[Record], kinds: tuple[str, ...]) -> int:
    return sum(record.verdict.kind in kinds for record in cells)


def _about(run: Run) -> str:
    return f"Container permissions, measured {run.header.started[:10]}{'' if run.finished else ', not finished'}"
