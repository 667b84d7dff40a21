"""The HTML report in a real headless Chromium: filters, permalinks, keys, hostile texts, 10,000 cells, no network.

The runs are made up (``tests/unit/report/report_runs.py``), apart from the one that says otherwise.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import report_runs
from browser import browser
from lab_session import RUNC, Lab, user_cache
from playwright.sync_api import Browser, Page, ViewportSize, expect

from lab.errors import LabError
from lab.model.observation import Call, Observation, Reached
from lab.model.record import Record, Run
from lab.model.verdict import Passed
from lab.provision.catalogue import load_catalogue
from lab.report.escape import escape_text
from lab.report.html.render import render
from lab.report.style import Style
from lab.report.words import again_command
from lab.scenario.versions import matches

pytestmark = pytest.mark.integration

DENIED = report_runs.DENIED
PHONE = ViewportSize(width=390, height=780)
RC93 = "chdir-cwd/distroless-static:nonroot/user=1000:0/caps=docker/runc-1.0.0-rc93/oci"
DOCUMENT = Path(__file__).parents[2] / "docs" / "html-report.md"

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def chromium(demanded: set[str]) -> Iterator[Browser]:
    """The browser; where it cannot be had, tests are skipped, unless it is demanded."""
    try:
        with browser() as found:
            yield found
    except LabError as error:
        if "browser" in demanded:
            raise
        pytest.skip(str(error))


@pytest.fixture
def faults() -> list[str]:
    """What pages asked for, said on the console, or broke."""
    return []


@pytest.fixture
def show(chromium: Browser, tmp_path: Path, faults: list[str]) -> Iterator[Open]:
    """Opens a run's page from a file; a test fails when there are faults in the end."""
    contexts = []

    def opened(run: Run, fragment: str = "", *, scripts: bool = True, **options: object) -> Page:
        path = tmp_path / "page.html"
        path.write_text(render(run, Style()), encoding="utf-8")
        context = chromium.new_context(java_script_enabled=scripts, **options)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: faults.append(f"broke: {error}"))
        page.on("console", lambda message: faults.append(f"said: {message.text}"))
        page.on("dialog", lambda dialog: faults.append(f"asked: {dialog.message}"))
        page.on("request", lambda one: faults.append(f"fetched: {one.url}") if not is_page(one.url) else None)
        page.goto(path.as_uri() + fragment)
        return page

    def is_page(address: str) -> bool:
        return re.split("[?#]", address)[0] == (tmp_path / "page.html").as_uri()

    yield opened
    for context in contexts:
        context.close()
    assert faults == []


def signs(page: Page) -> list[list[str]]:
    """The texts of the first matrix, row by row."""
    rows = page.locator("[role=grid]").first.locator("tbody tr").all()
    return [row.locator("td").all_inner_texts() for row in rows]


def heads(page: Page) -> list[str]:
    return page.locator("[role=grid]").first.locator("thead tr").last.locator("th").all_inner_texts()[1:]


def ask(page: Page, query: str) -> None:
    page.locator("#query").fill(query)
    page.locator("#query").press("Enter")


def shown(page: Page) -> set[str]:
    """The ids of the cells that fit what is asked for."""
    return set(page.evaluate("MATRIX.ids.filter((_, cell) => MATCHES[cell])"))


def test_the_matrix_groups_versions_by_runtime_line_and_era(show: Open) -> None:
    page = show(report_runs.plain())
    grid = page.get_by_role("grid", name="Matrix of chdir-cwd")
    tiers = [row.locator("th").all_inner_texts() for row in grid.locator("thead tr").all()[:3]]
    assert tiers[0] == ["runtime", "runc", "crun", "youki"]
    assert tiers[1] == ["line", "1.0", "1.1", "1.5", "0.17", "1.8", "0.7"]
    assert tiers[2] == ["era", "1", "2", "3", "4", "5", "6"]
    assert heads(page)[:4] == ["1.0.0-rc9", "1.0.0-rc10", "1.0.0-rc92", "1.0.0-rc93"]
    page.locator("#view").select_option("era")
    assert heads(page)[:3] == ["1.0.0-rc9", "1.0.0-rc10, 1.0.0-rc92", "1.0.0-rc93, 1.0.0-rc93+debian11"]
    assert "✗ cwd-not-searchable" in signs(page)[2]
    page.locator("#view").select_option("line")
    assert heads(page)[0] == "1.0 (6)"
    assert signs(page)[2][0] == "◐"


