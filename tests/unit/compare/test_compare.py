"""What changed between two sides. The runs are made up: nothing here was measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.comparison import Change, Comparison, Side, cells, compare
from lab.model.record import HostFacts, Provenance, Record, Run, RunHeader
from lab.model.scenario import Expectation
from lab.model.verdict import Denied, Errored, Failed, Passed, Phase, Skipped, Verdict
from lab.scenario.expand import make_cell

PASSED = Passed()
DENIED = Denied(cause="cwd-not-searchable", phase=Phase.CHDIR, evidence="chdir: permission denied")
LATER = Denied(cause="cwd-not-searchable", phase=Phase.EXEC, evidence="exec: permission denied")
OTHER = Denied(cause="exec-not-permitted", phase=Phase.EXEC, evidence="exec: permission denied")
FAILED = Failed(cause="cwd-not-searchable", phase=Phase.CHDIR, evidence="chdir")
SKIPPED, ERRORED = Skipped(reason="no cgroup"), Errored(reason="deadline")
HOST = HostFacts(
    kernel="6.18", machine="x86_64", cgroups="v2", lsms="", uid=0, capabilities="0", os="Debian GNU/Linux 12", cpus=2
)
OLD, NEW = "runc@1.0.0-rc92", "runc@1.0.0-rc93"
MIRRORED = {
    Change.REGRESSION: Change.IMPROVEMENT,
    Change.IMPROVEMENT: Change.REGRESSION,
    Change.CHANGED: Change.CHANGED,
    Change.UNKNOWN: Change.UNKNOWN,
    Change.UNCHANGED: Change.UNCHANGED,
}


def record(verdict: Verdict, scenario: str = "one", provenance: Provenance | None = None, **axes: str) -> Record:
    known = {"image": "busybox", "user": "0:0", "runtime": OLD, "engine": "oci"} | axes
    return Record(
        cell=make_cell(scenario, tuple(known.items())).id,
        scenario=scenario,
        axes=known,
        verdict=verdict,
        provenance=provenance or Provenance(runtime=f"sha of {known['runtime']}", image="sha256:1"),
    )


def run(records: Iterable[Record], scenarios: Mapping[str, str] | None = None) -> Run:
    header = RunHeader(
        id="20261122-120000-abcd",
        lab_version="0.1.0",
        started="2026-11-22T12:00:00+00:00",
        host=HOST,
        argv=("permlab", "run"),
        scenarios={"one": "text"} if scenarios is None else scenarios,
    )
    return Run(header=header, records=tuple(records), finished="2026-11-22T12:01:00+00:00")


def of_runs(left: Iterable[Record], right: Iterable[Record]) -> Comparison:
    return compare(Side(run=run(left)), Side(run=run(right)))


def of_axis(records: Iterable[Record], axis: str, left: str, right: str) -> Comparison:
    held = run(records)
    return compare(Side(run=held, values={axis: left}), Side(run=held, values={axis: right}))


def counts(found: Comparison) -> dict[Change, int]:
    return {change: len(pairs) for change, pairs in found.pairs.items() if pairs}


@pytest.mark.parametrize(
    ("before", "after", "change", "differs"),
    [
        (PASSED, PASSED, Change.UNCHANGED, ()),
        (DENIED, DENIED, Change.UNCHANGED, ()),
        (DENIED, replace(DENIED, evidence="said otherwise"), Change.UNCHANGED, ()),
        (PASSED, DENIED, Change.REGRESSION, ("verdict", "cause", "phase")),
        (PASSED, FAILED, Change.REGRESSION, ("verdict", "cause", "phase")),
        (FAILED, PASSED, Change.IMPROVEMENT, ("verdict", "cause", "phase")),
        (DENIED, LATER, Change.CHANGED, ("phase",)),
        (LATER, OTHER, Change.CHANGED, ("cause",)),
        (DENIED, FAILED, Change.CHANGED, ("verdict",)),
        (PASSED, SKIPPED, Change.UNKNOWN, ()),
        (PASSED, ERRORED, Change.UNKNOWN, ()),
        (ERRORED, DENIED, Change.UNKNOWN, ()),
        (SKIPPED, SKIPPED, Change.UNKNOWN, ()),
    ],
)
def test_what_became_of_a_cell(before: Verdict, after: Verdict, change: Change, differs: tuple[str, ...]) -> None:
    found = of_runs([record(before)], [record(after)])
    assert counts(found) == {change: 1}
    assert found.pairs[change][0].differs == differs
    assert found.compared == (change is not Change.UNKNOWN)
    assert len(found.lost) == (before is PASSED and after is ERRORED)


def test_two_values_of_an_axis_inside_a_run() -> None:
    records = [
        record(PASSED, user="0:0", runtime=OLD),
        record(PASSED, user="0:0", runtime=NEW),
        record(PASSED, user="1000:0", runtime=OLD),
        record(DENIED, user="1000:0", runtime=NEW),
        record(DENIED, user="1000:0", runtime="crun@1.21"),
        record(PASSED, user="65532", runtime=OLD),
        record(DENIED, user="65533", runtime=NEW),
    ]
    found = of_axis(records, "runtime", OLD, NEW)
    assert counts(found) == {Change.UNCHANGED: 1, Change.REGRESSION: 1}
    (pair,) = found.pairs[Change.REGRESSION]
    assert (pair.left, pair.right, pair.swapped) == (records[2], records[3], ())
    assert found.added == found.deleted == ()
    assert [(misfit.side, misfit.record, misfit.reason) for misfit in found.misfits] == [
        ("left", records[4], f"its runtime is neither {OLD} nor {NEW}"),
        ("left", records[5], f"no cell with runtime {NEW} is equal on every other axis"),
        ("right", records[6], f"no cell with runtime {OLD} is equal on every other axis"),
    ]


def test_values_of_two_axes_together() -> None:
    records = [
        record(PASSED, runtime=OLD, engine="docker@20"),
        record(DENIED, runtime=NEW, engine="docker@26"),
        record(ERRORED, runtime=OLD, engine="docker@26"),
        record(PASSED, runtime=OLD, engine="docker@20", user="1"),
    ]
    held = run(records)
    before, after = {"runtime": OLD, "engine": "docker@20"}, {"runtime": NEW, "engine": "docker@26"}
    found = compare(Side(run=held, values=before), Side(run=held, values=after))
    assert counts(found) == {Change.REGRESSION: 1}
    assert found.pairs[Change.REGRESSION][0].swapped == ()
    assert [misfit.reason for misfit in found.misfits] == [
        f"its runtime and engine are neither {OLD}, docker@20 nor {NEW}, docker@26",
        f"no cell with runtime {NEW} and engine docker@26 is equal on every other axis",
    ]


def test_an_axis_that_some_scenarios_do_not_have() -> None:
    found = of_axis(
        [record(PASSED, caps="cri"), record(PASSED, "two"), record(DENIED, caps="none")], "caps", "cri", "none"
    )
    assert counts(found) == {Change.REGRESSION: 1}
    assert [misfit.reason for misfit in found.misfits] == ["the scenario has no axis caps"]


def test_a_value_in_each_of_two_runs() -> None:
    left, right = run([record(PASSED), record(DENIED, runtime=NEW)]), run([record(DENIED, runtime=NEW)])
    found = compare(Side(run=left, values={"runtime": OLD}), Side(run=right, values={"runtime": NEW}))
    assert counts(found) == {Change.REGRESSION: 1}
    assert [(misfit.side, misfit.reason) for misfit in found.misfits] == [("left", f"its runtime is not {OLD}")]


def test_cells_that_only_one_run_has() -> None:
    found = of_runs([record(PASSED), record(PASSED, user="1")], [record(PASSED), record(DENIED, user="2")])
    assert [gone.axes["user"] for gone in found.deleted] == ["1"]
    assert [come.axes["user"] for come in found.added] == ["2"]
    assert not found.misfits


def test_a_scenario_that_got_another_axis() -> None:
    found = of_runs([record(PASSED)], [record(DENIED, caps="cri"), record(DENIED, caps="none")])
    assert found.added == found.deleted == ()
    assert {misfit.reason for misfit in found.misfits} == {"the cells of the two runs do not have the same axes (caps)"}
    assert [misfit.side for misfit in found.misfits] == ["left", "right", "right"]


def test_a_scenario_that_asks_something_else() -> None:
    old = record(PASSED, provenance=Provenance(settings="a"))
    new = record(DENIED, provenance=Provenance(settings="b"))
    found = compare(Side(run=run([old], {"one": "before"})), Side(run=run([new], {"one": "after"})))
    assert [misfit.side for misfit in found.misfits] == ["left", "right"]
    assert "scenario file was changed" in found.misfits[0].reason
    assert not counts(found)
    same_text = compare(Side(run=run([old])), Side(run=run([new])))
    assert counts(same_text) == {Change.REGRESSION: 1}  # a newer lab writes settings with another digest


def test_same_name_other_binary() -> None:
    old, new = Provenance(runtime="a", image="sha256:1"), Provenance(runtime="b", image="sha256:1")
    found = of_runs(
        [record(PASSED, provenance=old, user=user) for user in "123"],
        [
            *(record(PASSED, provenance=new, user=user) for user in "12"),
            record(SKIPPED, provenance=Provenance(), user="3"),
        ],
    )
    (swap,) = found.swaps
    assert (swap.part, swap.name, swap.left, swap.right, swap.cells) == ("runtime", OLD, "a", "b", 2)
    assert [pair.swapped for pair in found.pairs[Change.UNCHANGED]] == [("runtime",)] * 2


def test_two_names_of_one_binary() -> None:
    same = Provenance(runtime="a", image="sha256:1")
    records = [record(PASSED, provenance=same, runtime=name) for name in (OLD, NEW)]
    assert of_axis(records, "runtime", OLD, NEW).twins == 1
    assert of_runs(records, records).twins == 0


def test_controls_are_no_cells_and_make_a_run_void() -> None:
    control = replace(record(DENIED, "controls"), control=True, expectation=Expectation(verdict="passed"))
    found = of_runs([record(PASSED), control], [record(PASSED)])
    assert counts(found) == {Change.UNCHANGED: 1}
    assert found.deleted == ()
    assert found.void
    assert counts(of_runs([control], [control])) == {Change.UNCHANGED: 1}  # nothing else was run


def test_the_latest_record_of_a_cell_counts() -> None:
    assert counts(of_runs([record(ERRORED), record(PASSED)], [record(PASSED)])) == {Change.UNCHANGED: 1}


verdicts: st.SearchStrategy[Verdict] = st.sampled_from([PASSED, DENIED, LATER, OTHER, FAILED, SKIPPED, ERRORED])


@st.composite
def runs(draw: st.DrawFn) -> Run:
    """Runs with holes, axes that only some cells have, controls, and several digests for one name."""
    chosen = draw(
        st.lists(
            st.tuples(
                st.sampled_from(("one", "two")),
                st.sampled_from(("", "cri", "none")),
                st.sampled_from((OLD, NEW, "crun@1.21")),
                st.sampled_from(("0:0", "1000:0")),
            ),
            unique_by=str,
            max_size=16,
        )
    )
    digests = st.builds(
        Provenance,
        runtime=st.sampled_from(["", "a", "b"]),
        image=st.sampled_from(["", "c"]),
        settings=st.sampled_from(["", "d", "e"]),
    )
    return run(
        [
            replace(
                record(
                    draw(verdicts),
                    scenario,
                    draw(digests),
                    **({"caps": caps} if caps else {}),
                    runtime=runtime,
                    user=user,
                ),
                control=draw(st.integers(0, 9)) == 0,
            )
            for scenario, caps, runtime, user in chosen
        ],
        {name: draw(st.sampled_from(["text", "other"])) for name in ("one", "two")},
    )


def places(found: Comparison) -> list[Record]:
    """Every place of every record."""
    pairs = [pair for some in found.pairs.values() for pair in some]
    return [
        *(record for pair in pairs for record in (pair.left, pair.right)),
        *found.deleted,
        *found.added,
        *(misfit.record for misfit in found.misfits),
    ]


def ids(records: Iterable[Record]) -> list[int]:
    return sorted(id(record) for record in records)


@given(runs())
def test_nothing_changed_between_a_run_and_itself(one: Run) -> None:
    found = compare(Side(run=one), Side(run=one))
    assert set(counts(found)) <= {Change.UNCHANGED, Change.UNKNOWN}
    assert [*found.added, *found.deleted, *found.misfits, *found.swaps] == []
    assert sum(counts(found).values()) == len(cells(one))


@given(runs(), runs())
def test_every_cell_of_two_runs_has_one_place(left: Run, right: Run) -> None:
    assert ids(places(compare(Side(run=left), Side(run=right)))) == ids([*cells(left), *cells(right)])


@given(runs(), runs(), st.booleans())
def test_every_cell_has_one_place_where_an_axis_is_compared(left: Run, right: Run, inside: bool) -> None:  # noqa: FBT001  # drawn
    right = left if inside else right
    found = compare(Side(run=left, values={"runtime": OLD}), Side(run=right, values={"runtime": NEW}))
    assert ids(places(found)) == ids(cells(left) if inside else [*cells(left), *cells(right)])
    for pair in (pair for some in found.pairs.values() for pair in some):
        assert {**pair.left.axes, "runtime": NEW} == pair.right.axes


MIRRORS: list[tuple[dict[str, str], dict[str, str]]] = [
    ({}, {}),
    ({"runtime": OLD}, {"runtime": NEW}),
    ({"caps": "cri"}, {"caps": "none"}),
    ({"runtime": OLD, "user": "0:0"}, {"runtime": NEW, "user": "1000:0"}),
]


@given(runs(), runs(), st.sampled_from(MIRRORS))
def test_the_mirror(left: Run, right: Run, words: tuple[dict[str, str], dict[str, str]]) -> None:
    one, other = Side(run=left, values=words[0]), Side(run=right, values=words[1])
    there, back = compare(one, other), compare(other, one)
    for change, mirrored in MIRRORED.items():
        assert ids(pair.left for pair in there.pairs[change]) == ids(pair.right for pair in back.pairs[mirrored])
    assert ids(there.added) == ids(back.deleted)
    assert ids(there.deleted) == ids(back.added)
    assert ids(misfit.record for misfit in there.misfits) == ids(misfit.record for misfit in back.misfits)
    assert [(swap.name, swap.left, swap.right) for swap in there.swaps] == sorted(
        (swap.name, swap.right, swap.left) for swap in back.swaps
    )
    assert there.twins == back.twins


def test_platform_releases_share_families_not_versions() -> None:
    def cell(verdict: Verdict, release: str, runtime: str, engine: str) -> Record:
        return record(verdict, release=release, runtime=runtime, engine=engine)

    measured = run(
        [
            cell(DENIED, "debian-11", "runc@1.0.0-rc93+debian11", "podman@3.0.1"),
            cell(PASSED, "debian-12", "runc@1.1.5+debian12", "podman@4.3.1"),
            cell(PASSED, "debian-11", "crun@0.17", "podman@3.0.1"),
            cell(PASSED, "debian-12", "crun@1.8.1", "podman@4.3.1"),
            cell(PASSED, "debian-12", "crun@1.8.1", "docker@20.10.24"),
        ]
    )
    found = compare(
        Side(run=measured, values={"release": "debian-11"}), Side(run=measured, values={"release": "debian-12"})
    )
    (improved,) = found.pairs[Change.IMPROVEMENT]
    assert (improved.left.axes["runtime"], improved.right.axes["runtime"]) == (
        "runc@1.0.0-rc93+debian11",
        "runc@1.1.5+debian12",
    )
    assert len(found.pairs[Change.UNCHANGED]) == 1
    assert (found.twins, found.swaps) == (0, ())
    assert [misfit.record.axes["engine"] for misfit in found.misfits] == ["docker@20.10.24"]
