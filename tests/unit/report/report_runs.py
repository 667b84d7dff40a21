"""Synthetic runs: test data for rendering. None of this was measured."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from lab.model.observation import Call, HostFact, Observation, Reached
from lab.model.record import HostFacts, Provenance, Record, Run, RunHeader
from lab.model.scenario import Expectation
from lab.model.settings import Check
from lab.model.verdict import Denied, Errored, Failed, Passed, Phase, Skipped, Verdict
from lab.scenario.expand import make_cell

HOSTILE = 'chdir to cwd ("/\x1b[2J\x07\u202eevil\u2066|`<b>@team</b>`|\x9b31m") failed:\n\tdenied'
LINK = "https://github.com/opencontainers/runc/pull/2712"
CWD = 'chdir to cwd ("/home/nonroot") set in config.json failed: permission denied'
DENIED = Denied(cause="cwd-not-searchable", phase=Phase.CHDIR, evidence=CWD)
MKDIR = Failed(cause="cwd-not-a-directory", phase=Phase.CREATE, evidence="mkdir /w: not a directory")
SHA = "ab" * 32
CONFIG = "cd" * 32

SCENARIO_TEXT = """
format = 1
question = "Which runtimes can enter a working directory that only its owner may search?"
[axes]
image = ["distroless-static:nonroot"]
user = ["65532:65532", "1000:0", "1000:1000", "0:0"]
caps = ["docker", "cri"]
"""

VERSIONS = (
    "runc@1.0.0-rc9",
    "runc@1.0.0-rc10",
    "runc@1.0.0-rc92",
    "runc@1.0.0-rc93",
    "runc@1.0.0-rc93+debian11",
    "runc@1.0.0-rc94",
    "runc@1.1.5",
    "runc@1.1.15+debian13",
    "runc@1.5.2",
    "crun@0.17",
    "crun@1.8.1",
    "youki@0.7.0",
)


def header(scenarios: Mapping[str, str]) -> RunHeader:
    host = HostFacts(
        kernel="6.18.5",
        machine="x86_64",
        cgroups="v2",
        lsms="capability,landlock",
        uid=0,
        capabilities="000001ffffffffff",
        os="Debian GNU/Linux 12",
        cpus=2,
    )
    return RunHeader(
        id="20261122-120000-abcd",
        lab_version="0.1.0",
        started="2026-11-22T12:00:00+00:00",
        host=host,
        argv=("permlab", "run", *scenarios),
        scenarios=scenarios,
    )


def record(
    axes: Mapping[str, str],
    verdict: Verdict,
    *,
    scenario: str = "chdir-cwd",
    expectation: Expectation | None = None,
    control: bool = False,
    observation: Observation | None = None,
    text_differs: bool = False,
    speaks_for: str = "",
) -> Record:
    cell = make_cell(scenario, tuple(axes.items()))
    return Record(
        cell=cell.id,
        scenario=scenario,
        axes=axes,
        verdict=verdict,
        observation=observation,
        provenance=Provenance(runtime=SHA, image="sha256:" + "ef" * 32, probe="01" * 32, config=CONFIG),
        expectation=expectation,
        control=control,
        started="2026-11-22T12:00:01+00:00",
        text_differs=text_differs,
        speaks_for=speaks_for,
        checks=(Check(fact="start.umask", equals="0022"),) if control else (),
    )


def run(records: Iterable[Record], scenarios: Mapping[str, str] | None = None, *, finished: bool = True) -> Run:
    return Run(
        header=header({"chdir-cwd": SCENARIO_TEXT} if scenarios is None else scenarios),
        records=tuple(records),
        runtimes={
            SHA: {
                "name": {"family": "runc", "version": "1.0.0-rc93", "build": None},
                "path": "/cache/runtimes/x/bin",
                "sha256": SHA,
                "reported": "runc version 1.0.0-rc93\ncommit: 1\n",
                "provider": "go",
                "origin": "github.com/opencontainers/runc@v1.0.0-rc93",
                "toolchain": "go1.21.13",
            }
        },
        images={
            "sha256:" + "ef" * 32: {"name": "distroless-static:nonroot", "rootfs": "/cache/images/x", "squashed": []}
        },
        configs={
            CONFIG: json.dumps({"ociVersion": "1.0.2", "process": {"cwd": "/\u202e", "args": ["/.permlab/probe"]}})
        },
        finished="2026-11-22T12:01:00+00:00" if finished else "",
    )


def chdir_verdict(user: str, caps: str, runtime: str) -> Verdict:
    """The shape of the chdir story, so that the golden tables look like real ones."""
    version = runtime.partition("@")[2]
    if user.startswith("1000"):
        if version.startswith("1.0.0-rc93"):
            return DENIED
        if version == "1.0.0-rc9" and caps == "docker":
            return DENIED
    return Passed()


def chdir_records() -> list[Record]:
    wanted = Expectation(verdict="passed", when="user == '65532:65532'", source=LINK)
    return [
        record(
            {
                "image": "distroless-static:nonroot",
                "user": user,
                "caps": caps,
                "runtime": runtime,
                "engine": "oci",
            },
            chdir_verdict(user, caps, runtime),
            expectation=wanted if user == "65532:65532" else None,
        )
        for runtime in VERSIONS
        for user in ("0:0", "1000:0", "1000:1000", "65532:65532")
        for caps in ("docker", "cri")
    ]


def control_records(*, broken: bool = False) -> list[Record]:
    passes = Expectation(verdict="passed")
    return [
        record(
            {"image": "busybox", "kind": kind, "runtime": "runc@1.5.2", "engine": "oci"},
            MKDIR if broken and kind == "file" else Passed(),
            scenario="controls",
            expectation=passes,
            control=True,
        )
        for kind in ("plain", "file")
    ]


def plain() -> Run:
    return run([*chdir_records(), *control_records()])


def void() -> Run:
    return run([*chdir_records()[:12], *control_records(broken=True)])


def only_controls() -> Run:
    return run(control_records())


def partial() -> Run:
    return run([one for place, one in enumerate(chdir_records()) if place % 7], finished=False)


def empty() -> Run:
    return run([], finished=False)


def single() -> Run:
    """One cell, no axis that varies, an expectation about the cause that was not met."""
    axes = {"image": "busybox", "runtime": "runc@1.0.0-rc93", "engine": "oci"}
    wanted = Expectation(verdict="denied", cause="exec-not-permitted", phase="exec")
    return run([record(axes, DENIED, expectation=wanted)])


def hostile() -> Run:
    denied = Denied(cause="cwd-not-searchable", phase=Phase.CHDIR, evidence=HOSTILE)
    wanted = Expectation(verdict="denied", cause="exec-not-permitted", source=LINK + "?a|b`c")
    verdicts: Mapping[str, Verdict] = {
        "plain|pipe": Passed(),
        "`tick` <b>*bold*</b> @team #1": denied,
        "bidi\u202e \x1b[31m": Failed(cause="unrecognised", phase=Phase.EXEC, evidence=""),
        "no host": Skipped(reason="no user namespaces here |\x1b]0;title\x07"),
        "broken": Errored(reason=HOSTILE),
    }
    return run(
        [
            record(
                {"image": "busybox", "kind": kind, "runtime": runtime, "engine": "oci"},
                verdict,
                scenario="hostile",
                expectation=wanted,
                text_differs=runtime.endswith("3.0"),
                speaks_for="runc 1.0.0-rc93|\x1b[1m" if runtime.endswith("3.0") else "",
            )
            for kind, verdict in verdicts.items()
            for runtime in ("runc@1.3.0", "runc@1.4.0")
        ],
        {"hostile": 'question = "Is |this| `safe` \\u202e <b>now</b>?"'},
    )


def engines() -> Run:
    return run(
        [
            record(
                {
                    "image": image,
                    "runtime": runtime,
                    "engine": engine,
                    **({} if image == "busybox" else {"extra": "x"}),
                },
                DENIED if runtime == "runc@1.0.0-rc93" and engine != "podman" else Passed(),
                scenario="engines",
            )
            for image in ("busybox", "debian:bookworm")
            for engine in ("docker", "oci", "podman")
            for runtime in ("runc@1.0.0-rc93", "runc@1.1.5", "runc@1.5.2", "crun@1.21", "runc@mine")
        ],
        {"engines": "not = [toml"},
    )


def observed() -> Record:
    start = {"step": 0, "op": "start", "ruid": 1000, "umask": "0022", "cwd": "/\u202e"}
    step = {"step": 1, "op": "open", "args": ["/secret", "r"], "ok": False, "errno": "EACCES", "call": "openat"}
    output = b"\n".join(
        [json.dumps(start).encode(), b"\x1b[2Jnoise \xff", json.dumps(step).encode(), b'{"op":"end","steps":1}']
    )
    return record(
        {"image": "distroless-static:nonroot", "user": "it's", "runtime": "runc@1.0.0-rc93", "engine": "oci"},
        Denied(cause="cwd-not-searchable", phase=Phase.CHDIR, evidence=HOSTILE),
        expectation=Expectation(verdict="passed", when="true", source=LINK),
        speaks_for="1.0.0-rc91",
        text_differs=True,
        observation=Observation(
            calls=(
                Call(
                    verb="run",
                    argv=("/cache/runc", "--root", "/a b", "run", "x"),
                    returncode=1,
                    stdout=b"",
                    stderr=(HOSTILE.encode() + b" \xff\n") * 200,
                    seconds=0.0421,
                ),
                Call(
                    verb="delete",
                    argv=("/cache/runc", "delete"),
                    returncode=-9,
                    stdout=b"",
                    stderr=b"",
                    seconds=30,
                    timed_out=False,
                    truncated=True,
                ),
            ),
            reached=Reached.CREATED,
            exit_code=137,
            output=output,
            host_before=(HostFact(path="fixture:data/f", type="file", uid=0, gid=0, mode=0o100644, size=3),),
            host_after=(
                HostFact(path="fixture:data/f", type="file", uid=100000, gid=0, mode=0o100600, size=3),
                HostFact(path="rootfs:/x"),
            ),
            seconds={"prepare": 0.0012, "run": 0.0421},
        ),
    )
