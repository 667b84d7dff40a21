"""The scenarios of facts.md §3 against real runtimes of the default set: what is expected there is what is measured."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from lab.process import run, small_environment
from lab.provision.cache import default_cache

pytestmark = [pytest.mark.integration, pytest.mark.needs_root]

TELLING = {
    "bind-mode-option": "runc@1.1.15,runc@1.2.0-rc.1,crun@1.28",
    "bind-unsearchable-parent": "runc@1.0.3,runc@1.1.15,crun@0.17,crun@1.8.1",
    "capability-unavailable": "runc@1.0.3,runc@1.5.2,crun@1.28",
    "exec-cap": "runc@1.0.0-rc93,runc@1.0.0-rc93+debian11,runc@1.1.15,crun@1.21,crun@1.28",
    "exec-user": "runc@1.5.2,crun@1.8.1,crun@1.21,crun@1.28",
    "path-unreadable": "runc@1.0.0-rc9,runc@1.5.2,crun@1.28",
    "program-not-permitted": "runc@1.0.3,runc@1.1.15,crun@0.17,crun@1.28",
    "rootless-additional-gids": "runc@1.2.0-rc.1,runc@1.3.6,crun@1.8.1",
    "rootless-groups": "runc@1.0.0-rc10,runc@1.5.2,crun@1.8.1,crun@1.28",
    "seccomp-unknown-call": "runc@1.0.0-rc92,runc@1.0.0-rc93,crun@1.28",
    "stdio-owner": "runc@1.1.15,crun@0.17,crun@1.8.1",
    "stdio-read-only-mount": "runc@1.0.3,runc@1.1.15,crun@1.28",
    "sysctl-slashes": "runc@1.0.3,runc@1.1.15,crun@1.28",
    "tmpfs-mode": "runc@1.0.3,runc@1.1.15,crun@1.28",
    "tmpfs-read-only": "runc@1.0.0-rc92,runc@1.0.0-rc93,crun@0.17",
    "uid-out-of-range": "runc@1.2.0-rc.1,runc@1.3.6,crun@1.28",
    "umask": "runc@1.0.0-rc92,runc@1.0.0-rc93,runc@1.0.0-rc93+debian11,crun@0.17",
    "userns-joined": "runc@1.0.3,runc@1.1.15,crun@1.28",
    "userns-unmapped-ids": "runc@1.1.15,runc@1.2.0-rc.1,runc@1.4.3,crun@1.28",
}
"""Scenario → runtimes of the default set that stand on both sides of what it asks."""

Cells = list[dict[str, Any]]


def measured(scenario: str, runtimes: str, place: Path) -> Cells:
    """The cells of a run (without controls) that ended as expected, as its JSON report has them."""
    done = run(
        [
            *(sys.executable, "-c", "from lab.cli.main import main; main()"),
            *("run", scenario, "--runtimes", runtimes, "--format", "json", "--reports", str(place / "reports")),
        ],
        deadline=300,
        env=small_environment({"PERMLAB_CACHE": str(default_cache().root), "PERMLAB_RUNS": str(place / "runs")}),
    )
    assert done.returncode == 0, done.stdout.decode()[-3000:] + done.tail()
    report = json.loads(done.stdout)
    assert not report["void"]
    return [cell for cell in report["cells"] if not cell["control"]]


@pytest.mark.parametrize("scenario", TELLING)
def test_both_sides_of_a_change_are_measured_as_expected(scenario: str, tmp_path: Path) -> None:
    cells = measured(scenario, TELLING[scenario], tmp_path)
    assert {cell["axes"]["runtime"] for cell in cells} == set(TELLING[scenario].split(","))
    for cell in cells:
        assert cell["held"] is True, cell
        assert cell["verdict"] in {"passed", "denied", "failed"}, cell
        assert cell["seconds"]["execute"] > 0, cell
    assert len({(cell["verdict"], cell["cause"]) for cell in cells}) > 1


def texts(cells: Cells, **axes: str) -> dict[str, str]:
    """Runtime → evidence of the cells with these axis values."""
    return {
        cell["axes"]["runtime"]: cell["evidence"]
        for cell in cells
        if all(cell["axes"][axis] == value for axis, value in axes.items())
    }


def test_three_texts_tell_of_a_uid_that_the_namespace_does_not_map(tmp_path: Path) -> None:
    runtimes = "runc@1.0.0-rc9,runc@1.1.15,runc@1.2.0-rc.1,runc@1.3.6,runc@1.4.3,runc@1.5.2"
    found = texts(measured("userns-unmapped-ids", runtimes, tmp_path), id="uid")
    parts = {runtime: re.sub(r".*setup user: ", "", text).strip('"') for runtime, text in found.items()}
    assert parts == {
        "runc@1.0.0-rc9": "cannot set uid to unmapped user in user namespace",
        "runc@1.1.15": "cannot set uid to unmapped user in user namespace",
        "runc@1.2.0-rc.1": "cannot setuid to unmapped uid 2000 in user namespace",
        "runc@1.3.6": "cannot setuid to unmapped uid 2000 in user namespace",
        "runc@1.4.3": "chown /dev/stdin: invalid argument",
        "runc@1.5.2": "chown /dev/stdin: invalid argument",
    }


def test_additional_groups_of_a_rootless_container_are_refused_early_since_runc_1_3(tmp_path: Path) -> None:
    runtimes = "runc@1.1.15,runc@1.2.0-rc.1,runc@1.3.6,runc@1.5.2"
    found = texts(measured("rootless-additional-gids", runtimes, tmp_path), groups="one")
    assert {runtime: "setup user" in text for runtime, text in found.items()} == {
        "runc@1.1.15": True,
        "runc@1.2.0-rc.1": True,
        "runc@1.3.6": False,
        "runc@1.5.2": False,
    }
    assert all("cannot set any additional groups in a rootless container" in text for text in found.values())
