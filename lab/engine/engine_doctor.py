"""Which engines, of which versions, can run cells on this host, and what would make the others work."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

from lab import process
from lab.engine import host
from lab.engine.doctor import Ability
from lab.errors import LabError
from lab.model.engine import EngineBuild, EngineFamily, EngineRelease
from lab.provision.building import tool
from lab.provision.cache import Cache
from lab.provision.debian import KEYRING
from lab.provision.engines import engine_releases, find_engine

TRIAL_DEADLINE = 20.0
_FETCHERS = ("apt-get", "dpkg-deb")
_ROOTLESS = {EngineFamily.OCI, EngineFamily.PODMAN}
"""Families that can do something for an ordinary user."""


def examine_engines(cache: Cache) -> Iterator[Ability]:
    """One ability for each engine and version. Looks only: nothing is fetched, no daemon is started."""
    yield Ability(
        name="engine oci",
        usable=True,
        found="the lab calls the runtimes itself" + ("" if os.geteuid() == 0 else ", as an ordinary user"),
    )
    for release in engine_releases():
        yield _examine(cache, release)


def _examine(cache: Cache, release: EngineRelease) -> Ability:
    name = f"engine {release.name}" + (" (default)" if release.default else "")
    for reason, remedy in _obstacles(release):
        return Ability(name=name, usable=False, found=reason, remedy=remedy)
    build = find_engine(cache, release.name)
    if build is None:
        return _absent(name, release)
    refused = _refused(release, build)
    if refused is not None:
        return Ability(name=name, usable=False, found=refused, remedy=f"permlab engines verify {release.name}")
    return Ability(name=name, usable=True, found=f"in the cache, runs here: {build.reported.splitlines()[0]}")


def _obstacles(release: EngineRelease) -> Iterator[tuple[str, str]]:
    """What this host lacks for a family, whatever the version."""
    if os.geteuid() and release.name.family not in _ROOTLESS:
        yield "needs root: the lab starts a daemon of its own", "run as root"
    if host.cgroup_layout() == "none":
        yield "no cgroups are mounted at /sys/fs/cgroup", "mount them (in a container: --privileged, --cgroupns=host)"


def _absent(name: str, release: EngineRelease) -> Ability:
    lacking = [one for one in _FETCHERS if shutil.which(one, path=process.BASE_PATH) is None]
    if lacking or not KEYRING.is_file():
        return Ability(
            name=name,
            usable=False,
            found=f"not in the cache, and it cannot be fetched: no {', '.join(lacking) or KEYRING.name}",
            remedy="run on Debian or Ubuntu with debian-archive-keyring, or bring a cache that has it",
        )
    return Ability(name=name, usable=True, found=f"not in the cache: fetched from Debian {release.suite} when needed")


def _refused(release: EngineRelease, build: EngineBuild) -> str | None:
    """Why the build's main program does not run here, or ``None``."""
    try:
        done = tool([str(build.program(release.main)), "--version"], deadline=TRIAL_DEADLINE)
    except (LabError, OSError) as error:
        return f"{release.main} does not run here: {error}"
    return None if done.ok else f"{release.main} does not run here: {done.tail(200)}"
