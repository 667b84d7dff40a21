from __future__ import annotations

import re
import unicodedata

import pytest
import report_runs
from hypothesis import given
from hypothesis import strategies as st
from report_strategies import quick

from lab.report.cell import show
from lab.report.escape import cut, escape_text
from lab.report.formats import RENDERERS
from lab.report.markdown import code_span, escape_markdown
from lab.report.style import Style


@quick
@given(st.text(st.characters()) | st.binary())
def test_nothing_that_acts_is_left(text: str | bytes) -> None:
    shown = escape_text(text)
    assert shown.isprintable()
    assert escape_text(shown) == shown
    assert escape_text(text, lines=True).replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('chdir to cwd ("/w"): a\\b ✔ ü', 'chdir to cwd ("/w"): a\\b ✔ ü'),
        ("\x1b[2J\x07\b\x7f\x9b", r"\x1b[2J\x07\x08\x7f\x9b"),
        ("a\nb\tc\rd", r"a\nb\tc\rd"),
        ("\u202e\u2066\u200b\ufeff\u2028", r"\u202e\u2066\u200b\ufeff\u2028"),
        ("\U000e0041", r"\U000e0041"),
        (b"\xff\xfe ok \xc3\xbc", r"\xff\xfe ok ü"),
    ],
)
def test_escapes(text: str | bytes, shown: str) -> None:
    assert escape_text(text) == shown


def test_cut() -> None:
    assert [cut("abcdefgh", limit) for limit in (8, 7, 4, 1, 0)] == ["abcdefgh", "ab…efgh", "a…gh", "…", "…"]


@quick
@given(st.text(st.characters()))
def test_a_code_span_cannot_be_left(text: str) -> None:
    span = code_span(text)
    fence = re.match("`+", span)
    assert fence is not None
    inner = span[len(fence[0]) : -len(fence[0])]
    assert span.endswith(fence[0])
    assert fence[0] not in re.findall("`+", inner)
    assert "\n" not in span


@quick
@given(st.text(st.characters()))
def test_plain_markdown_text_has_no_markup_left(text: str) -> None:
    shown = re.sub(r"&#\d+;", "", escape_markdown(text))
    assert not set(shown) & set("\\`*{}[]<>|~&$#")
    assert "://" not in shown


@pytest.mark.parametrize("format_name", RENDERERS)
def test_no_report_lets_a_stranger_act(format_name: str) -> None:
    text = RENDERERS[format_name](report_runs.hostile(), Style(width=60))
    shown = text.replace("\r\n", "\n")  # RFC 4180 ends the lines of CSV so
    assert all(one == "\n" or unicodedata.category(one)[0] not in "CZ" or one == " " for one in shown)


def test_show_lets_no_stranger_act() -> None:
    record = report_runs.observed()
    assert show(report_runs.run([record]), record).replace("\n", "").isprintable()
