"""Settings in the words of Docker's API, and what that API has no word for."""

from __future__ import annotations

from typing import Any

import pytest

from lab.codec import decode_settings
from lab.engine.docker_api import frames
from lab.engine.docker_words import SHARED_NETWORK, create_request, exec_request, inexpressible, shares_network
from lab.model.settings import Settings


def settings(**data: Any) -> Settings:  # plain data of a scenario
    return decode_settings(data, where="a test")


def request(**data: Any) -> dict[str, Any]:  # plain data of a scenario
    return create_request(settings(**data), image="sha256:1", runtime="runc-1")


def test_a_cell_that_says_nothing_is_the_probe_with_dockers_defaults() -> None:
    made = request()
    assert (made["Image"], made["Entrypoint"], made["Cmd"], made["User"], made["WorkingDir"]) == (
        "sha256:1",
        ["/.permlab/probe"],
        [],
        "",
        "",
    )
    host = made["HostConfig"]
    assert host["Runtime"] == "runc-1"
    assert host["CapAdd"] == host["CapDrop"] == host["SecurityOpt"] == host["Binds"] == []
    assert not {"Init", "UsernsMode", "PidMode", "MaskedPaths"} & set(host)


def test_generic_settings_are_translated() -> None:
    made = request(
        process={
            "user": "1:2",
            "cwd": "/w",
            "args": ["/p", "a b"],
            "env": {"A": "1"},
            "unset_env": ["PATH"],
            "additional_gids": [7],
            "capabilities": "none",
            "no_new_privileges": True,
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2}],
        },
        readonly_root=True,
        linux={"namespaces": {"pid": "host", "cgroup": "new"}, "sysctl": {"a": "b"}, "masked_paths": []},
        mounts=[{"destination": "/t", "type": "tmpfs", "options": ["mode=1777"]}],
    )
    assert (made["User"], made["WorkingDir"], made["Entrypoint"], made["Cmd"]) == ("1:2", "/w", ["/p"], ["a b"])
    assert made["Env"] == ["A=1", "PATH"]
    host = made["HostConfig"]
    assert (host["GroupAdd"], host["CapDrop"], host["SecurityOpt"]) == (["7"], ["ALL"], ["no-new-privileges"])
    assert host["Ulimits"] == [{"Name": "nofile", "Soft": 1, "Hard": 2}]
    assert (host["ReadonlyRootfs"], host["PidMode"], host["CgroupnsMode"]) == (True, "host", "private")
    assert (host["Sysctls"], host["MaskedPaths"], host["Tmpfs"]) == ({"a": "b"}, [], {"/t": "mode=1777"})


def test_a_bind_mount_never_makes_its_source() -> None:
    data = {
        "fixtures": {"data": {}},
        "mounts": [{"destination": "/d", "fixture": "data", "options": ["ro", "rslave"]}],
    }
    host = request(**data)["HostConfig"]
    (mount,) = host["Mounts"]
    assert (mount["Source"], mount["Target"], mount["ReadOnly"]) == ("${fixture:data}", "/d", True)
    assert mount["BindOptions"] == {"Propagation": "rslave"}
    assert host["Binds"] == []


def test_dockers_own_words_go_in_as_they_are() -> None:
    host = request(
        docker={
            "init": True,
            "cap_add": ["SYS_TIME"],
            "userns_mode": "host",
            "volumes": ["v:/data:ro"],
            "devices": ["/dev/null:/dev/x:r"],
            "network_mode": "none",
        }
    )["HostConfig"]
    assert (host["Init"], host["CapAdd"], host["UsernsMode"]) == (True, ["SYS_TIME"], "host")
    assert host["Binds"] == ["${volume:v}:/data:ro"]
    assert host["Devices"] == [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/x", "CgroupPermissions": "r"}]


@pytest.mark.parametrize(
    ("data", "word"),
    [
        ({"process": {"umask": 7}}, "umask"),
        ({"process": {"capabilities": "cri"}}, "cri"),
        ({"process": {"capabilities": "all", "user": "1000"}}, "all"),
        ({"process": {"capabilities": {"bounding": ["CHOWN"]}}}, "capability sets"),
        ({"linux": {"uid_mappings": [{"container_id": 0, "host_id": 1, "size": 1}]}}, "id mappings"),
        ({"linux": {"namespaces": {"user": "held"}}}, "held"),
        ({"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1}}}, "defaultErrnoRet"),
        ({"caller": {"rootless": True}}, "caller.rootless"),
        ({"patch": [{"op": "add", "path": "/x", "value": 1}]}, "patch"),
        ({"mounts": [{"destination": "/d", "source": "/s", "options": ["noexec"]}]}, "noexec"),
        ({"mounts": [{"destination": "/p", "type": "proc"}]}, "'proc'"),
        ({"docker": {"binds": ["/etc:/x"]}}, "/etc:/x"),
        ({"host": ["rootfs:/x"]}, "root file system"),
        ({"exec": {"rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2}]}}, "rlimits"),
    ],
)
def test_what_docker_has_no_word_for_is_named(data: dict[str, Any], word: str) -> None:
    reason = inexpressible(settings(**data))
    assert reason is not None
    assert word in reason


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"process": {"capabilities": "all", "user": "0:0"}},
        {"linux": {"namespaces": {"network": "host"}, "seccomp": {"defaultAction": "SCMP_ACT_ALLOW"}}},
        {"docker": {"userns_remap": [1, 2], "binds": ["${fixture:a}:/a"]}, "fixtures": {"a": {}}},
    ],
)
def test_what_docker_can_say_is_not_skipped(data: dict[str, Any]) -> None:
    assert inexpressible(settings(**data)) is None


@pytest.mark.parametrize(
    ("data", "shared"),
    [
        ({"process": {"steps": ["id", "stat /"]}}, True),
        ({"process": {"steps": ["id", "bind 80"]}}, False),
        ({"process": {"args": ["/bin/true"]}}, False),
        ({"action": "exec", "exec": {"steps": ["hostname"]}}, False),
        ({"linux": {"sysctl": {"net.ipv4.ip_forward": "1"}}}, False),
        ({"docker": {"userns_remap": [1, 2]}}, False),
        ({"docker": {"network_mode": "none"}}, False),
    ],
)
def test_only_cells_that_cannot_tell_share_a_network(data: dict[str, Any], *, shared: bool) -> None:
    assert shares_network(settings(**data)) is shared
    made = request(**data)
    assert (made["HostConfig"]["NetworkMode"] == SHARED_NETWORK) is shared
    assert ("Hostname" in made) is not shared, "Docker refuses a host name together with another container's network"


def test_an_exec_has_its_own_user_and_directory() -> None:
    process = settings(exec={"user": "5", "cwd": "/x", "args": ["/p"]}).exec
    assert process is not None
    made = exec_request(process)
    assert (made["User"], made["WorkingDir"], made["Cmd"]) == ("5", "/x", ["/p"])


def test_frames_of_a_stream_are_taken_apart_also_when_the_last_is_cut_off() -> None:
    raw = b"\x01\0\0\0\0\0\0\x02ab" + b"\x02\0\0\0\0\0\0\x01c" + b"\x01\0\0\0\0\0\0\x05de"
    assert list(frames(raw)) == [(1, b"ab"), (2, b"c"), (1, b"de")]
