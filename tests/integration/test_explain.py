"""Explain, with real containers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lab_session import Lab, user_cache

from lab.store.runs import find, read

pytestmark = pytest.mark.integration

RC93 = "chdir-cwd/distroless-static:nonroot/user=1000680000:0/cwd=image/caps=docker/caller=root/runc-1.0.0-rc93/oci"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(place=tmp_path, cache=user_cache())


def explained(lab: Lab, cell: str, *arguments: str, expected: int = 0) -> dict[str, Any]:
    done = lab.call("explain", cell, *arguments, "--format", "json")
    assert done.returncode == expected, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_openshift_cell(lab: Lab) -> None:
    """facts.md §1: only the owner and root enter a 0700 directory with rc93, whatever capabilities are given."""
    found = explained(lab, RC93)
    assert (found["verdict"], found["cause"], found["phase"]) == ("denied", "cwd-not-searchable", "chdir")
    assert [one["axes"] for one in found["needs"]] == [["user", "cwd", "runtime"]]
    cured = {one["words"] if one["cure"] == "runtime" else one["cure"]: one["cured"] for one in found["cures"]}
    assert cured == {
        "cwd-root": True,
        "image-workdir-root": True,
        "user-owner": True,
        "group-owner": False,
        "user-root": True,
        "group-zero": True,
        "init-chown": True,
        "mode-all": True,
        "cap-effective": False,
        "cap-ambient": False,
        "runtime runc 1.0.0-rc94": True,
        "runtime runc 1.0.0-rc92": True,
    } | {words: True for words in cured if words.startswith(("runtime runc 1.", "runtime crun")) and "rc9" not in words}
    assert "https://github.com/opencontainers/runc/pull/2712" in found["threads"]
    assert "MUST be an absolute path" in found["spec"]


def test_every_cure_is_a_stored_cell_that_can_be_run_again(lab: Lab) -> None:
    found = explained(lab, RC93)
    run = read(find(lab.place / "runs", found["cures_run"]))
    stored = {record.cell: record.verdict.kind for record in run.records if not record.control}
    as_is = next(cell for cell in stored if "cure=as-is/runc-1.0.0-rc93/" in cell)
    assert stored == {one["cell"]: one["verdict"] for one in found["cures"]} | {as_is: "denied"}
    (name,) = {record.scenario for record in run.records if not record.control}
    again = lab.place / f"{name}.toml"
    again.write_text(run.header.scenarios[name])
    cell = next(one["cell"] for one in found["cures"] if one["cure"] == "group-zero")
    done = lab.call("run", str(again), "--cell", cell, "--format", "json")
    assert done.returncode == 0, done.stderr.decode()
    (record,) = [one for one in json.loads(done.stdout)["cells"] if not one["control"]]
    assert (record["id"], record["verdict"]) == (cell, "passed")


def test_a_file_of_the_process(lab: Lab) -> None:
    scenario = lab.scenario(
        """
[axes]
image = ["distroless-static"]
user = ["1000:1000", "0:0"]
engine = ["oci"]
runtime = ["runc@1.1.5+debian12"]
[settings]
rootfs = [{ path = "/data", uid = 5, gid = 0, mode = 0o755 }]
process = { cwd = "/", steps = ["id", "stat /data", "touch /data/new"] }
"""
    )
    found = explained(lab, "user=1000:1000", "--scenario", scenario)
    assert found["cause"].startswith("write-denied")
    cured = {one["cure"]: one["cured"] for one in found["cures"] if one["cure"] != "runtime"}
    assert cured == {
        "user-owner": True,
        "group-owner": False,
        "user-root": True,
        "group-zero": True,
        "init-chown": True,
        "mode-all": True,
        "cap-effective": False,
        "cap-ambient": True,
    }


def test_a_cell_that_passes_has_nothing_to_explain(lab: Lab) -> None:
    found = explained(lab, RC93.replace("rc93", "rc94"), expected=1)
    assert found["result"] == "ends-agree"
    assert found["cures"] == []
