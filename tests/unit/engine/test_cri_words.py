"""Cells in the words of the CRI, containerd's configuration and its logs."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict

from lab.codec import decode_settings
from lab.engine.cri_api import cri_pb2 as api
from lab.engine.cri_container import read_log
from lab.engine.cri_daemon import HANDLERS, configuration
from lab.engine.cri_words import admission, container_words, exec_words, inexpressible, sandbox_words, unknown_to
from lab.model.settings import Settings
from lab.oci.spec import MASKED

MAP = {"container_id": 0, "host_id": 131072, "size": 65536}


def settings(**said: Any) -> Settings:
    return decode_settings(said, where="test")


def container(said: Settings, image_user: str = "") -> dict[str, Any]:
    return container_words(said, image="i", image_user=image_user)


@pytest.mark.parametrize(
    ("user", "image_user", "words"),
    [
        ("1000", "7", {"runAsUser": {"value": 1000}}),
        ("1000:0", "7", {"runAsUser": {"value": 1000}, "runAsGroup": {"value": 0}}),
        ("nonroot:7", "", {"runAsUsername": "nonroot", "runAsGroup": {"value": 7}}),
        # what a kubelet fills in, and it never fills in a group
        (None, "", {"runAsUser": {"value": 0}}),
        (None, "1000:3000", {"runAsUser": {"value": 1000}}),
        (None, "nonroot:staff", {"runAsUsername": "nonroot"}),
    ],
)
def test_a_user_is_a_number_or_a_name(user: str | None, image_user: str, words: dict[str, Any]) -> None:
    context = container(settings(process={"user": user}), image_user)["linux"]["securityContext"]
    assert {key: value for key, value in context.items() if key.startswith("runAs")} == words


@pytest.mark.parametrize(
    ("policy", "added", "dropped"),
    [("default", [], []), ("cri", [], []), ("none", [], ["ALL"]), ("all", ["ALL"], [])],
)
def test_policies_are_added_and_dropped_capabilities(policy: str, added: list[str], dropped: list[str]) -> None:
    words = container(settings(process={"capabilities": policy}))
    found = words["linux"]["securityContext"]["capabilities"]
    assert (found["addCapabilities"], found["dropCapabilities"]) == (added, dropped)


def test_words_are_the_messages_own() -> None:
    said = settings(
        process={
            "user": "1:2",
            "cwd": "/w",
            "env": {"A": "b"},
            "steps": ["id"],
            "additional_gids": [7],
            "terminal": True,
        },
        mounts=[{"destination": "/d", "source": "/s", "options": ["ro", "rslave"]}],
        cri={"seccomp": "RuntimeDefault"},
        linux={"sysctl": {"kernel.msgmax": "1"}},
    )
    config = ParseDict(container(said), api.ContainerConfig())
    assert list(config.command) == ["/.permlab/probe"]
    assert (config.working_dir, config.envs[0].key, config.envs[0].value, config.tty) == ("/w", "A", "b", True)
    assert (config.mounts[0].readonly, config.mounts[0].propagation) == (True, api.PROPAGATION_HOST_TO_CONTAINER)
    context = config.linux.security_context
    assert list(context.supplemental_groups) == [7]
    assert (context.seccomp.profile_type, context.seccomp_profile_path) == (
        api.SecurityProfile.RuntimeDefault,
        "runtime/default",
    )
    assert list(context.masked_paths) == list(MASKED)
    sandbox = ParseDict(sandbox_words(said), api.LinuxPodSandboxConfig())
    assert dict(sandbox.sysctls) == {"kernel.msgmax": "1"}
    assert sandbox.security_context.namespace_options.network == api.NODE


def test_a_user_namespace_is_the_pods_with_a_network_of_its_own() -> None:
    said = settings(
        linux={"uid_mappings": [MAP], "gid_mappings": [MAP]},
        mounts=[{"destination": "/d", "source": "/s", "uid_mappings": [MAP], "gid_mappings": [MAP]}],
    )
    options = ParseDict(sandbox_words(said), api.LinuxPodSandboxConfig()).security_context.namespace_options
    assert (options.network, options.userns_options.mode) == (api.POD, api.POD)
    line = options.userns_options.uids[0]
    assert (line.host_id, line.container_id, line.length) == (131072, 0, 65536)
    config = ParseDict(container(said), api.ContainerConfig())
    assert config.linux.security_context.namespace_options == options
    assert (config.mounts[0].uidMappings[0], config.mounts[0].gidMappings[0]) == (line, line)


def test_a_command_goes_into_a_container_that_holds() -> None:
    said = settings(action="exec", process={"steps": ["id"]}, exec={"args": ["/bin/true"]})
    assert container(said)["args"] == ["id", "hold"]
    assert said.exec is not None
    assert list(ParseDict(exec_words(said.exec), api.ExecSyncRequest()).cmd) == ["/bin/true"]


@pytest.mark.parametrize(
    ("version", "said", "word"),
    [
        ("1.6.20", {"linux": {"uid_mappings": [MAP]}}, "no user namespaces"),
        ("1.7.24", {"linux": {"uid_mappings": [MAP]}}, None),
        ("1.4.13", {"linux": {"masked_paths": []}}, "empty linux.masked_paths"),
        ("1.6.20", {"linux": {"masked_paths": [], "readonly_paths": []}}, None),
    ],
)
def test_what_an_old_containerd_passes_over(version: str, said: dict[str, Any], word: str | None) -> None:
    reason = unknown_to(version, settings(**said))
    assert (reason is None) == (word is None)
    assert (word or "") in (reason or "")


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ({"process": {"capabilities": "docker", "user": "1000"}}, "capabilities 'docker'"),
        ({"process": {"capabilities": "absent"}}, "leave the capabilities out"),
        ({"process": {"umask": 0o27}}, "process.umask"),
        ({"process": {"user": "1:staff"}}, "group by name"),
        ({"process": {"unset_env": ["A"]}}, "process.unset_env"),
        ({"caller": {"umask": 0}}, "caller.umask"),
        ({"action": "exec", "exec": {"user": "0"}}, "exec.user"),
        ({"action": "exec", "exec": {}, "exec_flags": ["--user", "0"]}, "exec_flags"),
        ({"process": {"rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 1}]}}, "process.rlimits"),
        ({"linux": {"namespaces": {"user": "new"}}}, "user namespace without maps"),
        ({"linux": {"namespaces": {"user": "held"}, "uid_mappings": [MAP]}}, "'held' user namespace"),
        ({"mounts": [{"destination": "/t", "type": "tmpfs"}]}, "type 'tmpfs'"),
        ({"mounts": [{"destination": "/t", "source": "/s", "options": ["mode=1"]}]}, "mode=1"),
        ({"linux": {"namespaces": {"uts": "host"}}}, "'host' uts namespace"),
        ({"docker": {"init": True}}, "docker.init"),
        ({"host": ["rootfs:/x"]}, "root file system on the host"),
    ],
)
def test_what_the_cri_has_no_word_for(said: dict[str, Any], word: str) -> None:
    reason = inexpressible(settings(**said))
    assert reason is not None
    assert word in reason


def test_dockers_policy_is_the_cris_for_root() -> None:
    assert inexpressible(settings(process={"capabilities": "docker", "user": "0:0"})) is None
    assert inexpressible(settings()) is None


@pytest.mark.parametrize(
    ("user", "image", "word"),
    [
        ("0", "1000", "runAsUser breaks non-root policy"),
        ("1000", "0", None),
        (None, "1000:0", None),
        (None, "0", "image will run as root"),
        (None, "", "image will run as root"),
        (None, "nonroot", "non-numeric user (nonroot)"),
        (None, "root:0", "non-numeric user (root)"),
        (None, "00", "image will run as root"),
        (None, "2147483647", None),
        (None, "2147483648", "invalid user id (2147483648)"),
        ("nonroot", "1000", "non-numeric user (nonroot)"),
    ],
)
def test_a_kubelet_admits_by_its_rule(user: str | None, image: str, word: str | None) -> None:
    said = admission(settings(process={"user": user}, cri={"run_as_non_root": True}), image)
    assert (said is None) == (word is None)
    assert (word or "") in (said or "")
    assert admission(settings(process={"user": user}), image) is None


@pytest.mark.parametrize(
    ("version", "number", "plugin"),
    [
        ("1.4.13", 2, "io.containerd.grpc.v1.cri"),
        ("1.7.24", 2, "io.containerd.grpc.v1.cri"),
        ("2.1.9", 3, "io.containerd.cri.v1.runtime"),
    ],
)
def test_the_configuration_is_of_the_versions_format(version: str, number: int, plugin: str) -> None:
    config = tomllib.loads(configuration(version, Path("/p")))
    assert config["version"] == number
    runtimes = config["plugins"][plugin]["containerd"]["runtimes"]
    assert len(runtimes) == HANDLERS
    assert runtimes["r3"]["options"]["BinaryName"] == "/p/handlers/r3"
    assert config["plugins"][plugin]["restrict_oom_score_adj"]
    assert config["plugins"][plugin]["cni"]["conf_dir"] == "/p/cni"


def test_a_log_is_read_into_its_streams(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"T stdout P half \nT stderr F said\nT stdout F a line\n\nbroken\n")
    assert read_log(log) == (b"half a line\n", b"said\n", False)
    assert read_log(tmp_path / "none") == (b"", b"", False)
