"""The table of known changes."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from lab.classify.causes import CAUSES
from lab.errors import InputError
from lab.model.engine import EngineFamily
from lab.model.runtime import Family
from lab.provision.changes import load_changes, read_changes

CWD = frozenset({"cwd-not-searchable"})


def links(before: str, after: str, causes: frozenset[str] = CWD, scenario: str = "chdir-cwd") -> list[str]:
    return [change.links[-1] for change in load_changes().between(before, after, causes=causes, scenario=scenario)]


def test_the_table_speaks_of_what_the_lab_knows() -> None:
    for change in load_changes().known:
        assert change.family in set(Family)
        assert set(change.causes) <= set(CAUSES)
        assert all(link.startswith("https://") for link in change.links)
    assert set(load_changes().changelog) <= {*Family, *EngineFamily}


def test_a_flip_finds_its_pull_request() -> None:
    assert links("runc@1.0.0-rc9", "runc@1.0.0-rc10") == ["https://github.com/opencontainers/runc/pull/2086"]
    assert links("runc@1.0.0-rc92", "runc@1.0.0-rc93") == ["https://github.com/opencontainers/runc/pull/2712"]
    assert links("runc@1.0.0-rc93", "runc@1.0.0-rc94") == ["https://github.com/opencontainers/runc/pull/2894"]
    assert links("crun@0.17", "crun@1.8.1") == ["https://github.com/containers/crun/pull/794"]


def test_the_direction_does_not_matter_the_range_does() -> None:
    assert links("runc@1.0.0-rc94", "runc@1.0.0-rc93") == links("runc@1.0.0-rc93", "runc@1.0.0-rc94")
    assert links("runc@1.0.0-rc94", "runc@1.5.1") == []


def test_another_cause_another_family_or_a_rebuild_finds_nothing() -> None:
    assert links("runc@1.0.0-rc92", "runc@1.0.0-rc93", frozenset({"uid-not-mapped"})) == []
    assert links("runc@1.0.0-rc92", "crun@1.8.1") == []
    assert links("runc@1.0.0-rc93", "runc@1.0.0-rc93+debian11") == []
    assert links("0:0", "1000:0") == []


def test_a_change_of_one_scenario_stays_there() -> None:
    failed = frozenset({"check-failed"})
    assert links("runc@1.0.0-rc92", "runc@1.0.0-rc93", failed, "umask")
    assert links("runc@1.0.0-rc92", "runc@1.0.0-rc93", failed, "tmpfs-mode") == []


def test_release_notes_are_those_of_upstream() -> None:
    notes = "https://github.com/opencontainers/runc/releases/tag/v1.0.0-rc93"
    assert load_changes().release_notes("runc@1.0.0-rc93+debian11") == notes
    assert load_changes().release_notes("runsc@20260905") == ""


def test_a_fault_of_the_table_is_no_change() -> None:
    line = "format = 1\n[[change]]\nfamily='runc'\nsince='1.0.0'\nwhat='?'\ncauses=['x']\nlinks=['x']\n"
    assert len(read_changes(line).known) == 1
    with pytest.raises(ValidationError, match=r"change\.0\.since"):
        read_changes(line.replace("since", "from"))
    with pytest.raises(InputError, match="'x' is not a version"):
        read_changes(line.replace("1.0.0", "x"))
