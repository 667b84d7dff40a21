"""Engines: how they are named, and what is recorded of a provisioned build of one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class EngineFamily(StrEnum):
    """What calls the runtime: the lab itself (``oci``), a Docker daemon, podman, or containerd over the CRI."""

    OCI = "oci"
    DOCKER = "docker"
    PODMAN = "podman"
    CRI = "cri"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class EngineName:
    """How a scenario names one engine: ``oci``, ``docker``, ``docker@20.10.24``, ``cri@1.6.20+debian12``.

    ``version`` is upstream's spelling (for ``cri`` that of containerd); without it the catalogue's default build of the
    family serves. ``build`` names the distribution that built it.
    """

    family: EngineFamily
    version: str | None = None
    build: str | None = None

    def __str__(self) -> str:
        label = "" if self.version is None else f"@{self.version}"
        return f"{self.family}{label}" if self.build is None else f"{self.family}{label}+{self.build}"

    @property
    def slug(self) -> str:
        """The spelling of a directory: ``docker-20.10.24``."""
        return str(self).replace("@", "-", 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRelease:
    """One line of the catalogue of engines: the packages of a Debian suite that make up a build.

    ``main`` is the program whose package carries the version and which tells it. ``packages`` are unpacked, in this
    order; what they depend on gives their libraries only. ``default`` marks the build that a bare family name means.
    """

    name: EngineName
    suite: str
    main: str
    packages: tuple[str, ...]
    default: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineProgram:
    """One program of a build: its path below the build's root, its sha256, and the one before patching."""

    path: str
    sha256: str
    unpatched: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineBuild:
    """A provisioned engine: identified by the digests of its programs, never by its version string alone.

    ``root`` is its directory in the cache: ``bin`` has every program by its bare name (an engine finds its helpers by
    name), ``tree`` the packages' files. ``packages`` maps a package to its version, ``digests`` to the sha256 of its
    file; ``libraries`` names the cache entry with the libraries of its suite, empty when it needs none; ``linking`` is
    the number of the way its programs were given them.
    """

    name: EngineName
    root: str
    reported: str
    origin: str
    programs: Mapping[str, EngineProgram]
    packages: Mapping[str, str]
    digests: Mapping[str, str]
    libraries: str = ""
    linking: int = 1
    details: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """The directory that stands first in ``PATH`` of whatever runs this engine."""
        return Path(self.root) / "bin"

    @property
    def tree(self) -> Path:
        """The files of its packages, as they would lie below ``/``."""
        return Path(self.root) / "tree"

    @property
    def sha256(self) -> str:
        """One digest for the build: over the digests of all its programs."""
        lines = "".join(f"{program.sha256}  {name}\n" for name, program in sorted(self.programs.items()))
        return hashlib.sha256(lines.encode()).hexdigest()

    def program(self, name: str) -> Path:
        """The absolute path of a program by its bare name; ``KeyError`` when the build has none."""
        return Path(self.root) / self.programs[name].path