def test_every_cell_says_its_verdict_without_colour(show: Open) -> None:
    page = show(report_runs.hostile(), "#view=version")
    texts = {text for row in signs(page) for text in row}
    assert texts == {"!✔", "!✗a", "!✗b", "skip", "!ERR"}
    labels = page.locator("[role=grid] td").evaluate_all("cells => cells.map(one => one.getAttribute('aria-label'))")
    assert any(
        re.fullmatch(r"!✗[ab], denied: cwd-not-searchable \(phase chdir\), not as expected", label) for label in labels
    )


def test_filters_are_addresses_and_the_back_button_works(show: Open) -> None:
    page = show(report_runs.plain())
    everything = len(shown(page))
    page.locator("summary", has_text="verdict").click()
    page.get_by_label(re.compile(r"^\s*denied \d")).check()
    expect(page.locator("#tables section [role=status]").first).to_contain_text("of 96 cells")
    denied = shown(page)
    assert denied
    assert all(re.search(r"user=1000:.*runc-1\.0\.0-rc9", cell) for cell in denied)
    page.locator("summary", has_text=re.compile("^caps")).click()
    page.get_by_label("cri", exact=True).check()
    assert {cell for cell in denied if "caps=cri" in cell} == shown(page)
    assert "verdict=denied" in page.url
    assert "axis.caps=cri" in page.url
    address = page.url
    page.go_back()
    assert shown(page) == denied
    page.go_back()
    assert len(shown(page)) == everything
    page.go_forward()
    page.go_forward()
    assert page.url == address
    again = show(report_runs.plain(), "#" + address.partition("#")[2])
    assert shown(again) == {cell for cell in denied if "caps=cri" in cell}
    assert again.locator("summary", has_text="caps (1)").is_visible()
    again.locator("#clear").click()
    assert len(shown(again)) == everything


def test_filters_may_stand_in_the_query_of_the_address_too(show: Open) -> None:
    page = show(report_runs.plain())
    page.goto(page.url.partition("#")[0] + "?verdict=denied&q=caps%3Dcri")
    assert all("caps=cri" in cell and "rc93" in cell for cell in shown(page))


def test_a_cause_is_a_filter(show: Open) -> None:
    page = show(report_runs.hostile(), "#cause=unrecognised")
    assert len(shown(page)) == 2
    assert "unrecognised" in page.locator(".key").first.inner_text()


