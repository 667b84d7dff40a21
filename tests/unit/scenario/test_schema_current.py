"""The JSON Schema beside the shipped scenarios: current, used by every file, and strict."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest

from lab.codec import scenario_schema
from lab.scenario.load import shipped_directory

SCHEMA = shipped_directory() / "scenario.schema.json"
SHIPPED = sorted(shipped_directory().glob("*.toml"))


def validator() -> jsonschema.Draft202012Validator:
    """Of the file as it is shipped, not of the one that would be generated now."""
    return jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))


def test_schema_is_current() -> None:
    """After a change of the model: `permlab scenarios --schema > scenarios/scenario.schema.json`."""
    assert json.loads(SCHEMA.read_text()) == scenario_schema()


def test_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(SCHEMA.read_text()))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_scenario_fits_and_names_the_schema(path: Path) -> None:
    text = path.read_text()
    assert text.splitlines()[0] == "#:schema ./scenario.schema.json"
    assert [error.message for error in validator().iter_errors(tomllib.loads(text))] == []


@pytest.mark.parametrize(
    ("fault", "place"),
    [
        ('questions = "?"', []),
        ('[settings.process]\ncwdd = "/"', ["settings", "process"]),
        ("[axes.mine.one.process]\ncapabilities = 'dockre'", ["axes", "mine", "one", "process", "capabilities"]),
        ("[[expect]]\nverdict = 'errored'", ["expect", 0, "verdict"]),
    ],
)
def test_schema_finds_faults(fault: str, place: list[str | int]) -> None:
    data = tomllib.loads(f'format = 1\nquestion = "?"\n{fault}')
    assert [list(error.absolute_path) for error in validator().iter_errors(data)] == [place]
