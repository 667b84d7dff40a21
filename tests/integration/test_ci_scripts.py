"""The scripts of docs/ci.md, run as they stand there by a shell, with a stand-in for the service."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from lab_session import PERMLAB, RUNC, Lab, user_cache
from ruamel.yaml import YAML

from lab.process import Completed, run

pytestmark = [pytest.mark.integration, pytest.mark.needs_root]

PAGE = Path(__file__).parents[2] / "docs" / "ci.md"
GITHUB, GITLAB = (
    YAML(typ="safe").load(text)
    for text in re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
)
BROKEN = "runc@1.0.0-rc93+debian11"
SCENARIO = """
[axes]
image = ["distroless-static:nonroot"]
user = ["1000:0"]
runtime = ["default"]
"""
STAND_IN = """#!/bin/sh
{ printf '%s\\0' "${0##*/}" "$@"; echo; } >>"$CALLS"
case "$*" in *--jq*|*per_page*) printf '%s\\n' "$FOUND";; esac
"""
TOKEN = "not-a-token"  # noqa: S105  # it is none


@pytest.fixture(name="lab")
def _lab(tmp_path: Path) -> Lab:
    for name in ("gh", "curl"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(STAND_IN)
        program.chmod(0o755)
    return Lab(place=tmp_path, cache=user_cache())


def shell(lab: Lab, script: str, environment: Mapping[str, str]) -> Completed:
    """As both services call it: bash, that ends at the first command which fails."""
    path = f"{lab.place / 'bin'}:{Path(PERMLAB).parent}:{os.environ['PATH']}"
    given = {**lab.environment, "PERMLAB_RUNS": "permlab-report", "CALLS": str(lab.place / "calls"), "PATH": path}
    argv = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    return run(argv, deadline=300, env={**given, **environment}, cwd=lab.place)


def words(lab: Lab, before: str, after: str) -> dict[str, str]:
    name = Path(lab.scenario(SCENARIO)).name
    return {"PERMLAB_FROM": before, "PERMLAB_TO": after, "PERMLAB_SCENARIOS": name}


def calls(lab: Lab) -> list[list[str]]:
    """What the stand-ins were called with."""
    file = lab.place / "calls"
    return [line.split("\0")[:-1] for line in file.read_text().splitlines()] if file.exists() else []


def steps() -> dict[str, dict[str, Any]]:
    return {step.get("name", step.get("uses")): step for step in GITHUB["jobs"]["upgrade"]["steps"]}


def on_github(lab: Lab, before: str, after: str, found: str = "") -> tuple[dict[str, str], Completed]:
    """All steps with a script, but for the one that installs; the outputs, and how the last step ended."""
    files = {name: str(lab.place / name) for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT")}
    measured = shell(lab, steps()["Measure both"]["run"], {**words(lab, before, after), **files})
    assert measured.ok, measured.tail()
    outputs = dict(line.split("=", 1) for line in Path(files["GITHUB_OUTPUT"]).read_text().splitlines())
    names = {"COMMENTS": "repos/you/it/issues/7/comments", "COMMENT": "repos/you/it/issues/comments", "FOUND": found}
    commented = shell(lab, steps()["Comment"]["run"], names)
    assert commented.ok, commented.tail()
    return outputs, shell(lab, steps()["Fail on regressions"]["run"], {"CODE": outputs["code"]})


def on_gitlab(lab: Lab, before: str, after: str, found: str = "[]", token: str = TOKEN) -> Completed:
    (script,) = GITLAB["permlab"]["script"]
    given = {"CI_API_V4_URL": "https://git.example/api/v4", "CI_PROJECT_ID": "3", "CI_MERGE_REQUEST_IID": "7"}
    return shell(lab, script, {**words(lab, before, after), **given, "FOUND": found, "PERMLAB_TOKEN": token})


def test_github_a_regression_is_told_and_then_fails(lab: Lab) -> None:
    outputs, ended = on_github(lab, RUNC, BROKEN)
    assert (outputs, ended.returncode) == ({"code": "1"}, 1)
    told = (lab.place / "permlab-report" / "diff.md").read_text()
    assert told.startswith("### permlab: 1 regression\n")
    assert (lab.place / "GITHUB_STEP_SUMMARY").read_text() == told
    assert (lab.place / "permlab-report" / "junit.xml").read_text().startswith("<?xml")
    assert len(list((lab.place / "permlab-report").glob("*.jsonl"))) == 1
    looked, posted = calls(lab)
    assert looked[:4] == ["gh", "api", "--paginate", "repos/you/it/issues/7/comments"]
    assert posted[3:] == [
        "--method",
        "POST",
        "repos/you/it/issues/7/comments",
        "--field",
        "body=@permlab-report/diff.md",
    ]


def test_github_the_comment_of_the_last_push_is_written_anew(lab: Lab) -> None:
    outputs, ended = on_github(lab, BROKEN, RUNC, found="11\n12")
    assert (outputs, ended.returncode) == ({"code": "0"}, 0)
    assert calls(lab)[-1][3:6] == ["--method", "PATCH", "repos/you/it/issues/comments/12"]


def test_github_words_that_mean_nothing_are_told_too(lab: Lab) -> None:
    outputs, ended = on_github(lab, RUNC, "docker@99")
    assert (outputs, ended.returncode) == ({"code": "2"}, 2)
    assert (lab.place / "GITHUB_STEP_SUMMARY").read_text().startswith("### permlab: no answer (exit code 2")
    assert not (lab.place / "permlab-report" / "junit.xml").exists()


def test_gitlab_a_regression_is_told_and_then_fails(lab: Lab) -> None:
    done = on_gitlab(lab, RUNC, BROKEN)
    assert done.returncode == 1, done.tail()
    assert done.stdout.startswith(b"### permlab: 1 regression\n")
    notes = "https://git.example/api/v4/projects/3/merge_requests/7/notes"
    looked, posted = calls(lab)
    assert looked[-1] == f"{notes}?per_page=100&sort=desc"
    assert posted[6:11] == ["--request", "POST", "--data-urlencode", "body@permlab-report/diff.md", notes]
    assert f"PRIVATE-TOKEN: {TOKEN}" in posted


def test_gitlab_the_note_of_the_last_push_is_written_anew(lab: Lab) -> None:
    notes = [{"id": 4, "body": "LGTM"}, {"id": 3, "body": "### permlab: 1 regression\n"}, {"id": 2, "body": ""}]
    done = on_gitlab(lab, BROKEN, RUNC, found=json.dumps(notes))
    assert done.returncode == 0, done.tail()
    assert calls(lab)[-1][6:8] == ["--request", "PUT"]
    assert calls(lab)[-1][10].endswith("/merge_requests/7/notes/3")


def test_gitlab_without_a_token_there_is_no_note(lab: Lab) -> None:
    done = on_gitlab(lab, BROKEN, RUNC, token="")
    assert (done.returncode, calls(lab)) == (0, [])
