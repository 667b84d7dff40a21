"""The only place that turns the model into JSON or TOML data and back.

Decoding is strict (no unknown key, no silent conversion) and reports *all* faults of an input at once, each with its
path. Bytes are base64 in JSON. Pydantic checks the model's own dataclasses, so there is no second description of
them, and the JSON Schemas are generated from the same types.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from lab.errors import InputError, StoreError
from lab.model.observation import Fact
from lab.model.record import Record, RunHeader
from lab.model.scenario import BUILT_IN_AXES, LAST_AXES, Constraint, Expectation, Scenario
from lab.model.settings import Settings

SCENARIO_FORMAT = 1
DEEPEST = 64
"""Tables and lists that may stand in each other in a TOML file; no setting needs ten."""

_STRICT = ConfigDict(extra="forbid", strict=True)
_WIRE = ConfigDict(extra="forbid", strict=True, ser_json_bytes="base64", val_json_bytes="base64")

_Values = list[str] | str


class _ScenarioDocument(BaseModel):
    """A scenario file as written, with its axes already split into built-in and own ones."""

    model_config = _STRICT

    format: Literal[1] = Field(description="Version of the scenario format.")
    question: str = Field(min_length=1, description="The one question that this file answers.")
    pack: str = Field(default="", pattern="^[a-z0-9-]*$", description="The theme of the question, to choose it by.")
    sources: list[str] = Field(default_factory=list, description="Links to where the question comes from.")
    axes: dict[str, list[str]] = Field(default_factory=dict)
    own_axes: dict[str, dict[str, Settings]] = Field(default_factory=dict)
    settings: Settings = Field(default_factory=Settings)
    exclude: list[dict[str, _Values]] = Field(default_factory=list)
    include: list[dict[str, _Values]] = Field(default_factory=list)
    constraint: list[Constraint] = Field(default_factory=list)
    expect: list[Expectation] = Field(default_factory=list)


class _SettingsDocument(BaseModel):
    model_config = _STRICT

    settings: Settings


class _RecordLine(BaseModel):
    model_config = _WIRE

    record: Record


class _HeaderLine(BaseModel):
    model_config = _WIRE

    header: RunHeader


_MEMBERS = {"str-enum[CapabilityPolicy]", "CapabilitySets", "list[str]", "str"}
"""What pydantic calls the members of a union, in the middle of a path: nothing that a file has."""


def path_text(loc: Iterable[int | str]) -> str:
    """A pydantic location as people write it: ``settings.rootfs[0].mode``."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _faults(error: ValidationError, where: str) -> list[str]:
    messages: dict[tuple[str, str], list[str]] = {}
    for fault in error.errors(include_url=False):
        loc = ("axes", *fault["loc"][1:]) if fault["loc"][:1] == ("own_axes",) else fault["loc"]
        unknown = fault["type"] in {"unexpected_keyword_argument", "extra_forbidden"}
        shown = "" if unknown or fault["type"] == "missing" else f", not {fault['input']!r:.60}"
        path = path_text(part for part in loc if part not in _MEMBERS)
        messages.setdefault((path, shown), []).append("unknown key" if unknown else fault["msg"])
    return [f"{where}: {path}: {' or '.join(several)}{shown}" for (path, shown), several in messages.items()]


