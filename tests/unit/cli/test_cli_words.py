"""The command line, without containers: words, help, plan, errors and their exit codes."""

from __future__ import annotations

import json
import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from lab.cli.common import runtime_words
from lab.cli.main import permlab
from lab.process import Completed, run, small_environment

GOLDEN = Path(__file__).parents[2] / "golden"
PERMLAB = str(Path(sysconfig.get_path("scripts")) / "permlab")


def verbs(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from verbs(command, (*path, name))
        else:
            yield (*path, name)


@pytest.mark.parametrize("path", list(verbs(permlab)), ids=lambda path: "-".join(("permlab", *path)))
def test_help_is_as_its_golden_file_says(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(permlab, [*path, "--help"], prog_name="permlab", terminal_width=100)
    assert result.exit_code == 0
    name = f"help-{'-'.join(('permlab', *path))}.txt"
    if os.environ.get("PERMLAB_UPDATE_GOLDEN"):
        (GOLDEN / name).write_text(result.output)
    assert result.output == (GOLDEN / name).read_text(), f"{name} is not current"
    assert "Example" in result.output or path == ("runtimes",)
    assert "\b" not in result.output
    assert "\\b" not in result.output


def test_no_golden_help_of_a_verb_that_is_gone() -> None:
    names = {f"help-{'-'.join(('permlab', *path))}.txt" for path in verbs(permlab)}
    assert {path.name for path in GOLDEN.glob("help-*.txt")} == names


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, ()),
        ("", ()),
        ("default", ("default",)),
        ("runc@1.0.0, crun", ("runc@1.0.0", "crun")),
        ("runc>=1.0.0rc92,<1.1", ("runc>=1.0.0rc92,<1.1",)),
        ("runc >=1.0, <1.1 ,!=1.0.5,crun@all", ("runc >=1.0,<1.1,!=1.0.5", "crun@all")),
        ("crun,runc~=1.1,==1.1.5", ("crun", "runc~=1.1,==1.1.5")),
    ],
)
def test_runtime_words(text: str | None, words: tuple[str, ...]) -> None:
    assert runtime_words(text) == words


@given(
    st.lists(st.sampled_from(["default", "runc@1.1.0", "runc>=1.0,<1.1", "crun~=1.8,!=1.8.5"]), min_size=1, max_size=4)
)
def test_words_come_back_from_their_list(words: list[str]) -> None:
    assert runtime_words(", ".join(words)) == tuple(words)


def called(*arguments: str, **environment: str) -> Completed:
    return run([PERMLAB, *arguments], deadline=60, env=small_environment(environment))


@pytest.fixture(name="place")
def _place(tmp_path: Path) -> dict[str, str]:
    return {"PERMLAB_CACHE": str(tmp_path / "cache"), "PERMLAB_RUNS": str(tmp_path / "runs")}


def test_plan_names_axes_cells_and_what_is_left_out() -> None:
    result = CliRunner().invoke(permlab, ["plan", "chdir-cwd", "--runtimes", "runc@1.1.0", "--where", 'caps == "cri"'])
    assert result.exit_code == 0
    assert "not selected by --cell or --where" in result.output
    assert "an ordinary user maps only itself" in result.output
    document = json.loads(CliRunner().invoke(permlab, ["plan", "chdir-cwd", "--format", "json"]).output)
    listed = CliRunner().invoke(permlab, ["plan", "chdir-cwd", "--ids"]).output.splitlines()
    assert document[0]["cells"] == listed
    assert len(set(listed)) == len(listed) > 100


def test_planning_provisions_and_writes_nothing(tmp_path: Path, place: dict[str, str]) -> None:
    assert called("plan", "chdir-cwd", **place).ok
    assert called("scenarios", **place).ok
    assert called("runs", **place).ok
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("plan", "nothing-such"), 2, "no scenario 'nothing-such'"),
        (("plan", "chdir-cwd", "--where", "user = 1"), 2, "is not a condition"),
        (("plan", "chdir-cwd", "--where", 'usr == "0:0"'), 2, "no axis 'usr'"),
        (("plan", "chdir-cwd", "--runtimes", "runc>9"), 2, "stands for nothing"),
        (("plan", "chdir-cwd", "--runtimes", "runc@newest"), 2, "is not a version"),
        (("plan",), 2, "Missing argument"),
        (("plan", "chdir-cwd", "--form"), 2, "--format"),
        (("fly",), 2, "No such command"),
        (("run",), 2, "no scenario is named"),
        (("run", "chdir-cwd", "--resume", "last"), 2, "--resume takes its scenarios from the stored run"),
        (("run", "--resume", "last"), 2, "no stored run 'last'"),
        (("run", "chdir-cwd", "-j", "0"), 2, "0 is not in the range"),
        (("run", "chdir-cwd", "--deadline", "nan"), 2, "--deadline takes a number"),
        (("run", "/etc/passwd"), 2, "no scenario"),
        (("run", "chdir-cwd", "--cell", "nothing-such"), 2, "no cell is selected"),
        (("show", "x"), 2, "no stored run 'last'"),
        (("judge", "2020"), 2, "no stored run '2020'"),
        (("runtimes", "pull", "docker@20"), 2, "does not name a runtime"),
        (("engines", "pull", "docker", "dokcer"), 2, "does not name an engine"),
    ],
)
def test_bad_input_is_told_and_exits_with_2(
    place: dict[str, str], arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = called(*arguments, **place)
    assert done.returncode == code, done.tail()
    assert words in done.stderr.decode()
    assert b"Traceback" not in done.stderr
    assert done.stdout == b""


def test_images_that_mean_nothing_are_told_together(tmp_path: Path, place: dict[str, str]) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('format = 1\nquestion = "?"\n[axes]\nimage = ["nope", "busybox", "oci:", "rootfs:/none"]\n')
    done = called("plan", str(path), **place)
    assert done.returncode == 2
    assert "axes.image[0]: unknown image 'nope'" in done.stderr.decode()
    assert "axes.image[2]: unknown image 'oci:'" in done.stderr.decode()
    assert done.stderr.count(b"axes.image") == 2


def test_a_scenario_file_of_the_user_with_faults(tmp_path: Path, place: dict[str, str]) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('format = 1\n[axes]\nimage = 3\n[settings]\nrootfs = [{ pth = "/x" }]\n')
    done = called("run", str(path), **place)
    told = done.stderr.decode()
    assert done.returncode == 2
    for words in ("question", "axes.image", "settings.rootfs[0].pth", "settings.rootfs[0].path", "docs/scenarios.md"):
        assert words in told
    assert "Traceback" not in told


def test_a_damaged_run_among_others_does_not_hide_them(tmp_path: Path, place: dict[str, str]) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "20200101-000000-abcd.jsonl").write_text("damaged\n")
    done = called("runs", **place)
    assert done.returncode == 0
    assert "20200101-000000-abcd" in done.stdout.decode()
    assert "cannot be read" in done.stdout.decode()


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    done = run(["/bin/sh", "-c", f"{PERMLAB} plan chdir-cwd --ids | head -n 1"], deadline=60)
    assert done.stdout.count(b"\n") == 1
    assert done.stderr == b""


def test_version_and_doctor(place: dict[str, str], tmp_path: Path) -> None:
    assert called("--version").stdout.startswith(b"permlab, version ")
    done = called("doctor", **place)
    assert done.ok
    assert "rootful cells" in done.stdout.decode()
    assert not list(tmp_path.iterdir())
