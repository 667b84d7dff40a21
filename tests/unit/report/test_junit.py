from __future__ import annotations

import unicodedata
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import report_runs
import xmlschema
from hypothesis import given
from hypothesis import strategies as st
from report_strategies import quick, runs

from lab.model.record import Record, Run
from lab.model.scenario import Expectation
from lab.model.verdict import Denied, Errored, Passed, Phase, Skipped, Verdict
from lab.report.junit import render
from lab.report.style import Style

SCHEMA = xmlschema.XMLSchema(Path(__file__).with_name("junit.xsd"))
AXES = {"image": "busybox", "runtime": "runc@1.0.0-rc93", "engine": "oci"}


def read(run: Run) -> ET.Element:
    text = render(run, Style())
    SCHEMA.validate(text.partition("\n")[2])
    return ET.fromstring(text)  # noqa: S314  # written a moment ago, by the lab


def case(verdict: Verdict, wanted: Expectation | None = None) -> ET.Element:
    record: Record = report_runs.record(AXES, verdict, expectation=wanted)
    (found,) = read(report_runs.run([record])).iter("testcase")
    return found


@quick
@given(runs())
def test_valid_and_counted(run: Run) -> None:
    root = read(run)
    for element in (root, *root.iter("testsuite")):
        cases = list(element.iter("testcase"))
        assert int(element.attrib["tests"]) == len(cases)
        for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            if name in element.attrib:
                assert int(element.attrib[name]) == len(list(element.iter(tag)))
    found = sorted(f"{one.get('classname')}/{one.get('name')}" for one in root.iter("testcase"))
    assert found == sorted(record.cell for record in run.records)


PASSES, DENIES = Expectation(verdict="passed"), Expectation(verdict="denied", cause="exec-not-permitted")


@pytest.mark.parametrize(
    ("verdict", "wanted", "tags"),
    [
        (Passed(), PASSES, []),
        (Passed(), None, []),
        (Passed(), DENIES, ["failure"]),
        (report_runs.DENIED, PASSES, ["failure"]),
        (report_runs.DENIED, DENIES, ["failure"]),
        (report_runs.DENIED, Expectation(verdict="denied"), ["system-out"]),
        (report_runs.DENIED, None, ["system-out"]),
        (Errored(reason="broke"), PASSES, ["error"]),
        (Errored(reason="broke"), None, ["error"]),
        (Skipped(reason="no root"), PASSES, ["skipped"]),
        (Skipped(reason="no root"), None, ["skipped"]),
    ],
)
def test_the_expectation_decides(verdict: Verdict, wanted: Expectation | None, tags: list[str]) -> None:
    assert [one.tag for one in case(verdict, wanted)] == tags


def test_a_failure_says_what_was_expected_and_found_and_how_to_see_more() -> None:
    (failure,) = case(report_runs.DENIED, DENIES)
    assert failure.attrib == {
        "type": "denied",
        "message": "expected denied: exec-not-permitted, found denied: cwd-not-searchable (phase chdir)",
    }
    assert failure.text == f"{report_runs.CWD}\npermlab show chdir-cwd/busybox/runc-1.0.0-rc93/oci"


@quick
@given(st.text(st.characters()))
def test_whatever_a_container_wrote_stays_text(text: str) -> None:
    (failure,) = case(Denied(cause="x", phase=Phase.EXEC, evidence=f"a{text}"), PASSES)
    assert failure.tag == "failure"
    assert not any(unicodedata.category(one) in {"Cc", "Cs", "Cf"} for one in (failure.text or "") if one != "\n")


def test_controls_are_a_suite_of_their_own_and_a_void_run_says_so() -> None:
    root = read(report_runs.void())
    assert [suite.get("name") for suite in root] == ["chdir-cwd (run is VOID)", "controls (run is VOID)"]
    assert [suite.get("failures") for suite in root] == ["0", "1"]
