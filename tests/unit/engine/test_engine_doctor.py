"""What `permlab doctor` says of engines."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from lab.engine import engine_doctor, host
from lab.engine.engine_doctor import examine_engines
from lab.model.engine import EngineBuild, EngineProgram
from lab.provision.cache import Cache
from lab.provision.engines import engine_releases
from lab.scenario.versions import parse_engine


@pytest.fixture(autouse=True)
def _privileged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(host, "cgroup_layout", lambda: "v2")
    monkeypatch.setattr(host, "missing_capabilities", lambda: ())
    monkeypatch.setattr(host, "user_namespaces", lambda: None)


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


def test_an_ordinary_user_has_no_engine_but_the_lab_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    oci, *builds = examine_engines(Cache(tmp_path))
    assert oci.usable
    assert "as an ordinary user" in oci.found
    assert {(one.usable, one.remedy) for one in builds} == {(False, "run as root")}
    reasons = {one.name.split()[1].partition("@")[0]: one.found for one in builds}
    assert reasons == {
        "docker": "needs root: the lab gives it a daemon of its own",
        "cri": "needs root: the lab gives it a daemon of its own",
        "podman": "needs root: the lab gives it a mount namespace and account files of its own",
    }


def test_a_root_without_mounts_is_told_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "missing_capabilities", lambda: ("CAP_SYS_ADMIN", "CAP_SYS_RESOURCE"))
    _, *builds = examine_engines(Cache(tmp_path))
    assert {one.found for one in builds} == {"root lacks CAP_SYS_ADMIN here"}
    assert not any(one.usable for one in builds)
    assert all("--privileged" in one.remedy for one in builds)


def a_build(root: Path, script: str) -> EngineBuild:
    """podman 4.3.1 in a cache, as far as the doctor looks; without a script its program is gone."""
    if script:
        (root / "podman").write_text(script)
        (root / "podman").chmod(0o755)
    program = EngineProgram(path="podman", sha256="", unpatched="")
    return EngineBuild(
        name=parse_engine("podman@4.3.1+debian12"),
        root=str(root),
        reported="podman version 4.3.1",
        origin="",
        programs={"podman": program},
        packages={},
        digests={},
    )


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("#!/bin/sh\nexit 0\n", "in the cache, runs here: podman version 4.3.1"),
        ("#!/bin/sh\n[ -d $HOME ]\n", "in the cache, runs here: podman version 4.3.1"),
        ("#!/bin/sh\necho no library >&2; exit 127\n", "podman does not run here: no library"),
        ("\x7fELF", "podman does not run here: Exec format error"),
        ("", "its program podman is gone from the cache"),
    ],
)
def test_a_build_in_the_cache_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, found: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "nothing-there"))
    build = a_build(tmp_path, script)
    monkeypatch.setattr(engine_doctor, "find_engine", lambda _, name: build if name == build.name else None)
    (ability,) = [one for one in examine_engines(Cache(tmp_path)) if "podman@4.3.1" in one.name]
    assert ability.found == found
    assert ability.usable is found.startswith("in the cache")
    if not ability.usable:
        assert ability.remedy == f"remove {tmp_path} and fetch it again: permlab engines pull podman@4.3.1+debian12"


def test_without_user_namespaces_podman_says_what_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "user_namespaces", lambda: "/proc/sys/user/max_user_namespaces is 0")
    build = a_build(tmp_path, "#!/bin/sh\n")
    monkeypatch.setattr(engine_doctor, "find_engine", lambda _, name: build if name == build.name else None)
    (ability,) = [one for one in examine_engines(Cache(tmp_path)) if "podman@4.3.1" in one.name]
    assert ability.usable
    assert ability.found.endswith("its rootless cells are skipped: /proc/sys/user/max_user_namespaces is 0")
