"""What stands in the folder: the tree's recipe and archive, the script, command lines, what was taken away."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lab import process
from lab.model.settings import Action
from lab.model.verdict import Denied, Errored, Failed, Passed, Phase, Verdict
from lab.oci.capabilities import DOCKER_DEFAULT
from lab.repro import lines
from lab.repro.case import Call, Case
from lab.repro.reproduce import comes_past
from lab.repro.script import host_path, script
from lab.repro.taken import missing
from lab.repro.tree import Entry, Kind, archive, recipe
from lab.repro.trial import observed

CONFIG: dict[str, Any] = {
    "process": {"user": {"uid": 1000, "gid": 0}, "args": ["/p", "a b"], "cwd": "/w"},
    "root": {"path": "rootfs"},
    "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
    "linux": {"namespaces": [{"type": "mount"}]},
}


def own(path: str, **changes: object) -> Entry:
    """An entry that an ordinary user can make, too."""
    return Entry(path=path, uid=0, gid=0, **changes)  # type: ignore[arg-type]


def test_a_recipe_makes_the_entries(tmp_path: Path) -> None:
    entries = (
        own("rootfs"),
        own("rootfs/closed", mode=0o500),
        own("rootfs/closed/text", kind=Kind.FILE, mode=0o640, content=b"it's\n$HOME\n"),
        own("rootfs/closed/raw", kind=Kind.FILE, mode=0o644, content=b"\x00\xff"),
        own("rootfs/closed/-n empty", kind=Kind.FILE, mode=0o644),
        own("rootfs/link", kind=Kind.SYMLINK, target="/closed"),
        own("rootfs/other", kind=Kind.LINK, target="rootfs/closed/raw"),
        own("rootfs/fifo", kind=Kind.FIFO, mode=0o600),
    )
    text, files = recipe(entries)
    (tmp_path / "made").mkdir()
    (tmp_path / "files").mkdir()
    for name, content in files.items():
        (tmp_path / "files" / name).write_bytes(content)
    (tmp_path / "make.sh").write_text(text)
    assert process.run(["sh", str(tmp_path / "make.sh"), str(tmp_path / "made")], deadline=60).ok
    made = tmp_path / "made" / "rootfs"
    assert (made / "closed/text").read_bytes() == b"it's\n$HOME\n"
    assert (made / "other").read_bytes() == b"\x00\xff"
    assert (made / "other").samefile(made / "closed/raw")
    assert (made / "closed/-n empty").read_bytes() == b""
    assert os.readlink(made / "link") == "/closed"
    assert (made / "fifo").is_fifo()
    modes = {path: (made / path).stat().st_mode & 0o7777 for path in ("closed", "closed/text", "fifo", ".")}
    assert modes == {"closed": 0o500, "closed/text": 0o640, "fifo": 0o600, ".": 0o755}


def test_an_archive_has_numeric_owners_and_is_the_same_each_time() -> None:
    entries = (
        Entry(path="rootfs", uid=100000, gid=4294967294, mode=0o700),
        Entry(
            path="rootfs/tool", kind=Kind.FILE, mode=0o4755, content=b"x", xattrs={"security.capability": b"\x01\xff"}
        ),
        Entry(path="rootfs/null", kind=Kind.CHARACTER_DEVICE, mode=0o666, device=(1, 3)),
    )
    data = archive(entries)
    assert data == archive(entries)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        top, tool, null = tar.getmembers()
    assert (top.uid, top.gid, top.uname, top.mode, top.mtime) == (100000, 4294967294, "", 0o700, 0)
    assert (tool.mode, tool.pax_headers["SCHILY.xattr.security.capability"]) == (0o4755, "\x01\udcff")
    assert (null.ischr(), null.devmajor, null.devminor) == (True, 1, 3)


def test_a_script_is_shell_and_calls_as_the_cell_did(tmp_path: Path) -> None:
    call = Call(
        action=Action.EXEC,
        owner=(1001, 1002),
        dropped=("CAP_DAC_OVERRIDE",),
        flags=("--debug",),
        exec_flags=("--user", "1000"),
        exec_words=("/p", "a b"),
    )
    text = script(Case(call=call, config=CONFIG, host_mounts={"n": ("ro", "noexec")}, host=("fixture:n/x",)))
    (tmp_path / "run.sh").write_text(text)
    assert process.run(["sh", "-n", str(tmp_path / "run.sh")], deadline=60).ok
    assert "setpriv --reuid=1001 --regid=1002 --groups=1002 --bounding-set=-dac_override" in text
    assert "runtime exec --user 1000 \"$id\" /p 'a b';" in text
    assert "mount -o remount,bind,ro,noexec" in text
    assert "@" not in text.partition("usage()")[0].replace('"$@"', "")


def test_where_a_place_stands() -> None:
    assert host_path("rootfs:/etc/passwd") == "rootfs/etc/passwd"
    assert host_path("fixture:data") == "fixtures/data/data"
    assert host_path("fixture:data/a/b") == "fixtures/data/data/a/b"


def test_an_observation_of_what_a_script_kept(tmp_path: Path) -> None:
    kept = {
        "create.code": "0\n",
        "start.code": "1\n",
        "start.stderr": "",
        "container.stderr": "no such file\n",
        "container.stdout": "",
        "host": "rootfs:/x|\nfixture:d/f|regular file|640|5|6|7\n",
    }
    for name, text in kept.items():
        (tmp_path / name).write_text(text)
    seen = observed(Case(call=Call(action=Action.CREATE_START), config=CONFIG), tmp_path)
    assert [(call.verb, call.returncode, call.stderr) for call in seen.calls] == [
        ("create", 0, b""),
        ("start", 1, b"no such file\n"),
    ]
    missing_one, file = seen.host_after
    assert missing_one.type == ""
    assert (file.type, file.mode, file.uid, file.gid, file.size) == ("file", 0o640, 5, 6, 7)
    (tmp_path / "create.code").write_text("124\n")
    assert observed(Case(call=Call(action=Action.CREATE_START), config=CONFIG), tmp_path).fault


def reasons(case: Case) -> dict[str, str]:
    return {line.engine: "; ".join(line.reasons) for line in lines.through(case)}


def with_process(**changes: object) -> Case:
    tree = (own("rootfs"), own("rootfs/w"))
    return Case(call=Call(), config={**CONFIG, "process": {**CONFIG["process"], **changes}}, tree=tree)


def capabilities(bounding: Sequence[str], effective: Sequence[str] = ()) -> dict[str, object]:
    return {"bounding": list(bounding), "effective": list(effective), "permitted": list(effective)}


def test_lines_of_engines_say_what_the_config_says() -> None:
    case = with_process()
    assert reasons(case) == {"Docker": "", "podman": "", "crictl": ""}
    flags = "--user 1000:0 --workdir /w --security-opt seccomp=unconfined --cap-drop ALL --entrypoint /p"
    assert f"{flags} repro 'a b'" in lines.docker(case)
    assert f"{flags} --rootfs DIR/rootfs 'a b'" in lines.podman(case)
    assert '"run_as_user": {"value": 1000}' in lines.crictl(case)
    assert '"capabilities": {"drop_capabilities": ["ALL"], "add_capabilities": []}' in lines.crictl(case)


def test_the_usual_capabilities_need_no_words() -> None:
    case = with_process(user={"uid": 0, "gid": 0}, capabilities=capabilities(DOCKER_DEFAULT, DOCKER_DEFAULT))
    assert reasons(case) == {"Docker": "", "podman": "", "crictl": ""}
    assert not any("cap" in line.text.replace("docker", "") for line in lines.through(case))


@pytest.mark.parametrize(
    ("process", "docker", "podman", "crictl"),
    [
        ({"capabilities": capabilities(["CAP_CHOWN"])}, "", "ambient", "in the bounding set only"),
        ({"capabilities": capabilities(DOCKER_DEFAULT)}, "", "", "in the bounding set only"),
        ({"capabilities": capabilities(DOCKER_DEFAULT, DOCKER_DEFAULT)}, "(the CRI gives them)", "(the CRI", ""),
        (
            {"user": {"uid": 0, "gid": 0}, "capabilities": capabilities(DOCKER_DEFAULT)},
            "root lacks",
            "root lacks",
            "in the bounding set only",
        ),
        ({"cwd": "/missing"}, "not there as such", "not there as such", ""),
        ({"rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2}]}, "", "", "no resource limits"),
        ({"capabilities": {"ambient": ["CAP_CHOWN"]}}, "ambient", "ambient", "ambient"),
    ],
)
def test_what_one_engine_has_no_words_for_is_told(
    process: dict[str, object], docker: str, podman: str, crictl: str
) -> None:
    found = reasons(with_process(**process))
    for engine, words in (("Docker", docker), ("podman", podman), ("crictl", crictl)):
        assert words in found[engine]
        assert bool(words) is bool(found[engine])


def test_the_cri_gets_sysctls_with_the_pod() -> None:
    config = {**CONFIG, "linux": {"sysctl": {"net.ipv4.ip_forward": "1"}}}
    text = lines.crictl(Case(call=Call(), config=config))
    assert '{"namespace_options": {"network": 0}}, "sysctls": {"net.ipv4.ip_forward": "1"}' in text


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"call": Call(action=Action.EXEC)}, "called to exec"),
        ({"call": Call(owner=(1001, 1001))}, "someone else than root"),
        ({"config": {**CONFIG, "mounts": [{"destination": "/data"}]}}, "mounts of its own: /data"),
        ({"config": {**CONFIG, "linux": {"uidMappings": [{}]}}}, "uidMappings"),
        ({"config": {**CONFIG, "linux": {"namespaces": [{"type": "network", "path": "/x"}]}}}, "another kind: network"),
    ],
)
def test_what_no_engine_has_words_for_is_told(changes: dict[str, object], reason: str) -> None:
    case = Case(**{"call": Call(), "config": CONFIG, **changes})  # type: ignore[arg-type]
    assert all(reason in text for text in reasons(case).values())


def test_what_is_missing_is_named() -> None:
    whole = {
        "a": 1,
        "list": ["x", "y", "z"],
        "mounts": [{"destination": "/p", "options": ["ro"]}, {"destination": "/q"}],
    }
    small = {"list": ["y"], "mounts": [{"destination": "/p", "options": []}]}
    assert list(missing(whole, small)) == [
        ("/a", ()),
        ("/list", ("x", "z")),
        ("/mounts//p/options", ("ro",)),
        ("/mounts", ("/q",)),
    ]


@pytest.mark.parametrize(
    ("verdict", "past"),
    [
        (Passed(), True),
        (Denied(cause="cwd-not-searchable", phase=Phase.CHDIR, evidence=""), False),
        (Failed(cause="program-missing", phase=Phase.EXEC, evidence=""), True),
        (Failed(cause="unrecognised", phase=Phase.CREATE, evidence=""), False),
        (Failed(cause="unrecognised", phase=Phase.CHDIR, evidence=""), False),
        (Errored(reason=""), False),
    ],
)
def test_a_witness_must_come_past_the_failure(verdict: Verdict, past: bool) -> None:  # noqa: FBT001  # a table's column
    assert comes_past(verdict, ("denied", "cwd-not-searchable", "chdir")) is past
