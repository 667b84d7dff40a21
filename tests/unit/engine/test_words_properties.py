"""Nothing that a cell says is dropped: for docker and podman, other settings are other words, or have a reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.codec import to_data
from lab.engine import docker_words, podman_words
from lab.model.engine_settings import DockerWords, PodmanWords
from lab.model.settings import CapabilityPolicy, Linux, Mount, Process, Rlimit, Settings

NAMES = st.from_regex(r"[a-z]{1,4}", fullmatch=True)
PATHS = NAMES.map("/".__add__)
BOUND = st.builds(
    Mount,
    destination=PATHS,
    fixture=st.sampled_from(["one", "two"]),
    options=st.lists(st.sampled_from(["ro", "rslave"]), max_size=2, unique=True).map(
        lambda words: tuple(sorted(words))
    ),
)
SCRATCH = st.builds(
    Mount,
    destination=PATHS,
    type=st.just("tmpfs"),
    options=st.sampled_from([(), ("ro",), ("mode=0700",), ("mode=0700", "size=4k")]),
)
MOUNTS = st.lists(st.one_of(BOUND, SCRATCH), max_size=3, unique_by=lambda mount: mount.destination).map(
    lambda mounts: tuple(sorted(mounts, key=lambda mount: (mount.type, mount.destination)))
)
LIMITS = st.lists(
    st.builds(
        Rlimit,
        type=st.sampled_from(["RLIMIT_NOFILE", "RLIMIT_NPROC", "RLIMIT_CORE"]),
        soft=st.integers(0, 99),
        hard=st.integers(100, 199),
    ),
    max_size=2,
    unique_by=lambda limit: limit.type,
).map(tuple)
SYSCTL = st.dictionaries(st.sampled_from(["kernel.msgmax", "net.ipv4.ip_forward"]), st.sampled_from(["0", "1"]))
CAPABILITIES = st.sampled_from([(), ("CHOWN",), ("KILL",), ("CHOWN", "KILL")])
SCRATCHES = st.dictionaries(PATHS, st.sampled_from(["", "ro", "mode=0700"]), max_size=2)
WORDS = {
    "init": st.booleans(),
    "privileged": st.booleans(),
    "cap_add": CAPABILITIES,
    "cap_drop": CAPABILITIES,
    "group_add": st.sampled_from([(), ("7",), ("8",), ("7", "8")]),
    "security_opt": st.sampled_from([(), ("label=disable",), ("seccomp=unconfined",)]),
    "volumes": st.sampled_from([(), ("${fixture:one}:/v",), ("${fixture:one}:/v:ro",), ("${fixture:two}:/v",)]),
    "tmpfs": SCRATCHES,
    "devices": st.sampled_from([(), ("/dev/fuse",), ("/dev/zero:/dev/x:r",)]),
}


def cells(
    own: str, words: st.SearchStrategy[DockerWords] | st.SearchStrategy[PodmanWords]
) -> st.SearchStrategy[Settings]:
    """Cells that say what both engines know, and the words of one."""
    return st.builds(
        Settings,
        process=st.builds(
            Process,
            args=st.just(("/p",)),
            capabilities=st.sampled_from([CapabilityPolicy.DEFAULT, CapabilityPolicy.NONE]),
            rlimits=LIMITS,
            no_new_privileges=st.booleans(),
        ),
        linux=st.builds(Linux, sysctl=SYSCTL),
        mounts=MOUNTS,
        readonly_root=st.booleans(),
        **{own: words},
    )


DOCKER = cells("docker", st.builds(DockerWords, **WORDS))
PODMAN = cells("podman", st.builds(PodmanWords, **WORDS))
Said = Callable[[Settings], str]
quick = settings(max_examples=30, deadline=None)


def docker_said(cell: Settings) -> str:
    return json.dumps(docker_words.create_request(cell, image="I", runtime="R"), sort_keys=True)


def podman_said(cell: Settings) -> str:
    """Options in any order: podman takes them so."""
    return json.dumps(sorted(podman_words.create_words(cell, image="I", name="N", cgroup_parent=None)))


def differs_in_silence(one: Settings, other: Settings, said: Said) -> bool:
    """Whether two cells that are not the same are put in the same words."""
    same = json.dumps(to_data(one), sort_keys=True) == json.dumps(to_data(other), sort_keys=True)
    return said(one) == said(other) and not same


@quick
@given(DOCKER, DOCKER)
def test_two_cells_that_differ_are_said_differently_to_docker(one: Settings, other: Settings) -> None:
    assert docker_words.inexpressible(one) is None
    assert not differs_in_silence(one, other, docker_said)


@quick
@given(PODMAN, PODMAN)
def test_two_cells_that_differ_are_said_differently_to_podman(one: Settings, other: Settings) -> None:
    assert podman_words.inexpressible(one) is None
    assert not differs_in_silence(one, other, podman_said)


@quick
@given(st.data())
@pytest.mark.parametrize("field", sorted(WORDS))
def test_every_single_word_makes_a_difference(field: str, data: st.DataObject) -> None:
    """Two cells that differ in one word only, which two cells drawn at random seldom do."""
    for cell, own, said in ((DOCKER, "docker", docker_said), (PODMAN, "podman", podman_said)):
        base = data.draw(cell)
        one, other = data.draw(WORDS[field]), data.draw(WORDS[field])
        changed = [_with(base, own, field, value) for value in (one, other)]
        assert (said(changed[0]) == said(changed[1])) is (to_data(changed[0]) == to_data(changed[1]))


def _with(base: Settings, own: str, field: str, value: object) -> Settings:
    return replace(base, **{own: replace(getattr(base, own), **{field: value})})
