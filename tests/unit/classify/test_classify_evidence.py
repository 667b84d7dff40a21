"""Evidence: short and harmless, whatever the bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lab.classify.evidence import LIMIT, bounded, shown, tail
from lab.classify.lines import error_lines
from lab.classify.texts import judge_text


@given(st.binary())
def test_no_control_character_survives(raw: bytes) -> None:
    assert all(char.isprintable() or char in "\n\t" for char in shown(raw))


@given(st.binary(max_size=2000))
def test_bounded_and_tail_are_one_short_line(raw: bytes) -> None:
    for text in (bounded(shown(raw)), tail(raw)):
        assert len(text) <= LIMIT
        assert "\n" not in text


def test_bytes_that_are_no_text_stay_readable() -> None:
    assert shown(b"a\xff\x1bb\tc\n") == "a\\xff\\x1bb\tc\n"


def test_a_bound_keeps_the_start_and_a_tail_the_end() -> None:
    assert bounded("a" + "x" * 400).startswith("a")
    assert tail(b"x" * 400 + b"z").endswith("z")


@given(st.binary(max_size=4000))
def test_no_text_breaks_the_classifier(raw: bytes) -> None:
    assert all(line.text for line in error_lines(raw))
    found = judge_text(raw, marked_only=False)
    assert found is None or len(found.evidence) <= LIMIT


def test_a_huge_text_is_judged_by_its_end() -> None:
    noise = b"noise without an end\n" * 200_000
    found = judge_text(noise + b"chdir to `/w`: Permission denied\n", marked_only=False)
    assert found is not None
    assert found.cause == "cwd-not-searchable"


def test_wrappers_and_quotes_are_taken_off() -> None:
    text = (
        b'time="2026-11-22T18:00:37Z" level=warning msg="signal: killed"\n'
        b'time="2026-11-22T18:00:37Z" level=error msg="container_linux.go:346: starting container process caused '
        b'\\"exec: \\\\\\"/p\\\\\\": permission denied\\""\n'
    )
    found = judge_text(text, marked_only=True)
    assert found is not None
    assert found.evidence == 'exec: "/p": permission denied'
