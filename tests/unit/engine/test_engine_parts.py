"""Labels, owners, command lines: the parts of the oci engine that need no container."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lab.engine import leftovers, mounts, workspace
from lab.engine.bundle import ROOTLESS_UID, Bundle, _write_config, caller_of, look
from lab.engine.families import command
from lab.engine.host import cgroup_layout, host_facts, missing_capabilities
from lab.engine.leftovers import find_leftovers
from lab.engine.workspace import mapped_owner
from lab.model.image import Image, ImageConfig
from lab.model.runtime import Family, RuntimeName
from lab.model.settings import Caller, IdMapping, Settings
from lab.oci.capabilities import BY_NUMBER
from lab.store.runs import new_run_id

RUN = "20261122-175349-85c0"


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        (f"permlab-{RUN}", True),
        (f"permlab-{RUN}-x8s_q1", True),
        (f"xpermlab-{RUN}", False),
        ("permlab-notes", False),
        ("permlab-2026-85c0", False),
        ("permlab", False),
        ("permlab-20261122-175349-XYZW", False),
        (f"permlab-{RUN[:-1]}", False),
    ],
)
def test_only_the_labs_own_label_is_cleaned(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, ours: bool
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(leftovers, "CGROUPS", tmp_path / "no-cgroups")
    (tmp_path / name).mkdir()
    (tmp_path / f"permlab-{RUN[:-1]}1").symlink_to(tmp_path)
    (tmp_path / f"permlab-{RUN[:-1]}2").write_text("a file")
    found = [path for leftover in find_leftovers() for path in leftover.directories]
    assert found == ([tmp_path / name] if ours else [])


def test_new_run_ids_are_labels() -> None:
    assert leftovers._RUN.fullmatch(f"{workspace.PREFIX}{new_run_id()}")  # noqa: SLF001  # what clean looks for


def test_a_live_lab_is_told_by_its_beacon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(leftovers, "CGROUPS", tmp_path / "no-cgroups")
    (tmp_path / f"permlab-{RUN}-abc").mkdir()
    with workspace.light_beacon(RUN):
        assert [one.alive for one in find_leftovers() if one.run_id == RUN] == [True]
    assert [one.alive for one in find_leftovers() if one.run_id == RUN] == [False]


def test_owners_go_through_the_maps_of_a_user_namespace() -> None:
    maps = (IdMapping(container_id=0, host_id=1000, size=1), IdMapping(container_id=1, host_id=100000, size=10))
    owner = mapped_owner(maps, maps[:1])
    assert [owner(uid, uid)[0] for uid in (0, 1, 10, 11)] == [1000, 100000, 100009, 11]
    assert owner(1, 1) == (100000, 1)


@pytest.mark.needs_root
def test_who_calls_the_runtime() -> None:
    def called(**caller: object) -> tuple[int, int]:
        return caller_of(Settings(caller=Caller(**caller)))  # type: ignore[arg-type]  # Caller's own fields

    assert called() == (0, 0)
    assert called(uid=5, gid=6) == (5, 6)
    assert called(rootless=True) == (ROOTLESS_UID, ROOTLESS_UID)
    assert called(rootless=True, uid=5) == (5, 5)
    assert called(rootless=True, uid=5, gid=6) == (5, 6)


def test_command_lines_of_the_families() -> None:
    runc = RuntimeName(family=Family.RUNC, version="1.1.0")
    assert command(runc, "/r", "/s", ("--debug",), "run") == ("/r", "--root", "/s", "--debug", "run")
    for version, platform in (("20221219", "ptrace"), ("20260905", "systrap")):
        runsc = RuntimeName(family=Family.RUNSC, version=version)
        assert f"--platform={platform}" in command(runsc, "/r", "/s", (), "run")


def test_a_stored_config_is_filled_with_the_cells_own_paths(tmp_path: Path) -> None:
    bundle = Bundle(path=tmp_path, identifier="c", caller=(0, 0), cgroup="/permlab/1", fixtures={"a": Path("/f/a")})
    assert bundle.fill("${cgroup} ${fixture:a} ${fixture:b}") == "/permlab/1 /f/a ${fixture:b}"


def test_a_look_at_the_host(tmp_path: Path) -> None:
    (tmp_path / "rootfs").mkdir()
    (tmp_path / "rootfs" / "f").write_text("12345")
    (tmp_path / "rootfs" / "f").chmod(0o640)
    (tmp_path / "rootfs" / "etc").symlink_to("/etc")
    (tmp_path / "file").write_text("x")
    bundle = Bundle(
        path=tmp_path,
        identifier="c",
        caller=(0, 0),
        cgroup="",
        fixtures={"d": tmp_path / "rootfs", "one": tmp_path / "file"},
    )
    facts = look(bundle, ("rootfs:/f", "fixture:d/f", "fixture:d", "fixture:one", "rootfs:/etc/passwd", "rootfs:/etc"))
    assert [fact.type for fact in facts] == ["file", "file", "directory", "file", "", "symlink"]
    assert (facts[0].mode, facts[0].size, facts[0].uid) == (0o640, 5, os.geteuid())


def test_host_facts() -> None:
    facts = host_facts()
    assert facts.kernel == os.uname().release
    assert facts.cgroups == cgroup_layout() in {"v2", "hybrid", "v1", "none"}
    assert int(facts.capabilities, 16) >= 0
    assert set(missing_capabilities()) <= {f"CAP_{name}" for name in BY_NUMBER}


def test_a_mount_that_the_kernel_refuses_says_where(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="mount nothing-such on "):
        mounts.mount("none", tmp_path / "x", "nothing-such")
    with pytest.raises(OSError, match="unmount"):
        mounts.unmount(tmp_path)


@pytest.mark.needs_root
def test_images_of_one_root_file_system_keep_their_own_configs(tmp_path: Path) -> None:
    place = workspace.Workspace(run_id=RUN, root=tmp_path, privileged=False)
    (tmp_path / "rootfs").mkdir()
    found, settings = [], Settings()
    for name, directory in (("static", "/"), ("static:nonroot", "/home/nonroot")):
        image = Image(
            name=name,
            rootfs=str(tmp_path / "rootfs"),
            digest="sha256:the-same",
            config=ImageConfig(working_dir=directory),
            origin="test",
        )
        bundle = Bundle(path=tmp_path / name, identifier="x", caller=(0, 0), cgroup="/x")
        bundle.path.mkdir()
        _write_config(place, bundle, image, settings)
        found.append(json.loads(bundle.stored)["process"]["cwd"])
    assert found == ["/", "/home/nonroot"]
