"""The `permlab` command as a user calls it, with its runs in a directory of the test's own."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sysconfig
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab.codec import decode_facts
from lab.engine.leftovers import Leftover, find_leftovers
from lab.errors import LabError
from lab.model.observation import Fact
from lab.model.record import Record, Run
from lab.process import Completed, run, small_environment, spawn
from lab.provision.cache import default_cache
from lab.provision.engines import pull_engine
from lab.store.runs import read, stored

PERMLAB = str(Path(sysconfig.get_path("scripts")) / "permlab")
RUNC, CRUN = "runc@1.1.5+debian12", "crun@1.8.1"
"""Debian 12's own builds: quick to provision."""


@dataclass(frozen=True)
class Lab:
    """Runs in ``place``; the cache is the user's unless another is given."""

    place: Path
    cache: Path

    @property
    def environment(self) -> dict[str, str]:
        return small_environment(
            {"PERMLAB_CACHE": str(self.cache), "PERMLAB_RUNS": str(self.place / "runs"), "COLUMNS": "200"}
        )

    def scenario(self, text: str, name: str = "mine") -> str:
        path = self.place / f"{name}.toml"
        path.write_text(f'format = 1\nquestion = "?"\n{text}')
        return str(path)

    def argv(self, *arguments: str) -> list[str]:
        return [PERMLAB, *arguments]

    def call(self, *arguments: str, deadline: float = 300, prefix: tuple[str, ...] = ()) -> Completed:
        return run([*prefix, *self.argv(*arguments)], deadline=deadline, env=self.environment, cwd=self.place)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        argv = ["/bin/sh", "-c", 'cd "$0" && exec "$@"', str(self.place), *self.argv(*arguments)]
        return spawn(argv, env=self.environment, log=self.place / "log")

    def run(self, text: str, *arguments: str, runtimes: str = RUNC) -> list[Record]:
        """Run a scenario; its records in order, controls left out."""
        done = self.call("run", self.scenario(text), "--runtimes", runtimes, *arguments)
        assert done.returncode in {0, 1, 3}, done.stderr.decode()
        assert b"Traceback" not in done.stderr
        return [record for record in self.last().records if not record.control]

    def last(self) -> Run:
        return read(stored(self.place / "runs")[-1])

    def log(self) -> str:
        return (self.place / "log").read_text()

    def left(self) -> list[Leftover]:
        """What any of this test's runs left on the host."""
        ids = {path.stem for path in stored(self.place / "runs")}
        return [leftover for leftover in find_leftovers() if leftover.run_id in ids]


def require_engine(name: str, demanded: set[str]) -> None:
    """Have an engine's build in the cache; where it cannot be had, skip, or fail when this host must have it."""
    try:
        pull_engine(default_cache(), name)
    except LabError as error:
        (pytest.fail if name.partition("@")[0] in demanded else pytest.skip)(f"no {name}: {error}")


def user_cache() -> Path:
    return default_cache().root


def facts(record: Record) -> dict[str, Fact]:
    """The probe's facts of a record by the name of their step (the last of each name)."""
    assert record.observation is not None
    return {str(fact["op"]): fact for fact in decode_facts(record.observation.output)}


def wait_for(condition: Callable[[], Any], within: float = 60) -> None:
    until = time.monotonic() + within
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


def interrupt(process: subprocess.Popen[bytes], within: float = 60) -> int:
    os.kill(process.pid, signal.SIGINT)
    return process.wait(within)


def host_state() -> dict[str, str]:
    """Digests of what a run must leave as it was: mounts, account files, device nodes, cgroups' top."""
    mounts = Path("/proc/self/mountinfo").read_text()
    accounts = "".join(
        (Path("/etc") / name).read_text()
        for name in ("passwd", "group", "subuid", "subgid", "hosts", "resolv.conf", "mtab")
        if (Path("/etc") / name).is_file() and name != "mtab"
    )
    nodes = []
    for folder, below, names in os.walk("/dev"):
        below[:] = sorted(name for name in below if name not in {"pts", "shm", "mqueue", "fd"})
        for name in sorted(names):
            info = (Path(folder) / name).lstat()
            nodes.append((folder, name, info.st_mode, info.st_uid, info.st_gid, info.st_rdev))
    state = {"mounts": mounts, "accounts": accounts, "nodes": json.dumps(nodes)}
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in state.items()}
