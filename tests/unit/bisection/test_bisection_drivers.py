"""Sweeps, bisections and mixes on a lab that answers from a function."""

from __future__ import annotations

from typing import Any

import pytest
from answering import DENIED, ERRORED, OTHER, PASSED, AnsweringLab, task

from lab.bisection.asking import ask
from lab.bisection.axis import Line, line, open_id, ordered_values
from lab.bisection.bisect import Bisected, Ending, bisect
from lab.bisection.mixes import mix
from lab.bisection.sweep import sweep
from lab.bisection.words import bisect_data, bisect_text, mixed_data, mixed_text, sweep_data, sweep_text
from lab.errors import InputError
from lab.model.scenario import Cell
from lab.model.verdict import Verdict
from lab.scenario.expand import id_fits
from lab.scenario.versions import key

CHDIR = {"1.0.0-rc9": DENIED, "1.0.0-rc93": DENIED, "1.0.0-rc93+debian11": DENIED}


def runtimes() -> Line:
    one = task(user="1000:0")
    return line(one, "runtime", ordered_values(one, "runtime"))


def of_version(verdicts: dict[str, Any]) -> AnsweringLab:
    return AnsweringLab(say=lambda cell, _: verdicts.get(cell.value("runtime").partition("@")[2], PASSED))


def between(lab: AnsweringLab, start: str, end: str, times: int = 2) -> Bisected:
    along = runtimes()
    return bisect(lab, along, along.values.index(f"runc@{start}"), along.values.index(f"runc@{end}"), times=times)


def test_values_come_in_order() -> None:
    versions = [value.partition("@")[2] for value in ordered_values(task(), "runtime")]
    assert versions == sorted(versions, key=key)
    assert versions.index("1.0.0-rc9") < versions.index("1.0.0-rc10") < versions.index("1.0.0")
    assert ordered_values(task(), "user") == ("0:0", "1000:0", "2000:0")
    assert ordered_values(task(), "size") == ("small", "large")
    assert ordered_values(task(), "engine") == ("oci",)
    with pytest.raises(InputError, match="no axis 'colour'"):
        open_id(task().cell, "colour")


@pytest.mark.parametrize("axis", ["image", "user", "cwd", "size", "runtime", "engine"])
def test_the_open_id_is_a_pattern_for_the_line(axis: str) -> None:
    one = task(user="1000:0", cwd="/")
    assert "*" in open_id(one.cell, axis)
    assert id_fits(open_id(one.cell, axis), one.cell.id)


def test_a_sweep_lists_every_flip_with_what_is_known_of_it() -> None:
    lab = of_version(CHDIR | {"1.0.0-rc91": ERRORED})
    (found,) = sweep(lab, [runtimes()])
    assert [(turn.before, turn.after) for turn in found.turns] == [
        ("runc@1.0.0-rc9", "runc@1.0.0-rc10"),
        ("runc@1.0.0-rc92", "runc@1.0.0-rc93"),
        ("runc@1.0.0-rc93+debian11", "runc@1.0.0-rc94"),
    ]
    text = sweep_text([found])
    for number in (2086, 2712, 2894):
        assert f"https://github.com/opencontainers/runc/pull/{number}" in text
    assert "3 flips" in text
    assert "unknown: 1.0.0-rc91 — errored: deadline" in text
    flips = sweep_data([found])["sweep"][0]["flips"]
    assert [flip["known_changes"][0]["since"] for flip in flips] == [
        "runc@1.0.0-rc10",
        "runc@1.0.0-rc93",
        "runc@1.0.0-rc94",
    ]


def test_a_distributions_patches_are_not_upstreams_change() -> None:
    (found,) = sweep(of_version({"1.0.0-rc93+debian11": DENIED}), [runtimes()])
    here, back = found.turns
    assert (here.patched, here.notes) == (("runc@1.0.0-rc93+debian11",), "")
    assert back.patched == here.patched
    assert "1.0.0-rc93+debian11: built by a distribution" in sweep_text([found])


