"""The site over many runs: files, histories, news, feed. Runs are made up; nothing in them was measured."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from html.parser import HTMLParser
from posixpath import dirname, join, normpath
from typing import Any
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree as ET

import pytest
import report_runs
from hypothesis import given
from hypothesis import strategies as st
from report_strategies import quick

from lab.model.record import Run
from lab.model.verdict import Errored, Passed, Skipped, Verdict
from lab.report.site.feed import MOST, feed, moment
from lab.report.site.history import CellHistory, histories
from lab.report.site.model import Summary, file_name, summarise
from lab.report.site.news import News, news
from lab.report.site.pages import site

ATOM = "{http://www.w3.org/2005/Atom}"
VERSIONS = ("1.0.0-rc9", "1.0.0-rc10", "1.0.0-rc92", "1.0.0-rc93", "1.0.0-rc94", "1.1.0")
SIGNS: Mapping[str, Verdict] = {
    "+": Passed(),
    "x": report_runs.DENIED,
    "f": report_runs.MKDIR,
    "s": Skipped(reason="no root"),
    "e": Errored(reason="broke"),
}
OTHER = "99" * 32


def named(run: Run, number: int, *, finished: bool = True) -> Run:
    """The run as one of several: ``number`` gives its day and id."""
    day = f"2026-11-{number:02}"
    header = replace(run.header, id=f"run-{number}", started=f"{day}T12:00:00+00:00")
    return replace(run, header=header, finished=f"{day}T12:01:00+00:00" if finished else "")


def asked(number: int, rows: Mapping[str, str], *, void: bool = False, sha: str = report_runs.SHA) -> Run:
    """A run with one row for each user, a sign for each version (``.``: not run)."""
    records = [
        report_runs.record(
            {"image": "busybox", "user": user, "runtime": f"runc@{version}", "engine": "oci"}, SIGNS[sign]
        )
        for user, line in rows.items()
        for version, sign in zip(VERSIONS, line, strict=False)
        if sign != "."
    ]
    records = [replace(one, provenance=replace(one.provenance, runtime=sha)) for one in records]
    return named(report_runs.run([*records, *report_runs.control_records(broken=void)]), number)


def summaries(*runs: Run) -> list[Summary]:
    return [summarise(run) for run in runs]


def made(*runs: Run, title: str = "Ours") -> dict[str, bytes]:
    return dict(site(title, runs))


# --- news


def told(*runs: Run) -> list[tuple[str, str, str, int]]:
    return [(one.run.id, one.before, one.after, len(one.cells)) for one in news(summaries(*runs))]


def test_every_flip_of_the_first_run_is_new() -> None:
    first = asked(1, {"0:0": "++++++", "1000:0": "x++x++", "1000:1000": "+++x++"})
    assert told(first) == [
        ("run-1", "1.0.0-rc9", "1.0.0-rc10", 1),
        ("run-1", "1.0.0-rc92", "1.0.0-rc93", 2),
        ("run-1", "1.0.0-rc93", "1.0.0-rc94", 2),
    ]


@pytest.mark.parametrize(
    ("first", "second", "new"),
    [
        ("+++x++", "+++x++", []),
        ("+++x++", "+..x.+", []),
        ("+..x.+", "+++x++", [("1.0.0-rc92", "1.0.0-rc93"), ("1.0.0-rc93", "1.0.0-rc94")]),
        ("++++++", "+++x++", [("1.0.0-rc92", "1.0.0-rc93"), ("1.0.0-rc93", "1.0.0-rc94")]),
        ("+++x++", "++++++", []),
        ("+++x++", "+++f++", [("1.0.0-rc92", "1.0.0-rc93"), ("1.0.0-rc93", "1.0.0-rc94")]),
        ("++++++", "+++s++", []),
        ("++++++", "+++e++", []),
        ("x++x++", "x....+", []),
    ],
)
def test_what_is_new_in_a_second_run(first: str, second: str, new: list[tuple[str, str]]) -> None:
    found = told(asked(1, {"1000:0": first}), asked(2, {"1000:0": second}))
    assert [(before, after) for run, before, after, _ in found if run == "run-2"] == new


def test_a_run_that_asked_fewer_users_tells_nothing_anew() -> None:
    first = asked(1, {"0:0": "++++++", "1000:0": "+++x++"})
    assert [run for run, *_ in told(first, asked(2, {"1000:0": "+++x++"}))] == ["run-1", "run-1"]


def test_a_void_run_makes_no_news_and_hides_none() -> None:
    void, sound = asked(1, {"1000:0": "+++x++"}, void=True), asked(2, {"1000:0": "+++x++"})
    assert [run for run, *_ in told(void, sound)] == ["run-2", "run-2"]


def ids(found: Iterable[News]) -> list[str]:
    return [one.id for one in found]


def test_ids_are_those_of_the_flips_whatever_else_is_published() -> None:
    early, late = asked(1, {"0:0": "x+++++"}), asked(2, {"1000:0": "+++x++"})
    together, alone = news(summaries(early, late)), news(summaries(late))
    assert ids(together)[:2] == ids(alone)
    assert len({*ids(together)}) == 3


# --- history


def past(*runs: Run) -> dict[str, CellHistory]:
    (found,) = histories(summaries(*runs))
    return {one.cell: one for one in found.cells}


def spells(one: CellHistory) -> list[tuple[str, list[str]]]:
    return [(spell.kind, [run.id for run in spell.runs]) for spell in one.spells]


CELL = "chdir-cwd/busybox/user=1000:0/runc-1.0.0-rc9/oci"


def test_runs_that_found_the_same_are_one_spell() -> None:
    runs = [asked(number, {"1000:0": sign}) for number, sign in enumerate("++x+s+", start=1)]
    one = past(*runs)[CELL]
    assert spells(one) == [
        ("passed", ["run-1", "run-2"]),
        ("denied", ["run-3"]),
        ("passed", ["run-4"]),
        ("skipped", ["run-5"]),
        ("passed", ["run-6"]),
    ]
    assert one.changed


@pytest.mark.parametrize(
    ("signs", "changed"), [("++", False), ("+s", False), ("e+", False), ("ss", False), ("x+", True)]
)
def test_what_says_nothing_is_no_change(signs: str, changed: bool) -> None:  # noqa: FBT001  # a table of answers
    runs = [asked(number, {"1000:0": sign}) for number, sign in enumerate(signs, start=1)]
    assert past(*runs)[CELL].changed is changed


def test_another_binary_is_another_spell_and_no_change() -> None:
    one = past(asked(1, {"1000:0": "+"}), asked(2, {"1000:0": "+"}, sha=OTHER))[CELL]
    assert [spell.runtime for spell in one.spells] == [report_runs.SHA, OTHER]
    assert not one.changed


def test_void_runs_have_no_part_in_a_history() -> None:
    one = past(asked(1, {"1000:0": "+"}), asked(2, {"1000:0": "x"}, void=True))[CELL]
    assert spells(one) == [("passed", ["run-1"])]
    assert histories(summaries(asked(1, {"1000:0": "x"}, void=True))) == ()


def test_a_record_taken_over_from_another_run_counts_once() -> None:
    first, second = asked(1, {"1000:0": "+"}), asked(2, {"1000:0": "+"})
    taken = replace(second, records=tuple(replace(one, reused_from="run-1") for one in second.records))
    assert spells(past(first, taken)[CELL]) == [("passed", ["run-1"])]
    assert spells(past(taken)[CELL]) == [("passed", ["run-2"])]


def test_versions_stand_in_their_order() -> None:
    cells = list(past(asked(1, {"1000:0": "++++++", "0:0": "++++++"})))
    assert [cell.split("runc-")[1] for cell in cells] == [f"{version}/oci" for version in VERSIONS] * 2


# --- files

RUNS = (
    asked(1, {"0:0": "++++++", "1000:0": "x++x++"}),
    asked(2, {"0:0": "++++++", "1000:0": "+++x++"}, sha=OTHER),
    asked(3, {"0:0": "xxxxxx"}, void=True),
)


def test_the_same_runs_give_the_same_bytes() -> None:
    assert made(*RUNS) == made(*RUNS)


def test_a_run_is_compared_with_the_sound_one_before_it() -> None:
    files = made(RUNS[0], named(RUNS[2], 2), named(RUNS[1], 3))
    since = {run["id"]: run["since"] for run in json.loads(files["site.json"])["runs"]}
    assert since["run-1"] is since["run-2"] is None
    assert since["run-3"] == {
        "run": "run-1",
        "regression": 0,
        "changed": 0,
        "improvement": 1,
        "unknown": 0,
        "unchanged": 11,
        "diff": "runs/run-3/diff.json",
    }
    assert json.loads(files["runs/run-3/diff.json"])
    assert b"since run-1" in files["index.html"]
    assert b"1 improvement" in files["index.html"]


def test_pictures_at_the_top_are_of_the_newest_run_that_can_be_trusted() -> None:
    files = made(*RUNS)
    assert files["badge.svg"] == files["runs/run-2/report.badge.svg"]
    assert files["matrix.png"] == files["runs/run-2/report.png"]
    only_void = made(RUNS[2])
    assert b"void" in only_void["badge.svg"]


class Page(HTMLParser):
    """Collects the tags of a page, its links, and its policy."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.policy = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        assert not [name for name in values if name.startswith("on")]
        self.links += [value for name, value in attrs if name in {"href", "src", "action", "data"} and value]
        if values.get("http-equiv") == "Content-Security-Policy":
            self.policy = values["content"] or ""