QUERIES: dict[str, Callable[[Record], bool]] = {
    "": lambda _: True,
    "verdict=denied": lambda one: one.verdict.kind == "denied",
    "verdict != denied & user=1000:*": lambda one: one.verdict.kind != "denied" and one.axes["user"][:5] == "1000:",
    "cause=cwd-not-searchable and not caps=cri": lambda one: one.verdict == DENIED and one.axes["caps"] != "cri",
    "runtime>=1.1": lambda one: one.axes["runtime"].split("@")[1] in {"1.1.5", "1.1.15+debian13", "1.5.2", "1.8.1"},
    "runtime>=runc@1.1 | runtime=youki": lambda one: (
        one.axes["runtime"] in {"runc@1.1.5", "runc@1.1.15+debian13", "runc@1.5.2", "youki@0.7.0"}
    ),
    "runtime=1.0.0-rc93": lambda one: one.axes["runtime"].startswith("runc@1.0.0-rc93"),
    "runtime=runc@1.0.0-rc93": lambda one: one.axes["runtime"] == "runc@1.0.0-rc93",
    "line=1.0 & era=1": lambda one: one.axes["runtime"] == "runc@1.0.0-rc9",
    '!(user=0:0 or user="1000:0")': lambda one: one.axes["user"] not in {"0:0", "1000:0"},
    "rc93+debian11": lambda one: "rc93+debian11" in one.cell,
    "phase=chdir": lambda one: one.verdict == DENIED,
    "text~'HOME/NONROOT'".replace("'", '"'): lambda one: one.verdict == DENIED,
    "seq(denied passed denied)": lambda one: (
        one.axes["user"].startswith("1000") and one.axes["caps"] == "docker" and one.axes["runtime"][:4] == "runc"
    ),
    "seq(passed denied:cwd-not-searchable passed)": lambda one: (
        one.axes["user"].startswith("1000") and one.axes["runtime"][:4] == "runc"
    ),
}


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_finds_what_it_says(show: Open, query: str) -> None:
    run = report_runs.run(report_runs.chdir_records())
    page = show(run)
    ask(page, query)
    assert page.locator("#query-fault").inner_text() == ""
    assert shown(page) == {record.cell for record in run.records if QUERIES[query](record)}


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("usr=0:0", "there is no usr here; axes: user, caps, "),
        ("verdict=deny", "deny is no verdict (passed, denied, failed, skipped, errored) (at character 9)"),
        ("verdict=", "expected a value after verdict= (at character 9)"),
        ("user>=5", "user has no order; only runtime and line have (at character 1)"),
        ("runtime>=new", "new is not a version (at character 10)"),
        ("(verdict=denied", "expected ) (at character 16)"),
        ("verdict=denied caps=cri", "expected & or | (at character 16)"),
        ("seq()", "seq needs verdicts, for example seq(passed denied passed)"),
        ("seq(passed errored)", "errored says nothing of a container, so it stands in no sequence (at character 12)"),
        ("seq(passed no-such-cause)", "no-such-cause is neither a verdict nor a cause of this run"),
        ('user="1000:0', "a quote is not closed (at character 6)"),
        ("(" * 60 + "verdict=denied" + ")" * 60, "it is nested too deeply"),
    ],
)
def test_a_query_that_cannot_be_read_says_where(show: Open, query: str, fault: str) -> None:
    page = show(report_runs.plain(), "#verdict=denied")
    before = shown(page)
    ask(page, query)
    expect(page.locator("#query-fault")).to_contain_text(fault)
    assert page.locator("#query").get_attribute("aria-invalid") == "true"
    assert shown(page) == before  # what was shown stays
    ask(page, "")
    expect(page.locator("#query-fault")).to_be_empty()


def test_the_documented_queries_are_queries(show: Open) -> None:
    page = show(report_runs.plain())
    documented = re.findall(r"^\| `([^`]+)` \|", DOCUMENT.read_text().split("## The query box")[1], re.MULTILINE)
    assert len(documented) > 8
    for query in documented:
        ask(page, query.replace(r"\|", "|"))
        assert page.locator("#query-fault").inner_text() == "", query


def test_versions_are_ordered_as_the_lab_orders_them(show: Open) -> None:
    """Over all pairs of the catalogue's versions, pre-releases and distributors' builds included."""
    names = [str(release.name) for release in load_catalogue() if release.name.family == "runc"]
    bounds = sorted({name.partition("@")[2].partition("+")[0] for name in names} | {"1.1", "1.0", "1.2.0"})
    page = show(report_runs.plain())
    found = page.evaluate(
        """([names, bounds]) => bounds.flatMap((bound) => ["<", "<=", ">", ">="].flatMap((operator) =>
            names.filter((name) => versionFits(parseVersion(name.split("@")[1]), operator, parseVersion(bound)))
                 .map((name) => [bound, operator, name])))""",
        [names, bounds],
    )
    wanted = [
        [bound, operator, name]
        for bound in bounds
        for operator in ("<", "<=", ">", ">=")
        for name in names
        if matches(f"runc{operator}{bound}", name)
    ]
    assert found == wanted


