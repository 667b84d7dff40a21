"""Whole runs that are killed, interrupted, resumed, or share a cache: nothing lost, nothing doubled, nothing left."""

from __future__ import annotations

import json
import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab_session import CRUN, RUNC, Lab, host_state, interrupt, user_cache, wait_for

from lab.engine.leftovers import find_leftovers
from lab.model.record import Run
from lab.store.runs import stored

pytestmark = [pytest.mark.integration, pytest.mark.needs_root]

MANY = """
[axes]
image = ["distroless-static:nonroot"]
user = ["0:0", "1:1", "2:2", "3:3", "4:4", "5:5", "6:6", "7:7", "8:8", "9:9", "10:10", "11:11", "12:12"]
caps = ["docker", "cri", "none"]
[settings.process]
cwd = "/"
steps = ["id"]
[[expect]]
verdict = "passed"
"""

HANGING = """
[axes.kind]
quick_1 = {}
quick_2 = { process = { umask = 0 } }
hung = { process = { steps = ["id", "hold"] } }
detached = { action = "create-start", process = { steps = ["id", "hold"] } }
[settings.process]
user = "0:0"
cwd = "/"
steps = ["id"]
"""


@pytest.fixture(name="lab")
def _lab(tmp_path: Path) -> Iterator[Lab]:
    before = host_state()
    lab = Lab(place=tmp_path, cache=user_cache())
    assert lab.call("runtimes", "pull", RUNC, CRUN).ok
    yield lab
    lab.call("clean")
    assert host_state() == before
    assert not lab.left()


def counts(run: Run) -> Counter[str]:
    return Counter(record.cell for record in run.records)


def planned(lab: Lab, scenario: str, runtimes: str) -> set[str]:
    listed = lab.call("plan", scenario, "controls", "--runtimes", runtimes, "--ids").stdout.decode().split("\n")
    return {line for line in listed if line}


def records_stored(lab: Lab) -> int:
    paths = stored(lab.place / "runs")
    return paths[-1].read_bytes().count(b'\n{"record"') if paths else 0


