"""The chdir story, run for real: every scenario of it holds, and shows what was measured before the lab existed.

The tables below are the measured ones (Debian 12, kernel 6.18, x86-64), written out a second time beside the scenarios'
own expectations, so that neither can be bent without the other.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from lab.process import run, small_environment
from lab.provision.cache import default_cache

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: the runtimes are called by uid 0"),
]

ERAS = {
    "A": ("runc@1.0.0-rc9",),
    "B": ("runc@1.0.0-rc92",),
    "C": ("runc@1.0.0-rc93",),
    "D": ("runc@1.0.0-rc94", "runc@1.1.15", "runc@1.5.2"),
    "old crun": ("crun@0.17",),
    "new crun": ("crun@1.8.1",),
}
"""Era → the runtimes that stand for it."""

Cells = list[dict[str, Any]]
COLD_CACHE = 900.0
"""Seconds for a run that may have to build all runtimes first."""


def measure(scenario: str, directory: Path) -> Cells:
    """All cells of a shipped scenario but the controls, after a run that went well with every expectation held."""
    names = ",".join(name for several in ERAS.values() for name in several)
    done = run(
        [
            *(str(Path(sys.executable).parent / "permlab"), "run", scenario, "--runtimes", names),
            *("--format", "json", "--reports", str(directory / "reports")),
        ],
        deadline=COLD_CACHE,
        env={
            **small_environment(),
            "PERMLAB_CACHE": str(default_cache().root),
            "PERMLAB_RUNS": str(directory / "runs"),
        },
        cwd=directory,
        output_limit=1 << 26,
    )
    assert done.returncode == 0, done.stderr.decode()[-4000:]
    report = json.loads(done.stdout)
    assert report["complete"] is True
    assert report["void"] is False
    cells: Cells = [cell for cell in report["cells"] if not cell["control"]]
    assert {cell["axes"]["runtime"] for cell in cells} == set(names.split(","))
    for cell in cells:
        assert cell["verdict"] in {"passed", "denied", "failed"}, cell
        assert cell["held"] is True, cell
        assert cell["seconds"]["execute"] > 0, cell
        assert cell["provenance"]["runtime"], cell
        assert cell["text_differs"] is False, cell
    return cells


def shown(cells: Cells, era: str, **axes: str) -> set[str]:
    """What the cells of an era with these axes show: ``passed``, or verdict, cause and phase."""
    chosen = [
        cell
        for cell in cells
        if cell["axes"]["runtime"] in ERAS[era] and all(cell["axes"][axis] == value for axis, value in axes.items())
    ]
    assert chosen, (era, axes)
    return {" ".join(filter(None, (cell["verdict"], cell["cause"], cell["phase"]))) for cell in chosen}


DENIED = "denied cwd-not-searchable chdir"
BY_CAPABILITIES = {
    # user, sets: eras in which the container does not start
    ("65532:65532", "docker"): "",
    ("65532:65532", "none"): "",
    ("1000:0", "docker"): "A C",
    ("1000:1000", "docker"): "A C",
    ("1000:0", "cri"): "C",
    ("1000:1000", "cri"): "C",
    ("1000:0", "dac_effective"): "C",
    ("1000:0", "dac_ambient"): "C",
    ("0:0", "docker"): "",
    ("0:0", "none"): "A",
}


def test_capabilities(tmp_path: Path) -> None:
    cells = measure("chdir-capabilities", tmp_path)
    for (user, sets), denied in BY_CAPABILITIES.items():
        for era in ERAS:
            expected = DENIED if era in denied.split() else "passed"
            assert shown(cells, era, user=user, sets=sets) == {expected}, (user, sets, era)


def test_caller_without_dac_capabilities(tmp_path: Path) -> None:
    cells = measure("chdir-caller", tmp_path)
    for era in ERAS:
        owner = DENIED if era in {"B", "old crun"} else "passed"
        assert shown(cells, era, user="65532:65532", caller="no_dac", place="home") == {owner}, era
        assert shown(cells, era, user="1000:0", caller="no_dac", place="home") == {DENIED}, era
        assert shown(cells, era, user="1000:1000", caller="no_dac", place="home") == {DENIED}, era


def test_kinds(tmp_path: Path) -> None:
    cells = measure("chdir-kinds", tmp_path)
    other = "1000670000:0"
    for era in ERAS:
        crun = "crun" in era
        missing = "failed cwd-missing chdir" if era == "old crun" else "passed"
        not_directory = f"failed cwd-not-directory {'chdir' if crun else 'create'}"
        refused = DENIED if era in {"A", "C"} else "passed"
        for kind in ("owner_0700", "owner_0744", "below_0700", "symlink_to_0700"):
            assert shown(cells, era, kind=kind, user=other) == {refused}, (kind, era)
        for kind in ("root_0755", "owner_0711", "owner_0755", "group_0_0770"):
            assert shown(cells, era, kind=kind, user=other) == {"passed"}, (kind, era)
        assert shown(cells, era, kind="group_0_0770", user="1000670000:65532") == {refused}, era
        assert shown(cells, era, kind="missing") == {missing}, era
        assert shown(cells, era, kind="missing_seen_by_host") == {missing}, era
        assert shown(cells, era, kind="file") == {not_directory}, era


def test_exec(tmp_path: Path) -> None:
    cells = measure("chdir-exec", tmp_path)
    for era in ERAS:
        assert shown(cells, era, exec_cwd="missing") == {"failed cwd-missing chdir"}, era
        assert shown(cells, era, exec_user="owner", exec_cwd="home") == {"passed"}, era
        for how in ("process", "flags"):
            expected = DENIED if era in {"A", "C"} else "passed"
            axes = {"exec_user": "other", "exec_cwd": "home", "exec_caps": "docker", "how": how}
            assert shown(cells, era, **axes) == {expected}, (era, how)


def test_crossplane(tmp_path: Path) -> None:
    cells = measure("crossplane", tmp_path)
    for era in ERAS:
        assert shown(cells, era, image="distroless-static") == {"passed"}, era
        for user in ("image", "65532"):
            assert shown(cells, era, image="distroless-static:nonroot", user=user) == {"passed"}, (era, user)
        for user in ("2000", "1000620000"):
            expected = DENIED if era == "C" else "passed"
            assert shown(cells, era, image="distroless-static:nonroot", user=user, caps="cri") == {expected}, era


def test_openshift_uid(tmp_path: Path) -> None:
    cells = measure("openshift-uid", tmp_path)
    for era in ERAS:
        started = era not in {"A", "C"}
        listed = shown(cells, era, row="workdir_listed", caps="docker")
        entered = shown(cells, era, row="workdir_reentered", caps="docker")
        assert listed == {"denied read-denied process" if started else DENIED}, era
        assert entered == {"denied cwd-not-searchable process" if started else DENIED}, era
        for row in ("group_not_writable", "file_of_another_uid", "gid_of_range"):
            assert shown(cells, era, row=row) == {"denied write-denied-group process"}, (era, row)
        for row in ("workdir_replaced", "gid_by_default", "group_writable"):
            assert shown(cells, era, row=row) == {"passed"}, (era, row)


def test_main_scenario(tmp_path: Path) -> None:
    cells = measure("chdir-cwd", tmp_path)
    for era in ERAS:
        expected = DENIED if era in {"A", "C"} else "passed"
        assert shown(cells, era, user="1000680000:0", cwd="image", caps="docker", caller="root") == {expected}, era
        assert shown(cells, era, user="1000680000:0", cwd="/", caller="root") == {"passed"}, era
