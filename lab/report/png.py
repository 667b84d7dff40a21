"""Drawings as PNG, for places that show no SVG.

Pillow draws them, with the font that it carries itself: the same bytes on any machine with the same Pillow, without a
font, a library or a program of the system. That font knows ASCII and little else; other characters stand as escapes.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, field
from typing import assert_never

from PIL import Image, ImageDraw, ImageFont

from lab.model.record import Run
from lab.report.picture import picture
from lab.report.scene import Box, Line, Scene, Shape, Text

_FINE = 4
"""Drawn so many times larger, and reduced by half: two pixels for one of the SVG, with smooth edges."""
_COLOURS = 128
"""Enough for smooth letters in a handful of colours; a third of the bytes that true colour takes."""
_PIXELS = 40_000_000
"""A scene that would need more is drawn less finely."""
_KNOWN = {ord("…"): "...", ord("·"): "-", ord("—"): "-", ord("–"): "-", ord("≠"): "!="}  # noqa: RUF001  # that dash is meant


def render(run: Run) -> bytes:
    """The picture of a run's matrices."""
    return draw(picture(run))


def draw(scene: Scene) -> bytes:
    """The scene as a PNG file."""
    fine = _FINE if scene.width * scene.height * _FINE**2 <= _PIXELS else _FINE // 2
    size = (math.ceil(scene.width) * fine, math.ceil(scene.height) * fine)
    canvas = _Canvas(image=Image.new("RGB", size, "#ffffff"), fine=fine)
    for shape in scene.shapes:
        canvas.add(shape)
    out = io.BytesIO()
    canvas.image.reduce(2).quantize(_COLOURS).save(out, "PNG")  # optimize=True: a tenth smaller, in six times the time
    return out.getvalue()


@dataclass(slots=True, kw_only=True)
class _Canvas:
    image: Image.Image
    fine: int
    pen: ImageDraw.ImageDraw = field(init=False)
    fonts: dict[float, ImageFont.FreeTypeFont | ImageFont.ImageFont] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.pen = ImageDraw.Draw(self.image)

    def add(self, shape: Shape) -> None:
        match shape:
            case Box():
                corners = (shape.x, shape.y, shape.x + shape.width, shape.y + shape.height)
                place = tuple(number * self.fine for number in corners)
                self.pen.rounded_rectangle(place, shape.radius * self.fine, fill=shape.fill)
            case Text():
                self._text(shape)
            case Line():
                points = [(x * self.fine, y * self.fine) for x, y in shape.points]
                self.pen.line(points, fill=shape.stroke, width=round(shape.thickness * self.fine), joint="curve")
            case _:
                assert_never(shape)

    def _text(self, shape: Text) -> None:
        """The text, made smaller where its letters are wider than the room that it was given."""
        text = shape.text.translate(_KNOWN).encode("ascii", "backslashreplace").decode()
        size = shape.size * self.fine
        needed = self._font(size).getlength(text)
        if needed > shape.width * self.fine:
            size *= shape.width * self.fine / needed
        self.pen.text(
            (shape.x * self.fine, shape.y * self.fine),
            text,
            fill=shape.fill,
            font=self._font(size),
            anchor="ls",
            stroke_width=self.fine // 4 if shape.bold else 0,
        )

    def _font(self, size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
        if size not in self.fonts:
            self.fonts[size] = ImageFont.load_default(size)
        return self.fonts[size]
