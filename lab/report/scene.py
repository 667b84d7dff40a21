"""Drawings as data: what a picture or badge shows, before it becomes SVG or PNG. Pure.

Lengths are pixels of the SVG, from the top left corner. Texts stand in a fixed-width font: no font is fetched, and none
is measured. Whoever draws makes a text fit the width that it has here.
"""

from __future__ import annotations

from dataclasses import dataclass

CHARACTER = 0.6
"""Width of a character, in parts of the font's size: what the usual fixed-width fonts have, or a little more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A filled rectangle with round corners."""

    x: float
    y: float
    width: float
    height: float
    fill: str
    radius: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One line of text; ``y`` is its baseline."""

    x: float
    y: float
    text: str
    fill: str
    size: float
    bold: bool = False

    @property
    def width(self) -> float:
        """The room that it takes."""
        return text_width(self.text, self.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line through points."""

    points: tuple[tuple[float, float], ...]
    stroke: str
    thickness: float


Shape = Box | Text | Line


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A drawing. ``title`` and ``description`` tell it to who cannot see it."""

    width: float
    height: float
    title: str
    description: str
    shapes: tuple[Shape, ...]


def text_width(text: str, size: float) -> float:
    """The room that a line of text takes."""
    return len(text) * size * CHARACTER


@dataclass(frozen=True, slots=True, kw_only=True)
class Colours:
    """A colour to write on and one to write with, of a contrast of at least 4.5 (WCAG 2.2, 1.4.3, level AA)."""

    fill: str
    ink: str


PAPER = Colours(fill="#ffffff", ink="#1f2328")
QUIET = Colours(fill="#ffffff", ink="#59636e")
VERDICTS = {
    "passed": Colours(fill="#dafbe1", ink="#116329"),
    "denied": Colours(fill="#ffebe9", ink="#a40e26"),
    "failed": Colours(fill="#fff1d6", ink="#7d4e00"),
    "skipped": Colours(fill="#eaeef2", ink="#4d5560"),
    "errored": Colours(fill="#fbefff", ink="#6639ba"),
}


def mark(kind: str, x: float, y: float, size: float) -> tuple[Line, ...]:
    """A check mark for ``passed``, a cross for ``denied`` and ``failed``, in a square whose corner is x, y."""
    ink = VERDICTS[kind].ink
    strokes: dict[str, tuple[tuple[tuple[float, float], ...], ...]] = {
        "passed": (((0.05, 0.55), (0.38, 0.88), (0.95, 0.15)),),
        "denied": (((0.12, 0.12), (0.88, 0.88)), ((0.88, 0.12), (0.12, 0.88))),
    }
    strokes["failed"] = strokes["denied"]
    return tuple(
        Line(points=tuple((x + across * size, y + down * size) for across, down in points), stroke=ink, thickness=2)
        for points in strokes.get(kind, ())
    )
