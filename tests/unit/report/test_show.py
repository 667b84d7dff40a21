from __future__ import annotations

import json
import shlex
from dataclasses import replace

import pytest
import report_runs

from lab.cli.show import the_record
from lab.model.observation import Call, Observation
from lab.model.record import Record
from lab.model.scenario import Expectation
from lab.model.verdict import Errored, Passed, Verdict
from lab.report.cell import show

AXES = {"image": "busybox", "user": "it's me", "runtime": "runc@1.0.0-rc93", "engine": "oci"}


def shown(record: Record) -> str:
    return show(report_runs.run([record]), record)


def with_output(output: bytes) -> Record:
    return report_runs.record(AXES, Passed(), observation=Observation(output=output))


def test_the_command_to_paste_names_exactly_this_cell() -> None:
    record = report_runs.record(AXES, Passed())
    line = shown(record).split("run it again\n")[1].splitlines()[0]
    assert shlex.split(line) == [
        *("permlab", "run", "chdir-cwd", "--runtimes", AXES["runtime"]),
        *("--cell", record.cell),
    ]


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (report_runs.DENIED, ["docs/causes.md#cwd-not-searchable", "phase     chdir", report_runs.CWD]),
        (Errored(reason="the runtime hung"), ["errored", "the runtime hung"]),
        (Passed(), ["every check held"]),
    ],
)
def test_the_verdict_and_why(verdict: Verdict, words: list[str]) -> None:
    text = shown(report_runs.record(AXES, verdict, expectation=Expectation(verdict="failed", source=report_runs.LINK)))
    assert all(word in text for word in [*words, "held", "NO", report_runs.LINK])


def test_of_a_cell_that_a_run_holds_several_times_the_last_record_is_meant() -> None:
    first, other = report_runs.record(AXES, report_runs.DENIED), report_runs.record({**AXES, "user": "0"}, Passed())
    last = replace(first, verdict=Passed())
    run = report_runs.run([first, other, last])
    assert the_record(run, first.cell) is last
    assert the_record(run, first.cell[3:]) is last
    latest = run.latest
    assert latest.records == (last, other)
    assert latest.latest is latest


def test_the_runtime_and_the_config_are_those_of_the_record() -> None:
    text = shown(report_runs.record(AXES, Passed()))
    assert "github.com/opencontainers/runc@v1.0.0-rc93" in text
    assert "go1.21.13" in text
    assert '"ociVersion": "1.0.2"' in text
    other = report_runs.record(AXES, Passed())
    unknown = replace(other, provenance=replace(other.provenance, runtime="ff" * 32, config=""))
    assert "go1.21.13" not in shown(unknown)
    assert "config.json" not in shown(unknown)


def test_calls_tell_how_they_ended() -> None:
    calls = tuple(
        Call(verb="run", argv=("runc", "run"), returncode=code, stdout=b"", stderr=b"", seconds=1, timed_out=late)
        for code, late in ((1, False), (-9, False), (-250, False), (-15, True))
    )
    text = shown(report_runs.record(AXES, Passed(), observation=Observation(calls=calls)))
    ends = [line.split("ended")[1].strip() for line in text.splitlines() if line.startswith("  ended")]
    assert ends == ["with exit code 1", "by signal SIGKILL", "by signal 250", "at its deadline"]


def test_a_long_text_keeps_its_start_and_its_end() -> None:
    call = Call(
        verb="run", argv=("runc",), returncode=1, stdout=b"", stderr=b"begin" + b"x" * 50_000 + b"end", seconds=1
    )
    text = shown(report_runs.record(AXES, Passed(), observation=Observation(calls=(call,))))
    assert "begin" in text
    assert "xend" in text
    assert "42,008 characters left out" in text
    assert len(text) < 15_000


def test_facts_are_a_table_and_other_output_is_kept_apart() -> None:
    step = {"step": 1, "op": "open", "args": ["/secret", "r"], "ok": False, "errno": "EACCES", "call": "openat"}
    text = shown(with_output(json.dumps(step).encode() + b"\n\x1b[31mhello\n"))
    row = next(line for line in text.splitlines() if "EACCES" in line)
    assert row.split() == ["1", "open", "/secret", "r", "EACCES", "openat"]
    assert "the container's output\n  \\x1b[31mhello\n" in text


@pytest.mark.parametrize(
    "fact",
    [
        '{"op":"start","a":' + "[" * 300 + "]" * 300 + "}",
        '{"op":"start",' + ",".join(f'"{"k" * 500}{number}":1' for number in range(500)) + "}",
        '{"op":"open","args":{"\\u001b[2J":"\\u202e"},"step":[],"ok":"\\u0007","errno":{"a":1e999}}',
    ],
)
def test_facts_of_a_hostile_container(fact: str) -> None:
    text = shown(with_output(fact.encode()))
    assert text.replace("\n", "").isprintable()
    assert len(text) < 60_000
