"""Folders that `permlab repro` writes, run as a stranger would: moved, by a plain shell, without the lab."""

from __future__ import annotations

import json
import os
import re
import signal
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from lab_session import CRUN, Lab, host_state, user_cache, wait_for

from lab.engine.leftovers import find_leftovers
from lab.model.record import Record
from lab.process import Completed, run
from lab.provision.cache import Cache
from lab.provision.runtimes import pull

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: the runtimes are called by uid 0"),
]

RC93 = "runc@1.0.0-rc93"
PLAIN = """
[axes]
image = ["distroless-static:nonroot"]
user = ["{user}"]
engine = ["oci"]
runtime = ["default"]
"""
CHDIR = PLAIN.format(user="1000:0")
NOT_EXECUTABLE = (
    CHDIR
    + """
[[settings.rootfs]]
path = "/bin/p"
kind = "file"
mode = 0o600
program = "probe"
[settings.process]
args = ["/bin/p"]
cwd = "/"
"""
)
UNMAPPED = (
    CHDIR.replace("1000:0", "2000:0")
    + """
[settings.process]
cwd = "/"
[settings.linux]
uid_mappings = [{container_id = 0, host_id = 100000, size = 1000}]
gid_mappings = [{container_id = 0, host_id = 100000, size = 1000}]
"""
)
EXEC = (
    PLAIN.format(user="65532")
    + """
[settings]
action = "exec"
[settings.exec]
user = "1000:0"
cwd = "/home/nonroot"
"""
)
CREATE_START = (
    CHDIR
    + """
[settings]
action = "create-start"
"""
)
BOUND = (
    PLAIN.format(user="1000:1000")
    + """
[settings]
host = ["fixture:data/made"]
[settings.process]
cwd = "/"
steps = ["touch /data/made"]
[settings.fixtures.data]
uid = 65532
mode = 0o700
[[settings.mounts]]
destination = "/data"
fixture = "data"
"""
)
ROOTLESS = (
    PLAIN.format(user="0:0")
    + """
[settings.process]
additional_gids = [5]
cwd = "/"
[settings.caller]
rootless = true
"""
)
NOEXEC = (
    PLAIN.format(user="1000:1000")
    + """
[settings.process]
args = ["/n/p"]
cwd = "/"
[settings.fixtures.n]
entries = [{path = "/p", kind = "file", mode = 0o755, program = "probe"}]
mount_options = ["ro"]
[[settings.mounts]]
destination = "/n"
fixture = "n"
options = ["noexec"]
"""
)
STDIO = (
    PLAIN.format(user="1000:1000")
    + """
[settings]
action = "create-start"
host = ["fixture:io/stdout"]
checks = [{fact = "step.1.gid", equals = 5, verdict = "denied", cause = "owner-mismatch"}]
[settings.caller]
stdin = "null"
stdout = "file"
stdio_fixture = "io"
[settings.caller.fds]
7 = "io"
[settings.fixtures.io]
[settings.process]
cwd = "/"
steps = ["fdstat 1"]
"""
)
PASSES = PLAIN.format(user="65532")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path, user_cache())


@dataclass(frozen=True)
class Folder:
    """A folder that went through a zip archive, which keeps neither owners nor modes, to another place."""

    path: Path
    runtime: str

    def call(self, *arguments: str) -> Completed:
        return run(
            ["sh", str(self.path / "run.sh"), *arguments, self.runtime],
            deadline=120,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            cwd=Path("/"),
        )


def reproduced(lab: Lab, text: str, runtime: str, *options: str) -> tuple[Record, Folder]:
    (record,) = lab.run(text, runtimes=runtime)
    made = lab.call("repro", record.cell, "--run", "last", "--out", "made", *options)
    assert made.returncode == 0, made.stderr.decode()
    return record, moved(lab, runtime)


def moved(lab: Lab, runtime: str) -> Folder:
    packed = lab.place / "packed.zip"
    made = lab.place / "made"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(made.rglob("*")):
            archive.write(path, path.relative_to(made))
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(lab.place / "elsewhere")
    made.rename(lab.place / "gone")
    return Folder(lab.place / "elsewhere", pull(Cache(user_cache()), runtime).path)


def said(text: bytes) -> list[str]:
    """The last line of a runtime's text, without its time."""
    return re.sub(r'time="[^"]*"|^\d{4}-\S+Z: ', "", text.decode(), flags=re.MULTILINE).splitlines()[-1:]


@pytest.mark.parametrize(
    ("text", "runtime", "cause"),
    [
        (CHDIR, RC93, "cwd-not-searchable"),
        (CREATE_START, RC93, "cwd-not-searchable"),
        (EXEC, RC93, "cwd-not-searchable"),
        (NOT_EXECUTABLE, CRUN, "exec-not-permitted"),
        (UNMAPPED, CRUN, "uid-not-mapped"),
        (ROOTLESS, RC93, "setgroups-not-permitted"),
        (BOUND, CRUN, "write-denied"),
        (NOEXEC, CRUN, "exec-not-permitted"),
        (STDIO, RC93, "owner-mismatch"),
    ],
    ids=["chdir", "create-start", "exec", "not-executable", "userns", "rootless", "bind", "noexec", "stdio"],
)
def test_the_script_shows_what_the_record_says(lab: Lab, text: str, runtime: str, cause: str) -> None:
    before = host_state()
    record, folder = reproduced(lab, text, runtime)
    assert record.verdict.kind == "denied"
    assert record.verdict.cause == cause
    assert record.observation is not None
    plain = folder.call()
    assert plain.returncode == next((call.returncode for call in record.observation.calls if call.returncode), 0) or (
        plain.returncode == record.observation.exit_code
    )
    stored = b"".join(call.stderr for call in record.observation.calls)
    if stored:
        assert said(plain.stderr) == said(stored)
    checked = folder.call("--check")
    assert (checked.returncode, checked.stdout) == (0, b"reproduced\n"), checked
    assert host_state() == before
    assert not list(Path("/sys/fs/cgroup").glob("*/repro-*"))


