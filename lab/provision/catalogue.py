"""The catalogue: which runtime versions the lab knows, and how to get each.

The data is ``catalogue.toml`` beside this module, decoded strictly: an unknown key or a missing word is an error that
names its place. Nothing here reads a network or a cache.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lab.errors import InputError
from lab.model.runtime import Family, Provider, Release, RuntimeName
from lab.scenario.versions import name_key, parse_name

FILE = Path(__file__).with_name("catalogue.toml")

AUTO_ORDER = (Provider.RELEASE, Provider.GO, Provider.CARGO, Provider.DEBIAN)
"""The order in which ``auto`` asks the providers of a release (after the cache)."""

REQUIRED: Mapping[Provider, frozenset[str]] = {
    Provider.RELEASE: frozenset({"asset"}),
    Provider.GO: frozenset({"package", "module", "module_version", "toolchain", "cgo"}),
    Provider.CARGO: frozenset({"crate", "crate_version", "features"}),
    Provider.DEBIAN: frozenset({"suite", "package", "file", "version"}),
}
"""The words without which a provider cannot work."""

_Words = dict[str, str]


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    date: str = Field(pattern=r"^(\d{4}-\d{2}-\d{2})?$")
    default: bool = False
    notes: str = ""
    release: _Words | None = None
    go: _Words | None = None
    cargo: _Words | None = None
    debian: _Words | None = None


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal[1]
    pins: dict[str, str] = Field(default_factory=dict)
    template: dict[str, dict[str, _Words]] = Field(default_factory=dict)
    runtime: list[_Line]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All known releases, ordered by family name and version (a build label right after its version)."""

    releases: tuple[Release, ...]

    def __iter__(self) -> Iterator[Release]:
        return iter(self.releases)

    def get(self, name: RuntimeName | str) -> Release:
        """The release of a name; raises :class:`InputError` when the catalogue does not have it."""
        wanted = name if isinstance(name, RuntimeName) else parse_name(name)
        for release in self.releases:
            if release.name == wanted:
                return release
        near = ", ".join(str(release.name) for release in self.versions(wanted.family))
        raise InputError(
            f"the catalogue does not know {wanted}",
            details=f"it knows {near}",
            resolution=f"choose one of these, or give the binary: permlab runtimes add {wanted} FILE",
        )

    def versions(self, family: Family | str | None = None) -> tuple[Release, ...]:
        """The releases of a family, or all, oldest first."""
        return tuple(release for release in self.releases if family is None or release.name.family == family)

    def default(self, family: Family | str | None = None) -> tuple[Release, ...]:
        """The default set of a family, or of all, oldest first."""
        return tuple(release for release in self.versions(family) if release.default)


@cache
def load_catalogue() -> Catalogue:
    """The catalogue that ships with the lab."""
    return parse_catalogue(FILE.read_text(encoding="utf-8"), FILE.name)


def parse_catalogue(text: str, source: str) -> Catalogue:
    """Decode a catalogue; ``source`` names it in errors. Raises :class:`InputError` with all faults at once."""
    try:
        document = _Document.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{source} is not TOML", details=str(error)) from error
    except ValidationError as error:
        faults = [f"{source}: {'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        raise InputError(f"{source} is not a catalogue", details="\n".join(faults)) from error
    faults = []
    releases = [_release(line, document, faults) for line in document.runtime]
    names = [release.name for release in releases]
    faults += [f"{name}: named twice" for name in sorted({name for name in names if names.count(name) > 1}, key=str)]
    if faults:
        raise InputError(f"{source} is not a catalogue", details="\n".join(f"{source}: {fault}" for fault in faults))
    return Catalogue(tuple(sorted(releases, key=lambda release: name_key(str(release.name)))))


def _release(line: _Line, document: _Document, faults: list[str]) -> Release:
    name = parse_name(line.name)
    own = {provider: getattr(line, provider.value) for provider in AUTO_ORDER}
    sources: dict[Provider, Mapping[str, str]] = {}
    for provider, words in own.items():
        if words is None:
            continue
        merged = document.template.get(name.family, {}).get(provider, {}) | words
        if "pins" in merged:
            pinned = document.pins.get(merged.pop("pins"))
            merged["require"] = (pinned or "").strip()
            faults += [] if pinned else [f"{name}: {provider}: pins names no table entry"]
        missing = sorted(REQUIRED[provider] - merged.keys())
        faults += [f"{name}: {provider}: {word} is missing" for word in missing]
        sources[provider] = {key: word.replace("{version}", name.version) for key, word in merged.items()}
    if not sources:
        faults.append(f"{name}: no source")
    return Release(name=name, date=line.date, sources=sources, default=line.default, notes=line.notes)
