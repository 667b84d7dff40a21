"""The programs of docs/library.md, run as they stand there, and what a run does in a program of one's own."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from lab_session import RUNC, Lab, require_engine, user_cache, wait_for

from lab.process import Completed, run, spawn
from lab.store.runs import stored

pytestmark = [pytest.mark.integration, pytest.mark.needs_root]

PAGE = Path(__file__).parents[2] / "docs" / "library.md"
PROGRAM = re.compile(
    r"^```python\n(import .*?|.*?\nimport lab\n.*?)^```\n\n```text\n(.*?)^```$", re.DOTALL | re.MULTILINE
)
EXIT_CODES = (0, 0, 1)
"""Of the three programs; the last one finds regressions."""


@pytest.fixture(name="lab")
def _lab(tmp_path: Path) -> Lab:
    return Lab(place=tmp_path, cache=user_cache())


def called(lab: Lab, program: str) -> Completed:
    """A program in a process of its own: the lab leaves the host's mount namespace for good."""
    return run([sys.executable, "-c", program], deadline=500, env=lab.environment, cwd=lab.place)


def test_the_programs_of_the_page_print_what_stands_there(lab: Lab) -> None:
    programs = PROGRAM.findall(PAGE.read_text())
    assert len(programs) == len(EXIT_CODES)
    for (program, printed), code in zip(programs, EXIT_CODES, strict=True):
        done = called(lab, program)
        assert (done.stdout.decode(), done.returncode) == (printed, code), done.tail()
        assert not done.stderr
    assert not lab.left()


def test_runs_follow_each_other_in_one_program_and_can_be_ended(lab: Lab) -> None:
    done = called(
        lab,
        f"""
import dataclasses, lab, threading
umask = lab.load("umask")
plan = lab.plan(dataclasses.replace(umask, question="Mine?", axes={{**umask.axes, "runtime": ({RUNC!r},)}}))
seen = []
run = lab.run(plan, runs="here", progress=seen.append)
assert sorted(record.cell for record in seen) == sorted(record.cell for record in run.records)
assert run.finished and not run.void and "Mine?" in run.header.scenarios["umask"], run.header
assert lab.run(plan, runs="here", reuse=True).records[0].reused_from == run.header.id
def enough(record):
    raise RuntimeError("enough")
try:
    lab.run(plan, runs="here", progress=enough)
except RuntimeError as error:
    run = lab.stored(runs="here")
    print(error, len(run.records) > 0, run.finished == "", threading.active_count())
""",
    )
    assert done.stdout == b"enough True True 1\n", done.tail()
    assert len(list((lab.place / "here").iterdir())) == 3
    assert not lab.left()
    resumed = lab.call("run", "--resume", str(max((lab.place / "here").iterdir())))
    assert resumed.ok, resumed.tail()


def test_a_process_that_had_a_lab_open_is_no_leftover(lab: Lab, demanded: set[str]) -> None:
    require_engine("podman", demanded)
    lab.scenario('[axes]\nimage = ["distroless-static"]\nruntime = ["runc"]\nengine = ["oci", "podman"]\n')
    program = f"""
import lab, pathlib, time
print(lab.run(lab.plan(lab.load("mine.toml"), runtimes="{RUNC}")).header.id, flush=True)
time.sleep(60)
"""
    argv = ["/bin/sh", "-c", 'cd "$0" && exec "$@"', str(lab.place), sys.executable, "-c", program]
    process = spawn(argv, env=lab.environment, log=lab.place / "log")
    try:
        wait_for(lambda: lab.log().strip().endswith(tuple(path.stem for path in stored(lab.place / "runs"))))
        assert lab.left() == []
        assert lab.call("clean").returncode == 0
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
