"""The page's colours: every pair that stands together has WCAG's AA contrast, in both schemes."""

from __future__ import annotations

import re

import pytest

from lab.report.html.frame import PACKAGE, resource

STYLE = resource(PACKAGE, "style.css")
TEXT, SHAPE = 4.5, 3.0
"""WCAG 2.2: 1.4.3 for text, 1.4.11 for what tells a control or the focus from its surroundings."""
VERDICTS = ("passed", "denied", "failed", "skipped", "errored", "mixed")
PAIRS = [
    *((text, ground, TEXT) for text in ("text", "muted", "link") for ground in ("page", "panel")),
    *((f"{name}-text", name, TEXT) for name in (*VERDICTS, "alarm", "notice")),
    *((shape, ground, SHAPE) for shape in ("control", "focus") for ground in ("page", "panel")),
    *(("focus", name, SHAPE) for name in VERDICTS),
]


def scheme(name: str) -> dict[str, str]:
    """The colours of a scheme: the dark ones stand in place of the light ones."""
    light, dark = STYLE.split("@media (prefers-color-scheme: dark)")
    light, dark = light.split(":root")[1], dark.split("}\n}")[0]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light))
    if name == "dark":
        colours |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", dark))
    return colours


def luminance(colour: str) -> float:
    """WCAG's relative luminance of ``#rrggbb``."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_computed_as_wcag_does() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("name", ["light", "dark"])
@pytest.mark.parametrize(("front", "ground", "least"), PAIRS)
def test_colours_that_stand_together_have_contrast(name: str, front: str, ground: str, least: float) -> None:
    colours = scheme(name)
    assert contrast(colours[front], colours[ground]) >= least


def test_both_schemes_know_all_colours_and_no_other_colour_is_used() -> None:
    light, dark = scheme("light"), scheme("dark")
    assert set(light) == set(dark)
    assert set(re.findall(r"var\(--([\w-]+)", STYLE)) - {"axes", "names"} == set(light)  # two are measures
    rules = STYLE.split("* { box-sizing")[1]
    assert set(re.findall(r"#[0-9a-f]{3,8}\b", rules)) == {"#0003", "#000a"}  # two shadows
