"""Drawings as SVG: a file that fetches nothing, runs nothing, and says what it shows to a screen reader."""

from __future__ import annotations

from typing import assert_never
from xml.etree import ElementTree as ET

from lab.report.scene import Box, Line, Scene, Shape, Text

FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace"


def draw(scene: Scene) -> str:
    """The scene as a document. Texts must be escaped before (``escape_text``); what XML takes for markup is not."""
    root = ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "width": _number(scene.width),
            "height": _number(scene.height),
            "viewBox": f"0 0 {_number(scene.width)} {_number(scene.height)}",
            "role": "img",
            "aria-labelledby": "title description",
            "font-family": FONTS,
        },
    )
    ET.SubElement(root, "title", id="title").text = scene.title
    ET.SubElement(root, "desc", id="description").text = scene.description
    root.extend(map(_shape, scene.shapes))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def _shape(shape: Shape) -> ET.Element:
    match shape:
        case Box():
            place = {name: _number(getattr(shape, name)) for name in ("x", "y", "width", "height")}
            return ET.Element("rect", place | {"rx": _number(shape.radius), "fill": shape.fill})
        case Text():
            about = {"x": _number(shape.x), "y": _number(shape.y), "font-size": _number(shape.size)}
            about |= {"textLength": _number(shape.width), "lengthAdjust": "spacingAndGlyphs"}  # in any font
            weight = {"font-weight": "bold"} if shape.bold else {}
            text = ET.Element("text", about | {"fill": shape.fill} | weight)
            text.text = shape.text
            return text
        case Line():
            points = " ".join(f"{_number(x)},{_number(y)}" for x, y in shape.points)
            ends = {"stroke-linecap": "round", "stroke-linejoin": "round", "fill": "none"}
            return ET.Element(
                "polyline",
                {"points": points, "stroke": shape.stroke, "stroke-width": _number(shape.thickness)} | ends,
            )
        case _:
            assert_never(shape)


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
