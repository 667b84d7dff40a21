"""Known changes of runtimes: what a flip between two versions may come from, with links to the upstream threads.

The data is ``changes.toml`` beside this module, decoded strictly. That a change is known says nothing about a flip: it
is shown beside what was measured, as a place to read on.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from lab.scenario.versions import key

FILE = Path(__file__).with_name("changes.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change: the first version of a family that has it, what it does, the causes that it makes or cures.

    ``scenarios``, where not empty, are the only ones that the change speaks of.
    """

    family: str
    since: str
    what: str
    causes: tuple[str, ...]
    links: tuple[str, ...]
    scenarios: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """All known changes. ``changelog`` maps a family to the address of a release, ``{version}`` standing in it."""

    known: tuple[Change, ...]
    changelog: Mapping[str, str]

    def between(self, before: str, after: str, *, causes: frozenset[str], scenario: str) -> tuple[Change, ...]:
        """The changes for one of ``causes`` that came after ``before``, up to ``after`` (``runc@1.0.0-rc92``)."""
        family, _, start = before.partition("@")
        other, _, end = after.partition("@")
        if not start or not end or family != other:
            return ()
        low, high = sorted((_upstream(start), _upstream(end)), key=key)
        return tuple(
            change
            for change in self.known
            if change.family == family
            and key(low) < key(change.since) <= key(high)
            and not causes.isdisjoint(change.causes)
            and (not change.scenarios or scenario in change.scenarios)
        )

    def release_notes(self, value: str) -> str:
        """The address where a release (``runc@1.0.0-rc93``) says what it changed; empty where none is known."""
        family, _, version = value.partition("@")
        pattern = self.changelog.get(family, "")
        return pattern.replace("{version}", _upstream(version)) if version else ""


def _upstream(version: str) -> str:
    """The version without a distribution's build."""
    return version.partition("+")[0]


def _version(text: str) -> str:
    key(text)
    return text


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    family: str
    since: Annotated[str, AfterValidator(_version)]
    what: str = Field(min_length=1)
    causes: list[str] = Field(min_length=1)
    links: list[str] = Field(min_length=1)
    scenarios: list[str] = Field(default_factory=list)


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal[1]
    changelog: dict[str, str] = Field(default_factory=dict)
    change: list[_Line]


@cache
def load_changes() -> Changes:
    """The changes that the lab knows."""
    return read_changes(FILE.read_text(encoding="utf-8"))


def read_changes(text: str) -> Changes:
    """The changes of a text such as ``changes.toml``; one that ships with a fault is a fault of the lab."""
    document = _Document.model_validate(tomllib.loads(text))
    return Changes(
        known=tuple(
            Change(
                family=line.family,
                since=line.since,
                what=line.what,
                causes=tuple(line.causes),
                links=tuple(line.links),
                scenarios=tuple(line.scenarios),
            )
            for line in document.change
        ),
        changelog=document.changelog,
    )
