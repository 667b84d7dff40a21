"""The toolbox: what the lab brings into a running container to look at it, and the program that enters one.

The tools are Debian's own (a shell, coreutils, procps, iproute2 …) with their libraries, linked against the place where
they are seen inside, so that they need nothing of the image and behave the same in every image. ``enter`` is the lab's
own static program (its source is in ``lab/inside``).
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path

from lab.errors import BuildFailed, DigestMismatch
from lab.provision.building import tool
from lab.provision.cache import Cache, sha256_file
from lab.provision.debian import closure, fetch, unpack
from lab.provision.linked import PATCH_DEADLINE, copy_libraries, interpreter, patchelf
from lab.provision.probe import FLAGS, compile_static
from lab.provision.toolchain import c_toolchain

SUITE = "bookworm"
PLACE = Path("/.permlab")
"""Where the toolbox is seen inside: the probe's directory, which every container of the lab has."""

TOOLS: Mapping[str, tuple[str, ...]] = {
    "coreutils": (
        "[",
        *("basename", "cat", "cut", "date", "dirname", "du", "echo", "env", "expr", "false", "head", "id", "ls"),
        *("md5sum", "mktemp", "od", "printf", "pwd", "readlink", "realpath", "sha256sum", "sleep", "sort", "stat"),
        *("tail", "test", "timeout", "touch", "tr", "true", "uname", "uniq", "wc", "whoami", "groups"),
    ),
    "dash": ("sh", "dash"),
    "findutils": ("find", "xargs"),
    "grep": ("grep",),
    "iproute2": ("ip", "ss"),
    "libc-bin": ("getent",),
    "libcap2-bin": ("capsh", "getcap", "getpcaps"),
    "mawk": ("mawk",),
    "mount": ("mount",),
    "procps": ("ps", "pgrep", "sysctl"),
    "sed": ("sed",),
    "util-linux": ("findmnt", "getopt", "lsns", "mountpoint", "namei", "prlimit"),
}
"""Programs by the Debian package that they come from."""

_FOLDERS = ("bin", "usr/bin", "sbin", "usr/sbin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolbox:
    """A toolbox in the cache: ``root`` holds ``bin`` and ``lib``; ``enter`` is the path of the entering program."""

    root: str
    enter: str
    sha256: str


def toolbox(cache: Cache) -> Toolbox:
    """The toolbox for this machine, made when the cache has none.

    Raises :class:`BuildFailed` when a program cannot be linked or compiled, :class:`DigestMismatch` when what the cache
    has is not what was made, and the errors of :mod:`lab.provision.debian`.
    """
    source = files("lab").joinpath("inside", "enter.c").read_bytes()
    recipe = hashlib.sha256(source + repr((SUITE, TOOLS, FLAGS, PLACE, os.uname().machine)).encode()).hexdigest()
    entry = cache.make("toolbox", recipe[:16], partial(_make, cache, source))
    if _digests(entry.path) != entry.facts["files"]:
        raise DigestMismatch(
            "the toolbox in the cache is not what was made",
            details=str(entry.path),
            resolution=f"remove {entry.path} and run again",
        )
    digest = hashlib.sha256(repr(entry.facts["files"]).encode()).hexdigest()
    return Toolbox(root=str(entry.path / "root"), enter=str(entry.path / "enter"), sha256=digest)


def _make(cache: Cache, source: bytes, directory: Path) -> Mapping[str, object]:
    root = directory / "root"
    for made in (directory, root, root / "bin", root / "lib"):
        made.mkdir(exist_ok=True)
        made.chmod(0o755)  # container users pass through, whatever the lab's own umask is
    packages = _fill(cache, root)
    toolchain = c_toolchain(cache, seccomp=False)
    with cache.scratch() as work:
        (work / "enter.c").write_bytes(source)
        compile_static(toolchain, work, ["enter.c"], directory / "enter")
    return {"files": _digests(directory), "packages": packages, "toolchain": toolchain.description, "suite": SUITE}


def _fill(cache: Cache, root: Path) -> Mapping[str, str]:
    """Put tools and libraries in place; the packages that they come from, with their versions."""
    debs = fetch(cache, SUITE, tuple(TOOLS))
    needed = closure(cache, SUITE, [f"{deb.name}={deb.version}" for deb in debs])
    with cache.scratch() as work:
        for deb in needed:
            unpack(deb.path, work)
        copy_libraries(work, root / "lib")
        for name in (name for names in TOOLS.values() for name in names):
            shutil.copy(_program(work, name).resolve(), root / "bin" / name)
            _link(cache, root / "bin" / name, root / "lib")
    (root / "bin" / "awk").symlink_to("mawk")
    return {deb.name: deb.version for deb in needed}


def _program(work: Path, name: str) -> Path:
    for folder in _FOLDERS:
        found = work / folder / name
        if found.exists():
            return found
    raise BuildFailed(f"no package of the toolbox has {name}", details=", ".join(TOOLS))


def _link(cache: Cache, program: Path, libraries: Path) -> None:
    """Let a program use the loader and the libraries of the toolbox, by the names that they have inside."""
    program.chmod(0o755)
    if not interpreter(program):
        return  # a script, or a static program
    loader = next(libraries.glob("ld-linux*.so.*")).name
    inside = PLACE / "lib"
    argv = [patchelf(cache), "--set-interpreter", str(inside / loader), "--force-rpath", "--set-rpath", str(inside)]
    done = tool([*argv, str(program)], deadline=PATCH_DEADLINE)
    if not done.ok:
        raise BuildFailed(f"{program.name} of the toolbox cannot be patched", details=done.tail())


def _digests(directory: Path) -> dict[str, str]:
    return {str(file.relative_to(directory)): sha256_file(file) for file in _regular(directory)}


def _regular(directory: Path) -> Iterator[Path]:
    yield directory / "enter"
    for folder in ("bin", "lib"):
        yield from sorted(file for file in (directory / "root" / folder).iterdir() if not file.is_symlink())
