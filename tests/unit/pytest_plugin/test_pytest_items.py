"""Scenario files as pytest sees them; what a stored run holds stands for what would be measured."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import report_runs

from lab.model.record import Record
from lab.model.scenario import Expectation
from lab.model.verdict import Errored, Failed, Passed, Phase, Skipped, Verdict
from lab.pytest_plugin import hooks
from lab.store import runs as store

assert hooks  # what this module imports stays imported: pytester forgets what only its own runs import
pytest_plugins = ["pytester"]

GOLDEN = Path(__file__).parents[2] / "golden"
SCENARIO = """#:schema ./scenario.schema.json
format = 1
question = "Does it start?"
pack = "chdir"

[axes]
image = ["distroless-static:nonroot"]
user = ["65532:65532", "1000:0"]
runtime = ["runc@1.0.0-rc93", "crun@1.8.1"]
engine = ["oci", "docker@20.10.5"]

[[expect]]
when = 'user == "1000:0" and engine == "docker@20.10.5"'
verdict = "passed"
intermittent = "a race in the daemon"

[[expect]]
when = 'user == "1000:0"'
verdict = "passed"
source = "https://github.com/opencontainers/runc/pull/2712"
"""
OCI, DOCKER = "oci", "docker@20.10.5"
RUNC, CRUN = "runc@1.0.0-rc93", "crun@1.8.1"


@pytest.fixture
def scenarios(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with one scenario, and files that are none."""
    monkeypatch.setenv("PERMLAB_RUNS", str(pytester.path / "runs"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("CI", raising=False)
    pytester.makeini("[pytest]\n")
    folder = pytester.mkdir("scenarios")
    (folder / "mine.toml").write_text(SCENARIO)
    (folder / "other.toml").write_text("[tool]\nx = 1\n")
    (folder / "pyproject.toml").write_text("#:schema https://json.schemastore.org/pyproject.json\n")
    (folder / "broken.toml").write_text("[tool\n")
    return folder


def ids(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if "::" in line]


def axes(user: str, runtime: str, engine: str) -> Mapping[str, str]:
    return {"image": "distroless-static:nonroot", "user": user, "runtime": runtime, "engine": engine}


def keep(folder: Path, *records: Record) -> None:
    """Store a run with these records."""
    with store.create(folder / "runs", report_runs.header({"mine": SCENARIO})) as writer:
        for record in records:
            writer.record(record)
        writer.finish()


def mine(user: str, runtime: str, engine: str, verdict: Verdict) -> Record:
    return report_runs.record(axes(user, runtime, engine), verdict, scenario="mine")


def control(runtime: str, verdict: Verdict) -> Record:
    return report_runs.record(
        {"image": "distroless-static", "control": "starts", "runtime": runtime, "engine": OCI},
        verdict,
        scenario="controls",
        expectation=Expectation(verdict="passed"),
        control=True,
    )


def test_a_directory_gives_the_cells_of_the_files_that_name_the_schema(
    pytester: pytest.Pytester, scenarios: Path
) -> None:
    result = pytester.runpytest("--collect-only", "-q", str(scenarios))
    assert ids(result)[:3] == [
        "scenarios/mine.toml::distroless-static:nonroot/user=65532:65532/runc-1.0.0-rc93/oci",
        "scenarios/mine.toml::distroless-static:nonroot/user=65532:65532/runc-1.0.0-rc93/docker-20.10.5",
        "scenarios/mine.toml::distroless-static:nonroot/user=65532:65532/crun-1.8.1/oci",
    ]
    assert len(ids(result)) == 8
    assert result.ret == 0


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["-k", "1000:0 and rc93"], 2),
        (["-k", "not crun"], 4),
        (["-m", "docker"], 4),
        (["-m", "oci and runtime(family='crun')"], 2),
        (["-m", "engine(name='docker', version='20.10.5')"], 4),
        (["-m", "runtime(family='runc', version='1.0.0-rc93', build=None)"], 4),
        (["-m", "pack(name='chdir')"], 8),
        (["-m", "pack(name='engines') or rootless or podman or cri"], 0),
        (["-m", "axis(user='1000:0', engine='oci')"], 2),
        (["--engine", "docker"], 4),
        (["--engine", "docker@20.10.5", "--engine", "oci"], 8),
        (["--permlab-engine", "docker>=26"], 0),
        (["--runtime", "runc@1.1.5, runc>=1.0.2,<1.1"], 12),
        (["--permlab-runtime", "crun@1.21", "--runtime", "crun@1.28"], 8),
    ],
)
def test_cells_are_chosen_as_pytest_users_expect(
    pytester: pytest.Pytester, scenarios: Path, words: list[str], left: int
) -> None:
    result = pytester.runpytest("--collect-only", "-q", "--strict-markers", str(scenarios), *words)
    assert len(ids(result)) == left
    assert result.ret == (0 if left else pytest.ExitCode.NO_TESTS_COLLECTED)


