"""config.json from an image's config and a cell's settings."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import InputError
from lab.model.image import ImageConfig
from lab.model.settings import (
    Action,
    Caller,
    CapabilityPolicy,
    CapabilitySets,
    IdMapping,
    Linux,
    Mount,
    Process,
    Rlimit,
    Settings,
)
from lab.oci.spec import PROBE, Context, apply_patch, build_config, build_process, mapped_linux
from lab.oci.users import UserNotFound

GOLDEN = Path(__file__).parents[2] / "golden"
ACCOUNTS = "root:x:0:0::/:\nnonroot:x:65532:65532::/:\n"
GROUP = "root:x:0:\nstaff:x:50:nonroot\n"
IMAGE = ImageConfig(
    user="nonroot", working_dir="/home/nonroot", env=("PATH=/bin", "LANG=C", "EMPTY="), entrypoint=("/e",), cmd=("c",)
)
CONTEXT = Context(passwd=ACCOUNTS, group=GROUP, caller_capabilities=("CAP_CHOWN", "CAP_SYS_ADMIN"))
MAP = (IdMapping(container_id=0, host_id=100000, size=65536),)

CASES: dict[str, tuple[Settings, Context]] = {
    "plain": (Settings(), CONTEXT),
    "userns": (
        Settings(
            linux=Linux(uid_mappings=MAP, gid_mappings=(IdMapping(container_id=0, host_id=100000, size=1),)),
            mounts=(
                Mount(destination="/data", fixture="data", options=("ro",), uid_mappings=MAP, gid_mappings=MAP),
                Mount(destination="/tmp", type="tmpfs", options=("mode=1777",)),  # noqa: S108  # inside the container
            ),
        ),
        CONTEXT,
    ),
    "rootless": (
        Settings(
            process=Process(user="0:0"),
            caller=Caller(rootless=True, subordinate_ids=(200000, 65536)),
            linux=Linux(namespaces={"network": "host"}),
        ),
        Context(passwd=ACCOUNTS, group=GROUP, rootless=(1001, 1001)),
    ),
    "everything": (
        Settings(
            image_user="0",
            image_workdir="/w",
            readonly_root=True,
            action=Action.EXEC,
            process=Process(
                user="nonroot",
                additional_gids=(7, 50),
                umask=0o027,
                cwd="/cwd",
                steps=("open '/a b' r", "id"),
                env={"LANG": "de", "NEW": "x=y"},
                unset_env=("EMPTY",),
                capabilities=CapabilitySets(effective=("chown",), ambient=("CAP_KILL",)),
                no_new_privileges=True,
                rlimits=(Rlimit(type="RLIMIT_NOFILE", soft=1, hard=2),),
                terminal=True,
            ),
            linux=Linux(
                namespaces={"pid": "/proc/1/ns/pid", "ipc": "host", "cgroup": "new"},
                sysctl={"net.ipv4.ip_forward": "1"},
                seccomp={"defaultAction": "SCMP_ACT_ALLOW"},
                masked_paths=(),
                readonly_paths=("/proc/sys",),
                devices=({"path": "/dev/x", "type": "c", "major": 1, "minor": 3},),
            ),
            mounts=(Mount(destination="/src", source="/host/dir", options=("bind", "ro")),),
            patch=({"op": "replace", "path": "/hostname", "value": "patched"},),
        ),
        CONTEXT,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_golden(name: str) -> None:
    settings, context = CASES[name]
    text = json.dumps(build_config(IMAGE, settings, context), indent=1) + "\n"
    path = GOLDEN / f"config-{name}.json"
    if os.environ.get("PERMLAB_UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text(), f"{path.name} is not current"


def config(process: Process | None = None, **settings: Any) -> dict[str, Any]:  # fields of Settings
    return build_config(IMAGE, Settings(process=process or Process(), **settings), CONTEXT)


def test_what_decides_the_user() -> None:
    assert config()["process"]["user"] == {"uid": 65532, "gid": 65532, "additionalGids": [50]}
    assert config(image_user="5:6")["process"]["user"] == {"uid": 5, "gid": 6}
    assert config(Process(user="7"), image_user="5:6")["process"]["user"] == {"uid": 7, "gid": 0}
    assert config(Process(user=""), image_user="5:6")["process"]["user"] == {"uid": 0, "gid": 0}
    with pytest.raises(UserNotFound):
        config(Process(user="ghost"))


def test_what_decides_the_working_directory() -> None:
    assert config()["process"]["cwd"] == "/home/nonroot"
    assert config(image_workdir="/w")["process"]["cwd"] == "/w"
    assert config(Process(cwd="/c"), image_workdir="/w")["process"]["cwd"] == "/c"
    assert build_config(ImageConfig(), Settings(), CONTEXT)["process"]["cwd"] == "/"


def test_the_probe_is_what_runs_unless_args_are_given() -> None:
    assert config(Process(steps=("read '/a b'", "id")))["process"]["args"] == [PROBE, "read", "/a b", "id"]
    assert config(Process(args=("/bin/x", "a b"), steps=("id",)))["process"]["args"] == ["/bin/x", "a b"]


def test_a_container_to_exec_into_is_held() -> None:
    assert config(Process(steps=("id",)), action=Action.EXEC)["process"]["args"] == [PROBE, "id", "hold"]
    assert config(Process(args=("/x",)), action=Action.EXEC)["process"]["args"] == ["/x"]
    exec_process = build_process(Process(steps=("id",), user="0:0"), IMAGE, Settings(action=Action.EXEC), CONTEXT)
    assert exec_process["args"] == [PROBE, "id"]


def test_environment() -> None:
    assert config()["process"]["env"] == ["PATH=/bin", "LANG=C", "EMPTY="]
    assert build_config(ImageConfig(), Settings(), CONTEXT)["process"]["env"][0].startswith("PATH=/usr/local/sbin:")
    env = config(Process(env={"PATH": "/x"}, unset_env=("LANG",)))["process"]["env"]
    assert env == ["PATH=/x", "EMPTY="]


def test_capabilities_absent_is_no_object() -> None:
    assert "capabilities" not in config(Process(capabilities=CapabilityPolicy.ABSENT))["process"]
    everything = config(Process(capabilities=CapabilityPolicy.ALL))["process"]["capabilities"]
    assert everything["effective"] == ["CAP_CHOWN", "CAP_SYS_ADMIN"]
    assert everything["ambient"] == []


def namespaces(linux: Linux) -> dict[str, str | None]:
    return {one["type"]: one.get("path") for one in config(linux=linux)["linux"]["namespaces"]}


def test_namespaces() -> None:
    new = dict.fromkeys(("pid", "network", "ipc", "uts", "mount"))
    assert namespaces(Linux()) == new
    assert namespaces(Linux(uid_mappings=MAP, gid_mappings=MAP)) == {**new, "user": None}
    assert namespaces(Linux(namespaces={"pid": "host", "user": "/ns"})) == {
        **{name: None for name in new if name != "pid"},
        "user": "/ns",
    }
    assert namespaces(Linux(uid_mappings=MAP, namespaces={"user": "/ns"}))["user"] == "/ns"


def test_devpts_gets_a_group_only_where_the_map_has_it() -> None:
    def options(linux: Linux) -> list[str]:
        mounts = config(linux=linux)["mounts"]
        found: list[str] = next(mount["options"] for mount in mounts if mount["type"] == "devpts")
        return found

    assert "gid=5" in options(Linux())
    assert "gid=5" in options(Linux(uid_mappings=MAP, gid_mappings=MAP))
    assert "gid=5" not in options(Linux(gid_mappings=(IdMapping(container_id=0, host_id=1, size=5),)))


def test_a_rootless_caller_maps_itself_unless_the_cell_says_otherwise() -> None:
    rootless = Context(rootless=(1001, 1002))
    linux = mapped_linux(Settings(), rootless)
    assert linux.uid_mappings == (IdMapping(container_id=0, host_id=1001, size=1),)
    assert linux.gid_mappings == (IdMapping(container_id=0, host_id=1002, size=1),)
    assert mapped_linux(Settings(linux=Linux(uid_mappings=MAP)), rootless).uid_mappings == MAP
    assert mapped_linux(Settings(), Context()) == Linux()
    built = build_config(IMAGE, Settings(process=Process(user="0")), rootless)
    assert "cgroupsPath" not in built["linux"]
    assert "resources" not in built["linux"]


def test_a_patch_changes_the_finished_config() -> None:
    patch = ({"op": "add", "path": "/linux/maskedPaths/-", "value": "/x"}, {"op": "remove", "path": "/process/cwd"})
    patched = config(patch=patch)
    assert patched["linux"]["maskedPaths"][-1] == "/x"
    assert "cwd" not in patched["process"]


@pytest.mark.parametrize(
    "patch",
    [
        ({"op": "remove", "path": "/nothing"},),
        ({"op": "test", "path": "/ociVersion", "value": "0"},),
        ({"op": "jump", "path": "/ociVersion"},),
        ({"path": "/ociVersion"},),
        ({"op": "add", "path": "no slash", "value": 1},),
        ({"op": "add", "path": "/process/args/x", "value": 1},),
        ({"op": "add", "path": "/process/args/99", "value": 1},),
        ({"op": "replace", "path": "/ociVersion"},),
        ({"op": "add", "path": "/ociVersion/x", "value": 1},),
        ({"op": "move", "path": "/x", "from": "/nothing/y"},),
    ],
)
def test_a_patch_that_does_not_apply_is_an_input_error(patch: tuple[dict[str, object], ...]) -> None:
    with pytest.raises(InputError, match="patch does not apply"):
        config(patch=patch)


json_data = st.recursive(st.none() | st.text(max_size=3) | st.integers(), lambda inner: st.lists(inner, max_size=2))
operations = st.fixed_dictionaries(
    {},
    optional={
        "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "x"]) | json_data,
        "path": st.sampled_from(["", "/", "/process", "/process/args/0", "/mounts/-", "/mounts/01", "/a~2"])
        | json_data,
        "from": st.sampled_from(["/process", "/mounts/0", "/x"]) | json_data,
        "value": json_data,
    },
)


@given(st.lists(operations, max_size=3))
def test_any_patch_applies_or_is_an_input_error(patch: list[dict[str, object]]) -> None:
    document = {"process": {"args": ["a"]}, "mounts": [{"destination": "/"}], "ociVersion": "1"}
    before = json.dumps(document)
    try:
        apply_patch(document, tuple(patch))
    except InputError as error:
        told = error.brief
        assert told == "the cell's patch does not apply to its config.json"
    assert json.dumps(document) == before


@given(st.text(max_size=20), st.text(max_size=20))
def test_the_config_is_json_whatever_strings_a_cell_has(cwd: str, value: str) -> None:
    built = config(Process(cwd=cwd or None, env={"V": value}, args=(value,)))
    assert json.loads(json.dumps(built)) == built
