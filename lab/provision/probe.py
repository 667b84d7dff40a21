"""Builds the probe, the static program that runs inside containers and prints facts (sources in ``lab/probe``).

A cache entry (kind ``probe``) is named after the sources, the flags and the machine it is built for, so an edited
source is a new entry and a second call does nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path

from lab.errors import BuildFailed, DigestMismatch
from lab.process import run, small_environment
from lab.provision.cache import Cache, Entry, sha256_file
from lab.provision.toolchain import CToolchain, c_toolchain

PLACE = Path(".permlab/probe")
"""Where the probe is inside the layer, and so inside a container: ``/.permlab/probe``."""

FLAGS = (
    *("-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror", "-ffunction-sections", "-fdata-sections"),
    *("-static", "-s", "-Wl,--gc-sections", "-Wl,--build-id=none"),
)

BUILD_DEADLINE = 120.0
CHECK_DEADLINE = 10.0
MOST_BYTES = 1 << 20
"""A bigger binary means that something unwanted was linked in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeBinary:
    """A built probe.

    ``layer`` is a directory that holds nothing but ``.permlab/probe`` (mode 0755), made to be an overlay's lowest
    lower directory: below the image's root file system, so that owner and mode of ``/`` stay the image's own.
    ``path`` is the program in it, ``sha256`` the hex digest of its bytes, ``toolchain`` the compiler that built it.
    """

    path: str
    layer: str
    sha256: str
    toolchain: str


def probe(cache: Cache) -> ProbeBinary:
    """The probe for this machine, built when the cache has none.

    Raises :class:`BuildFailed` when the compiler refuses it, :class:`DigestMismatch` when the cached program is not
    the one that was built, and the errors of :func:`lab.provision.toolchain.c_toolchain`.
    """
    sources = probe_sources()
    entry = cache.make("probe", _name(sources), partial(_build, cache, sources))
    binary = ProbeBinary(
        path=str(entry.path / "layer" / PLACE),
        layer=str(entry.path / "layer"),
        sha256=str(entry.facts["sha256"]),
        toolchain=str(entry.facts["toolchain"]),
    )
    _verify(entry, binary)
    return binary


def probe_sources() -> Mapping[str, bytes]:
    """File name → bytes of the probe's C sources and headers, sorted by name."""
    found = {item.name: item.read_bytes() for item in files("lab").joinpath("probe").iterdir()}
    return {name: found[name] for name in sorted(found) if name.endswith((".c", ".h"))}


def _name(sources: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for part in (os.uname().machine.encode(), " ".join(FLAGS).encode(), *(p for item in sources.items() for p in item)):
        raw = part if isinstance(part, bytes) else part.encode()
        digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.hexdigest()


def _build(cache: Cache, sources: Mapping[str, bytes], directory: Path) -> Mapping[str, object]:
    toolchain = c_toolchain(cache, seccomp=False)
    target = directory / "layer" / PLACE
    target.parent.mkdir(parents=True)
    for made in (directory, directory / "layer", target.parent):
        made.chmod(0o755)  # container users pass through, whatever the lab's own umask is
    with cache.scratch() as work:
        for name, text in sources.items():
            (work / name).write_bytes(text)
        compile_static(toolchain, work, [name for name in sources if name.endswith(".c")], target)
    target.chmod(0o755)
    _check(target)
    return {
        "sha256": sha256_file(target),
        "bytes": target.stat().st_size,
        "toolchain": toolchain.description,
        "machine": os.uname().machine,
        "flags": FLAGS,
    }


def compile_static(toolchain: CToolchain, work: Path, names: list[str], target: Path) -> None:
    """Compile C sources in ``work`` to one static program; raises :class:`BuildFailed`."""
    built = run(
        [toolchain.cc, *FLAGS, "-o", str(target), *names],
        deadline=BUILD_DEADLINE,
        env=small_environment(toolchain.env),
        cwd=work,
    )
    if not built.ok:
        raise BuildFailed(
            f"{target.name} could not be compiled",
            details=f"{toolchain.description}: {built.tail()}",
            resolution="it needs a C11 compiler and a static C library (Debian: apt-get install gcc libc6-dev)",
        )


def _check(target: Path) -> None:
    """Refuse a program that is too big or does not run."""
    size = target.stat().st_size
    try:
        listed = run([str(target), "--list"], deadline=CHECK_DEADLINE, env={})
    except OSError as error:
        raise BuildFailed(
            "the compiled probe does not start",
            details=str(error),
            resolution="set PERMLAB_CACHE to a directory from which programs may run (no noexec mount)",
        ) from error
    if not listed.ok or size > MOST_BYTES or json.loads(listed.stdout)["op"] != "list":
        raise BuildFailed(
            "the compiled probe is not usable",
            details=f"{size} bytes, exit {listed.returncode}: {listed.tail()}",
            resolution="this is a fault of permlab: please report it with the compiler's version",
        )


def _verify(entry: Entry, binary: ProbeBinary) -> None:
    try:
        found = sha256_file(Path(binary.path))
    except FileNotFoundError:
        found = "missing"
    if found != binary.sha256:
        raise DigestMismatch(
            "the cached probe is not the one that was built",
            details=f"{binary.path}: sha256 {found}, recorded {binary.sha256}",
            resolution=f"remove {entry.path} and run again",
        )