def test_what_the_scenario_leaves_out_is_unknown_and_not_run() -> None:
    one = task(user="0:0", caps="none")
    lab = AnsweringLab(say=lambda *_: PASSED)
    (found,) = sweep(lab, [line(one, "user", ordered_values(one, "user"))])
    assert [asked.why_unknown for asked in found.unknown] == [
        "left out by the scenario: excluded: caps = none and user = 2000:0"
    ]
    assert len(lab.asked) == 2


def test_a_cell_that_answers_in_two_ways_is_told_and_makes_no_flip() -> None:
    lab = AnsweringLab(say=lambda cell, times: DENIED if times and "rc92" in cell.id else PASSED)
    (found,) = sweep(lab, [runtimes()], times=2)
    assert not found.turns
    assert [one.value for one in found.unstable] == ["runc@1.0.0-rc92"]
    assert "not stable: runc@1.0.0-rc92 answered passed, then denied: cwd-not-searchable in 2 runs" in sweep_text(
        [found]
    )


def test_the_unknown_is_not_asked_again() -> None:
    lab = AnsweringLab(say=lambda *_: ERRORED)
    (asked,) = ask(lab, [task()], ["x"], times=3)
    assert len(lab.asked) == 1
    assert asked.answer is None


def test_a_fault_of_the_lab_among_the_repeats_takes_nothing_away() -> None:
    lab = AnsweringLab(say=lambda _, times: ERRORED if times == 1 else DENIED)
    (asked,) = ask(lab, [task()], ["x"], times=2)
    assert [record.verdict for record in asked.records] == [DENIED, ERRORED]
    assert asked.stable
    assert asked.record is asked.records[0]
    (found,) = sweep(lab, [runtimes()], times=2)
    assert [span.answer.cause for span in found.spans] == ["cwd-not-searchable"]


def test_bisect_finds_the_adjacent_pair_and_runs_each_cell_as_often_as_told() -> None:
    lab = of_version(CHDIR)
    found = between(lab, "1.0.0-rc92", "1.0.0-rc93", times=3)
    assert found.ending is Ending.FOUND
    assert found.turn is not None
    assert (found.turn.before, found.turn.after) == ("runc@1.0.0-rc92", "runc@1.0.0-rc93")
    assert len(lab.asked) == 6
    assert "pull/2712" in bisect_text(found)


def test_bisect_says_when_the_ends_agree_and_points_to_sweep() -> None:
    found = between(of_version(CHDIR), "1.0.0-rc10", "1.0.0")
    assert found.ending is Ending.AGREE
    assert found.turn is None
    text = bisect_text(found)
    assert "both ends agree" in text
    assert "permlab sweep " in text
    assert bisect_data(found)["result"] == "ends-agree"


def test_an_unstable_cell_ends_the_search() -> None:
    lab = AnsweringLab(say=lambda cell, times: DENIED if "rc93" in cell.id or times == 1 else PASSED)
    found = between(lab, "1.0.0-rc92", "1.0.0-rc93")
    assert found.ending is Ending.UNSTABLE
    assert len(found.asked) == 1
    assert "not stable: runc@1.0.0-rc92" in bisect_text(found)


def test_unknown_ends_are_passed_over_and_told() -> None:
    verdicts = CHDIR | {"1.0.0-rc92": ERRORED, "1.0.0-rc94": ERRORED}
    found = between(of_version(verdicts), "1.0.0-rc92", "1.1.0")
    assert [one.value for one in found.passed_over] == ["runc@1.0.0-rc92"]
    assert found.low is not None
    assert found.low.value == "runc@1.0.0-rc93"
    assert found.turn is not None
    assert found.turn.unknown == ("runc@1.0.0-rc94",)
    assert "1.0.0-rc94 could not be told" in bisect_text(found)


