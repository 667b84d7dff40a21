"""Runtimes: how they are named, how they are built, and what is recorded of a provisioned one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Family(StrEnum):
    """The runtimes that the lab knows."""

    RUNC = "runc"
    CRUN = "crun"
    YOUKI = "youki"
    RUNSC = "runsc"


class Provider(StrEnum):
    """Where a runtime binary can come from."""

    RELEASE = "release"
    GO = "go"
    CARGO = "cargo"
    DEBIAN = "debian"
    PATH = "path"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class RuntimeName:
    """How a scenario names one runtime: ``runc@1.0.0-rc93``, or a distribution's build ``runc@1.0.0-rc93+debian11``.

    ``version`` is upstream's spelling. ``build`` (the part after ``+``) names a source in the catalogue; without it
    any source of that version serves.
    """

    family: Family
    version: str
    build: str | None = None

    def __str__(self) -> str:
        return f"{self.family}@{self.label}"

    @property
    def label(self) -> str:
        """Version and build, without the family."""
        return self.version if self.build is None else f"{self.version}+{self.build}"

    @property
    def slug(self) -> str:
        """The spelling inside a cell id: ``runc-1.0.0-rc93``."""
        return f"{self.family}-{self.label}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One line of the catalogue: a runtime version and how to get it.

    ``sources`` maps a provider to its own words (toolchain, module version, suite, package version, pinned digest),
    in the order in which ``auto`` tries them. ``date`` is the day of the release, ISO 8601. ``default`` marks the
    set that a scenario gets when it asks for ``default``.
    """

    name: RuntimeName
    date: str
    sources: Mapping[Provider, Mapping[str, str]]
    default: bool = False
    notes: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """A provisioned runtime: identified by the sha256 of its binary, never by its version string alone.

    ``reported`` is the output of ``--version``; ``origin`` says in words where the binary came from (module and
    version, suite and package version, address of an asset); ``toolchain`` is the compiler that built it, where known;
    ``details`` holds further facts, for example the digest before patching.
    """

    name: RuntimeName
    path: str
    sha256: str
    reported: str
    provider: Provider
    origin: str
    toolchain: str = ""
    details: Mapping[str, str] = field(default_factory=dict)