def test_arrow_keys_move_enter_opens_and_escape_comes_back(show: Open) -> None:
    page = show(report_runs.plain())
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('[role=grid]') !== null"):
            break
    where = "[document.activeElement.parentNode.sectionRowIndex, document.activeElement.cellIndex]"
    assert page.evaluate(where) == [0, 1]
    for key in ("ArrowDown", "ArrowDown", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft", "ArrowRight"):
        page.keyboard.press(key)
    assert page.evaluate(where) == [2, 4]
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(RC93)
    assert "cell=" in page.url
    page.keyboard.press("Escape")
    expect(dialog).not_to_be_visible()
    assert "cell=" not in page.url
    assert page.evaluate(where) == [2, 4]
    page.keyboard.press("Control+End")
    assert page.evaluate(where) == [7, 12]
    page.keyboard.press("Home")
    assert page.evaluate(where) == [7, 1]
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Control+Home")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")
    assert page.evaluate(where) == [0, 1]
    assert page.locator("[role=grid]").first.locator("td[tabindex='0']").count() == 1


def test_a_permalink_opens_its_cell(show: Open) -> None:
    page = show(report_runs.plain(), f"#verdict=passed&cell={RC93}")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("✗ cwd-not-searchable")
    expect(dialog).to_contain_text("The working directory, or one above it, may not be entered.")
    expect(dialog).to_contain_text(report_runs.CWD)
    expect(dialog).to_contain_text("github.com/opencontainers/runc@v1.0.0-rc93")
    page.get_by_role("link", name="1.1.5", exact=False).first.click()
    expect(dialog).to_contain_text("runc-1.1.5/oci")
    page.get_by_role("button", name="Close").click()
    expect(dialog).not_to_be_visible()
    assert "verdict=passed" in page.url
    page = show(report_runs.plain(), "#cell=no/such%20cell")
    expect(page.get_by_role("dialog")).to_contain_text("This run has no cell no/such cell.")


def test_the_back_button_closes_a_cell(show: Open) -> None:
    page = show(report_runs.plain(), "#verdict=denied")
    page.locator("[role=grid] td.denied").first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("dialog")).not_to_be_visible()
    assert page.url.endswith("#verdict=denied")


def test_commands_are_those_of_show_and_are_copied_without_network(show: Open) -> None:
    record = replace(report_runs.observed(), scenario="it's mine")
    run = report_runs.run([record], {"it's mine": ""})
    page = show(run, f"#cell={record.cell}")
    copied: list[str] = []

    def noted(text: str) -> None:
        copied.append(text)

    page.expose_function("noted", noted)
    page.evaluate(
        "document.addEventListener('copy', () => noted(getSelection().toString() || document.activeElement.value))"
    )
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")  # as on a plain http page
    page.get_by_role("button", name="Copy: run it again").click()
    expect(page.get_by_role("dialog")).to_contain_text("copied")
    assert copied == [again_command(record)]


def test_a_cell_tells_all_that_was_observed(show: Open) -> None:
    record = report_runs.observed()
    dialog = show(report_runs.run([record]), f"#cell={record.cell}").get_by_role("dialog")
    for text in (
        "by signal SIGKILL",
        "it wrote more than the lab keeps",
        "runc --root '/a b' run x",
        "[2Jnoise \\xff",
        "EACCES",
        "umask",
        "/\\u202e",
        "fixture:data/f",
        "file 0600 100000:0, 3 bytes",
        "as written by 1.0.0-rc91, which is not the version that was asked for",
        '"ociVersion": "1.0.2"',
    ):
        assert text in dialog.inner_text() or text in (dialog.text_content() or ""), text


MARKUP = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    "<!--<script>",
    "]]><svg onload=alert(3)>",
    "\x1b]8;;javascript:alert(4)\x07link\x1b[0m",
    "\u202egnp.exe\u2066",
    "nul\0nul",
    "javascript:alert(5)",
    "{{ 7 * 7 }}",
    "__proto__",
)