def test_what_the_failure_does_not_need_is_gone(lab: Lab) -> None:
    _, folder = reproduced(lab, CHDIR, RC93)
    config = json.loads((folder.path / "config.json").read_text())
    assert set(config) == {"ociVersion", "process", "root", "mounts", "linux"}
    assert config["process"] == {
        "user": {"uid": 1000, "gid": 0},
        "args": ["/.permlab/probe"],
        "cwd": "/home/nonroot",
    }
    assert {one["type"] for one in config["linux"]["namespaces"]} == {"mount", "pid"}
    recipe = (folder.path / "make-rootfs.sh").read_text().splitlines()
    assert [line for line in recipe if "rootfs" in line and not line.startswith("#")] == [
        "mkdir rootfs",
        "mkdir rootfs/home",
        "mkdir rootfs/home/nonroot",
        "chown -h 65532:65532 rootfs/home/nonroot",
        "chmod 0700 rootfs/home/nonroot",
    ]
    text = (folder.path / "README.md").read_text()
    assert text.startswith('# runc 1.0.0-rc93: chdir to cwd ("/home/nonroot") set in config.json failed')
    assert "docker run --rm --runtime NAME --network none --user 1000:0 --workdir /home/nonroot" in text
    assert "the failure was not there as user 0:0" in text


def test_no_file_names_a_place_of_this_machine(lab: Lab) -> None:
    _, folder = reproduced(lab, BOUND, CRUN)
    for path in folder.path.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert str(user_cache()).encode() not in content, path
            assert str(lab.place).encode() not in content, path
            assert b"permlab-2" not in content, path


def test_the_digests_are_those_of_the_files(lab: Lab) -> None:
    record, folder = reproduced(lab, CHDIR, RC93)
    done = run(["sha256sum", "--check", "--quiet", "digests.txt"], deadline=60, cwd=folder.path)
    assert done.ok, done
    assert record.provenance.runtime in (folder.path / "digests.txt").read_text()


def test_a_cell_that_passed_runs_whole(lab: Lab) -> None:
    record, folder = reproduced(lab, PASSES, CRUN)
    assert record.verdict.kind == "passed"
    plain = folder.call()
    assert plain.returncode == 0
    assert b'"euid":65532' in plain.stdout
    assert (folder.path / "rootfs.tar").stat().st_size > 100_000
    checked = folder.call("--check")
    assert (checked.returncode, checked.stdout) == (0, b"reproduced\n"), checked


def test_another_text_is_not_the_expected_one(lab: Lab) -> None:
    _, folder = reproduced(lab, CHDIR, RC93)
    expected = folder.path / "expected.txt"
    expected.write_text(expected.read_text().replace("permission denied", "no such luck"))
    checked = folder.call("--check")
    assert checked.returncode == 1
    assert checked.stdout.startswith(b"not reproduced")
    assert b"no such luck" in checked.stdout


def test_without_minimising_all_stays(lab: Lab) -> None:
    record, folder = reproduced(lab, CHDIR, RC93, "--no-minimise")
    config = json.loads((folder.path / "config.json").read_text())
    assert config == json.loads(lab.last().configs[record.provenance.config])
    assert (folder.path / "rootfs.tar").exists()
    assert folder.call("--check").stdout == b"reproduced\n"


def test_what_a_kill_leaves_is_cleaned(lab: Lab) -> None:
    (record,) = lab.run(CHDIR, runtimes=CRUN)
    process = lab.start("repro", record.cell, "--out", str(lab.place / "killed"))
    before = {leftover.run_id for leftover in find_leftovers()}
    wait_for((lab.place / "killed").is_dir)
    wait_for(lambda: [one for one in find_leftovers() if one.run_id not in before and len(one.pids) > 1])
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(20)
    (left,) = [one for one in find_leftovers() if one.run_id not in before and not one.alive]
    assert left.directories
    assert lab.call("clean").ok
    assert left.run_id not in {one.run_id for one in find_leftovers()}
    assert not list(Path(tempfile.gettempdir()).glob("permlab-repro*"))


def test_what_no_script_can_do_is_told(lab: Lab) -> None:
    (record,) = lab.run(f'{PASSES}[settings.caller]\nstdout = "terminal"\n', runtimes=CRUN)
    done = lab.call("repro", record.cell, "--out", "made")
    assert done.returncode == 2
    assert b"not expressible" in done.stderr
    assert b"caller.stdout = terminal" in done.stderr
    assert not (lab.place / "made").exists()


def test_a_cell_that_no_run_has_is_measured_first(lab: Lab) -> None:
    done = lab.call("repro", "chdir-cwd/*user=1000:0/cwd=image/caps=docker/*runc-1.0.0-rc93/oci", "--out", "made")
    assert done.returncode == 0, done.stderr.decode()
    assert moved(lab, RC93).call("--check").stdout == b"reproduced\n"
