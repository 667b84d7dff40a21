"""What `permlab doctor` says of engines."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from lab.engine import engine_doctor, host
from lab.engine.engine_doctor import examine_engines
from lab.provision.cache import Cache
from lab.provision.engines import engine_releases


@pytest.fixture(autouse=True)
def _privileged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(host, "cgroup_layout", lambda: "v2")


def test_every_engine_and_version_has_its_line(tmp_path: Path) -> None:
    found = list(examine_engines(Cache(tmp_path)))
    assert len(found) == len(engine_releases()) + 1
    assert found[0].name == "engine oci"
    assert sum("(default)" in ability.name for ability in found) == len({r.name.family for r in engine_releases()})


def test_what_can_be_fetched_is_usable_and_nothing_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: "/usr/bin/it")
    monkeypatch.setattr(engine_doctor, "KEYRING", tmp_path)
    monkeypatch.setattr(Path, "is_file", lambda _: True)
    found = list(examine_engines(Cache(tmp_path)))
    assert all(ability.usable for ability in found)
    assert "fetched from Debian bullseye when needed" in found[1].found


def test_a_host_without_apt_is_told_what_would_help(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    _, *builds = examine_engines(Cache(tmp_path))
    assert not any(ability.usable for ability in builds)
    assert "apt-get" in builds[0].found
    assert builds[0].remedy


def test_an_ordinary_user_cannot_start_daemons_but_may_use_podman(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: "/usr/bin/it")
    unusable = {ability.name.split("@")[0] for ability in examine_engines(Cache(tmp_path)) if not ability.usable}
    assert {"engine docker", "engine cri"} <= unusable
    assert "engine oci" not in unusable
