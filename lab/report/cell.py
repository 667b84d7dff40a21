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
from lab.model.verdict import Denied, Errored, Failed, Passed, Skipped
from lab.report.escape import cut, escape_text
from lab.report.expectations import held
from lab.report.words import again_command, value_words, wanted_words

_TEXT = 8_000
"""Characters of one text that are shown; the stored run has all that was kept."""
_FACTS = 400
"""Characters of one step's facts that are shown."""


def show(run: Run, record: Record) -> str:
    """The record with all that is known of it, as lines that no terminal takes for commands."""
    seen = record.observation
    sections = [
        _section("cell", _pairs(_cell(run, record))),
        _section("verdict", _pairs(_verdict(record))),
        _section("run it again", [again_command(record)]),
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
    yield from ((escape_text(name), value_words(value)) for name, value in record.axes.items())
    yield "run", escape_text(run.header.id)
    yield "started", escape_text(record.started)
    yield "control", "yes: when it does not show what it must, the whole run is void" if record.control else ""
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
        wanted = f"contains {check.contains!r}" if check.contains is not None else f"= {check.equals!r}"
        yield "check", escape_text(f"{check.fact} {wanted}, else {check.verdict}: {check.cause}")
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


def _described(known: Mapping[str, Mapping[str, object]], digest: str) -> Iterator[tuple[str, str]]:
    yield "sha256" if digest and ":" not in digest else "digest", escape_text(digest)
    for name, value in known.get(digest, {}).items():
        if name not in {"sha256", "digest"}:
            yield escape_text(name), _value(value)


def _value(value: object) -> str:
    if isinstance(value, str):
        return escape_text(value.rstrip("\n"), lines=True)
    return escape_text(json.dumps(to_data(value), ensure_ascii=False)) if value not in (None, {}, [], ()) else ""


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
    yield _section("the probe's facts", _facts(facts))
    other = b"\n".join(line for line in seen.output.splitlines() if not decode_facts(line))
    yield _section("the container's output", _bounded(other).split("\n") if other.strip() else ())
    yield _section("on the host", _host(seen))


def _call(call: Call) -> Iterator[tuple[str, str]]:
    yield "argv", escape_text(shlex.join(call.argv))
    yield "ended", "at its deadline" if call.timed_out else _ended(call.returncode)
    yield "seconds", f"{call.seconds:.4f}"
    yield "stderr", _bounded(call.stderr)
    yield "stdout", _bounded(call.stdout)
    yield "cut", "yes: it wrote more than the lab keeps" if call.truncated else ""


def _ended(returncode: int) -> str:
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


def _facts(facts: tuple[Fact, ...]) -> list[str]:
    known = {"step", "op", "args", "ok", "errno", "call"}
    rows = []
    for fact in facts:
        rest = ", ".join(f"{name}={_fact(value)}" for name, value in fact.items() if name not in known)
        arguments = fact.get("args")
        words = arguments if isinstance(arguments, list) else []
        rows.append(
            [
                _fact(fact.get("step", "")),
                _fact(fact["op"]),
                cut(" ".join(_fact(word) for word in words), _FACTS),
                "" if "ok" not in fact else "ok" if fact["ok"] is True else _fact(fact.get("errno", "no")),
                _fact(fact.get("call", "")),
                "\n".join(textwrap.wrap(cut(rest, _FACTS * 4), 90)),
            ]
        )
    if not rows:
        return []
    head = ("step", "op", "arguments", "result", "call", "facts")
    return tabulate(rows, headers=head, tablefmt="simple", disable_numparse=True).split("\n")


def _fact(value: object) -> str:
    return escape_text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _host(seen: Observation) -> list[str]:
    before = {fact.path: fact for fact in seen.host_before}
    after = {fact.path: fact for fact in seen.host_after}
    rows = [
        [escape_text(path), _host_fact(before.get(path)), _host_fact(after.get(path))]
        for path in dict.fromkeys([*before, *after])
    ]
    head = ("path", "before", "after")
    return tabulate(rows, headers=head, tablefmt="simple", disable_numparse=True).split("\n") if rows else []


def _host_fact(fact: HostFact | None) -> str:
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
