"""The cri engine on real containerds: what a cell says reaches its container, and nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab_session import CRUN, RUNC, Lab, facts, host_state, interrupt, require_engine, user_cache, wait_for

from lab.engine.leftovers import find_leftovers
from lab.model.record import Record

pytestmark = [pytest.mark.integration, pytest.mark.needs_root]
OUTSIDE = (
    *("/run", "/run/containerd", "/run/netns", "/opt", "/etc/cni"),
    *("/var/lib/containerd", "/var/lib/kubelet", "/var/lib/cni"),
)
EVERY = ["cri@1.4.13", "cri@1.6.20", "cri@1.7.24", "cri@2.1.9"]


@pytest.fixture(name="lab")
def _lab(tmp_path: Path, demanded: set[str]) -> Iterator[Lab]:
    """A lab, and afterwards: the host as before, nothing of the run left."""
    require_engine("cri", demanded)
    before = host_state(), outside()
    lab = Lab(place=tmp_path, cache=user_cache())
    yield lab
    assert (host_state(), outside()) == before
    assert not lab.left()


def outside() -> dict[str, list[str]]:
    """Where containerd would keep things of its own on the host."""
    return {place: sorted(os.listdir(place)) for place in OUTSIDE if Path(place).is_dir()}


def cell(body: str, engines: str = '"cri"') -> str:
    return f'[axes]\nimage = ["distroless-static:nonroot"]\nengine = [{engines}]\n{body}'


def kinds(records: list[Record]) -> list[str]:
    return [record.verdict.kind for record in records]


def told(records: list[Record]) -> str:
    return "\n".join(f"{record.cell}: {record.verdict}" for record in records)


OWNER = 65532
"""The owner of distroless' home directory."""

FILTER = 2
"""``Seccomp`` of /proc/PID/status, with a filter (proc(5))."""

DEFAULTS = 0xA80425FB
"""The 14 default capabilities as the kernel's bit mask."""

AT_ONCE = 4
"""Cells that two workers may have in their hands: one each that runs, and one that is prepared."""


def many(seconds: float, number: int = 12) -> str:
    numbers = ", ".join(f'"{number}"' for number in range(1, number + 1))
    return (
        f'[axes]\nimage = ["distroless-static:nonroot"]\nengine = ["cri"]\ncaps = ["cri"]\nuser = [{numbers}]\n'
        f'[settings.process]\ncwd = "/"\nsteps = ["sleep {seconds}"]\n'
    )


def pids(word: bytes) -> list[int]:
    numbers = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in numbers if word in _read(pid, "cmdline").split(b"\0")[0]]


def _read(pid: int, name: str) -> bytes:
    try:
        path = Path(f"/proc/{pid}/{name}")
        return os.readlink(path).encode() if name == "exe" else path.read_bytes()
    except OSError:
        return b""


def own(lab: Lab, word: bytes) -> list[int]:
    """Processes of this test's runs whose program ends so."""
    marks = {pid for left in lab.left() for pid in left.pids}
    return [pid for pid in pids(word) if pid in marks and _read(pid, "cmdline").split(b"\0")[0].endswith(word)]


def test_what_a_cell_says_reaches_the_container(lab: Lab) -> None:
    records = lab.run(
        cell(
            """
        [settings]
        readonly_root = true
        rootfs = [{ path = "/added", uid = 7, mode = 0o711 }]
        cri = { cap_drop = ["CHOWN"], supplemental_groups = [8] }
        mounts = [{ destination = "/data", fixture = "data", options = ["ro"] }]
        fixtures = { data = { uid = 1000 } }
        [settings.process]
        user = "1234:4321"
        additional_gids = [7]
        cwd = "/etc"
        env = { NAME = "value" }
        capabilities = "cri"
        no_new_privileges = true
        steps = ["id", "env NAME", "stat /added", "caps"]
        """
        ),
        runtimes=f"{RUNC},{CRUN}",
    )
    assert kinds(records) == ["passed", "passed"], told(records)
    for record in records:
        start = facts(record)["start"]
        assert (start["ruid"], start["rgid"], start["cwd"]) == (1234, 4321, "/etc")
        groups = start["groups"]
        assert isinstance(groups, list)
        assert {7, 8} <= set(groups)
        assert start["no_new_privs"]
        assert facts(record)["stat"]["mode"] == "0711"
        assert record.observation is not None
        verbs = [call.verb for call in record.observation.calls]
        assert verbs == ["sandbox", "create", "start", "status", "remove"]


