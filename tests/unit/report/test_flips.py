"""Flips along an ordered axis."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.model.verdict import Denied, Errored, Failed, Passed, Phase, Skipped, Verdict
from lab.report.flips import Answer, answer, flips, gap_words, range_words

DENIED = Denied(cause="cwd-not-searchable", phase=Phase.CHDIR, evidence="chdir")
OTHER = Denied(cause="exec-not-permitted", phase=Phase.EXEC, evidence="exec")
FAILED = Failed(cause="cwd-missing", phase=Phase.CREATE, evidence="mkdir")
PASSED, SKIPPED, ERRORED = Passed(), Skipped(reason="no cgroup"), Errored(reason="deadline")

CHDIR: list[tuple[str, Verdict | None]] = [
    ("runc@1.0.0-rc9", DENIED),
    ("runc@1.0.0-rc10", PASSED),
    ("runc@1.0.0-rc91", PASSED),
    ("runc@1.0.0-rc92", PASSED),
    ("runc@1.0.0-rc93", DENIED),
    ("runc@1.0.0-rc94", PASSED),
    ("runc@1.5.1", PASSED),
]

verdicts = st.sampled_from([PASSED, DENIED, OTHER, FAILED, SKIPPED, ERRORED, None])
sequences = st.lists(verdicts, max_size=12).map(lambda some: [(f"runc@1.{n}", one) for n, one in enumerate(some)])


def words(sequence: list[tuple[str, Verdict | None]]) -> list[str]:
    return [f"{span.answer.kind} {range_words(span)}" for span in flips(sequence)]


def test_the_chdir_story_has_three_flips() -> None:
    assert words(CHDIR) == [
        "denied up to 1.0.0-rc9",
        "passed from 1.0.0-rc10 to 1.0.0-rc92",
        "denied in 1.0.0-rc93 only",
        "passed from 1.0.0-rc94 on",
    ]


def test_a_version_and_its_rebuilds_are_one_version() -> None:
    built = [*CHDIR[:5], ("runc@1.0.0-rc93+debian11", DENIED), *CHDIR[5:]]
    assert words(built)[2] == "denied in 1.0.0-rc93 only (and as built by debian11)"
    alone = [*CHDIR[:4], ("runc@1.0.0-rc93", PASSED), ("runc@1.0.0-rc93+debian11", DENIED), *CHDIR[5:]]
    assert words(alone)[2] == "denied in 1.0.0-rc93+debian11 only"


@pytest.mark.parametrize("unknown", [SKIPPED, ERRORED, None])
def test_the_unknown_makes_no_flip(unknown: Verdict | None) -> None:
    (span,) = flips([("runc@1.0.0", PASSED), ("runc@1.0.1", unknown), ("runc@1.0.2", PASSED)])
    assert span.inside == ("runc@1.0.1",)
    assert gap_words([span]) == ("1.0.1: unknown, with passed on both sides",)


def test_an_unknown_between_two_answers_belongs_to_neither() -> None:
    spans = flips([("runc@1.0.0", PASSED), ("runc@1.0.1", None), ("runc@1.0.2", DENIED)])
    assert spans[0].after == spans[1].before == ("runc@1.0.1",)
    assert gap_words(spans) == ("1.0.1: unknown; the flip to denied: cwd-not-searchable may lie there",)


def test_unknown_ends_are_told() -> None:
    spans = flips([("runc@1.0.0", None), ("runc@1.0.1", PASSED), ("runc@1.0.2", SKIPPED)])
    assert gap_words(spans) == (
        "1.0.0: unknown; what came before 1.0.1 is not known",
        "1.0.2: unknown; what came after 1.0.1 is not known",
    )


def test_another_cause_is_a_flip_another_text_is_none() -> None:
    elsewhere = Denied(cause=DENIED.cause, phase=Phase.PROCESS, evidence="another text")
    assert len(flips([("runc@1.0.0", DENIED), ("runc@1.0.1", OTHER)])) == 2
    assert len(flips([("runc@1.0.0", DENIED), ("runc@1.0.1", elsewhere)])) == 1


def test_families_share_no_span() -> None:
    spans = flips([("runc@1.0.0", PASSED), ("runc@1.1.0", None), ("crun@0.17", PASSED), ("crun@1.21", PASSED)])
    assert [(span.values, span.after, span.before, span.first, span.last) for span in spans] == [
        (("runc@1.0.0",), ("runc@1.1.0",), (), True, True),
        (("crun@0.17", "crun@1.21"), (), (), True, True),
    ]
    assert range_words(spans[1]) == "in all 2 (0.17 … 1.21)"


def test_nothing_known_is_no_span() -> None:
    assert flips([]) == ()
    assert flips([("runc@1.0.0", SKIPPED)]) == ()


@given(sequences)
def test_spans_say_what_was_seen(sequence: list[tuple[str, Verdict | None]]) -> None:
    spans = flips(sequence)
    told: dict[str, Answer | None] = {value: span.answer for span in spans for value in span.values}
    unknown = {value for span in spans for value in (*span.before, *span.inside, *span.after)}
    for value, verdict in sequence:
        assert told.get(value) == answer(verdict)
        assert not spans or (value in unknown) == (answer(verdict) is None)
    assert all(left.answer != right.answer for left, right in pairwise(spans))
    assert all(left.after == right.before for left, right in pairwise(spans))
