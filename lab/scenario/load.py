"""Finds and loads scenario files: by path, or by name under ``./scenarios``, here, or among the shipped ones."""

from __future__ import annotations

import contextlib
import keyword
import re
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path

from lab.codec import decode_settings, decode_toml, examine_scenario, read_text
from lab.errors import InputError
from lab.model.scenario import BUILT_IN_AXES, LAST_AXES, Pattern, Scenario
from lab.model.settings import CapabilityPolicy, Settings
from lab.model.verdict import Phase
from lab.scenario.bounds import impossible
from lab.scenario.consistency import missing_fixtures
from lab.scenario.expression import check_condition
from lab.scenario.releases import release_faults
from lab.scenario.resolve import built_in_fragment
from lab.scenario.versions import check_word, matches, parse_engine

_AXIS = re.compile(r"[a-z][a-z0-9_]*")
CONTROLS = "controls"
"""Name of the shipped scenario whose cells every run includes."""


def shipped_directory() -> Path:
    """Where the shipped scenario files are: inside an installed package, or beside it in a checkout."""
    package = Path(str(resources.files("lab")))
    inside = package / "scenario" / "shipped"
    return inside if inside.is_dir() else package.parent / "scenarios"


def find(name: str) -> Path:
    """The file that a user's word means; raises :class:`InputError` that names what there is."""
    given = Path(name)
    if given.suffix == ".toml":
        if given.is_file():
            return given
    else:
        for directory in (Path("scenarios"), Path(), shipped_directory()):
            candidate = directory / f"{name}.toml"
            if candidate.is_file():
                return candidate
    known = sorted(path.stem for path in shipped_directory().glob("*.toml"))
    raise InputError(
        f"no scenario {name!r}",
        details=f"shipped scenarios: {', '.join(known)}",
        resolution="give one of these names, or the path of a .toml file",
    )


def load(path: Path) -> Scenario:
    """The scenario of a file; raises :class:`InputError` that lists every fault."""
    return parse(read_text(path), id=path.stem, where=str(path))


def parse(text: str, *, id: str, where: str) -> Scenario:  # noqa: A002  # the field's name
    """The scenario of a file's text; raises :class:`InputError` that lists every fault."""
    scenario, faults = examine_scenario(decode_toml(text, where), id=id, where=where)
    if scenario is not None:
        faults += [f"{where}: {fault}" for fault in _faults(scenario)]
    if faults or scenario is None:
        raise InputError(f"{where} is not a valid scenario", details="\n".join(faults))
    return scenario


def load_all(paths: list[Path]) -> tuple[Scenario, ...]:
    """Several scenarios; the faults of all files are reported together."""
    loaded, faults = [], []
    for path in paths:
        try:
            loaded.append(load(path))
        except InputError as error:
            faults.append(error.details or str(error))
    if faults:
        raise InputError(
            f"{len(faults)} of {len(paths)} scenario files cannot be used" if len(paths) > 1 else str(paths[0]),
            details="\n".join(faults),
            resolution="docs/scenarios.md describes the format; the `#:schema` line makes an editor check it",
        )
    return tuple(loaded)


def _faults(scenario: Scenario) -> Iterator[str]:
    axes = (*BUILT_IN_AXES, *scenario.own_axes, *LAST_AXES)
    for name in scenario.own_axes:
        if not _AXIS.fullmatch(name) or keyword.iskeyword(name) or name in {"true", "false"}:
            yield f"axes.{name}: expected a name of a-z, digits and _ that conditions can use (none of their words)"
    for kind, rules in (("exclude", scenario.exclude), ("include", scenario.include)):
        for index, rule in enumerate(rules):
            yield from _rule_faults(f"{kind}[{index}]", rule, axes)
    for index, rule in enumerate(scenario.include):
        yield from _fragment_faults(f"include[{index}]", rule, scenario)
    for where, text in _conditions(scenario):
        fault = check_condition(text, axes)
        if fault:
            yield f"{where}: {fault}"
    for index, expectation in enumerate(scenario.expect):
        if expectation.phase is not None and expectation.phase not in set(Phase):
            yield f"expect[{index}].phase: expected one of {', '.join(Phase)}, not {expectation.phase!r}"
    yield from _value_faults(scenario)
    yield from release_faults(scenario)
    yield from _settings_faults(scenario)


def _value_faults(scenario: Scenario) -> Iterator[str]:
    """Values of built-in axes that none of them has."""
    for axis, values in scenario.axes.items():
        for index, value in enumerate(values):
            yield from _value_fault(f"axes.{axis}[{index}]", axis, value)
    for index, rule in enumerate(scenario.include):
        for axis, pattern in rule.items():
            for value in (pattern,) if isinstance(pattern, str) else pattern:
                yield from _value_fault(f"include[{index}].{axis}", axis, value)


def _value_fault(where: str, axis: str, value: str) -> Iterator[str]:
    try:
        match axis:
            case "runtime":
                check_word(value)
            case "engine":
                parse_engine(value)
            case "caps" if value not in set(CapabilityPolicy):
                yield f"{where}: expected one of {', '.join(CapabilityPolicy)}, not {value!r}"
            case "userns" | "platform":
                found = decode_settings(built_in_fragment(axis, value), where=where)
                yield from (f"{where}: {fault}" for fault in impossible(found))
    except InputError as error:
        yield f"{where}: {error.brief} ({error.details or error.resolution})"


def _settings_faults(scenario: Scenario) -> Iterator[str]:
    """What the base settings and the fragments say that no cell can mean."""
    parts = {"settings": scenario.base} | {
        f"axes.{axis}.{value}": fragment
        for axis, fragments in scenario.own_axes.items()
        for value, fragment in fragments.items()
    }
    decoded: dict[str, Settings] = {}
    for where, data in parts.items():
        with contextlib.suppress(InputError):  # told already, by the shape of the file
            decoded[where] = decode_settings(data, where=where)
    fixtures = {name: None for settings in decoded.values() for name in settings.fixtures}
    for where, settings in decoded.items():
        for fault in (*impossible(settings), *missing_fixtures(settings, fixtures)):
            yield f"{where}.{fault}"


def _conditions(scenario: Scenario) -> Iterator[tuple[str, str]]:
    for index, constraint in enumerate(scenario.constraints):
        yield f"constraint[{index}].when", constraint.when
        yield f"constraint[{index}].require", constraint.require
    for index, expectation in enumerate(scenario.expect):
        yield f"expect[{index}].when", expectation.when


def _fragment_faults(where: str, rule: Mapping[str, Pattern], scenario: Scenario) -> Iterator[str]:
    for axis, pattern in rule.items():
        fragments = scenario.own_axes.get(axis)
        for value in (pattern,) if isinstance(pattern, str) else pattern:
            if fragments is not None and value not in fragments:
                yield f"{where}.{axis}: no fragment {value!r} (there are: {', '.join(fragments)})"


def _rule_faults(where: str, rule: Mapping[str, Pattern], axes: tuple[str, ...]) -> Iterator[str]:
    if not rule:
        yield f"{where}: expected at least one axis"
        return
    for axis, pattern in rule.items():
        if axis not in axes:
            yield f"{where}.{axis}: no such axis (axes: {', '.join(axes)})"
            continue
        for value in (pattern,) if isinstance(pattern, str) else pattern:
            try:
                matches(value, "")
            except InputError as error:
                yield f"{where}.{axis}: {error.brief}"
