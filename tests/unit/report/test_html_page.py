"""The page as a whole: what stands in it without a script, and that nothing of it comes from outside."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
import report_runs
from jinja2 import UndefinedError

from lab.model.record import Record, Run
from lab.model.verdict import Errored, Passed
from lab.report.html.frame import render_page
from lab.report.html.render import render
from lab.report.html.view import cell_link, link, run_flips
from lab.report.matrix import matrices
from lab.report.style import Style

RUNS = ["plain", "void", "partial", "empty", "hostile", "engines", "single", "only_controls"]
NO_END = {"meta", "link", "br", "img", "input"}


class Page(HTMLParser):
    """Tags with their attributes, texts, and a check that every tag is closed."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: dict[str, str] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in NO_END:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts[self.open[-1] if self.open else ""] = self.texts.get(self.open[-1] if self.open else "", "") + data


def page(run: Run) -> str:
    return render(run, Style())


@pytest.mark.parametrize("name", RUNS)
def test_the_page_is_well_formed_and_fetches_nothing(name: str) -> None:
    parsed = Page(page(getattr(report_runs, name)()))
    assert parsed.open == []
    fetching = {"src", "srcset", "data", "poster", "action", "formaction", "background", "style"}
    for tag, attributes in parsed.tags:
        assert not fetching & set(attributes), (tag, attributes)
        assert not any(name.startswith("on") for name in attributes)
        assert tag not in {"iframe", "object", "embed", "base", "img", "form"}
        if tag == "link":
            assert attributes == {"rel": "icon", "href": "data:,"}
        if tag == "a":
            assert re.match(r"#|https://", attributes["href"] or "")
    assert "url(" not in parsed.texts["style"]
    assert "@import" not in parsed.texts["style"]


def test_the_policy_names_the_style_and_the_script_by_their_digests() -> None:
    parsed = Page(page(report_runs.plain()))
    policy = next(one["content"] for tag, one in parsed.tags if one.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    style = base64.b64encode(hashlib.sha256(parsed.texts["style"].encode()).digest()).decode()
    assert rules["default-src"] == "'none'"
    assert rules["style-src"] == f"'sha256-{style}'"
    assert rules["script-src"].startswith("'sha256-")
    assert rules["require-trusted-types-for"] == "'script'"


def test_a_template_that_names_what_is_not_there_is_a_fault() -> None:
    with pytest.raises(UndefinedError):
        render_page("run.html.j2")


def test_flips_are_told_with_their_rows() -> None:
    flips = run_flips(matrices(report_runs.plain()))
    docker, cri = flips
    assert [(spell.where, spell.kind) for spell in docker.spells] == [
        ("up to 1.0.0-rc9", "denied"),
        ("from 1.0.0-rc10 to 1.0.0-rc92", "passed"),
        ("in 1.0.0-rc93 only (and as built by debian11)", "denied"),
        ("from 1.0.0-rc94 on", "passed"),
    ]
    assert [spell.kind for spell in cri.spells] == ["passed", "denied", "passed"]
    assert docker.rows == ("user 1000:0, 1000:1000 · caps docker",)
    assert docker.count == cri.count == 2
    assert docker.runtime == "runc"
    assert docker.cell.endswith("user=1000:0/caps=docker/runc-1.0.0-rc10/oci")


def test_what_is_unknown_makes_no_flip_and_is_told() -> None:
    def one(version: str, verdict: Passed | Errored) -> list[Record]:
        axes = {"image": "busybox", "runtime": f"runc@{version}", "engine": "oci"}
        return [report_runs.record(axes, verdict)]

    known = [*one("1.0.0", Passed()), *one("1.1.0", Errored(reason="x")), *one("1.2.0", Passed())]
    assert run_flips(matrices(report_runs.run(known))) == ()
    axes = {"image": "busybox", "runtime": "runc@1.3.0", "engine": "oci"}
    turned = report_runs.run([*known[:2], report_runs.record(axes, report_runs.DENIED)])
    (flip,) = run_flips(matrices(turned))
    assert any("1.1.0" in gap for gap in flip.gaps)


def test_engines_have_flips_of_their_own() -> None:
    flips = run_flips(matrices(report_runs.engines()))
    assert {flip.runtime for flip in flips} == {"runc (docker)", "runc (oci)"}


def test_an_address_is_a_link_when_it_is_one_of_the_web() -> None:
    assert link("https://example.org/a") == "https://example.org/a"
    for address in ("javascript:alert(1)", "data:text/html,x", "//example.org", "docs/x.md", ""):
        assert link(address) == ""
    assert cell_link("a b/\udcff&cell=c") == "#cell=a+b%2F%3F%26cell%3Dc"


def test_the_fallback_has_the_joined_matrix() -> None:
    text = page(report_runs.plain()).split("<noscript>")[1].split("</noscript>")[0]
    assert "runc 1.0.0-rc93, 1.0.0-rc93+debian11" in text
    assert text.count("<tr>") == 1 + len(matrices(report_runs.plain())[0].rows)


def test_runtimes_are_listed_in_their_order() -> None:
    run = report_runs.plain()
    records = [
        replace(one, provenance=replace(one.provenance, runtime=one.axes["runtime"])) for one in reversed(run.records)
    ]
    text = page(replace(run, records=tuple(records))).split("sha256 of the binary")[1]
    names = re.findall(r'<th scope="row">(\w+@[^<]+)</th>', text)
    assert names[:3] == ["runc@1.0.0-rc9", "runc@1.0.0-rc10", "runc@1.0.0-rc92"]
    assert names[-1] == "youki@0.7.0"
