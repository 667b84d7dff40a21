"""A cell in podman's words: every setting is said, or has a reason why podman cannot say it."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.codec import decode_settings
from lab.engine.podman import caller_for
from lab.engine.podman_home import Caller, without_errno_rules
from lab.engine.podman_words import create_words, exec_words, inexpressible
from lab.model.settings import Caller as CallerSettings
from lab.model.settings import Linux, Process, Settings

MAPS = {"uid_mappings": [{"container_id": 0, "host_id": 300000, "size": 65536}]}


def settings(**words: object) -> Settings:
    return decode_settings({"process": {"args": ["/p"]}, **words}, where="test")


def words(**said: object) -> tuple[str, ...]:
    return create_words(settings(**said), image="IMAGE", name="NAME", cgroup_parent="/lab")


def process(**said: object) -> dict[str, object]:
    return {"process": {"args": ["/p"], **said}}


SAID: dict[str, tuple[dict[str, object], str]] = {
    "user": (process(user="1000:0"), "--user=1000:0"),
    "cwd": (process(cwd="/w"), "--workdir=/w"),
    "umask": (process(umask=0o27), "--umask=0027"),
    "additional_gids": (process(additional_gids=[7]), "--group-add=7"),
    "env": (process(env={"A": "b c"}), "--env=A=b c"),
    "unset_env": (process(unset_env=["A"]), "--unsetenv=A"),
    "no capabilities": (process(capabilities="none"), "--cap-drop=all"),
    "all capabilities": (process(capabilities="all"), "--cap-add=all"),
    "no_new_privileges": (process(no_new_privileges=True), "--security-opt=no-new-privileges"),
    "rlimits": (process(rlimits=[{"type": "RLIMIT_NOFILE", "soft": 5, "hard": 9}]), "--ulimit=nofile=5:9"),
    "readonly_root": ({"readonly_root": True}, "--read-only"),
    "uid_mappings": ({"linux": MAPS}, "--uidmap=0:300000:65536"),
    "gid_mappings": ({"linux": {"gid_mappings": MAPS["uid_mappings"]}}, "--gidmap=0:300000:65536"),
    "sysctl": ({"linux": {"sysctl": {"net.ipv4.ip_forward": "1"}}}, "--sysctl=net.ipv4.ip_forward=1"),
    "seccomp": ({"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW"}}}, "--security-opt=seccomp=${seccomp}"),
    "host network": ({"linux": {"namespaces": {"network": "host"}}}, "--network=host"),
    "bind": (
        {"fixtures": {"d": {}}, "mounts": [{"destination": "/d", "fixture": "d", "options": ["ro"]}]},
        "--volume=${fixture:d}:/d:ro",
    ),
    "tmpfs": ({"mounts": [{"destination": "/t", "type": "tmpfs"}]}, "--tmpfs=/t"),
    "podman.init": ({"podman": {"init": True}}, "--init"),
    "podman.privileged": ({"podman": {"privileged": True}}, "--privileged"),
    "podman.userns": ({"podman": {"userns": "keep-id"}}, "--userns=keep-id"),
    "podman.cap_add": ({"podman": {"cap_add": ["KILL"]}}, "--cap-add=KILL"),
    "podman.cap_drop": ({"podman": {"cap_drop": ["KILL"]}}, "--cap-drop=KILL"),
    "podman.group_add": ({"podman": {"group_add": ["keep-groups"]}}, "--group-add=keep-groups"),
    "podman.security_opt": ({"podman": {"security_opt": ["label=disable"]}}, "--security-opt=label=disable"),
    "podman.volumes": ({"podman": {"volumes": ["${fixture:d}:/d:U"]}}, "--volume=${fixture:d}:/d:U"),
    "podman.tmpfs": ({"podman": {"tmpfs": {"/t": "ro"}}}, "--tmpfs=/t:ro"),
    "podman.devices": ({"podman": {"devices": ["/dev/fuse"]}}, "--device=/dev/fuse"),
}

REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "patch": ({"patch": [{"op": "remove", "path": "/process"}]}, "no patch"),
    "caller.umask": ({"caller": {"umask": 0o77}}, "no caller.umask"),
    "caller.drop_capabilities": ({"caller": {"drop_capabilities": ["CAP_KILL"]}}, "no caller.drop_capabilities"),
    "caller.runtime_flags": ({"caller": {"runtime_flags": ["--debug"]}}, "no caller.runtime_flags"),
    "caller.stdout": ({"caller": {"stdout": "file"}}, "pipes of its own"),
    "caller.uid": ({"caller": {"uid": 1001}}, "called by root, or rootless"),
    "devices": ({"linux": {"devices": [{"path": "/dev/x", "type": "c", "major": 1, "minor": 3}]}}, "podman.devices"),
    "masked_paths": ({"linux": {"masked_paths": []}}, "no linux.masked_paths"),
    "readonly_paths": ({"linux": {"readonly_paths": []}}, "no linux.readonly_paths"),
    "host mount namespace": ({"linux": {"namespaces": {"mount": "host"}}}, "no 'host' mount namespace"),
    "user namespace": ({"linux": {"namespaces": {"user": "new"}}}, "without a map"),
    "terminal": (process(terminal=True), "no terminal"),
    "cri capabilities": (process(capabilities="cri"), "no capabilities 'cri'"),
    "absent capabilities": (process(capabilities="absent"), "leave the capabilities out"),
    "capability sets": (process(capabilities={"bounding": ["CAP_KILL"]}), "no capability sets"),
    "exec rlimits": ({"exec": {"args": ["/p"], "umask": 0o27}}, "podman exec has no umask"),
    "exec_flags": ({"exec_flags": ["--cap", "CAP_KILL"]}, "no exec_flags"),
    "idmapped mount": (
        {"mounts": [{"destination": "/d", "source": "/s", "uid_mappings": MAPS["uid_mappings"]}]},
        "podman.volumes with idmap",
    ),
    "mount type": ({"mounts": [{"destination": "/d", "type": "proc"}]}, "no mount of type 'proc'"),
    "bind option": ({"mounts": [{"destination": "/d", "source": "/s", "options": ["mode=0700"]}]}, "no bind option"),
    "host's own directory": ({"podman": {"volumes": ["/etc:/d"]}}, "is no fixture"),
    "root on the host": ({"host": ["rootfs:/w"]}, "no root file system on the host"),
    "docker's words": ({"docker": {"init": True}}, "podman has no docker.init"),
}


@pytest.mark.parametrize("name", SAID)
def test_a_setting_is_said(name: str) -> None:
    said, word = SAID[name]
    assert inexpressible(settings(**said)) is None
    made = words(**said)
    assert word in made
    assert word not in words()
    assert made.index(word) < made.index("IMAGE"), "options stand before the image"


@pytest.mark.parametrize("name", REFUSED)
def test_what_podman_cannot_say_has_its_reason(name: str) -> None:
    said, reason = REFUSED[name]
    assert reason in (inexpressible(settings(**said)) or "")


def test_the_program_replaces_the_images_entry_point() -> None:
    made = words(process={"args": ["/p q", "a", "--b"]})
    assert made[-4:] == ('--entrypoint=["/p q"]', "IMAGE", "a", "--b")


def test_without_a_network_namespace_of_the_host_there_is_no_network() -> None:
    assert "--network=none" in words()


def test_cgroups_of_an_ordinary_user_are_left_alone() -> None:
    assert "--cgroup-parent=/lab" in words()
    made = create_words(settings(), image="IMAGE", name="NAME", cgroup_parent=None)
    assert not any(word.startswith("--cgroup") for word in made)


def test_exec_says_user_directory_and_environment() -> None:
    beside = settings(exec={"args": ["/q", "-x"], "user": "7", "cwd": "/w", "env": {"A": "b"}}).exec
    assert beside is not None
    assert exec_words(beside, "NAME") == ("--user=7", "--workdir=/w", "--env=A=b", "NAME", "/q", "-x")


TEXT = st.text("abc-_/ ", min_size=1, max_size=8)
PROCESSES = st.builds(
    Process,
    args=st.tuples(TEXT),
    user=st.none() | st.from_regex(r"[0-9]{1,5}(:[0-9]{1,5})?", fullmatch=True),
    cwd=st.none() | TEXT,
    umask=st.none() | st.integers(0, 0o777),
    env=st.dictionaries(TEXT, TEXT, max_size=2),
    unset_env=st.lists(TEXT, max_size=2).map(tuple),
    additional_gids=st.lists(st.integers(0, 9), max_size=2).map(tuple),
    no_new_privileges=st.booleans(),
)


@given(PROCESSES, PROCESSES)
def test_two_processes_that_differ_are_said_differently(one: Process, other: Process) -> None:
    """Nothing is dropped in silence: equal words mean equal processes."""
    made = [create_words(Settings(process=p), image="I", name="N", cgroup_parent=None) for p in (one, other)]
    if made[0] == made[1]:
        assert all(_same(getattr(one, f.name), getattr(other, f.name)) for f in dataclasses.fields(Process))


def _same(one: object, other: object) -> bool:
    return (list(one.items()) if isinstance(one, dict) else one) == (
        list(other.items()) if isinstance(other, dict) else other
    )


@pytest.mark.parametrize(
    ("said", "caller"),
    [
        ({}, Caller(uid=0, gid=0)),
        ({"podman": {"userns": "auto:size=5"}}, Caller(uid=0, gid=0, auto=True)),
        ({"podman": {"userns": "keep-id"}}, Caller(uid=0, gid=0)),
        ({"caller": {"rootless": True}}, Caller(uid=1001, gid=1001, ids=(200000, 65536))),
        (
            {"caller": {"rootless": True, "uid": 7, "subordinate_ids": [5, 6]}},
            Caller(uid=7, gid=7, ids=(5, 6)),
        ),
    ],
)
def test_each_caller_has_a_podman_of_its_own(
    said: dict[str, object], caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert caller_for(settings(**said)) == caller


def test_callers_have_directories_of_their_own() -> None:
    callers = [
        Caller(uid=0, gid=0),
        Caller(uid=0, gid=0, auto=True),
        Caller(uid=1, gid=1, ids=(5, 6)),
        Caller(uid=1, gid=1, ids=(5, 7)),
    ]
    assert len({caller.slug for caller in callers}) == len(callers)


def test_a_profile_without_errno_rules_refuses_what_it_does_not_allow() -> None:
    profile = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 38,
        "defaultErrno": "ENOSYS",
        "archMap": [],
        "syscalls": [
            {"names": ["bdflush"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
            {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
        ],
    }
    before = json.dumps(profile)
    assert without_errno_rules(profile) == {
        "defaultAction": "SCMP_ACT_ERRNO",
        "archMap": [],
        "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}],
    }
    assert json.dumps(profile) == before
    assert without_errno_rules({"defaultAction": "SCMP_ACT_ALLOW"}) == {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [],
    }


def test_the_plain_settings_are_those_that_podman_can_say() -> None:
    assert inexpressible(Settings(process=Process(args=("/p",)), linux=Linux(), caller=CallerSettings())) is None
