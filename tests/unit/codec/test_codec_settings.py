"""Settings, headers and records: there and back again, and every fault at once."""

from __future__ import annotations

import base64
import dataclasses
import json
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.codec import (
    decode_facts,
    decode_header,
    decode_record,
    decode_settings,
    encode_header,
    encode_record,
    path_text,
    to_data,
)
from lab.errors import InputError, StoreError
from lab.model.observation import Observation
from lab.model.record import Record, RunHeader
from lab.model.settings import Settings
from lab.model.verdict import Passed

words = st.text(max_size=4)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | words,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2),
    max_leaves=3,
)


def strategy(hint: Any) -> st.SearchStrategy[Any]:  # noqa: ANN401, PLR0911  # a type of any shape
    """Values of a type of the model; ``object`` stands for plain JSON data."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is object:
        return plain
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return st.deferred(lambda: _dataclass(hint))
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple and arguments[-1:] == (...,):
        return st.lists(strategy(arguments[0]), max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*(strategy(one) for one in arguments))
    if origin in {Mapping, dict} or getattr(origin, "__name__", "") == "Mapping":
        return st.dictionaries(words, strategy(arguments[1]), max_size=2)
    if origin is Union or type(hint).__name__ == "UnionType":
        return st.one_of(*(strategy(one) for one in arguments))
    known = {
        str: words,
        int: st.integers(-(2**60), 2**60),
        float: st.floats(allow_nan=False, allow_infinity=False),
        bytes: st.binary(max_size=20),
    }
    return known[hint] if hint in known else st.from_type(hint)


def _dataclass(kind: type) -> st.SearchStrategy[Any]:
    hints = get_type_hints(kind)
    return st.builds(kind, **{field.name: strategy(hints[field.name]) for field in dataclasses.fields(kind)})


large = settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], max_examples=40, deadline=None
)


@large
@given(strategy(Settings))
def test_settings_are_read_as_they_are_written(said: Settings) -> None:
    data = to_data(said)
    assert decode_settings(data, where="x") == said
    assert decode_settings(json.loads(json.dumps(data)), where="x") == said


def fields_of(kind: type, path: str = "") -> Iterator[str]:
    for name, hint in get_type_hints(kind).items():
        yield f"{path}{name}"
        outer = [hint, *get_args(hint)]
        for inner in (*outer, *(argument for part in outer for argument in get_args(part))):
            if dataclasses.is_dataclass(inner) and isinstance(inner, type):
                yield from fields_of(inner, f"{path}{name}.")


@pytest.mark.parametrize("path", sorted(set(fields_of(Settings))))
def test_no_field_of_the_settings_takes_a_value_of_a_wrong_kind(path: str) -> None:
    data = nested(path, [["such"], 0.5])
    with pytest.raises(InputError) as caught:
        decode_settings(data, where="x")
    assert caught.value.details.startswith("x: settings.")


TABLE_LISTS = {"rootfs", "entries", "mounts", "uid_mappings", "gid_mappings", "rlimits", "checks"}


def nested(path: str, value: object) -> dict[str, Any]:
    """Data in which ``value`` stands at a path; lists and named tables on the way have one item."""
    first, _, rest = path.partition(".")
    inner: Any = nested(rest, value) if rest else value
    if rest and first in TABLE_LISTS:
        inner = [inner]
    elif rest and first == "fixtures":
        inner = {"f": inner}
    return {first: inner}


def test_settings_come_from_toml() -> None:
    text = """
    deadline = 2
    rootfs = [{ path = "/p", kind = "file", program = "probe", mode = 0o4755 }]
    process.capabilities = { bounding = ["CHOWN"] }
    process.rlimits = [{ type = "RLIMIT_NOFILE", soft = 1, hard = 2 }]
    linux.devices = [{ path = "/dev/x", type = "c", major = 1, minor = 3 }]
    caller.subordinate_ids = [100000, 65536]
    patch = [{ op = "add", path = "/x", value = { y = [1, true, "z"] } }]
    """
    said = decode_settings(tomllib.loads(text), where="x")
    assert said.deadline == 2.0
    assert said.rootfs[0].mode == 0o4755
    assert said.caller.subordinate_ids == (100000, 65536)
    assert said.patch[0]["value"] == {"y": [1, True, "z"]}


def test_all_faults_are_told_at_once_and_nothing_is_converted() -> None:
    data = {
        "deadline": "30",
        "readonly_root": 1,
        "process": {"umask": "027", "user": 1000, "steps": "id", "unknown": 1, "no_new_privileges": "yes"},
        "rootfs": [{"path": "/a", "uid": 1.5}, {"kind": "pipe", "path": 3}],
        "caller": {"subordinate_ids": [1, 2, 3]},
        "action": "start",
    }
    with pytest.raises(InputError) as caught:
        decode_settings(data, where="file.toml")
    told = {line.removeprefix("file.toml: ").partition(": ")[0] for line in caught.value.details.splitlines()}
    assert told >= {
        "settings.deadline",
        "settings.readonly_root",
        "settings.process.umask",
        "settings.process.user",
        "settings.process.steps",
        "settings.process.unknown",
        "settings.process.no_new_privileges",
        "settings.rootfs[0].uid",
        "settings.rootfs[1].kind",
        "settings.rootfs[1].path",
        "settings.caller.subordinate_ids",
        "settings.action",
    }


def test_a_path_is_written_as_people_do() -> None:
    assert path_text(("settings", "rootfs", 0, "mode")) == "settings.rootfs[0].mode"
    assert path_text(()) == ""


@large
@given(strategy(Record))
def test_a_record_is_read_as_it_is_written(record: Record) -> None:
    line = encode_record(record)
    assert b"\n" not in line
    assert line.startswith(b'{"record":')
    assert decode_record(line, where="x") == record


@given(st.binary(), st.binary())
def test_bytes_of_a_container_survive_whatever_they_are(output: bytes, more: bytes) -> None:
    record = Record(cell="c", scenario="s", axes={}, verdict=Passed(), observation=Observation(output=output + more))
    assert decode_record(encode_record(record), where="x") == record
    assert base64.b64encode(output + more).rstrip(b"=") in encode_record(record).replace(b"-", b"+").replace(b"_", b"/")


@large
@given(strategy(RunHeader))
def test_a_header_is_read_as_it_is_written(header: RunHeader) -> None:
    assert decode_header(encode_header(header), where="x") == header


RECORD = encode_record(
    Record(cell="c", scenario="s", axes={"user": "0:0"}, verdict=Passed(), observation=Observation(output=b"\0\xff"))
)


@given(st.integers(0, len(RECORD) - 1), st.integers(0, 255))
def test_a_damaged_record_is_an_error_that_says_where(position: int, byte: int) -> None:
    damaged = RECORD[:position] + bytes([byte]) + RECORD[position + 1 :]
    try:
        assert isinstance(decode_record(damaged, where="run:3"), Record)
    except StoreError as error:
        told = str(error)
        assert "run:3" in told


@pytest.mark.parametrize("cut", range(0, len(RECORD), 7))
def test_a_cut_record_is_damaged(cut: int) -> None:
    with pytest.raises(StoreError, match="run:3: a record is damaged"):
        decode_record(RECORD[:cut], where="run:3")


def test_unknown_keys_of_a_record_are_refused() -> None:
    data = json.loads(RECORD)
    data["record"]["colour"] = "red"
    data["record"]["axes"]["user"] = 0
    with pytest.raises(StoreError) as caught:
        decode_record(json.dumps(data).encode(), where="x")
    assert "record.colour: unknown key" in caught.value.details
    assert "record.axes.user" in caught.value.details


def test_what_is_no_header_is_no_run() -> None:
    for line in (b"", b"{}", b"[]", b"null", b'{"header": 3}', RECORD, b"\xff"):
        with pytest.raises(StoreError, match="is no stored run"):
            decode_header(line, where="x")


def test_facts_are_the_lines_of_the_probe_and_no_others() -> None:
    output = b'hello\n{"op":"start"}\n{"op":3}\n{"no":1}\n[1]\n{bad}\n {"op":"in"}\n\xff{"op":"x"}\n{"op":"end"}'
    assert [fact["op"] for fact in decode_facts(output)] == ["start", "end"]


@given(st.binary())
def test_facts_of_any_output(output: bytes) -> None:
    assert all(isinstance(fact["op"], str) for fact in decode_facts(output))


def test_deeply_nested_output_is_no_fact() -> None:
    hostile = b'{"op":"x","deep":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    assert decode_facts(hostile + b'\n{"op":"end"}') == ({"op": "end"},)
