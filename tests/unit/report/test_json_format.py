from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
import report_runs
from hypothesis import given
from report_strategies import quick, runs

from lab.model.record import Run
from lab.report.document import report_schema
from lab.report.expectations import held
from lab.report.json_format import render
from lab.report.style import Style

VALIDATOR = jsonschema.Draft202012Validator(report_schema())


def read(run: Run) -> dict[str, Any]:
    text = render(run, Style())
    assert text.isascii()
    data: dict[str, Any] = json.loads(text)
    VALIDATOR.validate(data)
    return data


@quick
@given(runs())
def test_valid_and_complete(run: Run) -> None:
    data = read(run)
    assert [(cell["id"], cell["axes"], cell["verdict"]) for cell in data["cells"]] == [
        (record.cell, record.axes, record.verdict.kind) for record in run.records
    ]
    assert [cell["held"] for cell in data["cells"]] == [held(record) for record in run.records]
    kinds = ("passed", "denied", "failed", "skipped", "errored")
    assert sum(data["summary"][kind] for kind in kinds) == data["summary"]["cells"] == len(run.records)


def test_void_and_controls() -> None:
    data = read(report_runs.void())
    broken = "controls/busybox/kind=file/runc-1.5.2/oci"
    assert data["void"] is True
    assert data["summary"]["controls"] == {"total": 2, "not_held": [broken]}
    assert [cell["id"] for cell in data["cells"] if cell["control"] and cell["held"] is False] == [broken]
    assert read(report_runs.plain())["void"] is False


def test_an_unfinished_run_says_so() -> None:
    assert (read(report_runs.partial())["complete"], read(report_runs.plain())["complete"]) == (False, True)


def test_one_refused_cell() -> None:
    (cell,) = read(report_runs.single())["cells"]
    assert (cell["verdict"], cell["cause"], cell["phase"]) == ("denied", "cwd-not-searchable", "chdir")
    assert cell["evidence"] == report_runs.CWD
    assert cell["reason"] is None
    assert cell["held"] is False


def test_facts_of_an_observation() -> None:
    (cell,) = read(report_runs.run([report_runs.observed()]))["cells"]
    assert cell["exit_code"] == 137
    assert cell["seconds"] == {"prepare": 0.0012, "run": 0.0421}
    assert (cell["speaks_for"], cell["text_differs"]) == ("1.0.0-rc91", True)


def test_no_path_of_this_machine() -> None:
    data = read(report_runs.plain())
    assert data["runtimes"][report_runs.SHA]["origin"] == "github.com/opencontainers/runc@v1.0.0-rc93"
    assert not any({"path", "rootfs"} & set(facts) for kind in ("runtimes", "images") for facts in data[kind].values())


@pytest.mark.parametrize("key", ["format", "cells", "void"])
def test_the_schema_refuses_a_report_without_its_keys(key: str) -> None:
    data = read(report_runs.plain())
    del data[key]
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(data)


def test_the_schema_refuses_an_unknown_verdict() -> None:
    data = read(report_runs.single())
    data["cells"][0]["verdict"] = "maybe"
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(data)
