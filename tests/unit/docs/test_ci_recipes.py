"""The pipelines of docs/ci.md: what the services accept, and command lines that the lab has."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from ruamel.yaml import YAML

from lab.cli.main import permlab

PAGE = Path(__file__).parents[3] / "docs" / "ci.md"
GITHUB, GITLAB = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
SCHEMAS = {
    "github": (GITHUB, ["vendor.github-workflows"]),
    "gitlab": (GITLAB, ["vendor.gitlab-ci", "--data-transform", "gitlab-ci"]),
}


def parsed(text: str) -> dict[str, Any]:
    data: dict[str, Any] = YAML(typ="safe").load(text)
    return data


def lines() -> list[str]:
    """Every command of the lab on the page, with its continued lines joined."""
    joined = PAGE.read_text().replace("\\\n", " ")
    return re.findall(r"^ *(permlab [a-z].*?)(?: *[>|;].*)?$", joined, re.MULTILINE)


@pytest.mark.parametrize("service", SCHEMAS)
def test_a_recipe_is_what_the_service_accepts(service: str, tmp_path: Path) -> None:
    text, schema = SCHEMAS[service]
    file = tmp_path / "recipe.yml"
    file.write_text(text)
    checker = str(Path(sys.executable).with_name("check-jsonschema"))
    argv = [checker, "--builtin-schema", *schema, str(file)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout


def test_the_page_has_command_lines() -> None:
    assert len([line for line in lines() if line.startswith("permlab upgrade --from")]) == 3
    assert len([line for line in lines() if line.startswith("permlab show --format junit")]) == 3


@pytest.mark.parametrize("line", lines())
def test_a_command_line_is_one_of_the_lab(line: str) -> None:
    _, verb, *arguments = shlex.split(line)
    command = permlab.commands[verb]
    with click.Context(command, info_name=verb) as context:
        command.parse_args(context, arguments)


def test_actions_are_pinned_to_a_major_version() -> None:
    steps = parsed(GITHUB)["jobs"]["upgrade"]["steps"]
    used = [step["uses"] for step in steps if "uses" in step]
    assert used
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", one) for one in used)


def test_the_job_fails_after_all_is_told() -> None:
    steps = parsed(GITHUB)["jobs"]["upgrade"]["steps"]
    assert [step.get("if") for step in steps[-1:]] == ["always()"]
    assert "CODE" in steps[-1]["env"]
    assert parsed(GITLAB)["permlab"]["artifacts"]["when"] == "always"


def test_both_recipes_measure_alike() -> None:
    github = parsed(GITHUB)["jobs"]["upgrade"]
    measure = next(step["run"] for step in github["steps"] if step.get("id") == "measure")
    (script,) = parsed(GITLAB)["permlab"]["script"]
    told = measure.index("cat permlab-report/diff.md")
    assert script.startswith(measure[:told])
    shared = {name for name in github["env"] if name != "PERMLAB_CACHE"}
    assert {name: github["env"][name] for name in shared} == {
        name: parsed(GITLAB)["permlab"]["variables"][name] for name in shared
    }
