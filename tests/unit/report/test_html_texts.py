"""Texts that are kept once, with gaps for their long numbers, come back as they were."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lab.report.html.texts import GAP, LONGEST, ROOM, SHORT, Reference, Texts, shorten

NUMBERS = st.integers(min_value=0, max_value=10**16).map(str)
PIECES = st.one_of(st.text(max_size=5), NUMBERS, st.sampled_from(['"inode":', "0.", "-", "x", " "]))


def restored(texts: Texts, reference: Reference) -> str:
    """What the page's script makes of a reference."""
    if isinstance(reference, int):
        return texts.kept[reference]
    place, *numbers = reference
    parts = texts.kept[place].split(GAP)
    return parts[0] + "".join(f"{number}{part}" for number, part in zip(numbers, parts[1:], strict=True))


@given(st.lists(st.lists(PIECES, max_size=12).map("".join), max_size=12))
def test_every_text_comes_back(written: list[str]) -> None:
    texts = Texts()
    references = [texts.add(text) for text in written]
    assert [restored(texts, reference) for reference in references] == written


@given(st.lists(st.tuples(st.integers(10**6, 10**13), st.integers(10**6, 10**13)), min_size=2, max_size=20))
def test_lines_that_differ_in_long_numbers_are_kept_once_for_each_length(numbers: list[tuple[int, int]]) -> None:
    texts = Texts()
    lines = [f'{{"pid":1,"net":{net},"link":"pipe:[{pipe}]"}}' for net, pipe in numbers]
    references = [texts.add(line) for line in lines]
    assert [restored(texts, reference) for reference in references] == lines
    assert len(texts.kept) == 2  # the empty one, and this


def test_a_number_that_a_script_could_not_hold_stays_in_its_text() -> None:
    texts = Texts()
    for text in ("12345678901234567890", "0012345678", "1.23456789", "a12345678", GAP + "12345678"):
        assert isinstance(texts.add(text), int)
        assert text in texts.kept


def test_bytes_that_are_no_utf8_become_lone_surrogates() -> None:
    texts = Texts()
    assert restored(texts, texts.add(b"\xff\xc3\xa4")) == "\udcff\xe4"


def test_a_long_text_loses_its_middle() -> None:
    text = "a" * 30_000 + "b" * 70_000
    assert shorten(text, 10) == "aaaaa\n[… 99,990 characters left out …]\nbbbbb"
    assert shorten("a" * 10, 10) == "a" * 10


def test_the_page_has_room_for_so_much_text() -> None:
    texts = Texts()
    for place in range(2 * ROOM // LONGEST):
        texts.add(f"{place}:" + "x" * 2 * LONGEST)
    assert sum(map(len, texts.kept)) < 1.2 * ROOM
    assert len(texts.kept[-1]) < SHORT + 60
