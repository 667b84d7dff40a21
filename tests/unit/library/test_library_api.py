"""The library's functions that need no container, and the names that `import lab` gives."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import report_runs
from report_runs import DENIED

import lab
from lab.scenario.load import parse, shipped_directory
from lab.scenario.write import text_of

CONDITION = 'user == "1000:0" and cwd == "image" and caps == "docker" and caller == "root"'
SHIPPED = sorted(path.stem for path in shipped_directory().glob("*.toml"))


def imported_for_types() -> list[tuple[str, str]]:
    """The names that a type checker sees, and where each comes from."""
    assert lab.__file__ is not None
    tree = ast.parse(Path(lab.__file__).read_text())
    blocks = [node for node in tree.body if isinstance(node, ast.If)]
    return [
        (str(node.module), alias.name)
        for node in ast.walk(blocks[0])
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]


def test_the_names_are_those_that_a_type_checker_sees() -> None:
    names = imported_for_types()
    assert sorted(name for _, name in names) == sorted(lab.__all__)
    for module, name in names:
        assert getattr(lab, name) is getattr(importlib.import_module(module), name)
    assert set(lab.__all__) <= set(dir(lab))


def test_another_name_is_an_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nope'"):
        _ = lab.nope  # type: ignore[attr-defined]  # type checkers refuse it, too


def test_importing_it_loads_nothing_else() -> None:
    program = "import sys, lab; print([name for name in sys.modules if name.startswith('lab.')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout == "[]\n"


def test_a_plan_tells_what_runs_and_what_does_not() -> None:
    plan = lab.plan(lab.load("chdir-cwd"), runtimes="runc>=1.0.0rc92,<1.0.0rc94", where=CONDITION)
    (planned,) = plan.scenarios
    assert [cell.value("runtime") for cell in plan.cells] == list(planned.axes["runtime"])
    assert planned.axes["runtime"][:2] == ("runc@1.0.0-rc92", "runc@1.0.0-rc93")
    assert planned.left_out["not selected by --cell or --where"] > len(plan.cells)
    assert "an ordinary user maps only itself, to uid 0" in planned.left_out
    assert plan.runtimes == ("runc>=1.0.0rc92,<1.0.0rc94",)


def test_cells_are_chosen_by_parts_of_their_ids() -> None:
    every = lab.plan([lab.load("umask"), lab.load("chdir-cwd")], runtimes=["runc@1.1.15"])
    some = lab.plan([one.scenario for one in every.scenarios], runtimes=["runc@1.1.15"], cells=["umask/", "caps=cri"])
    assert {cell.id for cell in some.cells} == {
        cell.id for cell in every.cells if cell.scenario == "umask" or cell.value("caps") == "cri"
    }


def test_releases_bring_their_own_runtimes_and_engines() -> None:
    plan = lab.plan(lab.load("chdir-cwd"), releases=["debian-12", "debian-13"], cells="runc")
    axes = plan.scenarios[0].axes
    assert (axes["release"], "docker" in axes["engine"]) == (("debian-12", "debian-13"), True)
    assert {cell.value("runtime") for cell in plan.cells} == {"runc@1.1.5+debian12", "runc@1.1.15+debian13"}
    assert parse(text_of(plan.scenarios[0].scenario), id="chdir-cwd", where=plan.scenarios[0].scenario.path)


def test_what_means_nothing_is_refused(tmp_path: Path) -> None:
    scenario = lab.load("umask")
    for refused in (
        lambda: lab.load("no-such-scenario"),
        lambda: lab.plan(scenario, where="colour == 'red'"),
        lambda: lab.plan(scenario, runtimes="nope@1"),
        lambda: lab.plan([scenario, scenario]),
        lambda: lab.plan(scenario, releases="debian-99"),
        lambda: lab.run(lab.plan(scenario, cells="nothing"), runs=tmp_path),
        lambda: lab.run(scenario, jobs=0, runs=tmp_path),
        lambda: lab.run(scenario, deadline=0, runs=tmp_path),
        lambda: lab.stored(runs=tmp_path),
    ):
        with pytest.raises(lab.InputError):
            refused()
    assert not list(tmp_path.iterdir())


def test_all_faults_of_a_file_are_told(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('format = 1\ncolour = "red"\n[axes]\nuser = []\n')
    with pytest.raises(lab.InputError) as caught:
        lab.load(file)
    assert [word in caught.value.details for word in ("question", "colour", "axes.user")] == [True] * 3


@pytest.mark.parametrize("name", SHIPPED)
def test_a_scenario_is_stored_as_its_file_says_or_as_one_that_says_the_same(name: str) -> None:
    scenario = lab.load(name)
    assert text_of(scenario) == Path(scenario.path).read_text()
    runtime = "crun" if "release" in scenario.axes else "crun@1.8.1"
    changed = replace(scenario, question="Another one?", axes={**scenario.axes, "runtime": (runtime,)})
    again = parse(text_of(changed), id=name, where=scenario.path)
    assert again == changed
    assert lab.plan(again).cells == lab.plan(changed).cells


def test_a_scenario_whose_file_was_changed_is_stored_as_it_was_loaded(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('format = 1\nquestion = "Old?"\n')
    scenario = lab.load(file)
    for text in ('format = 1\nquestion = "New?"\n', "no scenario"):
        file.write_text(text)
        assert parse(text_of(scenario), id="mine", where=str(file)) == scenario


def test_a_scenario_that_no_file_can_say_is_refused() -> None:
    with pytest.raises(lab.InputError, match="mine"):
        text_of(lab.Scenario(id="mine", question="?", axes={"colour": ("red",)}))


def test_records_and_observations_are_judged_anew() -> None:
    record = report_runs.observed()
    assert record.observation is not None
    stale = replace(record, verdict=lab.Passed())
    verdict = lab.judge(stale)
    assert isinstance(verdict, lab.Denied)
    assert verdict.cause == "read-denied"
    assert lab.judge(record.observation) == verdict
    skipped = replace(record, observation=None, verdict=lab.Skipped(reason="no root"))
    assert lab.judge(skipped) == skipped.verdict


def test_checks_of_ones_own_judge_an_observation() -> None:
    seen = lab.Observation(reached=lab.Reached.STARTED, exit_code=0, output=b'{"op":"start","umask":18}\n')
    check = lab.Check(fact="start.umask", equals=23)
    assert lab.judge(seen) == lab.Passed()
    assert lab.judge(seen, checks=[check]).kind == "failed"


def sides() -> lab.Run:
    axes = {"image": "busybox", "user": "1000:0", "engine": "oci"}
    return report_runs.run(
        report_runs.record({**axes, "runtime": runtime}, verdict)
        for runtime, verdict in (("runc@1.0.0-rc92", lab.Passed()), ("runc@1.0.0-rc93", DENIED))
    )


def test_two_values_of_an_axis_are_compared() -> None:
    found = lab.compare(sides(), axes={"runtime": ("runc@1.0.0-rc92", "runc@1.0.0-rc93")})
    assert found.answer is lab.Answer.REGRESSIONS
    (pair,) = found.pairs[lab.Change.REGRESSION]
    assert (pair.left.verdict, pair.right.verdict) == (lab.Passed(), DENIED)
    assert lab.compare(sides(), sides()).answer is lab.Answer.NO_REGRESSIONS


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ({}, "same cells"),
        ({"runtime": ("runc@1.0.0-rc92", "runc@1.0.0-rc92")}, "same cells"),
        ({"runtime": ("runc@1.0.0-rc92", "runc")}, "has runtime = runc\nvalues of runtime: runc@1.0.0-rc92"),
        ({"colour": ("red", "blue")}, "has colour = red\nthe cells have no such axis"),
    ],
)
def test_sides_that_are_none_are_refused(axes: dict[str, tuple[str, str]], words: str) -> None:
    with pytest.raises(lab.InputError) as caught:
        lab.compare(sides(), axes=axes)
    assert words in str(caught.value)
