"""Stored runs made of the model's own cells. None of this was measured."""

from __future__ import annotations

import json
from dataclasses import replace

from oracle_cells import HOST, TREE, config_of

from lab.model.observation import Observation
from lab.model.record import HostFacts, Provenance, Record, Run, RunHeader
from lab.model.verdict import Denied, Passed, Phase, Skipped, Verdict
from lab.oracle import mtree
from lab.scenario.expand import make_cell

SCENARIO = """
format = 1
question = "Which runtimes can enter a working directory that only its owner may search?"
[axes]
image = ["distroless-static:nonroot"]
user = ["65532:65532", "1000:0"]
runtime = ["runc@1.0.0-rc93", "runc@1.1.5", "youki@0.7.0"]
[settings.process]
steps = ["id", "pwd"]
"""
DENIED = Denied(cause="cwd-not-searchable", phase=Phase.CHDIR, evidence="chdir …: permission denied")
SHOWN: tuple[tuple[str, str, Verdict], ...] = (
    ("65532:65532", "runc@1.0.0-rc93", Passed()),
    ("65532:65532", "runc@1.1.5", Passed()),
    ("65532:65532", "youki@0.7.0", Passed()),
    ("1000:0", "runc@1.0.0-rc93", DENIED),
    ("1000:0", "runc@1.1.5", Passed()),
    ("1000:0", "youki@0.7.0", Passed()),
)
STEPS = b'{"step":1,"op":"id","args":[],"ok":true}\n{"step":2,"op":"pwd","args":[],"ok":true}\n'


def stored_run() -> Run:
    """What a lab would store that measures what the model predicts."""
    host = HostFacts(
        kernel="6.18",
        machine="x86_64",
        cgroups="v2",
        lsms="",
        uid=0,
        capabilities=f"{HOST:016x}",
        os="Debian GNU/Linux 12",
        cpus=2,
    )
    header = RunHeader(
        id="20261122-120000-abcd",
        lab_version="0.1.0",
        started="2026-11-22T12:00:00+00:00",
        host=host,
        argv=("permlab", "run", "mine"),
        scenarios={"mine": SCENARIO},
    )
    configs = {user: json.dumps(config_of({"process": {"user": user}})[1]) for user, _, _ in SHOWN}
    return Run(
        header=header,
        records=tuple(_record(user, runtime, verdict) for user, runtime, verdict in SHOWN),
        runtimes={"r": {"provider": "go", "reported": "runc version x"}},
        images={"i": {"name": "distroless-static:nonroot", "tree": mtree.encode(TREE.items())}},
        configs=configs,
        finished="2026-11-22T12:01:00+00:00",
    )


def _record(user: str, runtime: str, verdict: Verdict) -> Record:
    axes = {"image": "distroless-static:nonroot", "user": user, "runtime": runtime, "engine": "oci"}
    return Record(
        cell=make_cell("mine", tuple(axes.items())).id,
        scenario="mine",
        axes=axes,
        verdict=verdict,
        observation=Observation(output=STEPS if isinstance(verdict, Passed) else b""),
        provenance=Provenance(runtime="r", image="i", config=user),
    )


def with_verdict(run: Run, runtime: str, verdict: Verdict) -> Run:
    """The run with another verdict of user 1000:0 under one runtime."""
    records = (
        replace(record, verdict=verdict)
        if (record.axes["user"], record.axes["runtime"]) == ("1000:0", runtime)
        else record
        for record in run.records
    )
    return replace(run, records=tuple(records))


def skipped(run: Run, runtime: str) -> Run:
    """The run with all cells of a runtime skipped before anything was prepared."""
    records = (
        replace(record, verdict=Skipped(reason="unreachable"), observation=None, provenance=Provenance())
        if record.axes["runtime"] == runtime
        else record
        for record in run.records
    )
    return replace(run, records=tuple(records))