def bounding(record: Record) -> int:
    """The bounding set that the process started with: the others are gone after execve(2) as an ordinary user."""
    sets: Any = facts(record)["start"]["caps"]
    return int(sets["bounding"], 16)


def test_every_containerd_takes_the_same_words(lab: Lab, demanded: set[str]) -> None:
    for engine in EVERY:
        require_engine(engine, demanded)
    records = lab.run(
        cell(
            """
        [axes.what.nothing]
        [axes.what.dropped]
        process.capabilities = "none"
        [axes.what.filtered]
        cri.seccomp = "RuntimeDefault"
        [axes.what.terminal]
        process.terminal = true
        [axes.what.beside]
        action = "exec"
        exec.steps = ["id"]
        [settings.process]
        user = "1000:0"
        cwd = "/etc"
        steps = ["id"]
        """,
            ", ".join(f'"{engine}"' for engine in EVERY),
        )
    )
    assert kinds(records) == ["passed"] * 5 * len(EVERY), told(records)
    for engine in EVERY:
        found = {record.axes["what"]: record for record in records if record.axes["engine"] == engine}
        start = {name: facts(record)["start"] for name, record in found.items()}
        assert (bounding(found["nothing"]), bounding(found["dropped"])) == (DEFAULTS, 0)
        assert {name for name, fact in start.items() if fact["seccomp"] == FILTER} == {"filtered"}
        assert (start["beside"]["ruid"], start["beside"]["cwd"]) == (1000, "/etc")
        beside = found["beside"].observation
        assert beside is not None
        assert [call.verb for call in beside.calls] == ["sandbox", "create", "start", "exec-sync", "remove"]


def test_a_pod_with_a_user_namespace(lab: Lab, demanded: set[str]) -> None:
    for engine in EVERY:
        require_engine(engine, demanded)
    steps = '[settings.process]\nsteps = ["id", "stat /home/nonroot"]'
    engines = ", ".join(f'"{engine}"' for engine in EVERY[1:])
    records = lab.run(cell(f'platform = ["k8s-userns"]\nuser = ["image", "0:0"]\n{steps}', engines))
    found = {engine: [record for record in records if record.axes["engine"] == engine] for engine in EVERY}
    assert kinds(found["cri@1.6.20"]) == ["skipped"] * 2, told(records)
    assert {getattr(record.verdict, "cause", "") for record in found["cri@2.1.9"]} == {"userns-incompatible"}
    assert kinds(found["cri@1.7.24"]) == ["passed"] * 2, told(records)
    for record in found["cri@1.7.24"]:
        assert "131072" in str(facts(record)["start"]["uid_map"])
        assert facts(record)["stat"]["uid"] == OWNER


def test_a_failure_keeps_its_call_and_containerds_words(lab: Lab) -> None:
    records = lab.run(
        cell(
            """
        [axes.action.run]
        process.args = ["/nothing"]
        [axes.action.exec]
        action = "exec"
        exec.args = ["/nothing"]
        [axes.action.mount]
        mounts = [{ destination = "/data", source = "/permlab-lacks-this" }]
        """
        )
    )
    found = {record.axes["action"]: record for record in records}
    for action, verb, words in (
        ("run", "start", b"failed to create containerd task"),
        ("exec", "exec-sync", b"failed to exec in container"),
    ):
        seen = found[action].observation
        assert seen is not None
        failed = next(call for call in seen.calls if call.returncode)
        assert (failed.verb, words in failed.stderr) == (verb, True)
        assert getattr(found[action].verdict, "cause", "") == "program-not-found"
    assert found["mount"].verdict.kind == "skipped", told(records)  # containerd would make it, on the host
    assert not Path("/permlab-lacks-this").exists()