def test_rootless_cells_have_their_mark(pytester: pytest.Pytester, scenarios: Path) -> None:
    (scenarios / "less.toml").write_text(f"{SCENARIO}\n[settings.caller]\nrootless = true\n")
    result = pytester.runpytest("--collect-only", "-q", str(scenarios), "-m", "rootless")
    assert {line.partition("::")[0] for line in ids(result)} == {"scenarios/less.toml"}
    assert len(ids(result)) == 8


def test_a_scenario_that_other_runtimes_cannot_be_for_is_skipped(pytester: pytest.Pytester, scenarios: Path) -> None:
    text = SCENARIO.replace('runtime = ["runc@1.0.0-rc93", "crun@1.8.1"]', 'release = ["debian-12"]')
    (scenarios / "upgrade.toml").write_text(text.replace('engine = ["oci", "docker@20.10.5"]', ""))
    result = pytester.runpytest("--collect-only", "-q", "-rs", str(scenarios), "--runtime", "runc@1.1.15")
    assert {line.partition("::")[0] for line in ids(result)} == {"scenarios/mine.toml"}
    result.stdout.fnmatch_lines(["SKIPPED * scenarios/upgrade.toml: --runtime runc@1.1.15: a release brings its own *"])


def test_one_cell_is_named_by_its_id(pytester: pytest.Pytester, scenarios: Path) -> None:
    name = "scenarios/mine.toml::distroless-static:nonroot/user=1000:0/crun-1.8.1/oci"
    assert ids(pytester.runpytest("--collect-only", "-q", name)) == [name]
    assert scenarios.is_dir()


def test_a_named_file_needs_no_schema_line(pytester: pytest.Pytester, scenarios: Path) -> None:
    (scenarios / "bare.toml").write_text(SCENARIO.partition("\n")[2])
    assert len(ids(pytester.runpytest("--collect-only", "-q", str(scenarios / "bare.toml")))) == 8
    assert pytester.runpytest(str(scenarios / "other.toml")).ret == pytest.ExitCode.USAGE_ERROR


