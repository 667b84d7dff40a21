"""Cell → what it says in full: the scenario's base settings with the fragment of every axis value merged in. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.codec import decode_settings
from lab.errors import InputError
from lab.model.platform import PLATFORMS
from lab.model.scenario import Cell, Expectation, Resolved, Scenario
from lab.scenario.consistency import contradictions
from lab.scenario.expression import compile_condition

FROM_IMAGE = "image"
"""The value of ``user`` and ``cwd`` that keeps what the image says."""


def resolve(scenario: Scenario, cell: Cell) -> Resolved:
    """All that a cell says; raises :class:`InputError` when the merged settings do not fit together."""
    data: Mapping[str, Any] = scenario.base
    for axis, value in cell.axes:
        own = scenario.own_axes.get(axis)
        data = merge(data, own[value] if own is not None else built_in_fragment(axis, value))
    where = f"{scenario.path}: {cell.id}"
    settings = decode_settings(data, where=where)
    faults = [f"{where}: {fault}" for fault in contradictions(settings)]
    if faults:
        raise InputError(f"{where}: settings contradict themselves", details="\n".join(faults))
    return Resolved(
        cell=cell,
        image=cell.value("image"),
        runtime=cell.value("runtime"),
        engine=cell.value("engine"),
        settings=settings,
    )


def merge(base: Mapping[str, Any], fragment: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``fragment`` on top: tables merge, lists of tables are appended, everything else is replaced."""
    merged = dict(base)
    for key, value in fragment.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            merged[key] = merge(old, value)
        elif isinstance(old, list) and _is_table_list(old) and _is_table_list(value):
            merged[key] = [*old, *value]
        else:
            merged[key] = value
    return merged


def _is_table_list(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)


def built_in_fragment(axis: str, value: str) -> dict[str, Any]:
    """The settings that one value of a built-in axis stands for (image, runtime and engine stand for none)."""
    match axis:
        case "image_user" | "image_workdir":
            return {} if value == FROM_IMAGE else {axis: value}
        case "user" | "cwd":
            return {} if value == FROM_IMAGE else {"process": {axis: value}}
        case "platform":
            if value not in PLATFORMS:
                raise InputError(f"no platform {value!r}", details=f"there are: {', '.join(PLATFORMS)}")
            return dict(PLATFORMS[value].fragment)
        case "caps":
            return {"process": {"capabilities": value}}
        case "userns":
            maps = id_mappings(value)
            return {"linux": {"uid_mappings": maps, "gid_mappings": maps}} if maps else {}
    return {}


def id_mappings(text: str) -> list[dict[str, int]]:
    """``none``, or ``containerID:hostID:size`` with commas between several, as podman's ``--uidmap`` writes it."""
    if text == "none":
        return []
    maps = []
    for part in text.split(","):
        try:
            inside, outside, size = (int(number) for number in part.split(":"))
        except ValueError:
            raise InputError(f"{text!r} is not a mapping", resolution='write "none" or "0:100000:65536"') from None
        maps.append({"container_id": inside, "host_id": outside, "size": size})
    return maps


def expectation_of(scenario: Scenario, cell: Cell) -> Expectation | None:
    """The first expectation whose condition holds for the cell, or ``None``."""
    axes = dict(cell.axes)
    for expectation in scenario.expect:
        if compile_condition(expectation.when)(axes):
            return expectation
    return None
