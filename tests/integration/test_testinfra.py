"""Users' own tests inside running cells, as a user's pytest runs them."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lab_session import RUNC, Lab, host_state, interrupt, require_engine, user_cache, wait_for

from lab.children import has_ended
from lab.process import Completed, run, spawn

pytestmark = pytest.mark.integration

TOP = Path(__file__).parents[2]
EXAMPLES = TOP / "tests" / "examples" / "test_distroless.py"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", (TOP / "docs" / "testinfra.md").read_text(), re.DOTALL | re.MULTILINE)

KINDS = """
[axes]
image = ["distroless-static:nonroot"]
runtime = ["runc"]
engine = [{engines}]

[settings.process]
user = "1000:3000"
cwd = "/"
steps = ["mkdir /tmp/made", "touch /tmp/made/file"]

{kinds}
"""

ANY = "[axes.kind.plain]"

CLOSED = """
[axes.kind.plain]
[axes.kind.closed]
readonly_root = true
process.no_new_privileges = true
"""

ROOTLESS = """
[axes.kind.rootless]
caller.rootless = true
"""

EVERY = """
[axes.kind.plain]
[axes.kind.root.process]
user = "0:0"
capabilities = "docker"
[axes.kind.closed]
readonly_root = true
process.no_new_privileges = true
[axes.kind.ambient.process.capabilities]
bounding = ["CHOWN", "NET_RAW"]
permitted = ["CHOWN"]
effective = ["CHOWN"]
inheritable = ["CHOWN"]
ambient = ["CHOWN"]
[axes.kind.groups.process]
additional_gids = [7, 70]
umask = 0o027
[axes.kind.mapped.linux]
uid_mappings = [{ container_id = 0, host_id = 100000, size = 65536 }]
gid_mappings = [{ container_id = 0, host_id = 200000, size = 65536 }]
[axes.kind.rootless]
caller.rootless = true
caller.subordinate_ids = [300000, 65536]
[axes.kind.alone]
caller.rootless = true
process.user = "0:0"
"""

SAME = """
import pytest

FIELDS = ("Uid", "Gid", "Groups", "Umask", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs")


def status(host, pid):
    lines = (line.split(":", 1) for line in host.check_output("cat /proc/%s/status", pid).splitlines())
    return {name: value.split() for name, value in lines if name in FIELDS}


@pytest.mark.permlab("kinds.toml", runtime=RUNTIME)
def test_a_command_is_as_the_containers_process_is(host):
    assert status(host, "self") == status(host, "1")


@pytest.mark.permlab("kinds.toml", runtime=RUNTIME)
def test_only_the_toolbox_is_more(host):
    assert host.check_output("readlink /proc/self/cwd") == host.check_output("pwd") == "/"
    inside = [line.split() for line in host.check_output("cat /proc/self/mountinfo").splitlines()]
    own = [line.split() for line in host.check_output("cat /proc/1/mountinfo").splitlines()]
    places = [line[4] for line in own]
    assert "/.permlab" not in places
    assert sorted(line[4] for line in inside) == sorted([*places, "/.permlab"])
    options = {line[4]: line[5].split(",") for line in inside}
    assert {"ro", "nosuid", "nodev"} <= set(options["/.permlab"])
    spaces = "for one in ipc mnt net pid user uts cgroup; do readlink /proc/%s/ns/$one; done"
    apart = set(host.check_output(spaces % "self").split()) ^ set(host.check_output(spaces % "1").split())
    assert {one.partition(":")[0] for one in apart} <= {"mnt"}


@pytest.mark.permlab("kinds.toml", runtime=RUNTIME)
def test_steps_were_carried_out(host):
    made = host.file("/tmp/made/file")
    assert made.exists or "ro" in host.mount_point("/").options
    assert not host.file("/bin/sh").exists
    assert host.exists("sh") and host.exists("ps")
"""


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path, user_cache())


def run_tests(lab: Lab, text: str, *arguments: str) -> Completed:
    """Run a user's tests, with what they said as JUnit XML in ``out.xml``."""
    (lab.place / "test_mine.py").write_text(re.sub(r"\bRUNTIME\b", repr(RUNC), text))
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml=out.xml", *arguments]
    return run(argv, deadline=400, env=lab.environment, cwd=lab.place)


def outcome(done: Completed) -> str:
    return done.stdout.decode().splitlines()[-1].partition(" in ")[0]


@pytest.mark.parametrize("text", [EXAMPLES.read_text(), *BLOCKS], ids=["examples", "page"])
def test_the_examples_pass(lab: Lab, text: str) -> None:
    done = run_tests(lab, text)
    assert outcome(done) == "12 passed", done.stdout.decode()
    assert lab.left() == []


def test_identity_and_mounts_stay_as_the_cell_asked(lab: Lab) -> None:
    before = host_state()
    lab.scenario(KINDS.format(engines='"oci"', kinds=EVERY), "kinds")
    done = run_tests(lab, SAME)
    assert outcome(done) == "24 passed", done.stdout.decode()
    assert lab.left() == []
    assert host_state() == before


@pytest.mark.parametrize(
    ("engine", "kinds", "passed"),
    [("docker", CLOSED, "6 passed"), ("podman", CLOSED + ROOTLESS, "9 passed"), ("cri", CLOSED, "6 passed")],
    ids=["docker", "podman", "cri"],
)
def test_on_every_engine(lab: Lab, engine: str, kinds: str, passed: str, demanded: set[str]) -> None:
    require_engine(engine, demanded)
    lab.scenario(KINDS.format(engines=f'"{engine}"', kinds=kinds), "kinds")
    done = run_tests(lab, SAME)
    assert outcome(done) == passed, done.stdout.decode()
    assert lab.left() == []


def test_tests_are_chosen_by_the_marks_of_their_cells(lab: Lab) -> None:
    lab.scenario(KINDS.format(engines='"oci", "docker"', kinds=ANY), "kinds")
    done = run_tests(lab, SAME, "-m", "oci and engine(name='oci') and not rootless", "--collect-only")
    assert outcome(done) == "3/6 tests collected (3 deselected)", done.stdout.decode()


def test_a_container_that_is_refused_fails_its_test_with_why(lab: Lab) -> None:
    text = """
import pytest

CELLS = 'caps == "docker" and cwd == "image" and caller == "root"'


@pytest.mark.permlab("chdir-cwd", runtime=["runc@1.0.0-rc93", RUNTIME], where=CELLS + ' and user == "1000:0"')
def test_home(host):
    assert host.check_output("pwd") == "/home/nonroot"


@pytest.mark.permlab("chdir-cwd", runtime="runsc@20221219+debian12", where=CELLS + ' and user == "0:0"')
def test_another_kernel(host):
    raise AssertionError
"""
    done = run_tests(lab, text, "-rs")
    said = done.stdout.decode()
    assert outcome(done) == "1 failed, 1 passed, 1 skipped", said
    assert "does not run: denied: cwd-not-searchable (phase chdir)" in said
    assert "permlab run chdir-cwd --runtimes runc@1.0.0-rc93 --cell" in said
    assert "expected  yes, by its scenario" in said
    assert "runsc keeps its processes in a kernel of its own" in said
    assert "Traceback" not in said


def test_a_container_that_has_gone_is_an_error_not_a_failure(lab: Lab) -> None:
    lab.scenario(KINDS.format(engines='"oci"', kinds=ANY), "kinds")
    text = """
import os, signal
import pytest

pytestmark = pytest.mark.permlab("kinds.toml", runtime=RUNTIME)

def test_kills(host):
    os.kill(host.backend.pid, signal.SIGKILL)
    while host.run("true").succeeded:
        pass

def test_after(host):
    assert host.run("true").succeeded
"""
    done = run_tests(lab, text)
    said = done.stdout.decode()
    assert outcome(done) == "2 errors", said
    assert "cannot be entered" in said
    assert "Traceback" not in said
    assert lab.left() == []


def test_other_tests_keep_their_own_host(lab: Lab) -> None:
    text = """
def test_local(host):
    assert host.backend.get_connection_type() == "local"


def test_plain():
    pass
"""
    assert outcome(run_tests(lab, text)) == "2 passed"


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        ('"no-such"', "no scenario 'no-such'"),
        ('"chdir-cwd", cell="nothing"', "no cell is selected"),
    ],
)
def test_a_bad_mark_is_told_without_a_traceback(lab: Lab, mark: str, said: str) -> None:
    done = run_tests(lab, f"import pytest\n\n@pytest.mark.permlab({mark})\ndef test_it(host): ...\n")
    told = done.stdout.decode()
    assert done.returncode == pytest.ExitCode.INTERRUPTED
    assert said in told
    assert "Traceback" not in told
    assert "During handling" not in told


