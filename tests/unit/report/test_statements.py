from __future__ import annotations

import json
import re
from typing import Any

import pytest
import report_runs
from hypothesis import given
from report_strategies import quick, runs

from lab.model.record import Run
from lab.model.verdict import Errored, Passed, Skipped, Verdict
from lab.report.statements import render, statements
from lab.report.style import Style

KINDS: dict[str, Verdict] = {
    "+": Passed(),
    "x": report_runs.DENIED,
    "f": report_runs.MKDIR,
    "s": Skipped(reason="no root"),
    "e": Errored(reason="broke"),
}
VERSIONS = ("1.0.0-rc9", "1.0.0-rc10", "1.0.0-rc93", "1.0.0", "1.1.0", "1.2.0")


def of(signs: str, *, other: str = "") -> Run:
    """One combination, a sign for each version (``.``: not run), and another combination that asks every version."""
    return report_runs.run(
        [
            report_runs.record(
                {"image": "busybox", "user": user, "runtime": f"runc@{version}", "engine": "oci"}, KINDS[sign]
            )
            for user, line in (("1000:0", signs), ("0:0", other))
            for version, sign in zip(VERSIONS, line, strict=False)
            if sign != "."
        ]
    )


def told(signs: str, other: str = "") -> tuple[tuple[str, ...], list[tuple[str, ...]], tuple[str, ...]]:
    answers = statements(of(signs, other=other)).scenarios["chdir-cwd"]
    (one,) = [statement for statement in answers.statements if statement.axes["user"] == "1000:0"]
    return one.works, [refusal.versions for refusal in one.fails], one.unknown


@pytest.mark.parametrize(
    ("signs", "works", "fails", "unknown"),
    [
        ("++x+++", ("≤1.0.0-rc10", "≥1.0.0"), [("1.0.0-rc93",)], ()),
        ("x++xxx", ("≥1.0.0-rc10 ≤1.0.0-rc93",), [("1.0.0-rc9", "≥1.0.0")], ()),
        ("++++++", ("≥1.0.0-rc9",), [], ()),
        ("xffxxx", (), [("1.0.0-rc9", "≥1.0.0"), ("≥1.0.0-rc10 ≤1.0.0-rc93",)], ()),
        ("+", ("1.0.0-rc9",), [], ()),
        ("++s+++", ("≤1.0.0-rc10", "≥1.0.0"), [], ("1.0.0-rc93",)),
        ("+se+++", ("1.0.0-rc9", "≥1.0.0"), [], ("1.0.0-rc10", "1.0.0-rc93")),
        ("ssssss", (), [], VERSIONS),
    ],
)
def test_ranges(signs: str, works: tuple[str, ...], fails: list[tuple[str, ...]], unknown: tuple[str, ...]) -> None:
    assert told(signs) == (works, fails, unknown)


def test_versions_that_only_others_were_asked_are_unknown_and_split_ranges() -> None:
    assert told(".+.++.", "++++++") == (("1.0.0-rc10", "≥1.0.0 ≤1.1.0"), [], ("1.0.0-rc9", "1.0.0-rc93", "1.2.0"))


def versions_of(text: str, measured: list[str]) -> set[str]:
    """A range read back, as the documentation says that it is meant."""
    upstream = [version for version in measured if "+" not in version]
    match re.findall(r"([≤≥]?)([^ ≤≥]+)", text):
        case [("", version)]:
            return {version}
        case [("≤", last)]:
            return set(upstream[: upstream.index(last) + 1])
        case [("≥", first)]:
            return set(upstream[upstream.index(first) :])
        case [("≥", first), ("≤", last)]:
            return set(upstream[upstream.index(first) : upstream.index(last) + 1])
    raise AssertionError(text)


@quick
@given(runs())
def test_ranges_say_what_was_seen_and_nothing_else(run: Run) -> None:
    data: dict[str, Any] = json.loads(render(run, Style()))
    seen = {
        (one.scenario, one.axes["runtime"], *sorted((k, v) for k, v in one.axes.items() if k != "runtime")): one.verdict
        for one in run.records
    }
    claimed: dict[object, str] = {}
    for scenario, answers in data["scenarios"].items():
        for one in answers["statements"]:
            measured = answers["measured"].get(one["runtime"], [])
            kinds = [("passed", one["works"]), *((entry["verdict"], entry["versions"]) for entry in one["fails"])]
            for kind, ranges in kinds:
                for version in (version for text in ranges for version in versions_of(text, measured)):
                    key = (scenario, f"{one['runtime']}@{version}", *sorted(one["axes"].items()))
                    assert key not in claimed
                    claimed[key] = kind
    assert claimed == {key: verdict.kind for key, verdict in seen.items() if verdict.kind not in {"skipped", "errored"}}


def test_builds_stand_by_themselves() -> None:
    answers = statements(report_runs.plain()).scenarios["chdir-cwd"]
    (one,) = [s for s in answers.statements if (s.axes["user"], s.axes["caps"], s.runtime) == ("1000:0", "cri", "runc")]
    assert one.works == ("≤1.0.0-rc92", "≥1.0.0-rc94", "1.1.15+debian13")
    assert [refusal.versions for refusal in one.fails] == [("1.0.0-rc93", "1.0.0-rc93+debian11")]


def test_a_void_run_claims_nothing() -> None:
    data = json.loads(render(report_runs.void(), Style()))
    assert (data["void"], data["scenarios"]) == (True, {})
