"""Real runs, published: histories and data name what was measured, and a browser reads the site from disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

import pytest
from browser import browser
from lab_session import CRUN, RUNC, Lab, user_cache
from playwright.sync_api import Page

from lab.errors import LabError
from lab.model.record import Run
from lab.store.runs import read, stored

pytestmark = [pytest.mark.integration, pytest.mark.needs_root]

SCENARIO = """
[axes]
image = ["distroless-static:nonroot"]
user = ["65532:65532", "1000:0"]
[axes.text]
plain = {}
hostile = { process = { steps = ["id", "read /<script>alert(1)</script>"] } }
[settings.process]
steps = ["id"]
[settings]
tolerate = ["ENOENT"]
"""


@pytest.fixture(name="lab", scope="module")
def _lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab with two runs of one scenario; the second has one runtime more."""
    lab = Lab(place=tmp_path_factory.mktemp("publish"), cache=user_cache())
    lab.run(SCENARIO, runtimes=RUNC)
    lab.run(SCENARIO, runtimes=f"{RUNC},{CRUN}")
    assert lab.call("publish", "site", "--title", "Ours").ok
    return lab


def runs(lab: Lab) -> list[Run]:
    return [read(path) for path in stored(lab.place / "runs")]


def data(lab: Lab, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((lab.place / "site" / name).read_text())
    return found


def content(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def test_the_history_of_a_cell_names_runs_verdicts_and_binaries(lab: Lab) -> None:
    first, second = runs(lab)
    assert [run["id"] for run in data(lab, "site.json")["runs"]] == [second.header.id, first.header.id]
    histories = {one["id"]: one for one in data(lab, "history/mine.json")["cells"]}
    measured = {record.cell: record for record in second.records if not record.control}
    assert set(histories) == set(measured)
    for cell, record in measured.items():
        (spell,) = histories[cell]["history"]
        assert (spell["verdict"], spell["runtime"]) == (record.verdict.kind, record.provenance.runtime)
        both = "runc" in record.axes["runtime"]
        assert spell["runs"] == ([first.header.id] if both else []) + [second.header.id]
    assert len({one["history"][0]["runtime"] for one in histories.values()}) == 2


def test_published_again_it_is_the_same_to_the_byte(lab: Lab) -> None:
    before = content(lab.place / "site")
    assert lab.call("publish", "site", "--title", "Ours").ok
    assert content(lab.place / "site") == before
    assert lab.call("publish", "again", "--title", "Ours").ok
    assert content(lab.place / "again") == before


def test_no_path_of_this_machine_is_published(lab: Lab) -> None:
    for name, text in content(lab.place / "site").items():
        assert not name.endswith((".json", ".csv", ".xml", ".atom")) or str(lab.cache).encode() not in text, name


def test_every_xml_is_well_formed(lab: Lab) -> None:
    files = [path for path in (lab.place / "site").rglob("*") if path.suffix in {".svg", ".xml", ".atom"}]
    assert len(files) == 3 + 2 * 3
    for path in files:
        ET.fromstring(path.read_bytes())  # noqa: S314  # the lab wrote it a moment ago


def test_a_browser_reads_it_from_disk(lab: Lab) -> None:
    top, faults = (lab.place / "site").as_uri(), list[str]()
    cell = next(one["id"] for one in data(lab, "history/mine.json")["cells"] if "hostile" in one["id"])
    try:
        with browser() as chromium:
            page = chromium.new_page(viewport={"width": 390, "height": 780})
            page.set_default_timeout(10_000)
            page.on("console", lambda message: faults.append(message.text))
            page.on("dialog", lambda dialog: faults.append(dialog.message))
            page.on("request", lambda one: None if one.url.startswith((top, "data:")) else faults.append(one.url))
            page.goto(f"{top}/index.html")
            assert fits(page)
            page.get_by_role("link", name="mine", exact=True).click()
            assert page.url == f"{top}/history/mine.html"
            assert fits(page)
            page.goto(f"{top}/history/mine.html#{quote(cell)}")
            assert page.locator(":target").inner_text().startswith(cell)
            page.locator(":target + dd a").first.click()
            page.wait_for_url(f"{top}/runs/*/index.html#*")
            assert cell in page.locator("#cell").inner_text()
    except LabError as error:
        pytest.skip(str(error))
    assert faults == []


def fits(page: Page) -> bool:
    """Whether nothing but the tables' own boxes scrolls sideways."""
    width: int = page.evaluate("document.documentElement.scrollWidth")
    return width == 390
