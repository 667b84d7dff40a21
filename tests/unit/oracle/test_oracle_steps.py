"""Steps of the probe. What is expected here was measured (kernel 6.18), see the scenario in the integration test."""

from __future__ import annotations

from typing import Any

import pytest
from oracle_cells import NEW, known, verdict

ANY = ["EACCES", "EPERM", "EROFS", "ENOENT", "EEXIST", "EISDIR", "ENOTDIR", "ENOTEMPTY", "EINVAL", "ELOOP", "EBUSY"]
FILES = [
    {"path": "/d", "uid": 1000, "gid": 1000, "mode": 0o750},
    {"path": "/d/f", "kind": "file", "uid": 1000, "gid": 1000, "mode": 0o640},
    {"path": "/d/none", "kind": "file", "uid": 1000, "gid": 1000, "mode": 0o004},
    {"path": "/sticky", "mode": 0o1777},
    {"path": "/sticky/theirs", "kind": "file", "uid": 500, "gid": 500, "mode": 0o666},
    {"path": "/setgid", "gid": 1000, "mode": 0o2775},
    {"path": "/loop", "kind": "symlink", "target": "/loop"},
    {"path": "/p", "kind": "file", "program": "probe", "uid": 3, "mode": 0o700},
]


def errnos(user: str, *steps: str, **settings: Any) -> list[str]:
    process = {"user": user, "cwd": "/", "steps": list(steps), **settings.pop("process", {})}
    found = known(NEW, rootfs=FILES, process=process, tolerate=ANY, **settings)
    return [errno for _, errno in found.steps]


def test_files_of_an_owner_a_member_and_somebody_else() -> None:
    steps = ("ls /d", "read /d/f", "append /d/f", "read /d/none", "touch /d/new", "chmod /d/f 600", "chown /d/f 5 -1")

    assert errnos("1000:1000", *steps) == ["", "", "", "EACCES", "", "", "EPERM"]
    assert errnos("7:1000", *steps) == ["", "", "EACCES", "EACCES", "EACCES", "EPERM", "EPERM"]
    assert errnos("7:7", *steps) == ["EACCES"] * 7
    assert errnos("0:0", *steps) == [""] * 7


def test_root_without_capabilities_is_somebody_else() -> None:
    assert errnos("0:0", "ls /d", "chdir /d", process={"capabilities": "none"}) == ["EACCES", "EACCES"]


def test_names_come_before_permissions_and_read_only_file_systems_before_both() -> None:
    steps = ("mkdir /d", "mkdir /x", "unlink /x", "touch /d/f", "rmdir /d/f", "stat /loop", "unlink /etc", "rmdir /etc")

    assert errnos("7:7", *steps) == ["EEXIST", "EACCES", "ENOENT", "EACCES", "EACCES", "ELOOP", "EACCES", "EACCES"]
    readonly = errnos("0:0", *steps, readonly_root=True)
    assert readonly == ["EEXIST", "EROFS", "EROFS", "EROFS", "EROFS", "ELOOP", "EROFS", "EROFS"]


def test_a_sticky_directory_keeps_what_is_not_yours() -> None:
    assert errnos("7:7", "unlink /sticky/theirs", "touch /sticky/mine", "unlink /sticky/mine") == ["EPERM", "", ""]


@pytest.mark.parametrize(("user", "owner", "group"), [("1000:0", 1000, 1000), ("5:1000", 5, 1000)])
def test_what_is_made_belongs_to_its_maker_and_in_a_set_gid_directory_to_its_group(
    user: str, owner: int, group: int
) -> None:
    checks = [
        {"fact": "step.2.uid", "equals": owner},
        {"fact": "step.2.gid", "equals": group},
        {"fact": "step.2.mode", "equals": 0o2755},
    ]
    process = {"user": user, "cwd": "/", "steps": ["mkdir /setgid/d", "stat /setgid/d"], "additional_gids": [1000]}

    assert verdict(NEW, rootfs=FILES, process=process, checks=checks) == "passed"


def test_programs() -> None:
    def starts(user: str, capabilities: str, path: str = "/p") -> str:
        process = {"user": user, "cwd": "/", "args": [path, "id"], "capabilities": capabilities}
        return verdict(NEW, rootfs=FILES, process=process)

    assert starts("3:3", "docker") == starts("1000:0", "cri") == "passed"
    assert starts("1000:0", "docker") == "denied: exec-not-permitted (phase exec)"
    assert starts("1000:0", "docker", "/nothing") == "failed: program-not-found (phase exec)"


def test_a_noexec_mount_refuses_what_its_mode_allows() -> None:
    entries = [{"path": "/p", "kind": "file", "program": "probe", "mode": 0o755}]
    mounts = [{"destination": "/n", "fixture": "n", "options": ["noexec"]}]
    process = {"user": "0:0", "cwd": "/", "args": ["/n/p", "id"]}

    found = verdict(NEW, fixtures={"n": {"entries": entries}}, mounts=mounts, process=process)

    assert found == "denied: exec-not-permitted (phase exec)"


def test_in_a_user_namespace_root_rules_over_mapped_owners_only() -> None:
    maps = [{"container_id": 0, "host_id": 100000, "size": 2000}]
    linux = {"uid_mappings": maps, "gid_mappings": maps}
    fixtures = {
        "f": {
            "entries": [{"path": "/host", "mode": 0o700}, {"path": "/in", "uid": 101000, "gid": 101000, "mode": 0o700}]
        }
    }
    mounts = [{"destination": "/f", "fixture": "f"}]
    steps = ("ls /d", "ls /f/in", "ls /f/host", "chown /d 1 1", "chown /d 5000 0", "ls /home/nonroot")

    found = errnos("0:0", *steps, linux=linux, fixtures=fixtures, mounts=mounts)

    assert found == ["", "", "EACCES", "", "EINVAL", "EACCES"]
    assert verdict(NEW, linux=linux, process={"user": "2000:0", "cwd": "/"}) == "denied: uid-not-mapped (phase create)"
    assert verdict(NEW, linux=linux, process={"user": "0:2000", "cwd": "/"}) == "denied: gid-not-mapped (phase create)"


def test_a_rootless_caller_that_maps_itself_owns_what_root_owns() -> None:
    home = [{"path": "/mine", "mode": 0o700}]

    assert verdict(NEW, caller={"rootless": True}, rootfs=home, process={"user": "0:0", "cwd": "/mine"}) == "passed"


def test_a_check_is_judged_over_predicted_facts() -> None:
    process = {"user": "1000:0", "cwd": "/"}

    good = verdict(NEW, process=process, checks=[{"fact": "start.cwd", "equals": "/"}])
    bad = verdict(NEW, process=process, checks=[{"fact": "start.euid", "equals": 0, "cause": "owner-mismatch"}])
    host = verdict(
        NEW,
        process={"user": "0:0", "cwd": "/w"},
        host=["rootfs:/w"],
        checks=[{"fact": "host.rootfs/w.mode", "equals": 0o755}],
    )

    assert (good, bad, host) == ("passed", "failed: owner-mismatch (phase process)", "passed")
