"""Sweep and bisect, with real containers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lab_session import RUNC, Lab, user_cache

from lab.store.runs import read, stored

pytestmark = pytest.mark.integration

TEXT = """
[axes]
image = ["distroless-static:nonroot"]
user = ["65532:65532", "0:0", "1000:0"]
cwd = ["image", "/"]
caps = ["docker", "cri"]
engine = ["oci"]
runtime = ["default"]
"""
CELL = "*user=1000:0/cwd=image/caps=docker/*runc*"
PULL = "https://github.com/opencontainers/runc/pull"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(place=tmp_path, cache=user_cache())


def asked(lab: Lab, *arguments: str, expected: int = 0) -> tuple[dict[str, Any], str]:
    done = lab.call(*arguments, "--scenario", lab.scenario(TEXT), "--format", "json")
    assert done.returncode == expected, done.stderr.decode()
    return json.loads(done.stdout), done.stderr.decode()


def test_sweep_lists_the_three_flips_of_the_chdir_story(lab: Lab) -> None:
    found, _ = asked(lab, "sweep", CELL, "--runtimes", "runc>=1.0.0rc9,<1.0.2")
    (line,) = found["sweep"]
    assert [(span["verdict"], span["range"]) for span in line["spans"]] == [
        ("denied", "up to 1.0.0-rc9"),
        ("passed", "from 1.0.0-rc10 to 1.0.0-rc92"),
        ("denied", "in 1.0.0-rc93 only"),
        ("passed", "from 1.0.0-rc94 on"),
    ]
    links = [change["links"][-1] for flip in line["flips"] for change in flip["known_changes"]]
    assert links == [f"{PULL}/2086", f"{PULL}/2712", f"{PULL}/2894"]
    again, _ = asked(lab, "sweep", CELL, "--runtimes", "runc>=1.0.0rc9,<1.0.2")
    assert all(value["reused_from"] for value in again["sweep"][0]["values"])


def test_sweep_knows_the_builds_of_distributions(lab: Lab) -> None:
    found, _ = asked(lab, "sweep", CELL, "--runtimes", "runc@1.0.0-rc92,runc@1.0.0-rc93+debian11,runc@1.0.0-rc94")
    assert [span["values"] for span in found["sweep"][0]["spans"]] == [
        ["runc@1.0.0-rc92"],
        ["runc@1.0.0-rc93+debian11"],
        ["runc@1.0.0-rc94"],
    ]


def test_bisect_verifies_its_ends_and_names_the_change(lab: Lab) -> None:
    found, told = asked(lab, "bisect", CELL, "--from", "runc@1.0.0-rc93", "--to", "runc@1.0.3")
    assert (found["flip"]["before"], found["flip"]["after"]) == ("runc@1.0.0-rc93+debian11", "runc@1.0.0-rc94")
    assert found["flip"]["known_changes"][0]["links"] == [f"{PULL}/2894"]
    assert {one["times"] for one in found["asked"]} == {3}
    assert "at most" in told
    assert "left" in told


def test_bisect_points_to_sweep_when_the_ends_agree(lab: Lab) -> None:
    found, _ = asked(lab, "bisect", CELL, "--from", "runc@1.0.0-rc10", "--to", "1.0.0", expected=1)
    assert found["result"] == "ends-agree"
    assert found["flip"] is None
    done = lab.call(
        "bisect", CELL, "--from", "runc@1.0.0-rc10", "--to", "1.0.0", "--scenario", lab.scenario(TEXT), "--repeat", "1"
    )
    assert done.returncode == 1
    assert b"permlab sweep" in done.stdout


def test_bisect_over_an_axis_of_the_scenario(lab: Lab) -> None:
    cell = "cwd=image/caps=docker/runc-1.0.0-rc93/oci"
    found, _ = asked(lab, "bisect", cell, "--axis", "user", "--from", "0:0", "--to", "1000:0")
    assert (found["flip"]["before"], found["flip"]["after"]) == ("0:0", "1000:0")


def test_bisect_over_axes_finds_the_pair_that_makes_the_failure(lab: Lab) -> None:
    good = "mine/distroless-static:nonroot/user=65532:65532/cwd=%2F/caps=cri/runc-1.0.0-rc94/oci"
    bad = "mine/distroless-static:nonroot/user=1000:0/cwd=image/caps=docker/runc-1.0.0-rc93/oci"
    found, _ = asked(lab, "bisect", "--axes", good, bad)
    assert [mix["axes"] for mix in found["smallest"]] == [["user", "cwd", "runtime"]]
    run = read(stored(lab.place / "runs")[-1])
    assert len({record.cell for record in run.records if not record.control}) == 2 + len(found["mixes"])


def test_what_cannot_be_had_is_unknown(lab: Lab) -> None:
    """The engine does not exist on any host: nothing is measured, and nothing is concluded."""
    text = TEXT.replace('engine = ["oci"]', 'engine = ["docker@0.0.1"]')
    done = lab.call("sweep", CELL, "--scenario", lab.scenario(text), "--runtimes", RUNC, "--format", "json")
    assert done.returncode == 3, done.stderr.decode()
    (line,) = json.loads(done.stdout)["sweep"]
    assert line["spans"] == line["flips"] == []
    assert line["values"][0]["verdict"] is None
    assert line["values"][0]["reason"]


def test_a_void_run_is_no_answer(lab: Lab, tmp_path: Path) -> None:
    """A probe that tells lies makes the controls fail; here the control itself is replaced."""
    controls = tmp_path / "controls.toml"
    controls.write_text(
        'format = 1\nquestion = "?"\n[axes]\nimage = ["distroless-static"]\nengine = ["oci"]\nruntime = ["default"]\n'
        '[settings.process]\nsteps = ["id"]\n[[expect]]\nverdict = "denied"\n'
    )
    done = lab.call("sweep", CELL, "--scenario", lab.scenario(TEXT), "--runtimes", RUNC)
    assert done.returncode == 3
    assert b"is void" in done.stderr
    assert done.stdout == b""
