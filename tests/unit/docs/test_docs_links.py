"""Documentation: links and anchors lead somewhere, and commands are the ones that are run."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.cli.main import permlab
from lab.scenario.load import parse

ROOT = Path(__file__).parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    found: set[str] = set()
    for line in FENCE.sub("", text).splitlines():
        if heading := re.match(r"#{1,6} +(.*)", line):
            words = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).lower())
            slug, number = words.strip().replace(" ", "-"), 0
            while (numbered := f"{slug}-{number}" if number else slug) in found:
                number += 1
            found.add(numbered)
    return found | set(re.findall(r'<a (?:id|name)="([^"]+)"', text))


def links() -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        for target in LINK.findall(FENCE.sub("", page.read_text())):
            if not re.match(r"[a-z]+:", target):
                yield page, target


@pytest.mark.parametrize(("page", "target"), list(links()), ids=lambda value: str(getattr(value, "name", value)))
def test_a_link_leads_somewhere(page: Path, target: str) -> None:
    path, _, anchor = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    assert file.exists(), f"{page.name}: {target}"
    assert file.is_relative_to(ROOT)
    if anchor and file.suffix == ".md":
        assert anchor in anchors(file.read_text()), f"{page.name}: {target}"


def test_the_pages_that_the_project_promises_are_there() -> None:
    names = {str(page.relative_to(ROOT)) for page in PAGES}
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/glossary.md", "docs/how-to-add.md"} <= names
    assert (ROOT / "LICENSE").is_file()


def test_the_readme_begins_with_two_commands_of_one_line_and_ci_runs_the_second() -> None:
    blocks = [body.strip() for kind, body in BLOCK.findall((ROOT / "README.md").read_text()) if kind == "sh"]
    main_job, tests = blocks[:2]
    assert "\n" not in main_job
    assert "\n" not in tests
    assert "permlab run chdir-cwd" in main_job
    assert tests in (ROOT / ".ci" / "run").read_text().splitlines()
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_every_command_that_documentation_names_exists() -> None:
    for page in PAGES:
        for verb in re.findall(r"`permlab ([a-z]+)", page.read_text()):
            assert verb in permlab.commands, f"{page.name}: permlab {verb}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_scenarios_in_documentation_are_scenarios(page: Path) -> None:
    for kind, body in BLOCK.findall(page.read_text()):
        if kind == "toml" and "format = 1" in body and tomllib.loads(body):
            assert parse(body, id="x", where=page.name).question


def test_nox_has_the_sessions_that_the_project_promises() -> None:
    text = (ROOT / "noxfile.py").read_text()
    defined = set(re.findall(r"@nox\.session.*?\ndef (\w+)", text))
    assert defined == {"matrix", "tests", "lint", "types", "layers", "integration", "bench", "docs"}
