"""Neighbours, mixes and cures on a lab that answers from a function, and how they are told."""

from __future__ import annotations

import json

import pytest
from answering import DENIED, ERRORED, OTHER, PASSED, AnsweringLab, task

from lab.bisection.bisect import Ending
from lab.explain.cures import AS_IS, Cure
from lab.explain.variant import variant
from lab.explain.why import explain, near_runtimes, try_cures
from lab.explain.words import Explanation, explanation_data, explanation_markdown, explanation_text
from lab.model.scenario import Cell
from lab.model.verdict import Denied, Phase, Verdict
from lab.report.causes import notes

HOSTILE = "\x1b[2J|`<script>*evil*\n"
RC93 = "runc@1.0.0-rc93"


def needs_user_and_rc93(cell: Cell, _: int) -> Verdict:
    return DENIED if cell.value("user") != "0:0" and cell.value("runtime") == RC93 else PASSED


def failing() -> AnsweringLab:
    return AnsweringLab(say=needs_user_and_rc93)


def test_the_smallest_set_and_what_has_no_effect() -> None:
    why = explain(failing(), task(user="1000:0", runtime=RC93), times=2)
    assert why.ending is Ending.FOUND
    assert why.mixed is not None
    assert [mix.axes for mix in why.mixed.smallest] == [("user", "runtime")]
    away = {axis for axis, _, _ in why.mixed.differing} - {"user", "runtime"}
    assert away == {"cwd", "caps", "size"}
    assert {one.axis for one in why.neighbours if one.asked.answer and one.asked.answer.kind == "passed"} == {
        "user",
        "runtime",
    }


def test_a_cell_that_passes_is_not_explained() -> None:
    lab = failing()
    why = explain(lab, task(user="0:0", runtime=RC93), times=2)
    assert why.ending is Ending.AGREE
    assert len(lab.asked) == 2


def test_a_cell_that_is_not_stable_is_not_explained() -> None:
    why = explain(AnsweringLab(say=lambda _, times: DENIED if times else PASSED), task(), times=3)
    assert why.ending is Ending.UNSTABLE


def test_an_unknown_cell_is_unknown() -> None:
    why = explain(AnsweringLab(say=lambda *_: ERRORED), task(), times=3)
    assert why.ending is Ending.UNKNOWN
    text = explanation_text(Explanation(cell="c", scenario="s", why=why))
    assert "? errored: deadline" in text


def test_where_no_neighbour_passes_no_set_is_made_up() -> None:
    why = explain(AnsweringLab(say=lambda *_: DENIED), task(), times=1)
    assert why.ending is Ending.FOUND
    assert why.mixed is None
    assert "no neighbour passes" in explanation_text(Explanation(cell="c", scenario="s", why=why))


def test_near_runtimes_are_upstreams_own_builds() -> None:
    near = near_runtimes(RC93)
    assert near[:2] == ("runc@1.0.0-rc94", "runc@1.0.0-rc92")
    assert not any("+" in name for name in near if name.startswith("runc@"))
    assert RC93 not in near
    assert any(name.startswith("crun@") for name in near)
    assert near_runtimes("runc@1.0.0-rc93+debian11")[:2] == ("runc@1.0.0-rc94", "runc@1.0.0-rc93")
    assert near_runtimes("runc@1.0.0+mine")[:2] == ("runc@1.0.1", "runc@1.0.0")


CURES = (
    Cure(name="cwd-root", words="working directory /", how="docker run -w /", fragment={"process": {"cwd": "/"}}),
    Cure(name="user-root", words=HOSTILE, how=HOSTILE, fragment={"process": {"user": "0:0"}}),
    Cure(name="group-zero", words="group 0", how="", fragment={"process": {"user": "1:0"}}),
    Cure(name="mode-all", words="chmod", how="", unknown="the file cannot be seen"),
)


def cured(cell: Cell, _: int) -> Verdict:
    answers: dict[str, Verdict] = {"cwd-root": PASSED, "user-root": OTHER, "group-zero": ERRORED, AS_IS: DENIED}
    return answers[cell.value("cure")] if cell.value("runtime") == RC93 else PASSED


def explanation() -> Explanation:
    one = task(user="1000:0", runtime=RC93)
    made = variant(one.scenario, one.cell, CURES, ["runc@1.0.0-rc94"], checked=False)
    tried = try_cures(AnsweringLab(say=cured), made, CURES, ["runc@1.0.0-rc94"])
    why = explain(failing(), one, times=1)
    return Explanation(
        cell=one.cell.id,
        scenario=one.scenario.id,
        why=why,
        cures=tried,
        notes=notes()["cwd-not-searchable"],
        run="20261122-000000-0000",
    )


def test_a_cure_is_told_as_it_answered() -> None:
    found = explanation()
    assert [(one.name, one.cured) for one in found.cures] == [
        ("cwd-root", True),
        ("user-root", False),
        ("group-zero", None),
        ("mode-all", None),
        ("runtime", True),
    ]
    text = explanation_text(found)
    assert "✔ working directory /" in text
    assert "— failed: cwd-missing" in text
    assert "? group 0 — errored: deadline" in text
    assert "? chmod — the file cannot be seen" in text
    assert "✔ runtime runc 1.0.0-rc94" in text


def test_every_format_cites_the_specification_and_the_threads() -> None:
    found = explanation()
    data = json.loads(json.dumps(explanation_data(found)))
    assert "https://github.com/opencontainers/runc/pull/2712" in data["threads"]
    assert data["needs"][0]["values"] == {"user": "1000:0", "runtime": RC93}
    for text in (explanation_text(found), explanation_markdown(found)):
        assert "This value MUST be an absolute path" in " ".join(text.split())
        assert "https://github.com/opencontainers/runc/pull/2712" in text


def test_strangers_texts_cannot_act() -> None:
    evil = Denied(cause="read-denied", phase=Phase.PROCESS, evidence=HOSTILE)
    one = task(user="1000:0", runtime=RC93)
    why = explain(AnsweringLab(say=lambda cell, _: evil if cell.value("user") == "1000:0" else PASSED), one, times=1)
    found = Explanation(cell=HOSTILE, scenario="s", why=why, cures=explanation().cures)
    for text in (explanation_text(found), explanation_markdown(found)):
        assert "\x1b" not in text
    heading, _, rest = explanation_markdown(found).partition("\n")
    assert heading.startswith("### `` ")  # a longer fence than what is inside
    assert "<script>" not in rest
    assert "|`" not in rest


@pytest.mark.parametrize("cause", sorted(notes()))
def test_what_is_written_of_a_cause_is_read(cause: str) -> None:
    found = notes()[cause]
    assert found.meaning
    assert found.spec
    assert "<!--" not in found.meaning + found.spec + found.cure
    assert all(address.startswith("https://") for _, address in found.threads)