def test_a_bad_file_is_an_error_with_all_its_faults(pytester: pytest.Pytester, scenarios: Path) -> None:
    (scenarios / "bad.toml").write_text(
        '#:schema scenario.schema.json\nformat = 2\nquestion = "?"\naxes.colour = ["red"]'
    )
    result = pytester.runpytest("-q", str(scenarios))
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(
        [
            "* ERROR collecting scenarios/bad.toml *",
            "scenarios/bad.toml is not a valid scenario",
            "scenarios/bad.toml: format: *",
            "scenarios/bad.toml: axes.colour: no built-in axis*",
            "ERROR scenarios/bad.toml - scenarios/bad.toml is not a valid scenario",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*.py:*")


def test_a_named_file_that_is_no_toml_is_told(pytester: pytest.Pytester, scenarios: Path) -> None:
    result = pytester.runpytest("-q", str(scenarios / "broken.toml"))
    result.stdout.fnmatch_lines(["scenarios/broken.toml is not a TOML file", "ERROR scenarios/broken.toml - *"])


def test_two_files_of_one_name_cannot_be_in_one_run(pytester: pytest.Pytester, scenarios: Path) -> None:
    other = pytester.mkdir("zzz") / "mine.toml"
    other.write_text(SCENARIO)
    result = pytester.runpytest("-q", str(scenarios), str(other.parent))
    result.stdout.fnmatch_lines(["zzz/mine.toml and scenarios/mine.toml have the same name"])


@pytest.mark.parametrize(
    ("option", "word", "said"),
    [
        ("--runtime", "nope", "runtime 'nope' stands for nothing*"),
        ("--engine", "nope", "'nope' does not name an engine"),
        ("--engine", "nope>=1", "'nope' does not name an engine"),
        ("--engine", "docker>=x", "'docker>=x' is not a version range"),
        ("--permlab-run", "nope", "no stored run 'nope'"),
    ],
)
def test_an_option_that_means_nothing_ends_pytest_before_it_collects(
    pytester: pytest.Pytester, scenarios: Path, option: str, word: str, said: str
) -> None:
    result = pytester.runpytest(str(scenarios), option, word)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {said}"])


def test_expectations_decide(pytester: pytest.Pytester, scenarios: Path) -> None:
    keep(
        pytester.path,
        control(RUNC, Passed()),
        control(CRUN, Passed()),
        mine("65532:65532", RUNC, OCI, Passed()),
        mine("65532:65532", RUNC, DOCKER, report_runs.DENIED),
        mine("65532:65532", CRUN, OCI, Skipped(reason="needs\x1b[2J root")),
        mine("1000:0", RUNC, OCI, report_runs.DENIED),
        mine("1000:0", RUNC, DOCKER, report_runs.DENIED),
        mine("1000:0", CRUN, OCI, Errored(reason="the disk is full")),
        mine("1000:0", CRUN, DOCKER, Passed()),
    )
    result = pytester.runpytest("-v", "-rA", str(scenarios), "--permlab-run", "latest", "--junitxml=j.xml")
    result.assert_outcomes(passed=2, failed=1, errors=1, skipped=2, xfailed=1, xpassed=1)
    start = "scenarios/mine.toml::distroless-static:nonroot"
    result.stdout.fnmatch_lines(
        [
            f"{start}/user=65532:65532/runc-1.0.0-rc93/oci PASSED *",
            f"{start}/*/docker-20.10.5 PASSED (denied: cwd-not-searchable (phase chdir), no expectation) *",
            f"{start}/user=65532:65532/crun-1.8.1/oci SKIPPED (needs\\x1b*2J root) *",
            f"{start}/user=65532:65532/crun-1.8.1/docker-20.10.5 SKIPPED (run 20261122-120000-abcd has no such cell) *",
            f"{start}/user=1000:0/runc-1.0.0-rc93/oci FAILED *",
            f"{start}/user=1000:0/runc-1.0.0-rc93/docker-20.10.5 XFAIL (known to be intermittent: a race in *) *",
            f"{start}/user=1000:0/crun-1.8.1/oci ERROR *",
            f"{start}/user=1000:0/crun-1.8.1/docker-20.10.5 XPASS (known to be intermittent: a race in *) *",
        ]
    )
    text = result.stdout.str()
    shown = text[text.index("= ERRORS =") : text.index("= PASSES =")].partition("\n")[2]
    check_golden("pytest-failures.txt", shown.rpartition("\n")[0] + "\n")
    check_golden("pytest-summary.txt", text[text.index(" permlab =") :].partition("\n")[2].rpartition("\n=")[0] + "\n")
    check_junit(pytester.path / "j.xml")


def check_golden(name: str, text: str) -> None:
    golden = GOLDEN / name
    if os.environ.get("PERMLAB_UPDATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


def check_junit(path: Path) -> None:
    suite = ET.parse(path).getroot()[0]  # noqa: S314  # pytest wrote it
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "8",
        "failures": "1",
        "errors": "1",
        "skipped": "3",
    }
    failure, error = suite.find(".//failure"), suite.find(".//error")
    assert failure is not None
    assert failure.get("message") == "expected passed, found denied: cwd-not-searchable (phase chdir)"
    assert "permlab show" in (failure.text or "")
    assert error is not None
    assert error.get("message") == 'failed on setup with "errored: the disk is full"'


def test_a_runtime_whose_controls_fail_is_void(pytester: pytest.Pytester, scenarios: Path) -> None:
    refused = Failed(cause="check-failed", phase=Phase.PROCESS, evidence="uid = 1")
    keep(
        pytester.path,
        control(RUNC, refused),
        control(CRUN, Passed()),
        *(mine("1000:0", runtime, OCI, Passed()) for runtime in (RUNC, CRUN)),
    )
    result = pytester.runpytest("-m", "axis(user='1000:0', engine='oci')", str(scenarios), "--permlab-run", "2026")
    result.assert_outcomes(passed=1, errors=1, deselected=6)
    result.stdout.fnmatch_lines(
        [
            "void: a control cell of runc@1.0.0-rc93 did not show what it must",
            "control   controls/distroless-static/control=starts/runc-1.0.0-rc93/oci",
            "found     failed: check-failed (phase process)",
            "run 20261122-120000-abcd is VOID: *",
            "ERROR *runc-1.0.0-rc93/oci - void: a control cell of *",
        ]
    )


def test_a_cell_that_says_something_else_by_now_is_skipped(pytester: pytest.Pytester, scenarios: Path) -> None:
    record = mine("1000:0", RUNC, OCI, Passed())
    keep(pytester.path, replace(record, provenance=replace(record.provenance, settings="sha256:00")))
    result = pytester.runpytest("-rs", str(scenarios), "--permlab-run", "latest")
    result.assert_outcomes(skipped=8)
    result.stdout.fnmatch_lines(["SKIPPED [[]1[]] scenarios/mine.toml:1: run * measured this cell when its scenario *"])


def test_last_failed_and_exit_first_know_cells(pytester: pytest.Pytester, scenarios: Path) -> None:
    keep(pytester.path, *(mine("1000:0", runtime, OCI, report_runs.DENIED) for runtime in (RUNC, CRUN)))
    words = (str(scenarios), "--permlab-run", "latest")
    pytester.runpytest("-x", *words).assert_outcomes(failed=1, skipped=4)
    pytester.runpytest("--lf", *words).assert_outcomes(failed=1)
    pytester.runpytest("--ff", *words).assert_outcomes(failed=2, skipped=6)