def hostile(number: int) -> Run:
    name = '../../<script>alert("x")</script>'
    run = report_runs.hostile()
    records = tuple(replace(one, scenario=name, cell=f"{name}/{one.cell}") for one in run.records)
    run = replace(run, records=records, header=replace(run.header, scenarios={name: run.header.scenarios["hostile"]}))
    run = named(run, number)
    return replace(run, header=replace(run.header, id=f"../{number}/<b>&\u202e"))


@pytest.mark.parametrize(
    "runs", [RUNS, (hostile(1), hostile(2)), (report_runs.empty(),), (report_runs.only_controls(),)]
)
def test_every_link_leads_to_a_file_of_the_site(runs: tuple[Run, ...]) -> None:
    files = made(*runs)
    assert all(re.fullmatch(r"[A-Za-z0-9._+-]+(/[A-Za-z0-9._+-]+){0,2}", name) and ".." not in name for name in files)
    shared = [name for name in files if name.endswith(".html") and not name.startswith("runs/")]
    assert "index.html" in shared
    for name in shared:
        page = Page(files[name].decode())
        assert "default-src 'none'" in page.policy
        assert "script" not in page.tags
        for link in (urlsplit(link) for link in page.links if link != "data:,"):
            assert (link.scheme, link.netloc) == ("", "")
            assert not link.path or normpath(join(dirname(name), unquote(link.path))) in files, link


