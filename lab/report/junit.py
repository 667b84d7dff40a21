"""The report for CI systems: JUnit XML as Jenkins, GitLab, GitHub actions and others read it (xunit's junit-10.xsd).

A scenario is a test suite, a cell a test case, and the expectation decides: not met is a ``failure``, errored an
``error``, skipped ``skipped``. A cell without expectation cannot fail; what it showed stands in ``system-out``, and so
does what the oracle predicted where it is something else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from lab.model.record import Record, Run
from lab.model.verdict import Denied, Errored, Failed, Passed, Skipped
from lab.report.escape import escape_text
from lab.report.expectations import held
from lab.report.style import Style
from lab.report.summary import Report, build
from lab.report.words import SURPRISE, counted, found_words, show_command, wanted_words


def render(run: Run, style: Style) -> str:  # noqa: ARG001  # every renderer takes a style; this one has no use for it
    """The document. Every text is escaped, so that only characters which XML 1.0 allows are left."""
    found: dict[str, list[Record]] = {scenario: [] for scenario in run.header.scenarios}
    for record in run.records:
        found.setdefault(record.scenario, []).append(record)
    root = ET.Element("testsuites", {"name": _void(run, "permlab"), **_numbers(run.records)})
    report = build(run)
    root.extend(_suite(report, scenario, records) for scenario, records in found.items() if records)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _void(run: Run, name: str) -> str:
    return f"{name} (run is VOID)" if run.void else name


def _numbers(records: Sequence[Record]) -> dict[str, str]:
    return {
        "tests": str(len(records)),
        "failures": str(sum(map(_missed, records))),
        "errors": str(sum(record.verdict.kind == "errored" for record in records)),
        "time": f"{sum(map(_seconds, records)):.3f}",
    }


def _missed(record: Record) -> bool:
    """Whether the expectation was not met by something that was measured: an errored cell is an error, no failure."""
    return held(record) is False and record.verdict.kind != "errored"


def _seconds(record: Record) -> float:
    return sum(record.observation.seconds.values()) if record.observation else 0.0


def _suite(report: Report, scenario: str, records: Sequence[Record]) -> ET.Element:
    run = report.run
    about = {
        "name": _void(run, escape_text(scenario)),
        **_numbers(records),
        "skipped": str(sum(record.verdict.kind == "skipped" for record in records)),
        "timestamp": _timestamp(run.header.started),
    }
    suite = ET.Element("testsuite", about)
    properties = ET.SubElement(suite, "properties")
    for name, value in _facts(report):
        ET.SubElement(properties, "property", name=name, value=escape_text(value))
    suite.extend(_case(record, report.predictions.surprises.get(record.cell, "")) for record in records)
    return suite


def _timestamp(text: str) -> str:
    """The moment in UTC without its offset, as JUnit's own schema has it; as it stands where it is none."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds")
    except ValueError:
        return escape_text(text)


def _facts(report: Report) -> Iterator[tuple[str, str]]:
    run, header, host = report.run, report.run.header, report.run.header.host
    yield from (("run", header.id), ("permlab", header.lab_version), ("complete", "yes" if run.finished else "no"))
    yield from (("os", host.os), ("kernel", host.kernel), ("machine", host.machine), ("cgroups", host.cgroups))
    yield "derived", counted(report.counts.derived, "cell")
    yield "predicted", report.predicted.removeprefix("predicted: ") or "none"


def _case(record: Record, surprise: str) -> ET.Element:
    scenario, name = escape_text(record.scenario), escape_text(record.cell.removeprefix(f"{record.scenario}/"))
    case = ET.Element("testcase", classname=scenario, name=name, time=f"{_seconds(record):.3f}")
    verdict, wanted, found = record.verdict, record.expectation, found_words(record.verdict)
    match verdict:
        case Errored():
            _child(case, "error", "errored", verdict.reason, "")
        case Skipped():
            _child(case, "skipped", "skipped", verdict.reason, "")
        case Passed() | Denied() | Failed():
            evidence = "" if isinstance(verdict, Passed) else verdict.evidence
            if wanted is not None and _missed(record):
                message = f"expected {wanted_words(wanted)}, found {found}"
                _child(case, "failure", verdict.kind, message, evidence)
            elif not isinstance(verdict, Passed):
                told = f"{found}, {'without an expectation' if wanted is None else 'as expected'}"
                ET.SubElement(case, "system-out").text = _lines(told, evidence)
    if len(case) and case[0].tag in {"failure", "error"}:
        case[0].text = _lines(case[0].text or "", show_command(record))
    if surprise:
        place = case[0] if len(case) else ET.SubElement(case, "system-out")
        place.text = _lines(place.text or "", f"{SURPRISE} a surprise: {surprise}")
    return case


def _child(case: ET.Element, tag: str, kind: str, message: str, text: str) -> None:
    ET.SubElement(case, tag, type=kind, message=escape_text(message)).text = _lines(text)


def _lines(*texts: str) -> str:
    return "\n".join(escape_text(text, lines=True) for text in texts if text)
