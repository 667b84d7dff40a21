"""The build of a Debian suite, made to run on this host.

A dynamically linked binary gets its own suite's loader and libraries, unpacked beside it in the cache (kind
``libraries``), by ``patchelf``: it then runs on an older glibc, needs nothing of the host, and behaves the same on
every host. Its sha256 before that is recorded.
"""

from __future__ import annotations

import hashlib
import shutil
import struct
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from lab.errors import BuildFailed, ProvisionError, SourceUnreachable
from lab.model.runtime import Provider, Release
from lab.provision.building import tool
from lab.provision.cache import Cache, Entry, sha256_file
from lab.provision.debian import Deb, closure, fetch, unpack
from lab.provision.providers.contract import Obtained

PATCH_DEADLINE = 60.0
_PT_INTERP = 3


def obtain(cache: Cache, release: Release, directory: Path) -> Obtained:
    """The program of a package, by the source's words.

    ``suite`` and ``package`` name it, ``file`` is the program's path in it, ``version`` the start of the package's
    version: Debian may carry fixes under it, but another upstream version is refused.
    """
    words = release.sources[Provider.DEBIAN]
    suite, package = words["suite"], words["package"]
    found = fetch(cache, suite, [package])[0]
    if not found.version.startswith(words["version"]):
        raise SourceUnreachable(
            f"Debian {suite} no longer has {package} {words['version']}", details=f"it has {found.version}"
        )
    binary = directory / release.name.family
    with cache.scratch() as work:
        unpack(found.path, work / "files")
        shutil.copyfile(work / "files" / words["file"].lstrip("/"), binary)
    binary.chmod(0o755)
    details = {"deb_sha256": found.sha256, "suite": suite, "package_version": found.version}
    if interpreter(binary):
        libraries = _libraries(cache, found)
        details |= {"sha256_before_patching": sha256_file(binary), "libraries": libraries.path.name}
        details |= _versions(libraries)
        _patch(cache, binary, libraries.path)
    return Obtained(binary=binary, origin=f"Debian {suite}, package {package} {found.version}", details=details)


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


def _patch(cache: Cache, binary: Path, libraries: Path) -> None:
    loader = next(libraries.glob("ld-linux*.so.*"))
    argv = [_patchelf(cache), "--set-interpreter", str(loader), "--force-rpath", "--set-rpath", str(libraries)]
    done = tool([*argv, str(binary)], deadline=PATCH_DEADLINE)
    if not done.ok:
        raise BuildFailed(f"{binary.name} cannot be patched", details=done.tail())


def _libraries(cache: Cache, package: Deb) -> Entry:
    """All shared libraries that the package depends on, flat in one directory, with their digests."""
    debs = [deb for deb in closure(cache, package.suite, [f"{package.name}={package.version}"]) if deb != package]
    digest = hashlib.sha256("\n".join(sorted(deb.sha256 for deb in debs)).encode()).hexdigest()[:12]
    return cache.make("libraries", f"{package.suite}-{package.name}-{digest}", partial(_unpack_libraries, cache, debs))


def _unpack_libraries(cache: Cache, debs: Sequence[Deb], directory: Path) -> Mapping[str, object]:
    with cache.scratch() as work:
        for deb in debs:
            unpack(deb.path, work)
        for library in [*work.glob("lib/*-linux-gnu/*.so*"), *work.glob("usr/lib/*-linux-gnu/*.so*")]:
            if library.is_file():
                shutil.copy(library.resolve(), directory / library.name)
    files = {library.name: sha256_file(library) for library in sorted(directory.iterdir())}
    if not any(name.startswith("ld-linux") for name in files):
        raise ProvisionError("the packages of a Debian runtime hold no loader", details=", ".join(d.name for d in debs))
    return {"files": files, "packages": {deb.name: deb.version for deb in debs}}


def _versions(libraries: Entry) -> dict[str, str]:
    packages = libraries.facts["packages"]
    known = packages if isinstance(packages, dict) else {}
    wanted = {"libseccomp": "libseccomp2", "libc": "libc6"}
    return {label: str(known[name]) for label, name in wanted.items() if name in known}


def _patchelf(cache: Cache) -> str:
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
