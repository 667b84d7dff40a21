"""Scenario → cells: product, then exclude, then constraints, then include, always in the same order. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from itertools import product
from urllib.parse import quote

from lab.model.platform_release import ENGINE, RELEASE, RUNTIME, shipped_with
from lab.model.runtime import Release
from lab.model.scenario import BUILT_IN_AXES, Cell, Pattern, Scenario
from lab.scenario.expression import Condition, compile_condition
from lab.scenario.releases import family_words
from lab.scenario.versions import expand_runtimes, matches

DEFAULT_IMAGE = "distroless-static"
DEFAULT_ENGINE = "oci"

Values = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would run: the cells in order, and for each reason how many combinations it left out."""

    cells: tuple[Cell, ...]
    left_out: tuple[tuple[str, int], ...] = ()


def axes_of(
    scenario: Scenario, releases: Iterable[Release], runtimes: Sequence[str] = ()
) -> dict[str, tuple[str, ...]]:
    """Every axis of a scenario with its values, in the order of the id.

    ``runtimes``, when given, replaces the scenario's own runtime axis (the user's ``--runtimes``). Beside the axis
    ``release`` runtimes and engines are families.
    """
    axes = {"image": scenario.axes.get("image", (DEFAULT_IMAGE,))}
    axes |= {name: scenario.axes[name] for name in BUILT_IN_AXES[1:] if name in scenario.axes}
    axes |= {name: tuple(fragments) for name, fragments in scenario.own_axes.items()}
    if RELEASE in axes:
        axes[RUNTIME] = family_words(RUNTIME, runtimes or scenario.axes.get(RUNTIME, ()))
        axes[ENGINE] = family_words(ENGINE, scenario.axes.get(ENGINE, ()))
    else:
        axes[RUNTIME] = expand_runtimes(runtimes or scenario.axes.get(RUNTIME, ("default",)), releases)
        axes[ENGINE] = scenario.axes.get(ENGINE, (DEFAULT_ENGINE,))
    return axes


def expand(scenario: Scenario, releases: Iterable[Release], runtimes: Sequence[str] = ()) -> Plan:
    """All cells of a scenario, in the order of its axes, each once, and why other combinations are left out."""
    axes = axes_of(scenario, releases, runtimes)
    names = tuple(axes)
    rules = [(_rule_text(rule), tuple(rule.items())) for rule in scenario.exclude]
    constraints = [
        (constraint.why, compile_condition(constraint.when), compile_condition(constraint.require))
        for constraint in scenario.constraints
    ]
    kept: dict[str, Cell] = {}
    reasons: Counter[str] = Counter()
    for values in _combinations(axes):
        reason = _left_out(names, values, rules, constraints) if rules or constraints else None
        if reason is None:
            cell = make_cell(scenario.id, tuple(zip(names, values, strict=True)))
            kept[cell.id] = cell
        else:
            reasons[reason] += 1
    for row in scenario.include:
        for cell in _included(scenario.id, row, axes, releases):
            kept.setdefault(cell.id, cell)
    return Plan(cells=tuple(kept.values()), left_out=tuple(reasons.items()))


def _combinations(axes: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """Every combination of the values, with each release's own runtime and engine where there are releases."""
    for values in product(*axes.values()):
        yield tuple(shipped_with(dict(zip(axes, values, strict=True))).values()) if RELEASE in axes else values


def make_cell(scenario: str, axes: Values) -> Cell:
    """A cell with its id: ``scenario/image/axis=value/…/runtime/engine``."""
    return Cell("/".join((scenario, *(_segment(name, value) for name, value in axes))), scenario, axes)


@cache
def _segment(axis: str, value: str) -> str:
    """One segment of an id: safe as a file name, so ``/`` is written ``%2F`` (and an empty value ``%``).

    Any text has its own, even one with a lone surrogate, which TOML cannot hold and UTF-8 has no bytes for.
    """
    text = quote(value, safe=":,+=@~ ()[]{}!$&';", errors="surrogatepass") or "%"
    if text in {".", ".."}:
        text = text.replace(".", "%2E")
    if axis in {RUNTIME, ENGINE}:
        return text.replace("@", "-", 1)
    return text if axis == "image" else f"{axis}={text}"


def reason_left_out(scenario: Scenario, cell: Cell) -> str | None:
    """Why a scenario does not have a combination of its axes' values; ``None`` where nothing speaks against it."""
    axes = dict(cell.axes)
    shipped = shipped_with(axes)
    if shipped != axes:
        return f"{shipped[RELEASE]} has {shipped[RUNTIME]} and {shipped[ENGINE]}"
    if any(all(fits(pattern, cell.value(axis)) for axis, pattern in row.items()) for row in scenario.include):
        return None
    names, values = zip(*cell.axes, strict=True)
    rules = [(_rule_text(rule), tuple(rule.items())) for rule in scenario.exclude]
    constraints = [
        (one.why, compile_condition(one.when), compile_condition(one.require)) for one in scenario.constraints
    ]
    return _left_out(names, values, rules, constraints)


def _left_out(
    names: tuple[str, ...],
    values: tuple[str, ...],
    rules: list[tuple[str, tuple[tuple[str, Pattern], ...]]],
    constraints: list[tuple[str, Condition, Condition]],
) -> str | None:
    cell = dict(zip(names, values, strict=True))
    for text, rule in rules:
        if all(axis in cell and fits(pattern, cell[axis]) for axis, pattern in rule):
            return text
    for why, when, require in constraints:
        if when(cell) and not require(cell):
            return why
    return None


def fits(pattern: Pattern, value: str) -> bool:
    """Whether a value fits a pattern, or any of several."""
    return matches(pattern, value) if isinstance(pattern, str) else any(matches(one, value) for one in pattern)


def _rule_text(rule: Mapping[str, Pattern]) -> str:
    return "excluded: " + " and ".join(
        f"{axis} = {pattern if isinstance(pattern, str) else ' | '.join(pattern)}" for axis, pattern in rule.items()
    )


def _included(
    scenario: str, row: Mapping[str, Pattern], axes: Mapping[str, tuple[str, ...]], releases: Iterable[Release]
) -> Iterator[Cell]:
    """The cells of one include row: its own values, and every declared value of the axes that it does not name."""
    chosen = {}
    for axis in (*axes, *(axis for axis in BUILT_IN_AXES if axis in row and axis not in axes)):
        values = row.get(axis, axes.get(axis, ()))
        given = (values,) if isinstance(values, str) else tuple(values)
        chosen[axis] = expand_runtimes(given, releases) if axis == RUNTIME and RELEASE not in axes else given
    order = [axis for axis in (*BUILT_IN_AXES, *axes) if axis in chosen]
    names = tuple(dict.fromkeys(order))
    for values in _combinations({name: chosen[name] for name in names}):
        yield make_cell(scenario, tuple(zip(names, values, strict=True)))


def select(cells: Iterable[Cell], patterns: Sequence[str] = (), where: str | None = None) -> tuple[Cell, ...]:
    """The cells whose id fits any of ``patterns`` (globs, or parts of an id) and whose axes fulfil ``where``."""
    condition = compile_condition(where) if where else None
    return tuple(
        cell
        for cell in cells
        if (not patterns or any(id_fits(pattern, cell.id) for pattern in patterns))
        and (condition is None or condition(dict(cell.axes)))
    )


def id_fits(pattern: str, cell_id: str) -> bool:
    """Whether a cell's id fits what a user typed: a glob over the whole id, or any part of it."""
    if any(mark in pattern for mark in "*?"):
        return fnmatchcase(cell_id, pattern)
    return pattern in cell_id
