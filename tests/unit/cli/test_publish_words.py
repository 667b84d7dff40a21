"""`permlab publish` and the reports of `permlab show`, over runs made up for the purpose and stored."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lab.cli.main import permlab
from lab.cli.publish import MARKER, check, write
from lab.errors import InputError, StoreError
from lab.model.record import HostFacts, Record, RunHeader
from lab.model.verdict import Passed
from lab.report.formats import PICTURES, RENDERERS
from lab.store.runs import create

HOST = HostFacts(
    kernel="6.18", machine="x86_64", cgroups="v2", lsms="", uid=0, capabilities="0", os="Debian GNU/Linux 12", cpus=2
)


@pytest.fixture(name="runs", autouse=True)
def _runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "runs"
    monkeypatch.setenv("PERMLAB_RUNS", str(place))
    for day in (1, 2):
        header = RunHeader(
            id=f"2026110{day}-120000-abcd",
            lab_version="0.1.0",
            started=f"2026-11-0{day}T12:00:00+00:00",
            host=HOST,
            argv=("permlab", "run", "mine"),
            scenarios={"mine": 'question = "does it run?"'},
        )
        axes = {"image": "busybox", "runtime": "runc@1.1.0", "engine": "oci"}
        record = Record(cell="mine/busybox/runc-1.1.0/oci", scenario="mine", axes=axes, verdict=Passed())
        with create(place, header) as writer:
            writer.record(record)
            writer.record(replace(record, cell=f"{record.cell}2", axes=axes | {"engine": "podman"}))
            writer.finish()
    return place


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(permlab, list(map(str, arguments)))


def content(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def test_all_stored_runs_are_published_twice_alike(tmp_path: Path) -> None:
    one, other = tmp_path / "deep" / "one", tmp_path / "other"
    assert call("publish", one).exit_code == 0
    result = call("publish", other)
    assert result.stdout == f"{other}/index.html\n"
    assert content(one) == content(other)
    data = json.loads((one / "site.json").read_text())
    assert [run["id"] for run in data["runs"]] == ["20261102-120000-abcd", "20261101-120000-abcd"]
    assert set(json.loads((one / MARKER).read_text())["files"]) == set(content(one)) - {MARKER}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "other", "runs"]


def test_a_site_of_its_own_is_made_anew(tmp_path: Path) -> None:
    place = tmp_path / "site"
    assert call("publish", place).exit_code == 0
    assert (place / "runs" / "20261101-120000-abcd").is_dir()
    assert call("publish", place, "--runs", "last", "--title", "Ours").exit_code == 0
    assert [path.name for path in (place / "runs").iterdir()] == ["20261102-120000-abcd"]
    assert "<title>Ours</title>" in (place / "feed.atom").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs", "site"]


def test_an_empty_directory_is_used(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    assert call("publish", tmp_path / "site").exit_code == 0
    assert (tmp_path / "site" / "index.html").is_file()


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("kind", ["file", "symlink", "below"])
def test_what_others_wrote_is_left_alone(tmp_path: Path, kind: str, own: bool) -> None:  # noqa: FBT001  # both ways
    place = tmp_path / "site"
    if own:
        assert call("publish", place).exit_code == 0
    foreign = place / ("runs/.git/config" if kind == "below" else "CNAME")
    foreign.parent.mkdir(parents=True, exist_ok=True)
    foreign.symlink_to("/") if kind == "symlink" else foreign.write_text("mine")
    before = content(place)
    result = call("publish", place)
    assert isinstance(result.exception, InputError)
    assert str(foreign.relative_to(place)) in result.exception.details
    assert content(place) == before


@pytest.mark.parametrize("marker", ["", "[]", "{}", '{"files": 1}', '{"files": [[]]}', "\0"])
def test_a_marker_that_is_none_vouches_for_nothing(tmp_path: Path, marker: str) -> None:
    place = tmp_path / "site"
    place.mkdir()
    (place / MARKER).write_text(marker)
    (place / "index.html").write_text("mine")
    assert isinstance(call("publish", place).exception, InputError)
    assert (place / "index.html").read_text() == "mine"


def test_a_failure_on_the_way_leaves_the_old_site(tmp_path: Path) -> None:
    place = tmp_path / "site"
    assert call("publish", place).exit_code == 0
    before = content(place)

    def files() -> Iterator[tuple[str, bytes]]:
        yield "index.html", b"new"
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write(place, files())
    assert content(place) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs", "site"]


def test_a_swap_that_fails_puts_the_old_site_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "site"
    assert call("publish", place).exit_code == 0
    before, rename = content(place), os.rename

    def refuse(source: Path, target: Path) -> None:
        if source.suffix == ".part":
            raise OSError(5, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(os, "rename", refuse)
    assert isinstance(call("publish", place).exception, StoreError)
    assert content(place) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs", "site"]


def test_a_damaged_run_is_left_out_unless_it_was_asked_for(tmp_path: Path, runs: Path) -> None:
    (runs / "20261103-120000-abcd.jsonl").write_text("nonsense\n")
    result = call("publish", tmp_path / "site")
    assert result.exit_code == 0
    assert "left out:" in result.stderr
    assert "published 2 runs" in result.stderr
    assert isinstance(call("publish", tmp_path / "other", "--runs", "20261103").exception, StoreError)
    assert not (tmp_path / "other").exists()


def test_one_run_under_two_names_is_refused(tmp_path: Path, runs: Path) -> None:
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes((runs / "20261101-120000-abcd.jsonl").read_bytes())
    result = call("publish", tmp_path / "site", "--runs", copy, "--runs", "20261101")
    assert isinstance(result.exception, InputError)
    assert not (tmp_path / "site").exists()


def test_nothing_to_publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERMLAB_RUNS", str(tmp_path / "none"))
    assert isinstance(call("publish", tmp_path / "site").exception, InputError)


@pytest.mark.parametrize("form", [*RENDERERS, *PICTURES])
def test_show_prints_a_stored_run_in_every_format(form: str) -> None:
    result = call("show", "--run", "20261101", "--format", form)
    assert result.exit_code == 0
    assert result.stdout_bytes


def test_a_report_goes_to_a_file_unchanged() -> None:
    text = call("show", "--format", "csv").stdout_bytes.decode()
    assert text.count("\r\n") == len(list(csv.reader(io.StringIO(text, newline=""))))
    assert call("show", "--format", "png").stdout_bytes.startswith(b"\x89PNG\r\n\x1a\n")


def test_a_record_has_no_format() -> None:
    assert isinstance(call("show", "mine", "--format", "csv").exception, InputError)


def test_the_example_of_the_repository_is_as_it_was_published() -> None:
    place = Path(__file__).parents[3] / "reports" / "example"
    check(place)
    files = content(place)
    assert set(json.loads(files.pop(MARKER))["files"]) == set(files)
    assert sum(map(len, files.values())) < 1_000_000