def read_text(path: Path) -> str:
    """A text file; one that cannot be read, or is not UTF-8, gives an :class:`InputError`."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read", details=str(error)) from error


def decode_toml(text: str, where: str) -> dict[str, Any]:
    """TOML as data; what is no TOML, or nested beyond reason, gives an :class:`InputError` that says where."""
    try:
        data = tomllib.loads(text)
    except ValueError as error:  # besides TOMLDecodeError: a number of more digits than Python converts
        raise InputError(f"{where} is not a TOML file", details=f"{where}: {error}") from error
    except RecursionError:
        raise _too_deep(where) from None
    level: list[object] = [data]
    for _ in range(DEEPEST):
        level = [inner for outer in level for inner in _inside(outer)]
    if level:
        raise _too_deep(where)
    return data


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _too_deep(where: str) -> InputError:
    return InputError(
        f"{where} is nested too deeply", details=f"{where}: expected at most {DEEPEST} tables and lists in each other"
    )


def examine_scenario(
    data: Mapping[str, Any],
    *,
    id: str,  # noqa: A002  # the field's name
    where: str,
) -> tuple[Scenario | None, list[str]]:
    """A scenario and the faults of its file, each with its path.

    Where there are faults the scenario has stand-ins in their places, so that the caller can look for further faults in
    the rest of it; ``None`` when too little is left for that.
    """
    axes = data.get("axes", {})
    document = {
        **{key: value for key, value in data.items() if key != "axes"},
        "axes": {k: v for k, v in axes.items() if not isinstance(v, dict)} if isinstance(axes, dict) else axes,
        "own_axes": {k: v for k, v in axes.items() if isinstance(v, dict)} if isinstance(axes, dict) else {},
    }
    faults = []
    if "own_axes" in data:
        faults.append(f"{where}: own_axes: unknown key (a scenario's own axes stand under `axes` as tables)")
    try:
        checked = _ScenarioDocument.model_validate_json(json.dumps(document, default=str))
    except ValidationError as error:
        faults += _faults(error, where)
        document = _mended(document, error)
        try:
            checked = _ScenarioDocument.model_validate_json(json.dumps(document, default=str))
        except ValidationError:
            return None, faults
    faults += [f"{where}: {fault}" for fault in _axis_faults(checked)]
    scenario = Scenario(
        id=id,
        question=checked.question,
        pack=checked.pack,
        sources=tuple(checked.sources),
        axes={name: tuple(values) for name, values in checked.axes.items()},
        own_axes=document["own_axes"],
        base=document.get("settings", {}),
        exclude=tuple(_patterns(rule) for rule in checked.exclude),
        include=tuple(_patterns(rule) for rule in checked.include),
        constraints=tuple(checked.constraint),
        expect=tuple(checked.expect),
        path=where,
    )
    return scenario, faults


_STAND_INS: Mapping[str | int, object] = {
    "format": SCENARIO_FORMAT,
    "question": "?",
    "verdict": "passed",
    "when": "true",
    "require": "true",
    "why": "?",
}


def _mended(document: Mapping[str, Any], error: ValidationError) -> dict[str, Any]:
    """The document with a stand-in, or nothing, in the place of every fault."""
    mended: dict[str, Any] = json.loads(json.dumps(document, default=str))
    for fault in error.errors(include_url=False):
        parent: Any = mended
        *way, last = fault["loc"]
        for part in way:
            inside = isinstance(parent, list) and isinstance(part, int) and part < len(parent)
            if not inside and not (isinstance(parent, dict) and isinstance(parent.get(str(part)), dict | list)):
                last = part
                break
            parent = parent[part]
        if isinstance(parent, dict):
            parent.pop(last, None)
            parent |= {last: _STAND_INS[last]} if last in _STAND_INS else {}
        elif isinstance(parent, list) and isinstance(last, int) and last < len(parent):
            parent[last] = {} if isinstance(parent[last], dict) else "?"
    return mended


def _axis_faults(checked: _ScenarioDocument) -> Iterator[str]:
    known = {*BUILT_IN_AXES, *LAST_AXES}
    for name in checked.axes:
        if name not in known:
            yield f"axes.{name}: no built-in axis (expected one of {', '.join(sorted(known))}, or a table of fragments)"
    for name in checked.own_axes:
        if name in known:
            yield f"axes.{name}: a built-in axis takes a list of values, not a table"
    for name, values in {**checked.axes, **checked.own_axes}.items():
        if not values:
            yield f"axes.{name}: expected at least one value"
        for value in sorted({value for value in values if list(values).count(value) > 1}):
            yield f"axes.{name}: value {value!r} stands twice"


def _patterns(rule: Mapping[str, _Values]) -> dict[str, str | tuple[str, ...]]:
    return {axis: value if isinstance(value, str) else tuple(value) for axis, value in rule.items()}


@lru_cache(maxsize=4096)
def _settings(text: str) -> Settings:
    """Cells that differ in their runtime only have the same settings: they share one decoded object."""
    return _SettingsDocument.model_validate_json(text).settings


def decode_settings(data: Mapping[str, Any], *, where: str) -> Settings:
    """Settings from merged data; raises :class:`InputError` that lists every fault."""
    try:
        return _settings(json.dumps({"settings": data}, default=str))
    except ValidationError as error:
        raise InputError(f"{where}: settings do not fit", details="\n".join(_faults(error, where))) from None


def encode_header(header: RunHeader) -> bytes:
    """The first line of a stored run, without its newline."""
    return _HeaderLine(header=header).model_dump_json().encode()


def encode_record(record: Record) -> bytes:
    """One line of a stored run, without its newline."""
    return _RecordLine.model_construct(record=record).model_dump_json().encode()


def decode_header(line: bytes, *, where: str) -> RunHeader:
    """The header from its line; raises :class:`StoreError` when it is none of ours."""
    try:
        return _HeaderLine.model_validate_json(line).header
    except ValidationError as error:
        raise StoreError(f"{where} is no stored run", details="\n".join(_faults(error, where))) from None


def decode_record(line: bytes, *, where: str) -> Record:
    """A record from its line; raises :class:`StoreError` when the line is damaged."""
    try:
        return _RecordLine.model_validate_json(line).record
    except ValidationError as error:
        raise StoreError(f"{where}: a record is damaged", details="\n".join(_faults(error, where))) from None


def decode_facts(output: bytes) -> tuple[Fact, ...]:
    """The probe's facts among a container's output: every line that is a JSON object with an ``op``, in order."""
    facts = []
    for line in output.splitlines():
        if line.startswith(b"{"):
            try:
                fact = json.loads(line)
            except (ValueError, RecursionError):  # a stranger may write anything
                continue
            if isinstance(fact, dict) and isinstance(fact.get("op"), str):
                facts.append(fact)
    return tuple(facts)


def scenario_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a scenario file, for editors that read the ``#:schema`` line."""
    schema = _ScenarioDocument.model_json_schema()
    own = schema["properties"].pop("own_axes")["additionalProperties"]
    values = schema["properties"]["axes"]["additionalProperties"]
    known = {name: {**values, "minItems": 1} for name in (*BUILT_IN_AXES, *LAST_AXES)}
    schema["properties"]["axes"] = {"type": "object", "properties": known, "additionalProperties": own}
    for definition in schema["$defs"].values():
        if definition.get("type") == "object":
            definition["additionalProperties"] = False
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "permlab scenario",
        "additionalProperties": False,
    }


_ANYTHING: TypeAdapter[Any] = TypeAdapter(Any, config=ConfigDict(ser_json_bytes="base64"))


def settings_digest(settings: Settings) -> str:
    """``sha256:…`` over all that a cell says, the same in every run."""
    return f"sha256:{hashlib.sha256(json.dumps(to_data(settings), sort_keys=True).encode()).hexdigest()}"


def to_data(value: object) -> Any:  # noqa: ANN401  # plain JSON data of any shape
    """Any model object as plain JSON data (dicts, lists, strings, numbers); bytes as base64."""
    return _ANYTHING.dump_python(value, mode="json")
