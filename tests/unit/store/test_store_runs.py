"""Stored runs: append-only, cut off cleanly by a kill, and never written twice at once."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import InputError, StoreError
from lab.model.observation import Observation
from lab.model.record import FORMAT, HostFacts, Record, RunHeader
from lab.model.verdict import Passed
from lab.store.runs import create, find, new_run_id, read, reopen, stored

HOST = HostFacts(kernel="k", machine="m", cgroups="v2", lsms="", uid=0, capabilities="0", os="o", cpus=1)


def header(run_id: str = "20261122-120000-abcd") -> RunHeader:
    return RunHeader(
        id=run_id, lab_version="0", started="now", host=HOST, argv=("permlab",), scenarios={"s": "text"}, where="true"
    )


def record(number: int) -> Record:
    observation = Observation(output=bytes(range(256)) * number)
    return Record(cell=f"s/{number}", scenario="s", axes={}, verdict=Passed(), observation=observation)


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    with create(tmp_path / "new" / "runs", header()) as writer:
        writer.describe("runtime", "sha256:1", {"name": "runc"})
        writer.describe("image", "sha256:2", {"name": "busybox"})
        writer.describe("config", "sha256:3", "{}")
        writer.record(record(1))
        writer.describe("config", "sha256:3", "{}")
        writer.describe("runtime", "", {})
        writer.record(record(2))
        unfinished = read(writer.path)
        writer.finish()
    run = read(writer.path)
    assert run.header == header()
    assert run.records == (record(1), record(2))
    assert run.runtimes == {"sha256:1": {"name": "runc"}}
    assert run.images == {"sha256:2": {"name": "busybox"}}
    assert run.configs == {"sha256:3": "{}"}
    assert (bool(run.finished), bool(unfinished.finished)) == (True, False)
    assert len(writer.path.read_bytes().splitlines()) == 7


def whole_run(directory: Path) -> bytes:
    with create(directory, header()) as writer:
        for number in range(3):
            writer.describe("config", f"sha256:{number}", "{}")
            writer.record(record(number))
        writer.finish()
    return writer.path.read_bytes()


def test_a_kill_at_any_byte_loses_at_most_the_line_being_written(tmp_path: Path) -> None:
    whole = whole_run(tmp_path / "whole")
    first = whole.index(b"\n") + 1
    path = tmp_path / "20261122-120000-abcd.jsonl"
    for cut in (*range(first, len(whole), 97), *(i + 1 for i in range(first, len(whole)) if whole[i : i + 1] == b"\n")):
        path.write_bytes(whole[:cut])
        complete = whole[: whole[:cut].rfind(b"\n") + 1].count(b'{"record"')
        assert [one.cell for one in read(path).records] == [f"s/{number}" for number in range(complete)]
        with reopen(path) as writer:
            for number in range(complete, 3):
                writer.describe("config", f"sha256:{number}", "{}")
                writer.record(record(number))
            writer.finish()
        again = read(path)
        assert [one.cell for one in again.records] == ["s/0", "s/1", "s/2"]
        assert set(again.configs) == {"sha256:0", "sha256:1", "sha256:2"}
        assert path.read_bytes().count(b'{"config"') == 3


def test_two_labs_cannot_write_one_run(tmp_path: Path) -> None:
    with create(tmp_path, header()) as writer:
        with pytest.raises(StoreError, match="is being written by another permlab"):
            reopen(writer.path)
        writer.record(record(1))
    with reopen(writer.path), pytest.raises(StoreError, match="is being written"):
        reopen(writer.path)
    assert len(read(writer.path).records) == 1
    with pytest.raises(StoreError, match="cannot be stored"):
        create(tmp_path, header())


def test_descriptors_are_given_back(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with create(tmp_path, header()) as writer:
        for _ in range(3):
            with pytest.raises(StoreError):
                reopen(writer.path)
            with pytest.raises(StoreError):
                create(tmp_path, header())
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_run_appears_with_its_header_or_not_at_all(tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: object) -> bytes:
        assert not stored(tmp_path)
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lab.store.runs.encode_header", killed)
        with pytest.raises(Killed):
            create(tmp_path, header())
    assert not list(tmp_path.iterdir())
    assert not stored(tmp_path)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"{}\n",
        b"[]\n",
        b"nonsense\n",
        b'{"header": 3}\n',
        b'{"header": {"format": "1"}}\n',
        b"\xff\xfe\n",
        b"{",
    ],
)
def test_what_is_no_run_is_said_to_be_none(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(data)
    with pytest.raises(StoreError) as caught:
        read(path)
    assert "x.jsonl" in str(caught.value)


def test_a_run_that_cannot_be_opened(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.jsonl", tmp_path):
        with pytest.raises(StoreError, match="cannot be read"):
            read(path)


def test_a_run_of_a_newer_lab_is_refused_with_advice(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    newer = {"header": {"format": FORMAT + 1, "more": "fields"}}
    path.write_text(json.dumps(newer) + "\n" + '{"unknown": 1}\n')
    with pytest.raises(StoreError, match="newer permlab") as caught:
        read(path)
    assert caught.value.resolution == "upgrade permlab"


@given(drawn=st.data())
def test_a_damaged_line_is_an_error_that_names_it(
    tmp_path_factory: pytest.TempPathFactory, drawn: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("run")
    lines = whole_run(directory).splitlines()
    path = next(iter(stored(directory)))
    number = drawn.draw(st.integers(0, len(lines) - 1))
    garbage = st.binary(max_size=8).filter(lambda raw: not set(raw) & set(b"\r\n}"))
    cut = drawn.draw(st.integers(0, len(lines[number]) - 1))
    lines[number] = lines[number][:cut] + drawn.draw(garbage)
    path.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(StoreError) as caught:
        read(path)
    assert path.name in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        b'{"runtime": 5}',
        b'{"image": {"digest": 1, "facts": {}}}',
        b'{"config": {}}',
        b"{}",
        b"[]",
        b'{"finished": 5}',
        b'{"x": 1}',
    ],
)
def test_a_line_of_a_wrong_shape_is_damaged(tmp_path: Path, line: bytes) -> None:
    with create(tmp_path, header()) as writer:
        pass
    with writer.path.open("ab") as stream:
        stream.write(line + b"\n")
    with pytest.raises(StoreError, match="damaged") as caught:
        read(writer.path)
    assert ":2" in caught.value.brief


def test_a_write_that_fails_is_told_and_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with create(tmp_path, header()) as writer:
        writer.record(record(0))
        real = os.write
        monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[: len(data) // 2]))
        with pytest.raises(StoreError, match="cannot be written") as caught:
            writer.record(record(1))
        monkeypatch.setattr(os, "write", real)
        assert f"--resume {writer.path.stem}" in caught.value.resolution
        assert writer.path.read_bytes().endswith(b"\n")
        writer.record(record(1))
    assert [one.cell for one in read(writer.path).records] == ["s/0", "s/1"]


def test_a_run_is_found_by_id_by_its_start_by_path_and_as_the_last(tmp_path: Path) -> None:
    names = ["20261121-120000-aaaa", "20261122-120000-aaaa", "20261122-130000-bbbb"]
    for name in reversed(names):
        create(tmp_path, header(name)).close()
    assert [path.stem for path in stored(tmp_path)] == names
    assert find(tmp_path, "last").stem == names[-1]
    assert find(tmp_path, names[0]).stem == names[0]
    assert find(tmp_path, "20261121").stem == names[0]
    assert find(tmp_path / "elsewhere", str(tmp_path / f"{names[1]}.jsonl")).stem == names[1]
    with pytest.raises(InputError, match="fits 2 stored runs"):
        find(tmp_path, "20261122")
    for word in ("2025", "/etc/passwd", str(tmp_path / "x.jsonl")):
        with pytest.raises(InputError, match="no stored run"):
            find(tmp_path, word)
    with pytest.raises(InputError, match="no stored run 'last'"):
        find(tmp_path / "elsewhere", "last")


def test_ids_sort_by_time_and_do_not_repeat() -> None:
    ids = [new_run_id() for _ in range(50)]
    assert len(set(ids)) > 1
    assert [one[:15] for one in ids] == sorted(one[:15] for one in ids)
