"""Engines differ on equal cells where a policy of one says so, and nowhere else."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import pytest
from lab_session import RUNC, Lab, require_engine, user_cache

from lab.report.engines import engine_differences

pytestmark = [pytest.mark.integration, pytest.mark.needs_root]

ENGINES = {"oci", "docker", "podman", "cri"}


def test_equal_cells_differ_only_where_a_policy_of_an_engine_says_so(tmp_path: Path, demanded: set[str]) -> None:
    for engine in sorted(ENGINES - {"oci"}):
        require_engine(engine, demanded)
    lab = Lab(place=tmp_path, cache=user_cache())
    done = lab.call("run", "engines-equal", "--runtimes", RUNC, "--where", 'user != "0:0"', "--format", "json")
    assert done.ok, done.tail()
    records = [record for record in lab.last().records if not record.control]
    found = engine_differences(records)
    assert [one.reason for one in found if not one.source] == []
    assert {(record.axes["says"], one.engine) for one in found for record in one.records} == {
        ("binds_port_80", "docker"),
        ("sysctl", "cri"),
        ("program_of_another_user", "cri"),
    }
    measured = sorted((record for record in records if record.observation), key=lambda record: record.axes["engine"])
    told = {engine: len(list(some)) for engine, some in groupby(measured, key=lambda record: record.axes["engine"])}
    assert told.keys() == ENGINES
    assert min(told["docker"], told["podman"]) > told["oci"] - 4, told  # what they have no word for is skipped
    assert told["cri"] > told["oci"] / 2
    assert not lab.left()
