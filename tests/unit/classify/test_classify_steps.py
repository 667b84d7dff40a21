"""Steps of the probe: which cause the facts of process and file give."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.classify.causes import CAUSES
from lab.classify.steps import STEP_RULES, first_refused
from lab.model.observation import Fact

ALL_IDS = ["0 0 4294967295"]
MAPPED = ["0 100000 65536"]
DOCKER_CAPS = "00000000a80425fb"
NO_CAPS = "0000000000000000"


def start(uid: int = 1000, gid: int = 1000, caps: str = NO_CAPS, **more: object) -> dict[str, object]:
    return {
        "step": 0, "op": "start", "fsuid": uid, "fsgid": gid, "euid": uid, "egid": gid, "groups": [gid], "cwd": "/w",
        "caps": {"effective": caps}, "uid_map": ALL_IDS, "seccomp": 0, "setgroups": "allow", **more,
    }  # fmt: skip


def stat(path: str, uid: int, gid: int, mode: str) -> dict[str, object]:
    return {"step": 1, "op": "stat", "args": [path], "ok": True, "uid": uid, "gid": gid, "mode": mode}


def failed(op: str, *args: str, errno: str = "EACCES", **more: object) -> dict[str, object]:
    return {"step": 2, "op": op, "args": list(args), "ok": False, "errno": errno, "call": "x", **more}


def cause(*facts: Fact) -> str:
    found = first_refused(facts, tolerate=frozenset(), judged=frozenset())
    assert found is not None
    return found.cause


@pytest.mark.parametrize(
    ("process", "owner", "expected"),
    [
        (start(), stat("/w", 0, 0, "0755"), "write-denied-owner"),
        (start(1000, 0), stat("/w", 0, 0, "0755"), "write-denied-group"),
        (start(), stat("/w", 65532, 0, "0775"), "write-denied-group"),
        (start(), stat("/w", 1000, 0, "0555"), "write-denied-owner"),
        (start(0, 0), stat("/w", 1000, 1000, "0755"), "write-denied-caps"),
        (start(0, 0, DOCKER_CAPS, uid_map=MAPPED), stat("/w", 65534, 65534, "0755"), "write-denied-userns"),
        (start(uid_map=MAPPED), stat("/w", 65534, 65534, "0755"), "write-denied-userns"),
        (start(uid_map=MAPPED), stat("/w", 0, 0, "0755"), "write-denied-owner"),
        (start(), stat("/elsewhere", 0, 0, "0755"), "write-denied"),
    ],
)
def test_who_may_not_write(process: Fact, owner: Fact, expected: str) -> None:
    assert cause(process, owner, failed("touch", "new")) == expected


def test_the_file_itself_comes_before_its_directory() -> None:
    directory, file = stat("/w", 0, 0, "0755"), {**stat("/w/f", 5, 1000, "0640"), "step": 3}
    assert cause(start(), directory, failed("append", "f"), file) == "write-denied-group"


@pytest.mark.parametrize(
    ("process", "step", "expected"),
    [
        (start(), failed("touch", "/x", errno="EROFS"), "erofs"),
        (start(), failed("ls", "."), "read-denied"),
        (start(), failed("chdir", "."), "cwd-not-searchable"),
        (start(), failed("open", "/x", "rdonly"), "read-denied"),
        (start(), failed("open", "/x", "wronly,creat"), "write-denied"),
        (start(), failed("open", "/dev/fuse", "rdwr", errno="EPERM"), "fuse-not-permitted"),
        (start(), failed("open", "/dev/sda", "rdonly", errno="EPERM"), "device-not-permitted"),
        (start(), failed("exec", "/p"), "exec-not-permitted"),
        (start(), failed("exec", "/p", errno="ENOENT"), "program-not-found"),
        (start(), failed("exec", "/p", errno="ENOEXEC"), "program-format"),
        (start(), failed("chown", "/x", "0", "0", errno="EPERM"), "chown-denied"),
        (start(0, 0), failed("chown", "/x", "0", "0", errno="EPERM"), "capability-missing"),
        (start(0, 0, DOCKER_CAPS), failed("chown", "/x", "7", "7", errno="EINVAL"), "uid-not-mapped"),
        (start(), failed("chmod", "/x", "0700", errno="EPERM"), "owner-required"),
        (start(), failed("mknod", "/x", "c", "1", "3", errno="EPERM"), "capability-missing"),
        (start(0, 0, DOCKER_CAPS), failed("mknod", "/x", "c", "1", "3", errno="EPERM"), "device-not-permitted"),
        (start(), failed("forks", "60", "1", errno="EAGAIN", made=8), "limit-exhausted"),
        (start(), failed("fds", "2000", errno="EMFILE", made=1020), "nofile-exhausted"),
        (start(), failed("keys", "200", "1", errno="EDQUOT", made=3), "user-quota-exhausted"),
        (start(), failed("bind", "80"), "capability-missing"),
        (start(0, 0, DOCKER_CAPS), failed("bind", "80"), "namespace-not-owned"),
        (start(0, 0, DOCKER_CAPS), failed("setmtu", "lo", "9", errno="EPERM"), "capability-missing"),
        (start(), failed("setrlimit", "nofile", "9", "9", errno="EPERM"), "rlimit-not-permitted"),
        (start(setgroups="deny"), failed("setgroups", "0", errno="EPERM"), "setgroups-not-permitted"),
        (start(), failed("setgroups", "0", errno="EPERM"), "capability-missing"),
        (start(), failed("setuid", "0", errno="EPERM"), "capability-missing"),
        (start(), failed("setgid", "5", errno="EINVAL"), "gid-not-mapped"),
        (start(seccomp=2), failed("unshareU", errno="EPERM"), "seccomp-not-permitted"),
        (start(), failed("unshareU", errno="EPERM"), "namespace-not-permitted"),
        (start(seccomp=2), failed("unshare", "user,mount", errno="EPERM"), "seccomp-not-permitted"),
        (start(), failed("unshare", "mount", errno="EPERM"), "capability-missing"),
        (start(), failed("mounttmpfs", "/m", errno="EPERM"), "capability-missing"),
        (start(0, 0, "000001ffffffffff"), failed("mountsysfs", "/m", errno="EPERM"), "mount-not-permitted"),
        (start(seccomp=2), failed("faccessat2", "/x", "r", errno="EPERM"), "seccomp-not-permitted"),
        (start(), failed("sysctl", "kernel.x"), "read-denied"),
        (start(), failed("signal", "1", "9", errno="EPERM"), "capability-missing"),
        (start(0, 0, DOCKER_CAPS), failed("kill", "1", errno="EPERM"), "permission-denied"),
        (start(), failed("stat", "/x", errno="ENOENT"), "step-failed"),
        (start(), failed("faccessat2", "/x", "r", errno="ENOSYS"), "step-failed"),
    ],
)
def test_what_a_step_shows(process: Fact, step: Fact, expected: str) -> None:
    assert cause(process, step) == expected


@pytest.mark.parametrize(("made", "expected"), [(3, "user-quota-exhausted"), (1020, "nofile-exhausted")])
def test_inotify_knows_its_two_limits_apart(made: int, expected: str) -> None:
    process = start(rlimits={"nofile": {"soft": 1024, "hard": 1024}})
    assert cause(process, failed("inotify", "2000", "1", errno="EMFILE", made=made)) == expected


def test_ids_that_a_step_changed_count_from_then_on() -> None:
    become: dict[str, object] = {"step": 1, "op": "setuid", "ok": True, "fsuid": 7, "fsgid": 7, "groups": [7]}
    owner = {**stat("/w", 7, 7, "0755"), "step": 3}
    assert cause(start(0, 0), become, failed("touch", "/w/x"), owner) == "write-denied"
    assert "uid 7, groups 7" in str(
        first_refused((start(0, 0), become, failed("ls", "/")), tolerate=frozenset(), judged=frozenset())
    )


def test_a_kernel_without_fsuid_shows_the_effective_id() -> None:
    process = {**start(), "fsuid": 4294967295, "fsgid": 4294967295}
    found = first_refused((process, failed("ls", "/")), tolerate=frozenset(), judged=frozenset())
    assert found is not None
    assert "uid 1000, groups 1000" in found.evidence


FACT_VALUES = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.lists(st.text(max_size=4), max_size=3)
)
ERRNOS = st.sampled_from(
    ["EACCES", "EPERM", "EROFS", "EMFILE", "EDQUOT", "EAGAIN", "EINVAL", "ENOENT", "ENOSPC", "E999"]
)
OPS = st.sampled_from([*sorted({op for rule in STEP_RULES for op in rule.ops}), "novel"])


@given(
    op=OPS,
    errno=ERRNOS,
    args=st.lists(st.text(max_size=6), max_size=3),
    extra=st.dictionaries(
        st.sampled_from(["fsuid", "groups", "caps", "cwd", "uid_map", "made", "rlimits", "seccomp", "setgroups"]),
        FACT_VALUES,
    ),
)
def test_every_failed_step_has_a_known_cause_whatever_a_stranger_prints(
    op: str, errno: str, args: list[str], extra: dict[str, Any]
) -> None:
    step: dict[str, object] = {"step": 1, "op": op, "args": args, "ok": False, "errno": errno}
    found = first_refused(({**start(), **extra}, step), tolerate=frozenset(), judged=frozenset())
    assert found is not None
    assert found.cause in CAUSES
    assert len(found.evidence) <= 300