def test_nothing_known_is_unknown_not_a_flip() -> None:
    found = between(AnsweringLab(say=lambda *_: ERRORED), "1.0.0-rc92", "1.0.0-rc94")
    assert found.ending is Ending.UNKNOWN
    assert bisect_data(found)["flip"] is None


def test_another_failure_is_not_the_bad_answer() -> None:
    """Exit codes would take the first failure for the flip; verdict and cause do not."""
    verdicts: dict[str, Verdict] = {"1.1.5": DENIED}
    verdicts |= dict.fromkeys(("1.1.0", "1.1.1", "1.1.2", "1.1.3", "1.1.4"), OTHER)
    found = between(of_version(verdicts), "1.0.0", "1.1.5")
    assert found.turn is not None
    assert (found.turn.before, found.turn.after) == ("runc@1.1.4", "runc@1.1.5")
    assert found.turn.was.cause == "cwd-missing"
    assert found.others
    assert "another answer than both ends" in bisect_text(found)


def needs(*pairs: tuple[str, str]) -> AnsweringLab:
    return AnsweringLab(
        say=lambda cell, _: DENIED if all(cell.value(axis) == value for axis, value in pairs) else PASSED
    )


GOOD = {"user": "0:0", "cwd": "/", "caps": "docker", "size": "small", "runtime": "runc@1.0.0-rc92"}
BAD = {"user": "1000:0", "cwd": "image", "caps": "cri", "size": "large", "runtime": "runc@1.0.0-rc93"}


def test_the_fewest_settings_that_make_the_difference() -> None:
    lab = needs(("user", "1000:0"), ("runtime", "runc@1.0.0-rc93"))
    found = mix(lab, task(**GOOD), task(**BAD), times=2)
    assert found.ending is Ending.FOUND
    assert [one.axes for one in found.smallest] == [("user", "runtime")]
    assert [one.axes for one in found.mixes if len(one.axes) == 1] == [(axis,) for axis in BAD]
    assert "user=1000:0 + runtime=runc@1.0.0-rc93" in mixed_text(found)
    assert mixed_data(found)["smallest"][0]["axes"] == ["user", "runtime"]


def test_all_sets_of_the_smallest_size_are_told() -> None:
    def say(cell: Cell, _: int) -> Verdict:
        return DENIED if cell.value("cwd") == "image" or cell.value("size") == "large" else PASSED

    found = mix(AnsweringLab(say=say), task(**GOOD), task(**BAD), times=1)
    assert [one.axes for one in found.smallest] == [("cwd",), ("size",)]


def test_where_all_are_needed_the_bad_cell_itself_is_the_smallest() -> None:
    found = mix(needs(*BAD.items()), task(**GOOD), task(**BAD), times=1)
    assert [one.axes for one in found.smallest] == [tuple(BAD)]
    assert len(found.mixes) == 2 ** len(BAD) - 2


def test_mixes_that_cannot_be_told_are_told_as_unknown() -> None:
    def say(cell: Cell, _: int) -> Verdict:
        if cell.value("size") == "large" and cell.value("user") == "0:0":
            return ERRORED
        return DENIED if cell.value("user") == "1000:0" and cell.value("cwd") == "image" else PASSED

    found = mix(AnsweringLab(say=say), task(**GOOD), task(**BAD), times=1)
    assert [one.axes for one in found.smallest] == [("user", "cwd")]
    assert ("size",) in [one.axes for one in found.unknown]
    assert "unknown: size" in mixed_text(found)


def test_mixes_need_two_cells_that_differ_in_their_answer() -> None:
    assert mix(AnsweringLab(say=lambda *_: PASSED), task(**GOOD), task(**BAD), times=1).ending is Ending.AGREE
    assert mix(AnsweringLab(say=lambda *_: ERRORED), task(**GOOD), task(**BAD), times=1).ending is Ending.UNKNOWN
    with pytest.raises(InputError, match="the same"):
        mix(AnsweringLab(say=lambda *_: PASSED), task(**BAD), task(**BAD), times=1)