def test_an_admission_is_marked_as_derived(lab: Lab) -> None:
    records = lab.run(
        cell(
            'platform = ["k8s-restricted"]\nimage_user = ["0", "nonroot", "image"]\n[settings.process]\nsteps = ["id"]'
        )
    )
    verdicts = {record.axes["image_user"]: record.verdict for record in records}
    assert verdicts["image"].kind == "passed", told(records)
    for name in ("0", "nonroot"):
        verdict = verdicts[name]
        assert (getattr(verdict, "cause", ""), getattr(verdict, "phase", "")) == ("run-as-non-root", "admission")
        assert getattr(verdict, "evidence", "").startswith("derived from the rule, not measured")
    assert all(not r.observation.calls for r in records if r.observation and r.axes["image_user"] != "image")


def test_a_request_is_kept_and_the_build_named(lab: Lab) -> None:
    (record,) = lab.run(cell('caps = ["cri"]\n[settings.process]\nuser = "1000:0"\ncwd = "/"\nsteps = ["id"]'))
    run = lab.last()
    assert "containerd" in str(run.engines[record.provenance.engine])
    context = json.loads(run.configs[record.provenance.config])["container"]["linux"]["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"]) == ({"value": 1000}, {"value": 0})


def test_a_containerd_that_dies_takes_its_cells_along_and_is_started_again(lab: Lab) -> None:
    process = lab.start("run", lab.scenario(many(1.52, 8)), "--runtimes", RUNC, "-j", "2")
    wait_for(lambda: own(lab, b"/.permlab/probe") or process.poll() is not None)
    os.kill(own(lab, b"/containerd")[0], signal.SIGKILL)
    assert process.wait(120) == 3
    records = [record for record in lab.last().records if not record.control]
    assert set(kinds(records)) == {"passed", "errored"}, told(records)
    assert kinds(records).count("errored") <= AT_ONCE, told(records)
    assert "Traceback" not in lab.log()


def test_an_interrupt_ends_containers_and_containerd(lab: Lab) -> None:
    process = lab.start("run", lab.scenario(many(20, 3)), "--runtimes", RUNC)
    wait_for(lambda: own(lab, b"/containerd-shim-runc-v2") or process.poll() is not None)
    assert interrupt(process) == 130
    assert own(lab, b"/containerd") == []


def test_what_a_killed_lab_leaves_is_found_and_removed(lab: Lab) -> None:
    networks = '[settings.linux.namespaces]\nnetwork = "new"\n'
    process = lab.start("run", lab.scenario(many(20, 3) + networks), "--runtimes", RUNC)
    wait_for(lambda: own(lab, b"/containerd-shim-runc-v2") or process.poll() is not None)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert own(lab, b"/containerd")
    assert lab.call("clean").returncode == 0
    assert own(lab, b"/containerd") == []
    assert [left for left in find_leftovers() if left in lab.left()] == []


def test_a_container_that_does_not_end_is_killed_at_its_deadline(lab: Lab) -> None:
    (record,) = lab.run(many(60, 1), "--deadline", "2")
    assert kinds([record]) == ["errored"]
    assert "deadline of 2 s" in getattr(record.verdict, "reason", "")


def test_what_the_cri_has_no_word_for_is_skipped(lab: Lab) -> None:
    records = lab.run(
        cell('caps = ["docker"]\nuser = ["1000:0", "0:0"]\n[settings.process]\ncwd = "/"\nsteps = ["id"]')
    )
    assert {record.axes["user"]: record.verdict.kind for record in records} == {"1000:0": "skipped", "0:0": "passed"}
