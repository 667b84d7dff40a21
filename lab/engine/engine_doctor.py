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
_NEEDED = ("CAP_SYS_ADMIN", "CAP_SETUID", "CAP_SETGID", "CAP_CHOWN", "CAP_MKNOD")
"""Capabilities of root without which no engine comes up: mounts, namespaces, accounts, device nodes."""


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
        remedy = f"remove {build.root} and fetch it again: permlab engines pull {release.name}"
        return Ability(name=name, usable=False, found=refused, remedy=remedy)
    found = f"in the cache, runs here: {build.reported.splitlines()[0]}"
    return Ability(name=name, usable=True, found=found + _limits(release.name.family))


def _obstacles(release: EngineRelease) -> Iterator[tuple[str, str]]:
    """What this host lacks for a family, whatever the version."""
    if os.geteuid():
        what = "a mount namespace and account files" if release.name.family is EngineFamily.PODMAN else "a daemon"
        yield f"needs root: the lab gives it {what} of its own", "run as root"
    lacking = [name for name in _NEEDED if name in host.missing_capabilities()]
    if lacking:
        yield (
            f"root lacks {', '.join(lacking)} here",
            "start the lab where root has them (in a container: --privileged)",
        )
    if host.cgroup_layout() == "none":
        yield "no cgroups are mounted at /sys/fs/cgroup", "mount them (in a container: --privileged, --cgroupns=host)"


def _limits(family: EngineFamily) -> str:
    """What some cells of an engine lack on this host."""
    refused = host.user_namespaces()
    return f"; its rootless cells are skipped: {refused}" if refused and family is EngineFamily.PODMAN else ""


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
    """Why the build's main program does not run here, or ``None``. Its home is one that is there: podman looks."""
    program = build.program(release.main)
    if not program.is_file():
        return f"its program {release.main} is gone from the cache"
    try:
        done = tool([str(program), "--version"], deadline=TRIAL_DEADLINE, env=process.small_environment({"HOME": "/"}))
    except LabError as error:
        return f"{release.main} does not run here: {error.brief}"
    except OSError as error:
        return f"{release.main} does not run here: {error.strerror}"
    return None if done.ok else f"{release.main} does not run here: {done.tail(200)}"
