"""Programs of a Debian suite, made to run on this host.

A dynamically linked program gets its own suite's loader and libraries, unpacked beside it in the cache (kind
``libraries``), by ``patchelf``: it then runs on an older glibc, needs nothing of the host, and behaves the same on
every host.
"""

from __future__ import annotations

import hashlib
import shutil
import struct
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from lab.errors import BuildFailed, ProvisionError
from lab.process import small_environment
from lab.provision.building import tool
from lab.provision.cache import Cache, Entry, sha256_file
from lab.provision.debian import Deb, closure, fetch, unpack

PATCH_DEADLINE = 60.0
LINKING = 2
"""Raised whenever :func:`patch` changes what it makes: what a lab of another number left in the cache is made anew."""

_PT_INTERP = 3


def interpreter(binary: Path) -> str:
    """The loader that an ELF program asks for (its PT_INTERP segment); empty for a static program or another file."""
    data = binary.read_bytes()
    if data[:5] != b"\x7fELF\x02":
        return ""
    (offset,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    for index in range(count):
        kind, _, start, _, _, length = struct.unpack_from("<IIQQQQ", data, offset + index * size)
        if kind == _PT_INTERP:
            return data[start : start + length].rstrip(b"\0").decode()
    return ""


def patch(cache: Cache, binary: Path, libraries: Path) -> None:
    """Let a program use the loader and libraries of one directory, and no others.

    Programs that an old Go linked by itself do not survive patchelf (their dynamic section ends up read-only: measured
    with containerd 1.4's shims): one that no longer loads is left as it came, if this host's own libraries load it.
    Raises :class:`BuildFailed` when neither does, or patchelf refuses.
    """
    original = binary.read_bytes()
    loader = next(libraries.glob("ld-linux*.so.*"))
    argv = [patchelf(cache), "--set-interpreter", str(loader), "--force-rpath", "--set-rpath", str(libraries)]
    done = tool([*argv, str(binary)], deadline=PATCH_DEADLINE)
    if not done.ok:
        raise BuildFailed(f"{binary.name} cannot be patched", details=done.tail())
    if not _loads(binary):
        binary.write_bytes(original)
        if not _loads(binary):
            raise BuildFailed(f"{binary.name} does not load, neither patched nor with this host's libraries")


def _loads(binary: Path) -> bool:
    """Whether the loader finds all that a dynamically linked program needs; nothing of the program runs (ld.so(8))."""
    done = tool([str(binary)], deadline=PATCH_DEADLINE, env=small_environment({"LD_TRACE_LOADED_OBJECTS": "1"}))
    return done.ok and b"not found" not in done.stdout


def libraries_of(cache: Cache, packages: Sequence[Deb]) -> Entry:
    """All shared libraries that packages of one suite depend on, flat in one directory, with their digests."""
    suite, name = packages[0].suite, packages[0].name
    debs = [
        deb for deb in closure(cache, suite, [f"{one.name}={one.version}" for one in packages]) if deb not in packages
    ]
    digest = hashlib.sha256("\n".join(sorted(deb.sha256 for deb in debs)).encode()).hexdigest()[:12]
    return cache.make("libraries", f"{suite}-{name}-{digest}", partial(_unpack_libraries, cache, debs))


def copy_libraries(root: Path, directory: Path) -> None:
    """Copy all shared libraries of an unpacked suite, the loader among them, flat into one directory."""
    for library in [*root.glob("lib/*-linux-gnu/*.so*"), *root.glob("usr/lib/*-linux-gnu/*.so*")]:
        if library.is_file():
            shutil.copy(library.resolve(), directory / library.name)


def _unpack_libraries(cache: Cache, debs: Sequence[Deb], directory: Path) -> Mapping[str, object]:
    with cache.scratch() as work:
        for deb in debs:
            unpack(deb.path, work)
        copy_libraries(work, directory)
    files = {library.name: sha256_file(library) for library in sorted(directory.iterdir())}
    if not any(name.startswith("ld-linux") for name in files):
        raise ProvisionError("the packages hold no loader", details=", ".join(d.name for d in debs))
    return {"files": files, "packages": {deb.name: deb.version for deb in debs}}


def patchelf(cache: Cache) -> str:
    """The host's patchelf, else Debian's from the cache."""
    host = shutil.which("patchelf")
    if host is not None:
        return host
    entry = cache.make("toolchains", "patchelf-bookworm", partial(_fetch_patchelf, cache))
    return str(entry.path / "patchelf")


def _fetch_patchelf(cache: Cache, directory: Path) -> Mapping[str, object]:
    found = fetch(cache, "bookworm", ["patchelf", "libstdc++6"])
    for deb in found:
        unpack(deb.path, directory / "root")
    library = next((directory / "root").glob("usr/lib/*-linux-gnu"))
    script = directory / "patchelf"
    # libstdc++ is not on every host; the script finds its own directory because the entry is renamed into place
    script.write_text(
        f'#!/bin/sh\nroot=$(cd "${{0%/*}}/root" && pwd)\n'
        f'LD_LIBRARY_PATH="$root/usr/lib/{library.name}" exec "$root/usr/bin/patchelf" "$@"\n'
    )
    script.chmod(0o755)
    return {"packages": {deb.name: deb.version for deb in found}}