@quick
@given(st.text(st.characters(), min_size=1))
def test_any_id_becomes_a_harmless_file_name_of_its_own(text: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", file_name(text))
    assert file_name(text) != file_name(f"{text}/")


def test_the_page_of_a_run_leads_back() -> None:
    files = made(*RUNS)
    assert [link for link in Page(files["runs/run-1/index.html"].decode()).links if link.startswith("..")] == [
        "../../index.html"
    ]


def test_data_for_machines() -> None:
    files = made(*RUNS)
    data: dict[str, Any] = json.loads(files["site.json"])
    assert files["site.json"].isascii()
    assert [(run["id"], run["void"]) for run in data["runs"]] == [("run-3", True), ("run-2", False), ("run-1", False)]
    assert all(run[key] in files for run in data["runs"] for key in ("page", "report"))
    assert [(flip["run"], flip["before"], flip["after"]) for flip in data["flips"]] == [
        ("run-1", "1.0.0-rc9", "1.0.0-rc10"),
        ("run-1", "1.0.0-rc92", "1.0.0-rc93"),
        ("run-1", "1.0.0-rc93", "1.0.0-rc94"),
    ]
    (entry,) = data["histories"]
    history = json.loads(files[entry["data"]])
    (cell,) = [one for one in history["cells"] if one["id"] == CELL]
    assert cell["changed"] is True
    assert [(spell["verdict"], spell["runtime"], spell["runs"]) for spell in cell["history"]] == [
        ("denied", report_runs.SHA, ["run-1"]),
        ("passed", OTHER, ["run-2"]),
    ]


def test_the_history_page_shows_what_changed_first() -> None:
    text = made(*RUNS)["history/chdir-cwd.html"].decode()
    assert "1 cell changed from run to run" in text
    assert text.index(CELL) < text.index("the same in every run")
    assert OTHER[:12] in text


# --- the feed (RFC 4287)


def feed_of(*runs: Run, title: str = "Ours") -> ET.Element:
    return ET.fromstring(made(*runs, title=title)["feed.atom"].decode().partition("\n")[2])  # noqa: S314  # the lab's


def texts(element: ET.Element, tag: str) -> list[str]:
    return [one.text or "" for one in element.findall(f"{ATOM}{tag}")]


@pytest.mark.parametrize("runs", [RUNS, (hostile(1),), (report_runs.empty(),)])
def test_a_valid_feed(runs: tuple[Run, ...]) -> None:
    root = feed_of(*runs)
    assert root.tag == f"{ATOM}feed"
    assert len(root.findall(f"{ATOM}author/{ATOM}name")) == 1
    entries = root.findall(f"{ATOM}entry")
    found = []
    for element in (root, *entries):
        for tag in ("id", "title", "updated"):
            assert len(texts(element, tag)) == 1
            assert texts(element, tag)[0]
        found += texts(element, "id")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", texts(element, "updated")[0])
        links = {one.get("rel"): one.get("href") or "" for one in element.findall(f"{ATOM}link")}
        assert "alternate" in links
        assert all(link and not urlsplit(link).scheme for link in links.values())
    assert len({*found}) == len(found)
    assert all(re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", one) for one in found)
    assert all(texts(root, "updated") >= texts(entry, "updated") for entry in entries)


def test_entries_tell_flips_in_words_and_the_time_of_their_run() -> None:
    root = feed_of(*RUNS)
    first = root.findall(f"{ATOM}entry")[0]
    assert texts(first, "title") == [
        "runc 1.0.0-rc9 → 1.0.0-rc10: denied: cwd-not-searchable → passed (chdir-cwd, 1 cell)"
    ]
    assert texts(first, "updated") == ["2026-11-01T12:01:00Z"]
    assert texts(root, "updated") == ["2026-11-03T12:01:00Z"]
    assert CELL.replace("rc9", "rc10") in texts(first, "content")[0]


def test_another_site_is_another_feed() -> None:
    one, other = (texts(feed_of(*RUNS, title=title), "id") for title in ("Ours", "Theirs"))
    assert one != other


def test_a_feed_is_bounded() -> None:
    rows = {f"{user}:0": "+x" if user % 2 else "x+" for user in range(3)}
    runs = [
        replace(run, records=tuple(replace(one, scenario=f"s{number}") for one in run.records if not one.control))
        for number, run in ((number, asked(1 + number % 28, rows)) for number in range(MOST))
    ]
    runs = [replace(run, header=replace(run.header, id=f"run-{number}")) for number, run in enumerate(runs)]
    found = news(summaries(*runs))
    assert len(found) == 2 * MOST
    assert feed("Ours", summaries(*runs), found).count("<entry>") == MOST


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-11-22T12:00:00+00:00", "2026-11-22T12:00:00Z"),
        ("2026-11-22T12:00:00+02:00", "2026-11-22T10:00:00Z"),
        ("2026-11-22T12:00:00", "2026-11-22T12:00:00Z"),
        ("0001-01-01T00:00:00+10:00", "0001-01-01T00:00:00Z"),
        ("yesterday", "0001-01-01T00:00:00Z"),
    ],
)
def test_moments(text: str, shown: str) -> None:
    assert moment(text) == shown