def hostile(text: str) -> Run:
    """A run in which a stranger's text stands wherever one can stand."""
    record = report_runs.observed()
    output = "\n".join([text, json.dumps({"op": text, text: {"__proto__": text}, "args": [text]})]).encode()
    call = Call(verb="run", argv=("x", text), returncode=1, stdout=text.encode(), stderr=text.encode(), seconds=1)
    run = report_runs.run(
        [
            replace(
                record,
                verdict=replace(DENIED, cause=text, evidence=text),
                expectation=replace(record.expectation, source=text, when=text) if record.expectation else None,
                axes={"image": text, "kind": kind, "runtime": "runc@1.0.0", "engine": text},
                cell=f"{text}/{kind}",
                scenario=text,
                speaks_for=text,
                observation=Observation(calls=(call,), reached=Reached.STARTED, output=output, fault=text),
            )
            for kind in (text, "other")
        ],
        {text: f"question = {json.dumps(text)}"},
    )
    return replace(run, configs={report_runs.CONFIG: text}, header=replace(run.header, argv=(text,)))


@pytest.mark.parametrize("text", MARKUP)
def test_hostile_texts_are_shown_and_do_nothing(show: Open, text: str) -> None:
    run = hostile(text)
    page = show(run)
    assert page.locator("img, svg").count() == 0
    assert page.locator("script").count() == 3
    page.locator("[role=grid] td").first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    assert dialog.locator("img, svg, script, a[href^=javascript]").count() == 0
    seen = dialog.text_content() or ""
    assert escape_text(text) in seen
    assert not re.search(
        "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]",
        seen + page.title() + page.locator("body").inner_text(),
    )
    page.wait_for_timeout(100)  # an alert would have come by now; `show` fails the test for it


def test_texts_are_escaped_as_the_lab_escapes_them(show: Open) -> None:
    """Every character up to U+2FFF and some beyond; unassigned ones, on which versions of Unicode differ, left out."""
    some = [*range(0x3000), 0xDC80, 0xDCFF, 0xD800, 0xFEFF, 0xFFF9, 0x1F600, 0x1D173, 0xE0001, 0xF0000]
    text = "".join(chr(code) for code in some if unicodedata.category(chr(code)) != "Cn")
    page = show(report_runs.plain())
    for lines in (False, True):
        found = page.evaluate("([text, lines]) => escapeText(JSON.parse(text), lines)", [json.dumps(text), lines])
        assert found == escape_text(text, lines=lines)


def test_a_megabyte_on_one_line_is_cut(show: Open) -> None:
    call = Call(verb="run", argv=("x",), returncode=1, stdout=b"", stderr=b"a" * (1 << 20) + b"END", seconds=1)
    seen = Observation(calls=(call,), output=b'{"' + b"[" * (1 << 20))
    record = replace(report_runs.observed(), observation=seen)
    page = show(report_runs.run([record]), f"#cell={record.cell}")
    shown_text = page.get_by_role("dialog").text_content() or ""
    assert "characters left out" in shown_text
    assert "END" in shown_text
    assert len(shown_text) < 60_000


def test_markup_that_slips_in_may_not_act(show: Open, faults: list[str]) -> None:
    """The policy by itself: were a text made markup by mistake, it could neither run nor fetch."""
    page = show(report_runs.plain())
    refused = page.evaluate("() => { try { document.body.innerHTML = '<b>x</b>'; } catch (e) { return e.name; } }")
    assert refused == "TypeError"
    assert [fault for fault in faults if "TrustedHTML" not in fault] == []
    faults.clear()
    policy = page.locator("meta[http-equiv=Content-Security-Policy]").get_attribute("content") or ""
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_without_scripts_the_matrix_is_there(show: Open) -> None:
    page = show(report_runs.plain(), scripts=False)
    table = page.locator("noscript table").first
    assert "runc 1.0.0-rc93, 1.0.0-rc93+debian11" in table.inner_text()
    assert "✗ cwd-not-searchable" in table.inner_text()
    assert page.locator("#flips").inner_text().count("denied: cwd-not-searchable") >= 2
    assert page.locator("#filters").is_hidden()


