"""The badge and the picture of the matrix, as SVG and as PNG."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Callable
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
import report_runs
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from report_strategies import quick, runs

from lab.model.record import Run
from lab.model.scenario import Expectation
from lab.model.verdict import Errored, Passed, Skipped, Verdict
from lab.report import badge, picture, png, scene, svg
from lab.report.scene import Box, Colours, Line, Scene, Text
from lab.report.style import Style

NAME = "{http://www.w3.org/2000/svg}"
DRAWN: dict[str, Callable[[Run], Scene]] = {"badge": badge.badge, "picture": picture.picture}


def elements(drawn: Scene) -> ET.Element:
    return ET.fromstring(svg.draw(drawn))  # noqa: S314  # written a moment ago, by the lab


def texts(drawn: Scene) -> list[str]:
    return [shape.text for shape in drawn.shapes if isinstance(shape, Text)]


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(colours: Colours) -> float:
    light, dark = sorted((luminance(colours.fill), luminance(colours.ink)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("kind", DRAWN)
@quick
@given(run=runs())
def test_every_shape_lies_inside(kind: str, run: Run) -> None:
    drawn = DRAWN[kind](run)
    for shape in drawn.shapes:
        match shape:
            case Box():
                points = [(shape.x, shape.y), (shape.x + shape.width, shape.y + shape.height)]
            case Text():
                points = [(shape.x, shape.y - shape.size), (shape.x + shape.width, shape.y)]
            case Line():
                points = list(shape.points)
        assert all(-0.01 <= x <= drawn.width + 0.01 and -0.01 <= y <= drawn.height + 0.01 for x, y in points), shape


def test_no_two_texts_of_a_picture_overlap() -> None:
    shapes = [shape for shape in picture.picture(report_runs.plain()).shapes if isinstance(shape, Text)]
    places = sorted((shape.y, shape.x, shape.x + shape.width) for shape in shapes)
    assert all(y != below or end <= start for (y, _, end), (below, start, _) in pairwise(places))


@pytest.mark.parametrize("kind", DRAWN)
@pytest.mark.parametrize("name", ["plain", "void", "partial", "empty", "hostile", "engines", "single"])
def test_an_svg_that_fetches_nothing_and_says_what_it_shows(kind: str, name: str) -> None:
    root = elements(DRAWN[kind](getattr(report_runs, name)()))
    assert {element.tag for element in root.iter()} <= {f"{NAME}{tag}" for tag in TAGS}
    assert not any("href" in key or key.startswith("on") for element in root.iter() for key in element.attrib)
    labels = [root.find(f"{NAME}{tag}") for tag in ("title", "desc")]
    assert [label is not None and bool(label.text) and label.get("id") for label in labels] == ["title", "description"]
    assert (root.get("role"), root.get("aria-labelledby")) == ("img", "title description")


TAGS = ("svg", "title", "desc", "rect", "text", "polyline")


@quick
@given(st.text(st.characters(exclude_categories=())))
def test_whatever_an_axis_says_stays_text(text: str) -> None:
    axes = {"image": "busybox", "kind": text, "runtime": "runc@1.0.0"}
    other = {**axes, "kind": "</text><script>"}
    run = report_runs.run([report_runs.record(axes, Passed()), report_runs.record(other, Passed())])
    root = elements(picture.picture(run))
    assert not any(element.tag.endswith("script") for element in root.iter())
    shown = "".join(element.text or "" for element in root.iter(f"{NAME}text"))
    assert not any(unicodedata.category(one)[0] == "C" for one in shown)


@pytest.mark.parametrize("colours", [scene.PAPER, scene.QUIET, *scene.VERDICTS.values()])
def test_texts_can_be_read(colours: Colours) -> None:
    assert contrast(colours) >= 4.5


def test_a_picture_is_bounded_and_counts_what_it_leaves_out() -> None:
    records = [
        report_runs.record(
            {"image": "busybox", "user": str(user), "runtime": f"runc@1.{minor}.0", "engine": "oci"},
            report_runs.DENIED if user >> (minor % 7) & 1 else Passed(),
        )
        for user in range(100)
        for minor in range(20)
    ]
    drawn = picture.picture(report_runs.run(records))
    assert drawn.height < 3_000
    assert "… and 60 more rows and 6 more columns" in texts(drawn)
    assert "2,000 cells" in drawn.description


WANTED = Expectation(verdict="passed")


@pytest.mark.parametrize(
    ("verdicts", "wanted", "words"),
    [
        ((Passed(), Passed()), WANTED, "2 as expected"),
        ((Passed(), report_runs.DENIED), WANTED, "1 of 2 not as expected"),
        ((Passed(), Errored(reason="x")), WANTED, "1 errored"),
        ((Passed(), Errored(reason="x"), report_runs.DENIED), WANTED, "1 of 2 not as expected"),
        ((Passed(), report_runs.DENIED, Skipped(reason="x")), None, "1 pass, 1 do not"),
        ((Skipped(reason="x"),), WANTED, "nothing measured"),
        ((), None, "nothing measured"),
    ],
)
def test_what_a_badge_says(verdicts: tuple[Verdict, ...], wanted: Expectation | None, words: str) -> None:
    records = [
        report_runs.record({"image": "busybox", "n": str(number), "runtime": "runc@1.0.0"}, verdict, expectation=wanted)
        for number, verdict in enumerate(verdicts)
    ]
    drawn = badge.badge(report_runs.run(records))
    assert texts(drawn) == ["permlab", words]
    assert drawn.title == f"permlab: {words}"


def test_the_badge_of_a_void_run() -> None:
    words, colours = badge.message(report_runs.void())
    assert words == "void"
    assert contrast(colours) >= 4.5


@pytest.mark.parametrize("name", ["plain", "hostile", "empty"])
def test_a_png_of_the_same_picture(name: str) -> None:
    run: Run = getattr(report_runs, name)()
    data, drawn = png.render(run), picture.picture(run)
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "PNG"
        assert abs(image.width - 2 * drawn.width) <= 2
        assert abs(image.height - 2 * drawn.height) <= 2
        colours = image.convert("RGB").getcolors(1 << 24) or []
    assert len(colours) > 2
    assert png.render(run) == data


def test_a_png_shows_verdicts_in_their_colours() -> None:
    with Image.open(io.BytesIO(png.render(report_runs.single()))) as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 24) or [] if isinstance(colour, tuple)}
    wanted = bytes.fromhex(scene.VERDICTS["denied"].fill.removeprefix("#"))
    assert any(all(abs(a - b) <= 2 for a, b in zip(colour, wanted, strict=True)) for colour in colours)


def test_a_huge_drawing_stays_small_enough() -> None:
    drawn = Scene(
        width=4_000,
        height=3_000,
        title="t",
        description="d",
        shapes=(Text(x=0, y=20, text="W" * 20, fill="#000000", size=13),),
    )
    with Image.open(io.BytesIO(png.draw(drawn))) as image:
        assert image.size == (4_000, 3_000)


def test_the_style_is_no_matter() -> None:
    run = report_runs.plain()
    assert picture.render(run, Style(width=40, colour=True)) == picture.render(run, Style())
    assert badge.render(run, Style(width=40, colour=True)) == badge.render(run, Style())
