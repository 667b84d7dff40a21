from __future__ import annotations

from collections import Counter
from random import Random

import report_runs
from hypothesis import given
from hypothesis import strategies as st
from report_strategies import quick, runs

from lab.model.record import Record, Run
from lab.model.scenario import Expectation
from lab.model.verdict import Denied, Passed, Phase, Verdict
from lab.report.matrix import Matrix, matrices, outcome


@quick
@given(runs())
def test_every_record_stands_in_the_matrices_exactly_once(run: Run) -> None:
    shown = Counter(record.cell for table in matrices(run) for record in table.records())
    assert shown == Counter(record.cell for record in run.records)


@quick
@given(runs())
def test_grouping_never_merges_what_differs(run: Run) -> None:
    for table in matrices(run):
        for row in table.rows:
            for slot in row.slots:
                assert {outcome(record) for record in slot.records} == ({slot.outcome} if slot.outcome else set())


@quick
@given(runs())
def test_a_slot_holds_all_its_combinations_or_none(run: Run) -> None:
    """A merged row or column may not hide a hole: ✔ for 4 combinations means 4 records."""
    for table in matrices(run):
        for row in table.rows:
            combinations = 1
            for values in row.values:
                combinations *= len(values)
            for column, slot in zip(table.columns, row.slots, strict=True):
                assert len(slot.records) in {0, combinations * len(column.versions)}
                for record in slot.records:
                    assert stands_at(table, record, tuple(row.values), column.versions)


def stands_at(
    table: Matrix, record: Record, values: tuple[tuple[str | None, ...], ...], versions: tuple[str, ...]
) -> bool:
    named = all(record.axes.get(name) in some for (name, _), some in zip(table.axes, values, strict=True))
    return named and record.axes["runtime"].partition("@")[2] in versions


@quick
@given(runs())
def test_adjacent_columns_differ(run: Run) -> None:
    """Grouping is as wide as it can be: two neighbours of one family and engine differ in some row."""
    for table in matrices(run):
        for place, (left, right) in enumerate(zip(table.columns, table.columns[1:], strict=False)):
            if (left.family, left.engine) == (right.family, right.engine):
                assert any(row.outcomes[place] != row.outcomes[place + 1] for row in table.rows)


@quick
@given(runs(), st.randoms(use_true_random=False))
def test_the_order_of_the_records_does_not_matter(run: Run, random: Random) -> None:
    records = list(run.records)
    random.shuffle(records)
    again = report_runs.run(records)

    def seen(one: Run) -> dict[str, object]:
        return {
            table.scenario: (table.columns, [(row.values, row.outcomes) for row in table.rows])
            for table in matrices(one)
        }

    assert seen(again) == seen(run)


def columns_of(runtimes: list[str], verdicts: list[Verdict]) -> list[str]:
    records = [
        report_runs.record({"image": "busybox", "runtime": runtime, "engine": "oci"}, verdict)
        for runtime, verdict in zip(runtimes, verdicts, strict=True)
    ]
    return [column.label for column in matrices(report_runs.run(records))[0].columns]


def test_versions_are_ordered_as_versions_and_families_as_people_know_them() -> None:
    names = ["youki@0.7.0", "crun@1.21", "runc@1.0.0-rc93", "runc@1.0.0-rc9", "runc@1.0.0-rc10", "crun@1.8.1"]
    found = columns_of(names, [Passed(), Passed(), Passed(), report_runs.DENIED, Passed(), report_runs.DENIED])
    assert found == ["runc 1.0.0-rc9", "runc 1.0.0-rc10, 1.0.0-rc93", "crun 1.8.1", "crun 1.21", "youki 0.7.0"]


def test_a_debian_build_stands_after_its_version_and_may_end_a_range() -> None:
    names = ["runc@1.0.0-rc93+debian11", "runc@1.0.0-rc92", "runc@1.0.0-rc93", "runc@1.0.0-rc94"]
    assert columns_of(names, [Passed()] * 4) == ["runc 1.0.0-rc92 … 1.0.0-rc94"]
    assert columns_of(names, [Passed(), Passed(), Passed(), report_runs.DENIED])[0] == (
        "runc 1.0.0-rc92 … 1.0.0-rc93+debian11"
    )


def test_a_version_with_another_outcome_splits_a_range() -> None:
    names = [f"runc@1.{minor}.0" for minor in range(5)]
    verdicts: list[Verdict] = [Passed(), Passed(), report_runs.DENIED, Passed(), Passed()]
    assert columns_of(names, verdicts) == ["runc 1.0.0, 1.1.0", "runc 1.2.0", "runc 1.3.0, 1.4.0"]


def test_rows_stand_in_the_order_of_the_scenario_file() -> None:
    table = matrices(report_runs.plain())[0]
    assert [row.values[0] for row in table.rows] == [
        ("65532:65532", "0:0"),
        ("1000:0", "1000:1000"),
        ("1000:0", "1000:1000"),
    ]
    assert table.fixed == (("image", "distroless-static:nonroot"), ("engine", "oci"))
    assert table.question.startswith("Which runtimes can enter")


def test_an_unmet_expectation_is_never_grouped_with_a_met_one() -> None:
    def one(version: str, wanted: Expectation | None) -> Record:
        return report_runs.record(
            {"image": "busybox", "runtime": f"runc@{version}", "engine": "oci"}, Passed(), expectation=wanted
        )

    records = [one("1.0.0", Expectation(verdict="passed")), one("1.1.0", Expectation(verdict="denied"))]
    outcomes = matrices(report_runs.run(records))[0].rows[0].outcomes
    assert [found.unmet for found in outcomes if found] == [False, True]


def test_what_is_no_version_stands_last_and_alone() -> None:
    assert columns_of(["runc@mine", "runc@1.5.2"], [Passed(), Passed()]) == ["runc 1.5.2", "runc mine"]


def test_platform_releases_are_the_columns_and_families_the_rows() -> None:
    def cell(release: str, runtime: str, engine: str, verdict: Verdict) -> Record:
        axes = {"image": "i", "release": release, "runtime": runtime, "engine": engine}
        return Record(cell="/".join(axes.values()), scenario="one", axes=axes, verdict=verdict)

    denied = Denied(cause="cwd-not-searchable", phase=Phase.CHDIR, evidence="")
    run = report_runs.run(
        [
            cell("debian-sid", "runc@1.3.6+debian14", "docker@28.5.2", Passed()),
            cell("debian-12", "runc@1.1.5+debian12", "docker@20.10.24", Passed()),
            cell("debian-11", "runc@1.0.0-rc93+debian11", "docker@20.10.5", denied),
            cell("debian-11", "crun@0.17", "docker@20.10.5", Passed()),
            cell("debian-12", "crun@1.8.1", "docker@20.10.24", Passed()),
        ]
    )
    (table,) = matrices(run)
    assert [column.label for column in table.columns] == ["debian 11", "debian 12", "debian sid"]
    assert table.fixed == (("image", "i"), ("engine", "docker"))
    assert table.axes == (("runtime", ("crun", "runc")),)
    assert [(row.values, [one and one.kind for one in row.outcomes]) for row in table.rows] == [
        ((("crun",),), ["passed", "passed", None]),
        ((("runc",),), ["denied", "passed", "passed"]),
    ]
