"""The order of runtime versions, and ranges of them.

Ordered by :mod:`packaging.version`, which knows ``1.0.0-rc9 < rc10 < rc93 < 1.0.0 < 1.1.0-rc.1``; plain string order
and ``sort -V`` do not. A distribution's build label (``1.0.0-rc93+debian11``) sorts right after its version.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import cache

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from lab.errors import InputError
from lab.model.engine import EngineFamily, EngineName
from lab.model.runtime import Family, Release, RuntimeName

_RANGE = re.compile(r"(?P<name>[a-z]+)(?P<range>\s*[<>=!~].*)")


@cache
def key(version: str) -> Version:
    """The sort key of a version such as ``1.0.0-rc93`` or ``20.10.24``; raises :class:`InputError` for none."""
    try:
        return Version(version)
    except InvalidVersion as error:
        raise InputError(
            f"{version!r} is not a version", resolution="write it as upstream does: 1.0.0-rc93, 1.1.5+debian12"
        ) from error


def name_key(value: str) -> tuple[str, Version]:
    """The sort key of an axis value such as ``runc@1.0.0-rc93`` (name first, then version)."""
    name, _, version = value.partition("@")
    return name, key(version or "0")


def parse_name(text: str) -> RuntimeName:
    """``runc@1.0.0-rc93[+build]`` as a :class:`RuntimeName`; raises :class:`InputError`."""
    family, at, label = text.partition("@")
    if not at or family not in set(Family):
        raise InputError(
            f"{text!r} does not name a runtime",
            details=f"expected NAME@VERSION with NAME one of {', '.join(Family)}",
            resolution="see the known versions with `permlab runtimes list --all`",
        )
    key(label)
    version, _, build = label.partition("+")
    return RuntimeName(family=Family(family), version=version, build=build or None)


def parse_engine(text: str) -> EngineName:
    """``docker[@20.10.24[+build]]`` as an :class:`EngineName`; raises :class:`InputError`."""
    family, at, label = text.partition("@")
    if family not in set(EngineFamily) or (at and (not label or family == EngineFamily.OCI)):
        raise InputError(
            f"{text!r} does not name an engine",
            details=f"expected NAME or NAME@VERSION with NAME one of {', '.join(EngineFamily)} (oci has no versions)",
            resolution="see the known versions with `permlab engines list --all`",
        )
    version, _, build = label.partition("+")
    if version:
        key(label)
    return EngineName(family=EngineFamily(family), version=version or None, build=build or None)


@cache
def matches(pattern: str, value: str) -> bool:
    """Whether an axis value fits a pattern.

    A pattern is a version range (``runc>=1.0.0rc92,<1.1``: any ``runc@…`` inside it, build labels ignored), a glob
    (``crun@*``), or the value itself; a bare name (``runc``) fits every version of it.
    """
    found = _RANGE.fullmatch(pattern)
    if found:
        specifier = _specifier(pattern, found["range"])  # first: a malformed range is a fault, whatever the value
        name, _, version = value.partition("@")
        return name == found["name"] and bool(version) and specifier.contains(key(version), prereleases=True)
    return value == pattern or value.partition("@")[0] == pattern or fnmatchcase(value, pattern)


@cache
def _specifier(pattern: str, text: str) -> SpecifierSet:
    try:
        return SpecifierSet(text)
    except InvalidSpecifier as error:
        raise InputError(
            f"{pattern!r} is not a version range", resolution='write for example "runc>=1.0.0rc92,<1.1"'
        ) from error


def expand_runtimes(values: Iterable[str], releases: Iterable[Release]) -> tuple[str, ...]:
    """The runtime names that a scenario's or user's words stand for, each once, in the order of the words.

    Words: ``default`` and ``all`` (of every family), ``runc`` or ``runc@default`` (default set of one), ``runc@all``,
    a range, or one name. Raises :class:`InputError` for a word that stands for nothing.
    """
    catalogue = sorted(releases, key=lambda release: name_key(str(release.name)))
    found: dict[str, None] = {}
    for word in values:
        names = _expand_word(word, catalogue)
        if not names:
            raise InputError(
                f"runtime {word!r} stands for nothing that the catalogue knows",
                resolution="see the known versions with `permlab runtimes list --all`",
            )
        found |= dict.fromkeys(names)
    return tuple(found)


def check_word(word: str) -> None:
    """Raise :class:`InputError` for a word of a runtime axis that is none, whatever the catalogue knows."""
    found = _RANGE.fullmatch(word)
    if found:
        _specifier(word, found["range"])
    family, at, what = (found["name"], "", "") if found else word.partition("@")
    if word not in {"default", "all"} and (family not in set(Family) or (at and what not in {"default", "all"})):
        parse_name(word)


def _expand_word(word: str, catalogue: list[Release]) -> list[str]:
    family, at, what = word.partition("@")
    if word in {"default", "all"} or (family in set(Family) and what in {"", "default", "all"} and not _is_range(word)):
        everything = word == "all" or what == "all"
        chosen = [r for r in catalogue if word in {"default", "all"} or r.name.family == family]
        return [str(r.name) for r in chosen if everything or r.default]
    if _is_range(word):
        return [str(r.name) for r in catalogue if r.name.build is None and matches(word, str(r.name))]
    if at:
        return [str(parse_name(word))]
    return []


def _is_range(word: str) -> bool:
    return _RANGE.fullmatch(word) is not None
