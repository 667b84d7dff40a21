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
from lab.engine.cri_words import admission, container_words, inexpressible, sandbox_words
from lab.model.settings import Settings


def settings(**said: Any) -> Settings:
    process = {"capabilities": "cri", **said.pop("process", {})}
    return decode_settings({**said, "process": process}, where="test")


@pytest.mark.parametrize(
    ("user", "words"),
    [
        (None, {}),
        ("1000", {"runAsUser": {"value": 1000}}),
        ("1000:0", {"runAsUser": {"value": 1000}, "runAsGroup": {"value": 0}}),
        ("nonroot:7", {"runAsUsername": "nonroot", "runAsGroup": {"value": 7}}),
    ],
)
def test_a_user_is_a_number_or_a_name(user: str | None, words: dict[str, Any]) -> None:
    context = container_words(settings(process={"user": user}), image="i")["linux"]["securityContext"]
    assert {key: value for key, value in context.items() if key.startswith("runAs")} == words


@pytest.mark.parametrize(("policy", "added", "dropped"), [("cri", [], []), ("none", [], ["ALL"]), ("all", ["ALL"], [])])
def test_policies_are_added_and_dropped_capabilities(policy: str, added: list[str], dropped: list[str]) -> None:
    words = container_words(settings(process={"capabilities": policy}), image="i")
    found = words["linux"]["securityContext"]["capabilities"]
    assert (found["addCapabilities"], found["dropCapabilities"]) == (added, dropped)


def test_words_are_the_messages_own() -> None:
    said = settings(
        process={"user": "1:2", "cwd": "/w", "env": {"A": "b"}, "steps": ["id"], "additional_gids": [7]},
        mounts=[{"destination": "/d", "source": "/s", "options": ["ro", "rslave"]}],
        cri={"seccomp": "RuntimeDefault"},
        linux={"sysctl": {"kernel.msgmax": "1"}},
    )
    container = ParseDict(container_words(said, image="i"), api.ContainerConfig())
    assert list(container.command) == ["/.permlab/probe"]
    assert (container.working_dir, container.envs[0].key, container.envs[0].value) == ("/w", "A", "b")
    assert (container.mounts[0].readonly, container.mounts[0].propagation) == (True, api.PROPAGATION_HOST_TO_CONTAINER)
    context = container.linux.security_context
    assert list(context.supplemental_groups) == [7]
    assert context.seccomp.profile_type == api.SecurityProfile.RuntimeDefault
    sandbox = ParseDict(sandbox_words(said), api.LinuxPodSandboxConfig())
    assert dict(sandbox.sysctls) == {"kernel.msgmax": "1"}
    assert sandbox.security_context.namespace_options.network == api.NODE


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ({"process": {"capabilities": "docker", "user": "1000"}}, "capabilities 'docker'"),
        ({"process": {"capabilities": "absent"}}, "leave the capabilities out"),
        ({"process": {"umask": 0o27}}, "process.umask"),
        ({"process": {"user": "1:staff"}}, "group by name"),
        ({"process": {"unset_env": ["A"]}}, "process.unset_env"),
        ({"process": {"terminal": True}}, "terminal"),
        ({"caller": {"umask": 0}}, "caller.umask"),
        ({"action": "exec", "exec": {}}, "exec"),
        ({"mounts": [{"destination": "/t", "type": "tmpfs"}]}, "type 'tmpfs'"),
        ({"mounts": [{"destination": "/t", "source": "/s", "options": ["mode=1"]}]}, "mode=1"),
        ({"linux": {"masked_paths": []}}, "masked_paths"),
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
