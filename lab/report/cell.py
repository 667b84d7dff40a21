"""One record in full, for people: what ``permlab show CELL`` prints."""

from __future__ import annotations

import json
import shlex
import signal
import textwrap
from collections.abc import Iterable, Iterator, Mapping

from tabulate import tabulate

from lab.codec import decode_facts, to_data
from lab.model.observation import Call, Fact, HostFact, Observation
from lab.model.record import Record, Run
from lab.model.settings import Check
from lab.model.verdict import Denied, Errored, Failed, Passed, Skipped
from lab.oracle.prediction import Prediction
from lab.oracle.runs import predict_record
from lab.oracle.runs import surprise as surprise_of
from lab.report.escape import cut, escape_text
from lab.report.expectations import held
from lab.report.words import (
    again_command,
    predicted_words,
    repro_command,
    reproducible,
    value_words,
    wanted_words,
)

_TEXT = 8_000
"""Characters of one text that are shown; the stored run has all that was kept."""
_FACTS = 2_000
"""Characters of one fact that are shown."""
_WIDTH = 90
"""Lines of facts are wrapped here."""
_NAME = 24
"""Characters of a fact's name."""
_DEPTH = 6


def show(run: Run, record: Record) -> str:
    """The record with all that is known of it, as lines that no terminal takes for commands."""
    seen = record.observation
    sections = [
        _section("cell", _pairs(_cell(run, record))),
        _section("axes", _pairs((escape_text(name), value_words(value)) for name, value in record.axes.items())),
        _section("verdict", _pairs(_verdict(record))),
        *_prediction(run, record),
        _section("run it again", [again_command(record)]),
        _section("show it without permlab", [repro_command(record)] if reproducible(record) else ()),
        _section("runtime", _pairs(_described(run.runtimes, record.provenance.runtime))),
        _section("image", _pairs(_described(run.images, record.provenance.image))),
        *(_observation(seen) if seen else ()),
        _section("config.json", _config(run.configs.get(record.provenance.config, ""))),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _section(title: str, lines: Iterable[str]) -> str:
    body = "\n".join(f"  {line}" for line in lines)
    return f"{title}\n{body}" if body else ""


def _pairs(pairs: Iterable[tuple[str, str]]) -> list[str]:
    known = [(name, text) for name, text in pairs if text]
    width = max((len(name) for name, _ in known), default=0)
    return [
        f"{name:{width}}  {line}" if first else f"{'':{width}}  {line}"
        for name, text in known
        for first, line in ((not place, line) for place, line in enumerate(text.split("\n")))
    ]


def _cell(run: Run, record: Record) -> Iterator[tuple[str, str]]:
    yield "id", escape_text(record.cell)
    yield "run", escape_text(run.header.id)
    yield "started", escape_text(record.started)
    yield "control", "yes: a run is void when one of its controls does not show what it must" if record.control else ""
    yield "probe", record.provenance.probe and f"sha256 {escape_text(record.provenance.probe)}"


def _verdict(record: Record) -> Iterator[tuple[str, str]]:
    verdict = record.verdict
    yield "verdict", verdict.kind
    match verdict:
        case Denied() | Failed():
            yield "cause", f"{escape_text(verdict.cause)}, see docs/causes.md#{escape_text(verdict.cause)}"
            yield "phase", escape_text(verdict.phase)
            yield "evidence", _bounded(verdict.evidence)
        case Skipped() | Errored():
            yield "reason", _bounded(verdict.reason)
        case Passed():
            yield "why", "the container started, ran to its end, and every check held"
    if record.tolerate:
        yield "tolerated", escape_text(", ".join(record.tolerate))
    for check in record.checks:
        yield "check", escape_text(check_words(check))
    wanted_verdict = record.expectation
    if wanted_verdict is None:
        yield "expected", "nothing: the scenario has no expectation for this cell"
    else:
        yield "expected", f"{wanted_words(wanted_verdict)}, when {escape_text(wanted_verdict.when)}"
        yield "held", {True: "yes", False: "NO", None: "cannot be told: the cell was skipped"}[held(record)]
        yield "source", escape_text(wanted_verdict.source)
    if record.speaks_for:
        differs = ", which is not the version that was asked for" if record.text_differs else ""
        yield "error text", "as written by " + escape_text(record.speaks_for) + differs


def check_words(check: Check) -> str:
    """A check in words, not escaped: ``start.umask = '0022', else failed: check-failed``."""
    wanted = f"contains {check.contains!r}" if check.contains is not None else f"= {check.equals!r}"
    return f"{check.fact} {wanted}, else {check.verdict}: {check.cause}"


def _prediction(run: Run, record: Record) -> Iterator[str]:
    """What the oracle says, beside what was measured; and how it comes to that, call by call."""
    predicted = predict_record(run, record)
    surprise = surprise_of(record, predicted)
    agrees = f"NO, a SURPRISE: {escape_text(surprise)}" if surprise else "yes"
    measured = record.verdict.kind in {"passed", "denied", "failed"} and isinstance(predicted, Prediction)
    lines = [
        ("predicted", predicted_words(predicted)),
        ("measured so", agrees if measured else ""),
        ("a surprise is", "a new change of a runtime, or a fault of the lab" if surprise else ""),
        ("order of calls", f"era {predicted.era} (docs/oracle.md)" if isinstance(predicted, Prediction) else ""),
        ("changed by", escape_text(predicted.source) if isinstance(predicted, Prediction) else ""),
    ]
    yield _section("prediction, not a measurement", _pairs(lines))
    if isinstance(predicted, Prediction) and predicted.reasoning:
        rows = [
            [escape_text(one.call), escape_text(one.who), _lines(escape_text(one.outcome))]
            for one in predicted.reasoning
        ]
        text = tabulate(rows, headers=("call", "process", "ends"), tablefmt="simple", disable_numparse=True)
        yield _section("how the prediction comes about", text.split("\n"))


def _described(known: Mapping[str, Mapping[str, object]], digest: str) -> Iterator[tuple[str, str]]:
    yield "sha256" if digest and ":" not in digest else "digest", escape_text(digest)
    for name, value in known.get(digest, {}).items():
        if name == "digest" and value != digest:
            yield "files", _value(value)
        elif name not in {"sha256", "digest", "tree"}:
            yield escape_text(name), _value(value)


def _value(value: object) -> str:
    if isinstance(value, str):
        return escape_text(value.rstrip("\n"), lines=True)
    return _lines(_fact(to_data(value))) if value not in (None, {}, [], ()) else ""


def _lines(text: str) -> str:
    return "\n".join(textwrap.wrap(text, _WIDTH, break_on_hyphens=False))


def _observation(seen: Observation) -> Iterator[str]:
    exit_code = "" if seen.exit_code is None else f"{seen.exit_code}{_signal_of_exit(seen.exit_code)}"
    yield _section(
        "what was seen",
        _pairs(
            [
                ("reached", str(seen.reached)),
                ("exit code", exit_code),
                ("refusal", _bounded(seen.refusal or "")),
                ("fault", _bounded(seen.fault or "")),
                ("seconds", ", ".join(f"{escape_text(name)} {took:.4f}" for name, took in seen.seconds.items())),
            ]
        ),
    )
    for call in seen.calls:
        yield _section(f"call: {escape_text(call.verb)}", _pairs(_call(call)))
    facts = decode_facts(seen.output)
    for fact in facts:
        if fact["op"] == "start":
            yield _section("the process at its start, as the probe found it", _pairs(_start(fact)))
    yield _section("the probe's steps", _steps(fact for fact in facts if fact["op"] != "start"))
    other = b"\n".join(line for line in seen.output.splitlines() if not decode_facts(line))
    yield _section("the container's output", _bounded(other).split("\n") if other.strip() else ())
    yield _section("on the host", _host(seen))


def _call(call: Call) -> Iterator[tuple[str, str]]:
    yield "argv", escape_text(shlex.join(call.argv))
    yield "ended", "at its deadline" if call.timed_out else ended_words(call.returncode)
    yield "seconds", f"{call.seconds:.4f}"
    yield "stderr", _bounded(call.stderr)
    yield "stdout", _bounded(call.stdout)
    yield "cut", "yes: it wrote more than the lab keeps" if call.truncated else ""


def ended_words(returncode: int) -> str:
    """How a process ended: with exit code 1, by signal SIGKILL."""
    return f"with exit code {returncode}" if returncode >= 0 else f"by signal {_signal(-returncode)}"


def _signal_of_exit(code: int) -> str:
    return f" (signal {_signal(code - 128)}, as shells and runtimes tell it)" if 128 < code < 193 else ""  # noqa: PLR2004  # 128 + a signal


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def _bounded(text: str | bytes) -> str:
    """A text of several lines, escaped; its middle is left out when it is long: the end says why a program stopped."""
    shown = escape_text(text, lines=True).rstrip("\n")
    if len(shown) <= _TEXT:
        return shown
    half = _TEXT // 2
    return f"{shown[:half]}\n[… {len(shown) - 2 * half:,} characters left out …]\n{shown[-half:]}"


def _start(fact: Fact) -> Iterator[tuple[str, str]]:
    for name, value in fact.items():
        if name not in {"step", "op"}:
            yield cut(escape_text(name), _NAME), _lines(cut(_fact(value), _FACTS))


def _steps(facts: Iterable[Fact]) -> list[str]:
    known = {"step", "op", "args", "ok", "errno", "call"}
    rows = []
    for fact in facts:
        rest = {name: value for name, value in fact.items() if name not in known}
        rows.append(
            [
                _fact(fact.get("step", "")),
                _fact(fact["op"]),
                "\n".join(textwrap.wrap(cut(_fact(fact.get("args", ""), " "), _FACTS), _WIDTH // 2)),
                "" if "ok" not in fact else "ok" if fact["ok"] is True else _fact(fact.get("errno", "no")),
                _fact(fact.get("call", "")),
                _lines(cut(_fact(rest), _FACTS)),
            ]
        )
    if not rows:
        return []
    head = ("step", "op", "arguments", "result", "call", "facts")
    return tabulate(rows, headers=head, tablefmt="simple", disable_numparse=True).split("\n")


def _fact(value: object, comma: str = ", ", depth: int = 0) -> str:
    """Any JSON value in few characters: ``effective=00, bounding=ff``; what is inside another stands in brackets.

    Not more than :data:`_DEPTH` deep: whoever printed it may have meant to exhaust the stack.
    """
    if isinstance(value, str):
        return escape_text(value)
    if not isinstance(value, dict | list):
        return json.dumps(value)
    if depth == _DEPTH:
        return "…"
    named = value.items() if isinstance(value, dict) else ((None, one) for one in value)
    return comma.join(
        ("" if name is None else f"{escape_text(str(name))}=")
        + (f"({_fact(one, depth=depth + 1)})" if isinstance(one, dict | list) else _fact(one))
        for name, one in named
    )


def _host(seen: Observation) -> list[str]:
    before = {fact.path: fact for fact in seen.host_before}
    after = {fact.path: fact for fact in seen.host_after}
    rows = [
        [escape_text(path), host_fact_words(before.get(path)), host_fact_words(after.get(path))]
        for path in dict.fromkeys([*before, *after])
    ]
    head = ("path", "before", "after")
    return tabulate(rows, headers=head, tablefmt="simple", disable_numparse=True).split("\n") if rows else []


def host_fact_words(fact: HostFact | None) -> str:
    """What stood at a path on the host, in one line, escaped: ``directory 0700 1000:0, 4096 bytes``."""
    if fact is None:
        return "not looked at"
    if not fact.type:
        return "missing"
    mode = "?" if fact.mode is None else f"{fact.mode & 0o7777:04o}"
    size = "" if fact.size is None else f", {fact.size} bytes"
    return f"{escape_text(fact.type)} {mode} {fact.uid}:{fact.gid}{size}"


def _config(text: str) -> list[str]:
    try:
        shown = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        shown = text
    return escape_text(shown, lines=True).split("\n") if shown else []