def test_ten_thousand_cells_are_rendered_as_they_come_into_sight(show: Open) -> None:
    """Copies of made-up records; nothing here was measured."""
    verdicts = (Passed(), DENIED, report_runs.MKDIR)
    run = report_runs.run(
        report_runs.record(
            {"image": "busybox", "user": str(user), "runtime": f"runc@1.{minor}.0", "engine": "oci"},
            verdicts[(user * 7 + minor * user) % 3],
        )
        for user in range(500)
        for minor in range(20)
    )
    page = show(run)
    grid = page.get_by_role("grid").first
    assert grid.get_attribute("aria-rowcount") == "504"
    assert grid.locator("tbody tr").count() <= 180
    for place in (70, 130, 190):
        page.locator(".scroll").first.evaluate("box => box.scrollTo(0, 1e7)")
        expect(grid.locator("tbody tr").nth(place)).to_be_attached()
    grid.locator("td").first.focus()
    page.keyboard.press("Control+End")
    assert grid.locator("tbody tr").count() == 500
    ask(page, "verdict=denied & runtime>=1.10")
    assert len(shown(page)) == sum(
        one.verdict == DENIED and int(one.cell.split("runc-1.")[1].split(".")[0]) > 9 for one in run.records
    )
    assert grid.locator("tbody tr").count() <= 180


def test_a_phone_scrolls_the_matrix_and_not_the_page(show: Open) -> None:
    page = show(report_runs.plain(), viewport=PHONE, is_mobile=True, has_touch=True)
    assert page.locator("#view").input_value() == "era"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.locator("#view").select_option("version")
    box = page.locator(".scroll").first
    assert box.evaluate("box => box.scrollWidth > box.clientWidth")
    box.evaluate("box => box.scrollTo(300, 60)")
    edge = box.bounding_box()
    name = box.locator("tbody th").nth(3).bounding_box()
    head = box.locator("thead").bounding_box()
    assert edge is not None
    assert name is not None
    assert head is not None
    assert abs(name["x"] - edge["x"]) < 2
    assert abs(head["y"] - edge["y"]) < 2
    box.locator("td").nth(40).tap()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    assert page.evaluate("document.querySelector('dialog').scrollWidth <= innerWidth")


def test_the_dark_scheme_is_dark(show: Open) -> None:
    def brightness(scheme: str) -> int:
        page = show(report_runs.plain(), color_scheme=scheme)
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)[:3]))

    assert brightness("dark") < 100
    assert brightness("light") > 600


@pytest.mark.parametrize("name", ["empty", "partial", "void", "only_controls", "engines", "single"])
def test_odd_runs_have_a_page(show: Open, name: str) -> None:
    run: Run = getattr(report_runs, name)()
    page = show(run)
    assert len(shown(page)) == len(run.records)
    text = page.locator("body").inner_text()
    assert ("VOID" in text) == run.void
    assert ("Partial" in text) == (not run.finished)


@pytest.mark.needs_root
def test_a_real_run_has_a_page(show: Open, tmp_path: Path) -> None:
    lab = Lab(place=tmp_path, cache=user_cache())
    lab.run(
        '[axes]\nimage = ["distroless-static:nonroot"]\nuser = ["image", "1000:0"]\n[settings.process]\nsteps = ["id"]'
    )
    run = lab.last()
    page = show(run)
    assert len(shown(page)) == len(run.records)
    page.locator("[role=grid] td.passed").first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(RUNC.partition("@")[2])
    expect(dialog).to_contain_text("The process at its start")
    assert str(user_cache()) not in (dialog.text_content() or "").split("config.json")[0]
    done = lab.call("show", "--format", "html")
    assert done.ok
    assert done.stdout.decode() == render(run, Style())
