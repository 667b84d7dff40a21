"""The pytest plugin over real containers, in a pytest of its own for every test."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from lab_session import CRUN, RUNC, Lab, host_state, interrupt, require_engine, user_cache, wait_for

from lab.children import saying
from lab.model.record import Run
from lab.process import run, spawn
from lab.store.runs import read, stored

pytestmark = [pytest.mark.integration, pytest.mark.needs_root]

SCENARIO = f"""#:schema ./scenario.schema.json
format = 1
question = "May an ordinary user read what is root's alone?"

[axes]
user = ["0:0", "1000:1000"]
runtime = ["{RUNC}", "{CRUN}"]

[settings]
rootfs = [{{ path = "/secret", kind = "file", mode = 0o600, content = "x" }}]

[settings.process]
cwd = "/"
steps = ["read /secret"]

[[expect]]
when = 'user == "1000:1000" and runtime == "{CRUN}"'
verdict = "passed"
intermittent = "made up"

[[expect]]
when = 'runtime == "{RUNC}"'
verdict = "passed"
source = "https://example.org/secret"
"""
ROOT, OTHER = (f"mine.toml::distroless-static/user={user}/" for user in ("0:0", "1000:1000"))
ROOT_ID = "/user=0:0/"
RUNC_ID, CRUN_ID = (f"{name.replace('@', '-')}/oci" for name in (RUNC, CRUN))


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "mine.toml").write_text(SCENARIO)
    return Lab(place=tmp_path, cache=user_cache())


def call(lab: Lab, *words: str) -> str:
    """Run pytest; what it shows."""
    done = run([sys.executable, "-m", "pytest", *words], deadline=300, env=lab.environment, cwd=lab.place)
    text = done.stdout.decode() + done.stderr.decode()
    assert "Traceback" not in text, text
    return text


def outcomes(text: str) -> dict[str, str]:
    """Cell by cell the word that ``-v`` shows, with one worker or several."""
    one = re.findall(r"^(\S+::\S+) ([A-Z]+)", text, re.MULTILINE)
    several = re.findall(r"^\[gw\d+\] \[ *\d+%\] ([A-Z]+) (\S+::\S+)", text, re.MULTILINE)
    return dict(one) | {cell: word for word, cell in several}


EXPECTED = {
    f"{ROOT}{RUNC_ID}": "PASSED",
    f"{ROOT}{CRUN_ID}": "PASSED",
    f"{OTHER}{RUNC_ID}": "FAILED",
    f"{OTHER}{CRUN_ID}": "XFAIL",
}


def runs(lab: Lab) -> list[Run]:
    return [read(path) for path in stored(lab.place / "runs")]


def test_cells_are_measured_and_judged_and_asked_for_again(lab: Lab) -> None:
    before = host_state()
    text = call(lab, ".", "-v", "--junitxml=report.xml")
    assert outcomes(text) == EXPECTED, text
    found = runs(lab)[-1]
    assert found.finished
    assert not found.void
    assert {record.axes["runtime"] for record in found.records if record.control} == {RUNC, CRUN}
    assert found.header.argv[0] == "pytest"
    assert f"run {found.header.id}: `permlab show --run {found.header.id}` shows its matrix" in text
    check_commands(lab, text)
    check_report(lab.place / "report.xml")

    again = call(lab, ".", "-v", "--permlab-run", "latest")
    assert outcomes(again) == EXPECTED, again
    assert len(runs(lab)) == 1

    only = call(lab, ".", "-v", "--lf", "-x")
    assert outcomes(only) == {f"{OTHER}{RUNC_ID}": "FAILED"}, only
    assert not runs(lab)[-1].finished
    assert not lab.left()
    assert host_state() == before


def check_commands(lab: Lab, text: str) -> None:
    """The command that shows a failed cell can be pasted."""
    line = next(line for line in text.splitlines() if line.startswith("show "))
    done = lab.call(*shlex.split(line)[2:])
    assert done.returncode == 0
    assert b"read-denied" in done.stdout


def check_report(path: Path) -> None:
    suite = ET.parse(path).getroot()[0]  # noqa: S314  # pytest wrote it
    assert [suite.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["4", "1", "0", "1"]
    failure = suite.find(".//failure")
    assert failure is not None
    assert str(failure.get("message")).startswith("expected passed, found denied: read-denied (phase process)")


def test_workers_share_the_cells(lab: Lab) -> None:
    text = call(lab, ".", "-v", "-n", "2", "--dist", "load")
    assert outcomes(text) == EXPECTED, text
    found = runs(lab)
    assert len(found) == 2
    assert all(one.finished and f"run {one.header.id}:" in text for one in found)
    assert sorted(record.cell for one in found for record in one.records if not record.control) == sorted(
        f"mine/{cell.partition('::')[2]}" for cell in EXPECTED
    )
    both = [word for one in found for word in ("--permlab-run", one.header.id)]
    assert outcomes(call(lab, ".", "-v", *both)) == EXPECTED
    assert not lab.left()


def test_cells_of_a_docker_daemon_are_chosen_by_mark_and_by_option(lab: Lab, demanded: set[str]) -> None:
    require_engine("docker", demanded)
    text = SCENARIO.replace('user = ["0:0", "1000:1000"]', 'engine = ["oci", "docker"]\nuser = ["0:0"]')
    (lab.place / "mine.toml").write_text(text)
    name = f"{RUNC.replace('@', '-')}/docker"
    shown = call(lab, ".", "-v", "-m", "docker", "--engine", "docker", "--runtime", RUNC)
    assert outcomes(shown) == {f"{ROOT}{name}": "PASSED"}, shown
    assert "1 passed, 1 deselected" in shown
    assert not lab.left()


def test_a_runtime_with_broken_controls_gives_errors_and_no_findings(lab: Lab) -> None:
    (lab.place / "scenarios").mkdir()
    controls = (
        'format = 1\nquestion = "?"\n[settings.process]\nuser = "0:0"\ncwd = "/"\n[[expect]]\nverdict = "denied"\n'
    )
    (lab.place / "scenarios" / "controls.toml").write_text(controls)
    text = call(lab, "mine.toml", "-v", "--runtime", RUNC)
    assert set(outcomes(text).values()) == {"ERROR"}, text
    assert f"void: a control cell of {RUNC} did not show what it must" in text
    assert "is VOID" in text


def test_what_cannot_be_made_ready_is_an_error_of_the_lab_and_nothing_else_is(lab: Lab) -> None:
    text = SCENARIO.replace(CRUN, "crun@9.9.9")
    (lab.place / "mine.toml").write_text(text)
    (lab.place / "image.toml").write_text(text.replace("[axes]\n", '[axes]\nimage = ["./nothing.tar"]\n', 1))
    shown = call(lab, ".", "-v")
    words = {
        (cell.partition(".toml")[0], RUNC_ID in cell): word for cell, word in outcomes(shown).items() if ROOT_ID in cell
    }
    assert words == {
        ("mine", True): "PASSED",
        ("mine", False): "ERROR",
        ("image", True): "ERROR",
        ("image", False): "ERROR",
    }, shown
    assert "the catalogue does not know crun@9.9.9" in shown
    assert "unknown image './nothing.tar'" in shown


@pytest.mark.parametrize("words", [(), ("-n", "2")])
def test_an_interrupt_leaves_nothing(lab: Lab, words: tuple[str, ...]) -> None:
    before = host_state()
    marker = "86399"
    (lab.place / "mine.toml").write_text(SCENARIO.replace("read /secret", f"sleep {marker}"))
    process = start(lab, ".", "-v", *words)
    wait_for(lambda: saying(marker))
    assert interrupt(process) == pytest.ExitCode.INTERRUPTED
    text = (lab.place / "log").read_text()
    assert "KeyboardInterrupt" in text
    assert words or f"run {runs(lab)[0].header.id}: `permlab show" in text
    wait_for(lambda: not saying(marker))
    wait_for(lambda: not lab.left())
    assert host_state() == before


def start(lab: Lab, *words: str) -> subprocess.Popen[bytes]:
    argv = ["/bin/sh", "-c", 'cd "$0" && exec "$@"', str(lab.place), sys.executable, "-m", "pytest", *words]
    return spawn(argv, env=lab.environment, log=lab.place / "log")