def alive(pid: int) -> bool:
    """Whether a process still runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


def test_a_finished_run_holds_every_cell_once_with_its_provenance(lab: Lab) -> None:
    scenario, runtimes = lab.scenario(MANY), f"{RUNC},{CRUN}"
    done = lab.call("run", scenario, "--runtimes", runtimes, "--format", "json")
    assert done.returncode == 0, done.stderr.decode()
    run = lab.last()
    assert set(counts(run)) == planned(lab, scenario, runtimes)
    assert set(counts(run).values()) == {1}
    assert run.finished
    assert not run.void
    assert len(run.runtimes) == 2
    for record in run.records:
        assert record.observation is not None
        assert record.provenance.runtime in run.runtimes
        assert run.images[record.provenance.image]["name"] == record.axes["image"]
        assert json.loads(run.configs[record.provenance.config])["ociVersion"]
    document = json.loads(done.stdout)
    shown = {cell["id"]: cell["verdict"] for cell in document["cells"]}
    assert shown == {record.cell: record.verdict.kind for record in run.records if record.cell in shown}
    assert len(shown) >= 78
    again = lab.call("judge", "last")
    assert again.returncode == 0
    assert b" 0 verdicts differ" in again.stdout
    assert lab.call("runs").stdout.count(b"finished") == 1


def test_killed_at_any_moment_a_run_is_resumed_without_loss_or_double(lab: Lab) -> None:
    scenario, runtimes = lab.scenario(MANY), f"{RUNC},{CRUN}"
    whole = planned(lab, scenario, runtimes)
    moment = random.Random(20261122)  # noqa: S311  # moments to kill at, not secrets
    kills, seen = 0, []
    for _ in range(40):
        paths = stored(lab.place / "runs")
        arguments = ("run", "--resume", paths[-1].stem) if paths else ("run", scenario, "--runtimes", runtimes)
        started = records_stored(lab)
        process = lab.start(*arguments)
        # from the moment that the run stores anything new on, so that each attempt gets somewhere
        until = time.monotonic() + 20
        while records_stored(lab) == started and process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        time.sleep(moment.random() * 0.4)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        code = process.wait(30)
        seen.append(records_stored(lab))
        if code == 0:
            break
    assert code == 0, lab.log()
    assert kills >= 3, seen
    assert len(stored(lab.place / "runs")) == 1
    assert set(counts(lab.last())) == whole
    assert set(counts(lab.last()).values()) == {1}
    assert lab.left(), "kills of this kind leave something: else this test shows nothing"
    told = lab.call("clean", "--dry-run").stdout
    assert b"would remove" in told
    assert lab.left()
    cleaned = lab.call("clean")
    assert cleaned.ok
    assert not lab.left()


def test_clean_ends_the_containers_of_a_killed_run_and_no_others(lab: Lab) -> None:
    hanging = lab.start("run", lab.scenario(HANGING, "hanging"), "--runtimes", RUNC, "-j", "4")
    wait_for(lambda: records_stored(lab) >= 4)
    living = lab.left()
    assert [leftover.alive for leftover in living] == [True]
    assert b"still goes on: left alone" in lab.call("clean").stdout
    assert hanging.poll() is None
    os.kill(hanging.pid, signal.SIGKILL)
    hanging.wait(10)
    left = lab.left()
    assert [leftover.alive for leftover in left] == [False]
    assert left[0].pids
    assert left[0].cgroups
    assert lab.call("clean").ok
    assert not any(alive(pid) for pid in left[0].pids)
    assert not any(path.exists() for path in left[0].directories)
    assert not lab.left()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_stops_politely_with_the_partial_matrix(lab: Lab, number: int) -> None:
    process = lab.start("run", lab.scenario(HANGING, "hanging"), "--runtimes", RUNC, "-j", "4")
    wait_for(lambda: records_stored(lab) >= 4)
    begun = time.monotonic()
    os.kill(process.pid, number)
    assert process.wait(60) == 130, lab.log()
    assert time.monotonic() - begun < 5
    log = lab.log()
    assert "interrupted; continue with `permlab run --resume" in log
    assert "quick_1" in log
    assert "Traceback" not in log
    assert {record.axes["kind"] for record in lab.last().records if not record.control} == {"quick_1", "quick_2"}
    assert not lab.last().finished
    assert not lab.left()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_while_it_opens(lab: Lab, number: int) -> None:
    labs = {path.name for path in Path(tempfile.gettempdir()).glob("permlab-2*")}
    process = lab.start("run", "controls", "--runtimes", RUNC)
    wait_for(lambda: {path.name for path in Path(tempfile.gettempdir()).glob("permlab-2*")} - labs)
    os.kill(process.pid, number)
    assert process.wait(60) == 130, lab.log()
    assert "Traceback" not in lab.log()
    assert not lab.left()


def test_interrupted_while_provisioning(tmp_path: Path, lab: Lab) -> None:
    fresh = Lab(place=tmp_path / "fresh", cache=tmp_path / "fresh" / "cache")
    fresh.place.mkdir()
    process = fresh.start("run", "controls", "--runtimes", RUNC)
    wait_for(lambda: (fresh.cache / "tmp").is_dir() and any((fresh.cache / "tmp").iterdir()))
    assert interrupt(process) == 130, fresh.log()
    assert "Traceback" not in fresh.log()
    assert lab.call("--version").ok
    assert not fresh.left()
    assert not list((fresh.cache / "tmp").glob("build-*"))


def test_two_labs_share_one_cache_from_empty(tmp_path: Path, lab: Lab) -> None:
    labs = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        labs.append(Lab(place=tmp_path / name, cache=tmp_path / "shared"))
    processes = [one.start("run", "controls", "--runtimes", RUNC) for one in labs]
    codes = [process.wait(300) for process in processes]
    assert codes == [0, 0], [one.log() for one in labs]
    both = [one.last() for one in labs]
    assert both[0].runtimes == both[1].runtimes
    assert both[0].images == both[1].images
    spoken_of = [{record.cell: record.provenance for record in run.records} for run in both]  # stored as they end
    assert spoken_of[0] == spoken_of[1]
    assert not list((tmp_path / "shared" / "tmp").iterdir())
    assert lab.call("clean").ok
    assert not [one for one in find_leftovers() if one.run_id in {run.header.id for run in both}]


def test_two_labs_cannot_resume_one_run(lab: Lab) -> None:
    process = lab.start("run", lab.scenario(HANGING, "hanging"), "--runtimes", RUNC, "-j", "4")
    wait_for(lambda: records_stored(lab) >= 4)
    second = lab.call("run", "--resume", "last")
    assert second.returncode == 3
    assert b"is being written by another permlab" in second.stderr
    assert interrupt(process) == 130
    assert len([record for record in lab.last().records if not record.control]) == 2


def test_fail_fast_stops_at_the_first_surprise(lab: Lab) -> None:
    scenario = lab.scenario(MANY.replace('verdict = "passed"', 'verdict = "denied"'))
    done = lab.call("run", scenario, "--runtimes", RUNC, "--fail-fast", "-j", "1")
    assert done.returncode == 1
    assert b"not as expected; stopping" in done.stderr
    assert len(lab.last().records) < 20


def test_a_run_whose_controls_fail_is_void(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "controls.toml").write_text(
        'format = 1\nquestion = "?"\n[settings.process]\nuser = "0:0"\ncwd = "/"\n[[expect]]\nverdict = "denied"\n'
    )
    done = lab.call("run", lab.scenario(MANY), "--runtimes", RUNC, "--cell", "user=0:0/caps=cri")
    assert done.returncode == 1
    assert lab.last().void
    assert b"void" in done.stdout.lower()
