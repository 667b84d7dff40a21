"""The docker engine on real private daemons: what a cell says reaches its container, and nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab_session import CRUN, RUNC, Lab, facts, host_state, interrupt, require_engine, user_cache, wait_for

from lab import children
from lab.engine.leftovers import find_leftovers
from lab.model.record import Record
from lab.store.runs import read

pytestmark = [pytest.mark.integration, pytest.mark.needs_root]
OUTSIDE = ("/run", "/run/containerd", "/run/docker", "/opt", "/etc/docker", "/var/lib/docker", "/var/lib/containerd")


@pytest.fixture(name="lab")
def _lab(tmp_path: Path, demanded: set[str]) -> Iterator[Lab]:
    """A lab, and afterwards: the host as before, nothing of the run left."""
    require_engine("docker", demanded)
    before = host_state(), outside()
    lab = Lab(place=tmp_path, cache=user_cache())
    yield lab
    assert (host_state(), outside()) == before
    assert not lab.left()


def outside() -> dict[str, list[str]]:
    """Where Docker would keep things of its own on the host."""
    return {place: sorted(os.listdir(place)) for place in OUTSIDE if Path(place).is_dir()}


def kinds(records: list[Record]) -> list[str]:
    return [record.verdict.kind for record in records]


def fact(record: Record, step: str) -> Any:  # noqa: ANN401  # JSON
    """A fact of the probe, as the JSON that it is."""
    return facts(record)[step]


def told(records: list[Record]) -> str:
    return "\n".join(f"{record.cell}: {record.verdict}" for record in records)


def causes(records: list[Record], axis: str) -> dict[str, str]:
    """What each value of an axis came to; records stand in the order in which cells ended."""
    return {record.axes[axis]: getattr(record.verdict, "cause", record.verdict.kind) for record in records}


def of(records: list[Record], axis: str, value: str) -> Record:
    return next(record for record in records if record.axes[axis] == value)


def cell(body: str, engines: str = '"docker"') -> str:
    return f'[axes]\nimage = ["distroless-static:nonroot"]\nengine = [{engines}]\n{body}'


def test_what_a_cell_says_reaches_the_container(lab: Lab) -> None:
    records = lab.run(
        cell(
            """
        [settings]
        readonly_root = true
        docker = { init = true, cap_drop = ["CHOWN"] }
        mounts = [{ destination = "/t", type = "tmpfs", options = ["mode=1770"] }]
        [settings.linux]
        sysctl = { "kernel.msgmax" = "1234" }
        [settings.process]
        user = "1234:4321"
        additional_gids = [7]
        cwd = "/etc"
        env = { NAME = "value" }
        unset_env = ["PATH"]
        no_new_privileges = true
        rlimits = [{ type = "RLIMIT_NOFILE", soft = 100, hard = 200 }]
        steps = ["id", "env NAME", "env PATH", "stat /t", "read /proc/sys/kernel/msgmax", "caps"]
        """
        ),
        runtimes=f"{RUNC},{CRUN}",
    )
    assert kinds(records) == ["passed", "passed"], told(records)
    for record in records:
        start = fact(record, "start")
        assert (start["ruid"], start["rgid"], start["cwd"]) == (1234, 4321, "/etc")
        assert start["pid"] != 1, "docker-init is the first process"
        assert 7 in start["groups"]
        assert start["no_new_privs"]
        assert fact(record, "stat")["mode"] == "1770"
        assert record.observation is not None
        assert [call.verb for call in record.observation.calls] == ["create", "start", "wait", "inspect", "remove"]


def test_a_failure_keeps_its_call_the_daemons_words_and_the_state(lab: Lab) -> None:
    (record,) = lab.run(cell('[settings.process]\nargs = ["/nothing"]'))
    assert record.observation is not None
    calls = {call.verb: call for call in record.observation.calls}
    assert calls["create"].returncode == 0
    assert calls["start"].returncode == 400
    assert b"no such file or directory" in calls["start"].stderr
    state = json.loads(calls["inspect"].stdout)
    assert (state["Status"], state["ExitCode"]) == ("created", 127)
    assert "no such file or directory" in state["Error"]
    assert (record.verdict.kind, getattr(record.verdict, "cause", "")) == ("failed", "program-not-found")


def test_a_record_names_the_build_that_it_speaks_of(lab: Lab) -> None:
    (record,) = lab.run(cell('[settings.process]\nsteps = ["id"]'))
    run = lab.last()
    build: Any = run.engines[record.provenance.engine]
    assert build["reported"].startswith("Docker version 20.10.24")
    assert {"dockerd", "containerd", "containerd-shim-runc-v2"} <= set(build["programs"])
    request = json.loads(run.configs[record.provenance.config])["create"]
    assert request["HostConfig"]["Runtime"] == "runc-1.1.5-debian12"


def test_edits_of_the_root_file_system_are_exact(lab: Lab) -> None:
    (record,) = lab.run(
        cell(
            """
        [settings]
        image_user = "me"
        image_workdir = "/private"
        rootfs = [
            { path = "/private", uid = 7, gid = 8, mode = 0o2750 },
            { path = "/tool", kind = "file", program = "probe", uid = 0, gid = 9, mode = 0o4751 },
            { path = "/etc/passwd", kind = "file", append = true, content = "me:x:7:8::/:/\\n" },
            { path = "/etc/os-release", kind = "remove" },
        ]
        [settings.process]
        steps = ["id", "stat .", "stat /tool", "stat /etc/os-release", "stat /"]
        """
        )
    )
    assert record.observation is not None
    seen = [json.loads(line) for line in record.observation.output.splitlines()]
    stats = {fact["args"][0]: fact for fact in seen if fact["op"] == "stat"}
    assert (stats["."]["uid"], stats["."]["gid"], stats["."]["mode"]) == (7, 8, "2750")
    assert (stats["/tool"]["uid"], stats["/tool"]["gid"], stats["/tool"]["mode"]) == (0, 9, "4751")
    assert stats["/etc/os-release"]["errno"] == "ENOENT"
    assert (stats["/"]["uid"], stats["/"]["mode"]) == (0, "0755")
    assert (seen[0]["ruid"], seen[0]["rgid"], seen[0]["cwd"]) == (7, 8, "/private")


def test_a_missing_working_directory_is_made_by_the_engine_for_root(lab: Lab) -> None:
    records = lab.run(
        cell('[settings.process]\nuser = "1234"\ncwd = "/missing"\nsteps = ["stat ."]', '"oci", "docker"'),
        runtimes="crun@0.17",
    )
    assert causes(records, "engine") == {"oci": "cwd-missing", "docker": "passed"}
    made = fact(of(records, "engine", "docker"), "stat")
    assert (made["uid"], made["gid"], made["mode"]) == (0, 0, "0755")


def test_a_named_volume_takes_owner_and_content_of_what_it_covers(lab: Lab) -> None:
    (record,) = lab.run(
        cell(
            """
        [settings]
        docker = { volumes = ["home:/home/nonroot"] }
        [settings.process]
        user = "65532"
        steps = ["stat .", "touch file"]
        """
        )
    )
    assert kinds([record]) == ["passed"], told([record])
    assert facts(record)["stat"]["uid"] == 65532


def test_an_exec_runs_beside_the_first_process(lab: Lab) -> None:
    records = lab.run(
        cell(
            """
        [axes.to.there]
        exec = { user = "1000:5", cwd = "/etc", steps = ["id"] }
        [axes.to.nowhere]
        exec = { cwd = "/nowhere", steps = ["id"] }
        [settings]
        action = "exec"
        """
        )
    )
    assert causes(records, "to") == {"there": "passed", "nowhere": "cwd-missing"}
    start = fact(of(records, "to", "there"), "start")
    assert (start["ruid"], start["rgid"], start["cwd"]) == (1000, 5, "/etc")


def test_a_remapped_daemon_maps_what_its_range_holds(lab: Lab) -> None:
    records = lab.run(
        cell(
            """
        [axes.who.inside]
        process.user = "1000"
        [axes.who.outside]
        process.user = "1000680000:0"
        [settings]
        docker = { userns_remap = [300000, 65536] }
        process = { cwd = "/", steps = ["id"] }
        """
        )
    )
    assert causes(records, "who") == {"inside": "passed", "outside": "uid-not-mapped"}
    maps = fact(of(records, "who", "inside"), "start")["uid_map"]
    assert [line.split() for line in maps] == [["0", "300000", "65536"]]


def test_what_docker_has_no_word_for_is_skipped_and_says_so(lab: Lab) -> None:
    records = lab.run(
        cell(
            """
        [axes.what.umask]
        process.umask = 0o077
        [axes.what.caps]
        process.capabilities = "cri"
        [axes.what.map]
        linux.uid_mappings = [{ container_id = 0, host_id = 100000, size = 65536 }]
        [axes.what.caller]
        caller.umask = 0o077
        """
        )
    )
    assert kinds(records) == ["skipped"] * 4
    assert all(getattr(record.verdict, "reason", "").startswith("docker has no ") for record in records)


@pytest.mark.parametrize("engine", ["docker@20.10.5", "docker@26.1.5", "docker@28.5.2"])
def test_other_versions_run_cells_too(lab: Lab, engine: str, demanded: set[str]) -> None:
    require_engine(engine, demanded)
    records = lab.run(
        cell('[settings.process]\nuser = "1000:0"\nsteps = ["id"]', f'"{engine}"'), runtimes=f"{RUNC},crun@0.17"
    )
    old = engine == "docker@20.10.5"
    assert causes(records, "runtime") == {RUNC: "passed", "crun@0.17": "passed" if old else "config-rejected"}


def many(seconds: float, cells: int = 12) -> str:
    axes = "\n".join(f"[axes.n.c{number}]" for number in range(cells))
    return cell(f'[settings.process]\nsteps = ["sleep {seconds}"]\n{axes}')


def done(lab: Lab) -> int:
    """How many cells of the run that is going on are stored."""
    path = next(iter((lab.place / "runs").glob("*.jsonl")), None)
    return 0 if path is None else sum(not record.control for record in read(path).records)


def daemons(lab: Lab, program: bytes) -> list[int]:
    """Pids of a program that stands in a private daemon of this test's runs."""
    ids = [path.stem.encode() for path in (lab.place / "runs").glob("*.jsonl")]
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[0].endswith(program) and any(one in word for word in words for one in ids):
                found.append(int(entry.name))
    return found


