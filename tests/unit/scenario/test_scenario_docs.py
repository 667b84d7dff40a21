"""The examples of docs/scenarios.md are scenario files, or parts of one, that the lab accepts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lab.model.runtime import Release, RuntimeName
from lab.model.settings import Settings
from lab.provision.catalogue import load_catalogue
from lab.scenario.expand import expand
from lab.scenario.load import parse
from lab.scenario.resolve import resolve

DOCUMENT = Path(__file__).parents[3] / "docs" / "scenarios.md"
EXAMPLES = re.findall(r"^```toml\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
NAMED = r'"(runc|crun)@([\w.-]+)"'
HEAD = 'format = 1\nquestion = "?"\n'


def releases() -> tuple[Release, ...]:
    """The catalogue, which the ranges of the examples speak of."""
    return tuple(load_catalogue())


@pytest.mark.parametrize("text", EXAMPLES, ids=range(len(EXAMPLES)))
def test_example_is_accepted(text: str) -> None:
    scenario = parse(text if "format = 1" in text else HEAD + text, id="example", where="docs/scenarios.md")
    cells = expand(scenario, releases()).cells
    assert cells
    for cell in cells:
        assert isinstance(resolve(scenario, cell).settings, Settings)


def test_every_setting_is_documented() -> None:
    text = DOCUMENT.read_text()
    missing = [name for name in Settings.__dataclass_fields__ if f"`{name}`" not in text and f"`{name}." not in text]
    assert missing == []


def test_examples_name_known_runtimes() -> None:
    known = {release.name for release in releases()}
    named = {RuntimeName(family=family, version=version) for family, version in re.findall(NAMED, "".join(EXAMPLES))}
    assert named
    assert named <= known
