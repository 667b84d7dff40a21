"""The axis ``release``: a scenario's runtimes and engines as each release of an operating system ships them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from lab.errors import InputError
from lab.model.engine import EngineFamily
from lab.model.platform_release import (
    ENGINE,
    PLATFORM_RELEASES,
    RELEASE,
    RELEASE_ENGINES,
    RELEASE_RUNTIMES,
    RUNTIME,
    of_family,
)
from lab.model.runtime import Release
from lab.model.scenario import Scenario
from lab.scenario.versions import expand_runtimes

_WORDS: Mapping[str, tuple[str, ...]] = {
    RELEASE: tuple(PLATFORM_RELEASES),
    RUNTIME: RELEASE_RUNTIMES,
    ENGINE: (EngineFamily.OCI, *RELEASE_ENGINES),
}

_ANY = frozenset({"all", "default"})


def release_fault(axis: str, value: str) -> str | None:
    """What is wrong with a value beside the axis ``release``: a release brings its own versions."""
    words = _WORDS.get(axis)
    if words is None or value in words:
        return None
    if axis == RELEASE:
        return f"no platform release {value!r} (there are: {', '.join(words)})"
    return f"a release brings its own version: expected one of {', '.join(words)}, not {value!r}"


def family_words(axis: str, words: Sequence[str]) -> tuple[str, ...]:
    """The families that stand on an axis beside the axis ``release``; raises :class:`InputError` for others.

    ``runc@all`` and ``runc@default`` are what the release has of it, ``all``, ``default`` or no word whatever it has.
    """
    families = [word.removesuffix("@all").removesuffix("@default") for word in words]
    for family in families:
        fault = None if family in _ANY else release_fault(axis, family)
        if fault:
            raise InputError(fault)
    every = {RUNTIME: RELEASE_RUNTIMES, ENGINE: RELEASE_ENGINES}.get(axis, ())
    return every if not words or not _ANY.isdisjoint(families) else tuple(dict.fromkeys(families))


def on_releases(scenario: Scenario, names: Iterable[str], releases: Iterable[Release]) -> Scenario:
    """The scenario on these platform releases: their versions of its runtimes and engines, instead of its own.

    A scenario of the lab's own engine ``oci``, which no release has, gets all that a release has. Rows of ``include``
    that name a runtime or an engine are about other versions, and go. Raises :class:`InputError` for a release that
    there is none of, and for a scenario whose runtimes no release has.
    """
    if RELEASE in scenario.own_axes:
        raise InputError(f"{scenario.id} has an axis {RELEASE} of its own")
    asked = tuple(dict.fromkeys(names))
    family_words(RELEASE, asked)
    used = expand_runtimes(scenario.axes.get(RUNTIME, ("default",)), releases)
    runtimes = [family for family in RELEASE_RUNTIMES if family in {of_family(name) for name in used}]
    if not runtimes:
        raise InputError(f"no release has a runtime of {scenario.id}", details=f"its runtimes: {', '.join(used)}")
    families = {of_family(name) for name in scenario.axes.get(ENGINE, ())}
    engines = [family for family in RELEASE_ENGINES if family in families] or RELEASE_ENGINES
    axes = {**scenario.axes, RELEASE: asked, RUNTIME: tuple(runtimes), ENGINE: tuple(engines)}
    rows = tuple(row for row in scenario.include if not {RUNTIME, ENGINE} & row.keys())
    return replace(scenario, axes=axes, include=rows)


def release_faults(scenario: Scenario) -> Iterator[str]:
    """Words of a scenario file that do not go with its axis ``release``, or that need it."""
    released = RELEASE in scenario.axes
    for axis in (RELEASE, RUNTIME, ENGINE) if released else ():
        for index, value in enumerate(scenario.axes.get(axis, ())):
            fault = release_fault(axis, value)
            if fault:
                yield f"axes.{axis}[{index}]: {fault}"
    for index, row in enumerate(scenario.include):
        if not released and RELEASE in row:
            yield f"include[{index}].{RELEASE}: the scenario has no axis {RELEASE}"
        for axis, pattern in row.items() if released else ():
            for value in (pattern,) if isinstance(pattern, str) else pattern:
                fault = release_fault(axis, value)
                if fault:
                    yield f"include[{index}].{axis}: {fault}"