def test_a_daemon_that_dies_takes_its_cells_along_and_is_started_again(lab: Lab) -> None:
    process = lab.start("run", lab.scenario(many(4.01, 6)), "--runtimes", RUNC, "-j", "2")
    wait_for(lambda: done(lab) >= 2 and children.saying("4.01"))  # longer than a daemon takes to come back
    os.kill(daemons(lab, b"/dockerd")[0], signal.SIGKILL)
    assert process.wait(120) == 3
    records = [record for record in lab.last().records if not record.control]
    assert set(kinds(records)) == {"passed", "errored"}
    assert 1 <= kinds(records).count("errored") <= 4  # of each worker one that ran, and one whose end was still to tell
    assert not any("Traceback" in line for line in lab.log().splitlines())


def test_an_interrupt_ends_containers_and_daemons(lab: Lab) -> None:
    process = lab.start("run", lab.scenario(many(20, 3)), "--runtimes", RUNC)
    wait_for(lambda: daemons(lab, b"/containerd-shim-runc-v2") or process.poll() is not None)
    assert interrupt(process) == 130
    assert daemons(lab, b"/dockerd") == []


def test_what_a_killed_lab_leaves_is_found_and_removed(lab: Lab) -> None:
    process = lab.start("run", lab.scenario(many(20, 3)), "--runtimes", RUNC)
    wait_for(lambda: daemons(lab, b"/containerd-shim-runc-v2") or process.poll() is not None)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert daemons(lab, b"/dockerd")
    assert lab.left()
    assert lab.call("clean").returncode == 0
    assert daemons(lab, b"/dockerd") == daemons(lab, b"/containerd") == []
    assert [left for left in find_leftovers() if left in lab.left()] == []


def test_a_container_that_does_not_end_is_killed_at_its_deadline(lab: Lab) -> None:
    (record,) = lab.run(many(60, 1), "--deadline", "2")
    assert kinds([record]) == ["errored"]
    assert "deadline of 2 s" in getattr(record.verdict, "reason", "")
