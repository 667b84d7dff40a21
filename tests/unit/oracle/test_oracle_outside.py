"""What the model does not know has no prediction: it never guesses."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle_cells import NEW, config_of, era, predicted_config, unknown

from lab.oci.spec import PROBE
from lab.oracle.eras import era_of
from lab.oracle.prediction import NoPrediction, Prediction

ROOT: dict[str, Any] = {"user": "0:0", "cwd": "/"}
MAPS = [{"container_id": 0, "host_id": 100000, "size": 2000}]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW"}}}, "seccomp"),
        ({"linux": {"sysctl": {"net.ipv4.ip_forward": "1"}}}, "sysctl"),
        ({"linux": {"namespaces": {"pid": "host"}}}, "namespaces"),
        ({"linux": {"namespaces": {"network": "/proc/1/ns/net"}}}, "joins"),
        ({"linux": {"masked_paths": ["/etc"]}}, "/etc"),
        ({"process": {"terminal": True}}, "terminal"),
        ({"process": {"umask": 0o027}}, "umask"),
        ({"process": {"rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 1}]}}, "rlimits"),
        ({"process": {"capabilities": "absent"}}, "capabilities"),
        ({"process": {"capabilities": {"effective": ["CAP_CHOWN"]}}}, "capability sets"),
        ({"process": {"user": "3000000000:0"}}, "2147483647"),
        ({"process": {"cwd": "/proc"}}, "the proc of every container"),
        ({"process": {"cwd": "/a" * 200}}, "long"),
        ({"process": {"cwd": "/a/../b"}}, "plain absolute path"),
        (
            {"process": {"args": ["/etc/p"]}, "rootfs": [{"path": "/etc/p", "kind": "file", "mode": 0o755}]},
            "has started",
        ),
        ({"process": {"args": ["p"]}}, "PATH"),
        ({"process": {"steps": ["forks 3 1"]}}, "forks"),
        ({"process": {"steps": ["open /etc/x noatime"]}}, "noatime"),
        ({"checks": [{"fact": "start.hostname", "equals": "x"}]}, "start.hostname"),
        ({"checks": [{"fact": "stderr", "contains": "x"}]}, "stderr"),
        ({"patch": [{"op": "add", "path": "/process/apparmorProfile", "value": "x"}]}, "apparmorProfile"),
        ({"patch": [{"op": "add", "path": "/hooks", "value": {}}]}, "hooks"),
        ({"caller": {"stdout": "file"}}, "streams"),
        ({"caller": {"umask": 0}}, "umask"),
        ({"caller": {"drop_capabilities": ["CAP_SETUID"]}}, "CAP_DAC"),
        ({"caller": {"runtime_flags": ["--debug"]}}, "flags"),
        ({"caller": {"drop_capabilities": ["CAP_DAC_OVERRIDE"]}}, "does not have"),
        ({"caller": {"rootless": True}, "process": {"user": "0:0", "additional_gids": [5]}}, "rootless"),
        ({"mounts": [{"destination": "/t", "type": "tmpfs", "options": ["ro"]}]}, "tmpfs"),
        ({"mounts": [{"destination": "/t", "type": "tmpfs"}], "process": {"steps": ["ls /t"]}}, "tmpfs"),
        ({"mounts": [{"destination": "/b", "source": "/srv"}]}, "/b"),
        ({"mounts": [{"destination": "/home/nonroot/../x", "fixture": "f"}], "fixtures": {"f": {}}}, "mount point"),
        (
            {
                "mounts": [{"destination": "/b", "fixture": "f"}],
                "fixtures": {"f": {"parent_mode": 0o700}},
                "linux": {"uid_mappings": MAPS, "gid_mappings": MAPS},
            },
            "may not search",
        ),
        ({"action": "exec", "exec": {"user": "nonroot", "cwd": "/"}}, "uid:gid"),
        ({"action": "exec", "exec": {}, "exec_flags": ["--user", "1000"]}, "--user UID:GID"),
    ],
)
def test_settings_outside_the_model(settings: dict[str, Any], words: str) -> None:
    process = {**ROOT, **settings.pop("process", {})}

    assert words in unknown(NEW, process=process, **settings)


@given(
    where=st.sampled_from([(), ("process",), ("linux",), ("root",), ("process", "user")]),
    key=st.text(st.characters(categories=["Ll"]), min_size=3, max_size=12),
)
def test_no_key_of_a_config_is_skipped(where: tuple[str, ...], key: str) -> None:
    settings, config = config_of({"process": ROOT})
    place = config
    for part in where:
        place = place[part]
    if key in place:
        return
    place[key] = "x"

    found = predicted_config(NEW, config, settings)

    assert isinstance(found, NoPrediction) or key == "annotations"


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 5) | st.sampled_from(["", "/", "/home/nonroot", "CAP_CHOWN", "bind"]),
    lambda some: st.lists(some, max_size=2) | st.dictionaries(st.sampled_from(["type", "uid", "x"]), some, max_size=2),
    max_leaves=3,
)


@given(data=st.data(), value=anything)
def test_whatever_a_patch_makes_of_a_config_the_report_is_made(data: st.DataObject, value: object) -> None:
    settings, config = config_of({"process": {**ROOT, "additional_gids": [3]}, "linux": {"uid_mappings": MAPS}})
    place: Any = config
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            place[key] = value
            break
        place = place[key]

    assert isinstance(predicted_config(NEW, config, settings), NoPrediction | Prediction)


@given(
    st.lists(
        st.sampled_from(["stat", "chmod", "chown", "setumask", "exec", "/", "7", "-1", "x", "--", "", "/e"]), max_size=5
    )
)
def test_whatever_steps_there_are_the_report_is_made(words: list[str]) -> None:
    settings, config = config_of({"process": ROOT})
    config["process"]["args"] = [PROBE, *words]

    assert isinstance(predicted_config(NEW, config, settings), NoPrediction | Prediction)


@pytest.mark.parametrize("runtime", ["youki@0.7.0", "runsc@20260905", "mine", "runc@"])
def test_runtimes_without_an_era(runtime: str) -> None:
    assert isinstance(era_of(runtime, {}), str)


def test_a_binary_of_the_users_own_must_say_its_version() -> None:
    facts = {"provider": "path", "reported": "runc version 1.0.0-rc93\nspec: 1.0.2-dev\n"}

    assert era_of("runc@1.0.0-rc93+mine", facts) == era("runc@1.0.0-rc93")
    assert "own" in str(era_of("runc@1.1.0+mine", facts))
    assert "own" in str(era_of("runc@1.1.0", {"provider": "path", "reported": "something else"}))