def slow_test(lab: Lab) -> tuple[subprocess.Popen[bytes], int]:
    """A pytest whose test is in its cell now, and the first process of the cell's container."""
    lab.scenario(KINDS.format(engines='"oci"', kinds=ANY), "kinds")
    text = f"""
import pathlib, time
import pytest

@pytest.mark.permlab("kinds.toml", runtime={RUNC!r})
def test_slow(host):
    pathlib.Path("pid").write_text(str(host.backend.pid))
    time.sleep(60)
"""
    (lab.place / "test_mine.py").write_text(text)
    argv = ["/bin/sh", "-c", 'cd "$0" && exec "$@"', str(lab.place), sys.executable, "-m", "pytest", "-q"]
    process = spawn(argv, env=lab.environment, log=lab.place / "log")
    wait_for(lambda: (lab.place / "pid").exists() and (lab.place / "pid").read_text())
    return process, int((lab.place / "pid").read_text())


def test_an_interrupt_leaves_nothing(lab: Lab) -> None:
    process, pid = slow_test(lab)
    assert interrupt(process) == pytest.ExitCode.INTERRUPTED
    assert not Path(f"/proc/{pid}").exists()
    assert lab.left() == []


def test_what_a_kill_leaves_is_cleaned(lab: Lab) -> None:
    process, pid = slow_test(lab)
    process.kill()
    process.wait()
    assert not has_ended(pid, time.monotonic())
    assert lab.call("clean").ok
    assert has_ended(pid, time.monotonic() + 60)  # who adopted it, maybe this process, need not have waited for it
    assert lab.left() == []


def test_two_workers_each_have_a_lab(lab: Lab) -> None:
    lab.scenario(KINDS.format(engines='"oci"', kinds=CLOSED), "kinds")
    done = run_tests(lab, SAME, "-n", "2")
    assert outcome(done) == "6 passed", done.stdout.decode()
    assert len(re.findall(r"<testcase ", (lab.place / "out.xml").read_text())) == 6
    assert lab.left() == []
    assert len(list((lab.place / "runs").glob("*.jsonl"))) == 2
