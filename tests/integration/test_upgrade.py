"""Both sides of an upgrade, really run, and what `diff` says of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lab_session import RUNC, Lab, interrupt, user_cache, wait_for

from lab.process import Completed
from lab.store.runs import stored

pytestmark = [pytest.mark.integration, pytest.mark.needs_root]

BROKEN = "runc@1.0.0-rc93+debian11"
"""Cannot enter a working directory of mode 0700 that belongs to another user (facts.md §1)."""
CELLS = ("--where", 'user in ["image", "1000:0"] and cwd == "image" and caps == "docker"')


@pytest.fixture(name="lab")
def _lab(tmp_path: Path) -> Lab:
    return Lab(place=tmp_path, cache=user_cache())


def document(done: Completed) -> dict[str, Any]:
    assert b"Traceback" not in done.stderr
    data: dict[str, Any] = json.loads(done.stdout)
    return data


def test_a_regression_is_found_with_its_evidence(lab: Lab) -> None:
    done = lab.call("upgrade", "--from", RUNC, "--to", BROKEN, "chdir-cwd", *CELLS, "-j", "1", "--format", "json")
    assert done.returncode == 1, done.tail()
    found = document(done)
    assert found["summary"] == {
        "compared": 2,
        "regressions": 1,
        "changed": 0,
        "improvements": 0,
        "unknown": 0,
        "unchanged": 1,
        "added": 0,
        "deleted": 0,
        "not_comparable": 0,
    }
    (regression,) = found["regressions"]
    assert regression["axes"]["user"] == "1000:0"
    assert (regression["left"]["verdict"], regression["right"]["cause"]) == ("passed", "cwd-not-searchable")
    assert regression["right"]["evidence"].startswith('chdir to cwd ("/home/nonroot")')
    assert {record.axes["runtime"] for record in lab.last().records if record.control} == {RUNC, BROKEN}
    assert lab.last().finished

    again = lab.call("diff", "last", "--axis", f"runtime={RUNC},{BROKEN}", "--format", "json")
    assert (again.returncode, again.stdout) == (1, done.stdout)
    back = lab.call("upgrade", "--from", BROKEN, "--to", RUNC, "chdir-cwd", *CELLS, "--reuse", "--format", "markdown")
    assert back.returncode == 0, back.tail()
    assert back.stdout.startswith(b"### permlab: no regressions\n")
    assert b"<summary>1 improvement" in back.stdout
    assert all(record.reused_from for record in lab.last().records)
    assert not lab.left()


def test_two_runs_on_one_host_are_equal(lab: Lab) -> None:
    for _ in range(2):
        ran = lab.call("run", "chdir-cwd", "--runtimes", f"{RUNC},{BROKEN}", *CELLS)
        assert ran.ok, ran.tail()
    first, second = (path.stem for path in stored(lab.place / "runs"))
    done = lab.call("diff", first, second, "--format", "json")
    assert done.ok, done.tail()
    found = document(done)
    assert (found["summary"]["unchanged"], found["swaps"]) == (4, [])
    assert found["summary"]["compared"] == 4


def test_without_scenarios_every_shipped_one_with_such_cells_is_measured(lab: Lab) -> None:
    done = lab.call("upgrade", "--from", RUNC, "--to", BROKEN, "--cell", "umask/*", "--format", "json")
    assert done.returncode == 0, done.tail()
    assert set(lab.last().header.scenarios) == {"umask", "controls"}
    told = done.stderr.decode()
    assert "left out, with no cell for both: " in told
    assert "chdir-cwd" in told
    assert document(done)["summary"]["compared"] == 1


def test_an_interrupted_upgrade_is_continued(lab: Lab) -> None:
    words = ("upgrade", "--from", RUNC, "--to", BROKEN, "chdir-kinds", "-j", "1")
    process = lab.start(*words)
    wait_for(lambda: bool(stored(lab.place / "runs")) and len(lab.last().records) > 6)
    assert interrupt(process) == 130, lab.log()
    assert "the same command with --reuse takes it from there" in lab.log()
    kept = lab.last()
    assert not kept.finished
    done = lab.call(*words, "--reuse", "--format", "json")
    assert done.returncode in {0, 1}, done.tail()
    reused = {record.cell for record in lab.last().records if record.reused_from == kept.header.id}
    assert reused >= {record.cell for record in kept.records if record.verdict.kind not in {"skipped", "errored"}}
    assert document(done)["complete"] is True


def test_a_platform_release_against_the_next_one(lab: Lab) -> None:
    """Docker, podman and containerd, runc and crun, of Debian 12 and of Debian 11: only runc's era is another."""
    words = ("upgrade", "--from", "debian-12", "--to", "debian-11", "chdir-cwd")
    where = ("--where", 'user == "1000:0" and cwd == "image" and caps in ["docker", "cri"] and caller == "root"')
    done = lab.call(*words, *where, "--format", "json", deadline=500)
    assert done.returncode == 1, done.tail()
    found = document(done)
    assert found["axes"] == ["release"]
    assert found["right"]["values"] == {"release": "debian-11"}
    assert {(one["axes"]["engine"], one["axes"]["runtime"], one["axes"]["caps"]) for one in found["regressions"]} == {
        ("docker", "runc", "docker"),
        ("podman", "runc", "docker"),
        ("cri", "runc", "cri"),
    }
    assert {one["right"]["cause"] for one in found["regressions"]} == {"cwd-not-searchable"}
    assert found["summary"]["unchanged"] == 3
    measured = [record for record in lab.last().records if not record.control]
    ran = {(record.axes["runtime"], record.axes["engine"]) for record in measured if record.observation is not None}
    assert ran == {
        (runtime, engine)
        for runtimes, engines in (
            ((RUNC, "crun@1.8.1"), ("docker@20.10.24", "podman@4.3.1", "cri@1.6.20")),
            ((BROKEN, "crun@0.17"), ("docker@20.10.5", "podman@3.0.1", "cri@1.4.13")),
        )
        for runtime in runtimes
        for engine in engines
    }
    assert {record.axes["runtime"] for record in lab.last().records if record.control} == {one for one, _ in ran}
    again = lab.call("diff", "last", "--axis", "release=debian-12,debian-11", "--format", "json")
    assert (again.returncode, again.stdout) == (1, done.stdout)
    assert not lab.left()


