"""The podman engine on real podmans, rootful and rootless: cells, ends that are not their own, and nothing left."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab_session import CRUN, RUNC, Lab, facts, host_state, interrupt, require_engine, user_cache, wait_for

from lab.model.record import Record
from lab.store.runs import stored

pytestmark = [pytest.mark.integration, pytest.mark.needs_root]
VERSIONS = ("podman@3.0.1", "podman@4.3.1", "podman@5.4.2", "podman@5.8.6")
OUTSIDE = (
    "/dev/shm",  # noqa: S108  # looked at, not written
    "/run/runc",
    "/run/crun",
    "/run/containers",
    "/run/libpod",
    "/etc/cni",
    "/etc/containers",
    "/var/lib/containers",
)
HANGS = """
[settings.process]
steps = ["sleep 60"]
[axes.podman.rootful]
[axes.podman.rootless]
caller.rootless = true
"""


@pytest.fixture(name="lab")
def _lab(tmp_path: Path, demanded: set[str]) -> Iterator[Lab]:
    """A lab, and afterwards: the host as before, nothing of the run left."""
    require_engine("podman", demanded)
    before = host_state(), outside()
    lab = Lab(place=tmp_path, cache=user_cache())
    yield lab
    assert (host_state(), outside()) == before
    assert not lab.left()


def outside() -> dict[str, list[str]]:
    """Where podman and its runtimes would keep things of their own on the host."""
    return {place: sorted(os.listdir(place)) for place in OUTSIDE if Path(place).is_dir()}


def cell(body: str, *engines: str) -> str:
    words = ", ".join(f'"{engine}"' for engine in engines or ("podman",))
    return f'[axes]\nimage = ["distroless-static:nonroot"]\nengine = [{words}]\n{body}'


def causes(records: list[Record], axis: str) -> dict[str, str]:
    return {record.axes[axis]: getattr(record.verdict, "cause", record.verdict.kind) for record in records}


def conmons(lab: Lab) -> list[int]:
    """The container monitors of this test's runs."""
    runs = [path.stem.encode() for path in stored(lab.place / "runs")]
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and (entry / "comm").read_text() == "conmon\n":
                said = (entry / "cmdline").read_bytes()
                found += [int(entry.name) for run in runs if run in said]
    return found


@pytest.mark.parametrize("engine", VERSIONS)
def test_every_version_runs_cells_rootful_and_rootless(lab: Lab, engine: str, demanded: set[str]) -> None:
    require_engine(engine, demanded)
    text = cell(
        """
        [settings.process]
        user = "1234:4321"
        cwd = "/etc"
        steps = ["pwd"]
        [axes.how.rootful]
        [axes.how.rootless]
        caller.rootless = true
        [axes.how.init]
        podman.init = true
        [axes.how.exec]
        action = "exec"
        exec = { user = "1234:4321", cwd = "/etc", steps = ["pwd"] }
        """,
        engine,
    )
    records = lab.run(text, runtimes="crun@1.21")
    assert causes(records, "how") == dict.fromkeys(("rootful", "rootless", "init", "exec"), "passed")
    for record in records:
        start = facts(record)["start"]
        assert (start["ruid"], start["rgid"], start["cwd"]) == (1234, 4321, "/etc")


def test_a_refusal_keeps_its_call_and_podmans_words(lab: Lab) -> None:
    (record,) = lab.run(cell('[settings.process]\ncwd = "/missing"\nsteps = ["id"]'))
    assert record.observation is not None
    call = next(call for call in record.observation.calls if call.returncode)
    assert (call.verb, call.returncode, call.argv[-3:-1]) == ("start", 125, ("start", "--attach"))
    assert b'workdir "/missing" does not exist on container' in call.stderr
    assert causes([record], "engine") == {"podman": "cwd-missing"}


def test_auto_gives_every_cell_the_same_ids_whatever_runs_beside_it(lab: Lab) -> None:
    text = """
        [axes.number]
        one = {}
        two = {}
        three = {}
        [settings]
        podman.userns = "auto"
        podman.volumes = ["${fixture:data}:/data"]
        fixtures.data = { mode = 0o777 }
        host = ["fixture:data/made"]
        process = { user = "0:0", cwd = "/", steps = ["touch /data/made"] }
        checks = [{ fact = "host.data/made.uid", equals = 1000000 }]
        """
    records = lab.run(cell(text), "-j", "3", runtimes=CRUN)
    assert causes(records, "number") == dict.fromkeys(("one", "two", "three"), "passed")


def test_a_container_that_does_not_end_is_killed_at_its_deadline(lab: Lab) -> None:
    records = lab.run(cell(HANGS), "--deadline", "2")
    assert causes(records, "podman") == {"rootful": "errored", "rootless": "errored"}
    assert all("deadline of 2 s" in getattr(record.verdict, "reason", "") for record in records)
    assert conmons(lab) == []


def test_an_interrupt_ends_containers_of_both_kinds(lab: Lab) -> None:
    process = lab.start("run", lab.scenario(cell(HANGS)), "--runtimes", RUNC, "-j", "2", "--deadline", "60")
    wait_for(lambda: len(conmons(lab)) >= 2 or process.poll() is not None)
    assert interrupt(process) == 130
    assert conmons(lab) == []


def test_what_a_killed_lab_leaves_is_found_and_removed(lab: Lab) -> None:
    process = lab.start("run", lab.scenario(cell(HANGS)), "--runtimes", RUNC, "-j", "2", "--deadline", "60")
    wait_for(lambda: len(conmons(lab)) >= 2 or process.poll() is not None)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert lab.left()
    assert lab.call("clean").returncode == 0
    assert not lab.left()
    assert conmons(lab) == []


@pytest.mark.parametrize("rootless", ["false", "true"])
def test_a_monitor_that_dies_is_no_finding_and_the_rest_goes_on(lab: Lab, rootless: str) -> None:
    """Before its container runs the cell is errored; after that the container does without it."""
    numbers = "\n".join(f"[axes.number.n{number}]" for number in range(4))
    settings = f'[settings]\ncaller.rootless = {rootless}\nprocess = {{ user = "0:0", cwd = "/", steps = ["sleep 1"] }}'
    process = lab.start("run", lab.scenario(cell(f"{numbers}\n{settings}")), "--runtimes", RUNC, "-j", "1")
    wait_for(lambda: conmons(lab) or process.poll() is not None)
    os.kill(conmons(lab)[0], signal.SIGKILL)
    assert process.wait(120) in {0, 3}, lab.log()
    kinds = [record.verdict.kind for record in lab.last().records if not record.control]
    assert sorted(kinds) in (["errored", "passed", "passed", "passed"], ["passed"] * 4)
    assert "Traceback" not in lab.log()
    assert conmons(lab) == []


def test_a_long_temporary_directory_is_a_reason_and_no_crash(lab: Lab) -> None:
    long = lab.place / ("x" * 40)
    long.mkdir()
    done = lab.call(
        "run",
        lab.scenario(cell("[settings.process]\nsteps = ['id']")),
        "--runtimes",
        RUNC,
        prefix=("env", f"TMPDIR={long}"),
    )
    assert b"Traceback" not in done.stderr
    (record,) = (record for record in lab.last().records if not record.control)
    assert "run root may have 50 characters" in getattr(record.verdict, "reason", "")
