"""Releases of an operating system: which engines and runtimes come with each, as the values of the axis ``release``.

In a scenario with this axis the axes ``runtime`` and ``engine`` name families, and a cell has what its release ships.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

RELEASE, RUNTIME, ENGINE = "release", "runtime", "engine"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformRelease:
    """One release: the suite of its packages, and its engines and runtimes as scenarios name them."""

    name: str
    suite: str
    engines: tuple[str, ...]
    runtimes: tuple[str, ...]

    def shipped(self, word: str) -> str | None:
        """The engine or runtime of this release for a family's name; ``None`` where it has none.

        ``oci`` is the lab itself, which every release has.
        """
        known = {of_family(name): name for name in (*self.engines, *self.runtimes)}
        return "oci" if word == "oci" else known.get(word)


_ALL = (
    PlatformRelease(
        name="debian-11",
        suite="bullseye",
        engines=("docker@20.10.5", "podman@3.0.1", "cri@1.4.13"),
        runtimes=("runc@1.0.0-rc93+debian11", "crun@0.17"),
    ),
    PlatformRelease(
        name="debian-12",
        suite="bookworm",
        engines=("docker@20.10.24", "podman@4.3.1", "cri@1.6.20"),
        runtimes=("runc@1.1.5+debian12", "crun@1.8.1"),
    ),
    PlatformRelease(
        name="debian-13",
        suite="trixie",
        engines=("docker@26.1.5", "podman@5.4.2", "cri@1.7.24"),
        runtimes=("runc@1.1.15+debian13", "crun@1.21"),
    ),
    # what sid and forky, the next release in the making, have in common in November 2026
    PlatformRelease(
        name="debian-sid",
        suite="forky",
        engines=("docker@28.5.2", "podman@5.8.6", "cri@2.1.9"),
        runtimes=("runc@1.3.6+debian14", "crun@1.28"),
    ),
)

PLATFORM_RELEASES: Mapping[str, PlatformRelease] = MappingProxyType({release.name: release for release in _ALL})
"""In their order in time."""

RELEASE_ENGINES = ("docker", "podman", "cri")
RELEASE_RUNTIMES = ("runc", "crun")
"""The families that every release has."""


def of_family(value: str) -> str:
    """The family in the value of an axis: ``runc`` of ``runc@1.1.5``."""
    return value.partition("@")[0]


def in_families(axes: Mapping[str, str]) -> dict[str, str]:
    """The axes of a cell with the families of its runtime and engine: what it shares with those of other releases."""
    return {name: of_family(value) if name in {RUNTIME, ENGINE} else value for name, value in axes.items()}


def shipped_with(axes: Mapping[str, str]) -> dict[str, str]:
    """The axes of a cell with the runtime and engine of its release, where it has one that is known."""
    release = PLATFORM_RELEASES.get(axes.get(RELEASE, ""))
    if release is None:
        return dict(axes)
    return {
        name: (release.shipped(of_family(value)) or value) if name in {RUNTIME, ENGINE} else value
        for name, value in axes.items()
    }
