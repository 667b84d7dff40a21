"""Examines this host: "this host cannot" is told apart from "permission denied" before any cell runs."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab import process
from lab.engine import host

FEWEST_FILES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Ability:
    """One thing that cells need of the host: whether it is there, what was found, and what would change that."""

    name: str
    usable: bool
    found: str
    remedy: str = ""


def examine() -> Iterator[Ability]:
    """Every ability, in the order in which they matter. Looks only; changes nothing."""
    root = os.geteuid() == 0
    yield Ability(
        name="rootful cells",
        usable=root,
        found="root" if root else f"uid {os.geteuid()}: only rootless cells run, the others are skipped",
        remedy="run as root",
    )
    if root:
        yield _mounts()
    missing = host.missing_capabilities()
    yield Ability(
        name="all capabilities",
        usable=not missing,
        found=f"missing: {', '.join(missing)}" if missing else "none is missing",
        remedy="cells that need them (--privileged, raising limits, negative oom_score_adj) fail for this host's sake; "
        "start the lab where root has them",
    )
    layout = host.cgroup_layout()
    yield Ability(
        name="crun",
        usable=layout != "hybrid" or root,
        found=f"cgroups {layout}" + (": hidden from crun in a private mount namespace" if layout == "hybrid" else ""),
        remedy="crun refuses a hybrid cgroup tree: run as root, or boot with systemd.unified_cgroup_hierarchy=1",
    )
    refused = host.user_namespaces()
    yield Ability(
        name="user namespaces, rootless cells",
        usable=refused is None,
        found=refused or "an ordinary user can make one",
        remedy="set the named sysctl the other way round",
    )
    yield from _tools()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield Ability(
        name="open files",
        usable=hard >= FEWEST_FILES,
        found=f"soft {soft}, hard {hard}",
        remedy=f"raise the hard limit to {FEWEST_FILES}",
    )


def _mounts() -> Ability:
    """Whether root may make a private mount namespace, asked of unshare(1) so that this process stays where it is."""
    tried = process.run(["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"], deadline=10)
    overlay = any(line.split()[-1] == "overlay" for line in Path("/proc/filesystems").read_text().splitlines())
    return Ability(
        name="private mounts, overlay",
        usable=tried.ok and overlay,
        found="there" if tried.ok and overlay else tried.tail() or "no overlay file system",
        remedy="needs CAP_SYS_ADMIN and the overlay module (in a container: --privileged)",
    )


def _tools() -> Iterator[Ability]:
    for names, what, remedy in (
        (("apt-get", "dpkg-deb"), "Debian packages (images, Debian's runtimes)", "run on Debian or Ubuntu"),
        (("setpriv", "unshare"), "callers without capabilities, id-mapped images", "install util-linux"),
        (("gpg",), "signatures of release assets", "install gnupg; digests are checked without it"),
        (("cargo",), "youki from crates", "install cargo"),
    ):
        lacking = [
            name for name in names if shutil.which(name, path=process.BASE_PATH) is None and shutil.which(name) is None
        ]
        yield Ability(
            name=what,
            usable=not lacking,
            found=f"{', '.join(lacking)} not found" if lacking else ", ".join(names),
            remedy=remedy,
        )
