"""What a diff looks like. After a change that is meant: ``PERMLAB_UPDATE_GOLDEN=1`` writes the files anew."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import jsonschema
import pytest
import report_runs
from hypothesis import given
from hypothesis import strategies as st
from report_strategies import quick, runs

from lab.comparison import Comparison, Side, compare
from lab.model.record import Run
from lab.model.verdict import Denied, Errored, Failed, Passed, Phase, Skipped, Verdict
from lab.report import diff_markdown, diff_terminal
from lab.report.diff_document import diff_schema, diff_schema_text
from lab.report.diff_formats import DIFF_RENDERERS
from lab.report.formats import SUFFIXES
from lab.report.style import Style

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden"
ANSI = re.compile(r"\x1b\[[0-9;]*m")
COMMENT = 65_536
"""Characters that GitHub takes as one comment."""


def of_axis(run: Run, axis: str, left: str, right: str) -> Comparison:
    return compare(Side(run=run, values={axis: left}), Side(run=run, values={axis: right}))


def of_runs(left: Run, right: Run) -> Comparison:
    return compare(Side(run=left), Side(run=right))


def versions() -> Comparison:
    return of_axis(report_runs.plain(), "runtime", "runc@1.0.0-rc92", "runc@1.0.0-rc93")


def everything() -> Comparison:
    """Two runs in which every list has something, on two hosts, with another binary under one name."""
    later = Failed(cause="cwd-not-searchable", phase=Phase.EXEC, evidence="later")
    fates: dict[str, tuple[Verdict, Verdict]] = {
        "regressed": (Passed(), report_runs.DENIED),
        "phase": (replace(report_runs.MKDIR, phase=Phase.CHDIR), report_runs.MKDIR),
        "kind": (report_runs.DENIED, later),
        "improved": (report_runs.DENIED, Passed()),
        "lost": (Passed(), Errored(reason="the deadline")),
        "not here": (Skipped(reason="no user namespaces"), Passed()),
        "same": (Passed(), Passed()),
    }
    left, right = (
        [
            report_runs.record(
                {"image": "busybox", "fate": fate, "runtime": "runc@1.1.5", "engine": "oci"}, verdicts[side]
            )
            for fate, verdicts in fates.items()
        ]
        for side in (0, 1)
    )
    alone = [
        report_runs.record(
            {"image": "busybox", "fate": name, "runtime": "runc@1.1.5", "engine": "oci"}, report_runs.DENIED
        )
        for name in ("gone", "new")
    ]
    shape = report_runs.record({"image": "busybox", "runtime": "runc@1.1.5", "engine": "oci"}, Passed())
    right = [replace(one, provenance=replace(one.provenance, runtime="ba" * 32)) for one in right]
    before, after = report_runs.run([*left, alone[0], shape]), report_runs.run([*right, alone[1]])
    host = replace(after.header.host, kernel="6.12.1")
    return of_runs(before, replace(after, header=replace(after.header, id="20261123-120000-abcd", host=host)))


def hostile() -> Comparison:
    run = report_runs.hostile()
    before = replace(run, records=tuple(replace(record, verdict=Passed()) for record in run.records))
    return of_runs(replace(before, header=replace(before.header, id="20261121-\u202e`<b>@team")), run)


def void() -> Comparison:
    return of_axis(report_runs.void(), "user", "0:0", "1000:0")


def nothing() -> Comparison:
    return of_runs(report_runs.empty(), report_runs.empty())


COMPARISONS: dict[str, Callable[[], Comparison]] = {
    "versions": versions,
    "everything": everything,
    "hostile": hostile,
    "void": void,
    "nothing": nothing,
}


@pytest.mark.parametrize("name", COMPARISONS)
@pytest.mark.parametrize("format_name", DIFF_RENDERERS)
def test_golden(format_name: str, name: str) -> None:
    text = DIFF_RENDERERS[format_name](COMPARISONS[name](), Style(width=120))
    path = GOLDEN / f"diff-{name}{SUFFIXES[format_name]}"
    if os.environ.get("PERMLAB_UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


def test_the_schema_is_current() -> None:
    path = ROOT / "lab" / "report" / "diff.schema.json"
    if os.environ.get("PERMLAB_UPDATE_GOLDEN"):
        path.write_text(diff_schema_text())
    assert diff_schema_text() == path.read_text()


@quick
@given(runs(), runs(), st.integers(60, 160))
def test_it_fits_the_width(left: Run, right: Run, width: int) -> None:
    lines = diff_terminal.render(of_runs(left, right), Style(width=width)).splitlines()
    assert all(len(line) <= width for line in lines if "permlab show" not in line)


@quick
@given(runs(), runs())
def test_colour_changes_nothing_but_colour(left: Run, right: Run) -> None:
    found = of_runs(left, right)
    plain = diff_terminal.render(found, Style(width=100))
    assert ANSI.search(plain) is None
    assert ANSI.sub("", diff_terminal.render(found, Style(width=100, colour=True))) == plain


@quick
@given(runs(), runs())
def test_every_list_of_the_document_is_as_long_as_it_says(left: Run, right: Run) -> None:
    text = DIFF_RENDERERS["json"](of_runs(left, right), Style())
    assert text.isascii()
    data = json.loads(text)
    jsonschema.Draft202012Validator(diff_schema()).validate(data)
    assert all(len(data[name]) == number for name, number in data["summary"].items() if name != "compared")
    assert data["complete"] is True


@quick
@given(runs(), runs())
def test_every_markdown_row_has_all_its_cells(left: Run, right: Run) -> None:
    text = diff_markdown.render(of_runs(left, right), Style())
    for block in text.split("\n\n"):
        rows = [line for line in block.splitlines() if line.startswith("|")]
        assert len({row.count("|") for row in rows}) <= 1


@pytest.mark.parametrize("format_name", DIFF_RENDERERS)
def test_nothing_acts_on_a_terminal(format_name: str) -> None:
    text = DIFF_RENDERERS[format_name](hostile(), Style(width=60))
    assert all(one in "\n " or unicodedata.category(one)[0] not in "CZ" for one in text)


def strangers(text: str) -> Comparison:
    """A run that says ``text`` wherever a stored run could say something."""
    axes = {"image": text, text: text, "runtime": "runc@1.1.5", "engine": "oci"}
    denied = Denied(cause=text, phase=Phase.CHDIR, evidence=text)
    before, after = (report_runs.record(axes, verdict, scenario=text or "one") for verdict in (Passed(), denied))
    one, other = report_runs.run([before], {}), report_runs.run([after], {})
    swapped = replace(after, provenance=replace(after.provenance, image=text))
    header = replace(
        other.header, id=text, started=text, lab_version=text, host=replace(other.header.host, kernel=text)
    )
    return of_runs(one, replace(other, records=(swapped,), header=header))


@quick
@given(st.text(st.characters(codec="utf-8")) | st.sampled_from(["@team", "`@team", "a|@b", "</details>"]))
def test_strangers_make_no_markup_link_or_mention(text: str) -> None:
    shown = diff_markdown.render(strangers(text), Style())
    outside = re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)|<code>[^<>`]*</code>", "", shown)
    assert "@" not in outside
    assert "`" not in outside
    assert "://" not in outside
    assert set(re.findall(r"<[^>]*>", outside)) <= {"<details>", "</details>", "<summary>", "</summary>"}


def many(verdicts: tuple[Verdict, ...], text: str) -> Run:
    """Cells of which no two rows are the same."""
    random = Random(1)  # noqa: S311  # no secret
    return report_runs.run(
        report_runs.record(
            {"image": "busybox", "user": str(user) + text, "runtime": f"runc@1.{minor}.0", "engine": "oci"},
            verdicts[random.randrange(len(verdicts))],
        )
        for user in range(500)
        for minor in range(20)
    )


def test_the_longest_comment_fits() -> None:
    noise = "<@&|`" * 400
    denied = Denied(cause=noise, phase=Phase.CHDIR, evidence=noise)
    before, after = many((Passed(), denied, denied), noise), many((denied, Passed(), report_runs.MKDIR), noise)
    text = diff_markdown.render(of_runs(before, after), Style())
    assert 20_000 < len(text) < COMMENT
    assert "all of it with `--format json`" in text
    assert text.count("<details>") == text.count("</details>") > 1


def test_rows_that_show_the_same_are_one_row() -> None:
    text = diff_terminal.render(versions(), Style(width=140))
    (row,) = (line for line in text.splitlines() if "cwd-not-searchable" in line and "✔" in line)
    assert row.split() == ["1000:0,", "1000:1000", "docker,", "cri", "✔", "✗", "cwd-not-searchable"]


def test_a_phase_is_told_where_it_is_all_that_differs() -> None:
    text = diff_terminal.render(everything(), Style(width=140))
    assert "(failed), phase chdir" in text
    assert "(failed), phase create" in text


def test_a_void_run_is_told_first() -> None:
    lines = diff_terminal.render(void(), Style(width=200)).splitlines()
    assert lines[1].startswith("VOID: run 20261122-120000-abcd cannot be trusted")
    assert "control cell controls/busybox/kind=file/runc-1.5.2/oci: expected passed, found failed" in lines[1]
    assert lines[-1].startswith("cannot be told")
    assert diff_markdown.render(void(), Style()).startswith("### permlab: cannot be told\n\n> **VOID: ")