def test_the_matrix_of_an_operating_system_upgrade(lab: Lab) -> None:
    """One command: a column for each release, families of runtimes and engines in the rows."""
    where = """does == "makes_a_device" and user == "0:0" and engine not in "cri" and runtime in "runc" """
    done = lab.call("run", "debian-upgrade", "--where", where, "--format", "markdown", deadline=500)
    assert done.ok, done.tail()
    told = done.stdout.decode()
    head = next(line for line in told.splitlines() if line.startswith("| engine"))
    assert [word.strip() for word in head.strip("|").split("|")] == [
        "engine",
        "debian 11, 12",
        "debian 13",
        "debian sid",
    ]
    assert {record.axes["release"]: record.axes["runtime"] for record in lab.last().records if not record.control} == {
        "debian-11": BROKEN,
        "debian-12": RUNC,
        "debian-13": "runc@1.1.15+debian13",
        "debian-sid": "runc@1.3.6+debian14",
    }
    assert not lab.left()


def test_an_engine_against_the_bare_runtime(lab: Lab) -> None:
    words = ("upgrade", "--from", "oci", "--to", "docker", "chdir-cwd", *CELLS, "--runtimes", f"{RUNC},{BROKEN}")
    done = lab.call(*words, "--format", "json", deadline=500)
    assert done.returncode == 0, done.tail()
    found = document(done)
    assert found["axes"] == ["engine"]
    assert found["summary"]["unchanged"] == found["summary"]["compared"] == 4
    assert {pair["axes"]["runtime"] for pair in found["unchanged"]} == {RUNC, BROKEN}
    assert {record.axes["engine"] for record in lab.last().records if record.control} == {"oci", "docker"}
    assert not lab.left()
