"""A C compiler that links static programs, with libseccomp when asked for.

The host's own ``cc`` serves when it can do the job. Otherwise gcc, binutils, the headers and static libraries come
from Debian bookworm's packages, unpacked into the cache (kind ``toolchains``) and used from there through small
wrapper scripts: nothing is installed on the host, and no root is needed.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lab.errors import BuildFailed, HostError
from lab.process import Completed
from lab.provision.building import tool
from lab.provision.cache import Cache
from lab.provision.debian import closure, unpack

SUITE = "bookworm"
PACKAGES = ("gcc-12", "libc6-dev", "libseccomp-dev", "pkgconf-bin")
CHECK_DEADLINE = 60.0

_PLAIN = "int main(void) { return 0; }\n"
_SECCOMP = "#include <seccomp.h>\nint main(void) { return seccomp_version() == 0; }\n"

# $0 is this script inside <entry>/bin: nothing in the entry holds an absolute path, so it may be renamed into place.
# Only the tools' own libraries are on the path, not Debian's libc: the host's loader needs the libc it came with.
_CC = """\
#!/bin/sh
root=$(cd "${{0%/*}}/../root" && pwd)
LD_LIBRARY_PATH="$root/usr/lib/{triple}" exec "$root/usr/bin/{triple}-gcc-12" --sysroot="$root" -B"$root/usr/bin" "$@"
"""
_PKG_CONFIG = """\
#!/bin/sh
root=$(cd "${{0%/*}}/../root" && pwd)
export PKG_CONFIG_SYSROOT_DIR="$root" PKG_CONFIG_LIBDIR="$root/usr/lib/{triple}/pkgconfig"
LD_LIBRARY_PATH="$root/usr/lib/{triple}" exec "$root/usr/bin/pkgconf" "$@"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CToolchain:
    """A C compiler that was seen to work.

    ``cc`` is what to call, ``env`` what to set for builds that call it (``CC``, ``PKG_CONFIG``), ``description`` which
    compiler it is and whose, ``libseccomp`` the version of the static libseccomp (empty when it was not asked for).
    """

    cc: str
    env: Mapping[str, str]
    description: str
    libseccomp: str = ""


_LOCK = threading.Lock()
_HOST: dict[bool, CToolchain | None] = {}


def c_toolchain(cache: Cache, *, seccomp: bool, host: bool = True) -> CToolchain:
    """A compiler that links static programs, and with ``seccomp`` also a static libseccomp and pkg-config.

    ``host=False`` passes over the host's own compiler. Raises :class:`BuildFailed` when Debian's compiler does not
    work here, and the errors of :mod:`lab.provision.debian` when it cannot be fetched.
    """
    found = _of_host(cache, seccomp=seccomp) if host else None
    return found or _of_debian(cache, seccomp=seccomp)


def _of_host(cache: Cache, *, seccomp: bool) -> CToolchain | None:
    with _LOCK:  # asked by several builds at once; the answer holds for the process
        if seccomp not in _HOST:
            found = _try_host(cache, seccomp=seccomp)
            _HOST[seccomp] = found if isinstance(found, CToolchain) else None
        return _HOST[seccomp]


def _try_host(cache: Cache, *, seccomp: bool) -> CToolchain | str:
    try:
        return _check(cache, "cc", "pkg-config", "the host", seccomp=seccomp)
    except HostError as error:
        return str(error)


def _of_debian(cache: Cache, *, seccomp: bool) -> CToolchain:
    entry = cache.make("toolchains", f"gcc-12-{SUITE}", partial(_unpack_toolchain, cache))
    found = _check(
        cache,
        str(entry.path / "bin" / "cc"),
        str(entry.path / "bin" / "pkg-config"),
        f"Debian {SUITE}",
        seccomp=seccomp,
    )
    if isinstance(found, str):
        raise BuildFailed("Debian's compiler does not work on this host", details=found)
    return found


def _unpack_toolchain(cache: Cache, directory: Path) -> Mapping[str, object]:
    root = directory / "root"
    packages = closure(cache, SUITE, PACKAGES)
    for package in packages:
        unpack(package.path, root)
    triple = f"{os.uname().machine}-linux-gnu"
    for library in (root / "lib" / triple).glob("libz.so.*"):  # the one library of the tools that is not below usr
        (root / "usr" / "lib" / triple / library.name).symlink_to(f"../../../lib/{triple}/{library.name}")
    (directory / "bin").mkdir()
    for name, text in (("cc", _CC), ("pkg-config", _PKG_CONFIG)):
        script = directory / "bin" / name
        script.write_text(text.format(triple=triple))
        script.chmod(0o755)
    return {"suite": SUITE, "packages": {package.name: package.version for package in packages}}


def _check(cache: Cache, cc: str, pkg_config: str, whose: str, *, seccomp: bool) -> CToolchain | str:
    """The toolchain when it links a static program, else what it said; ``HostError`` when it is not there."""
    flags: list[str] = []
    version = ""
    if seccomp:
        asked = _ask([pkg_config, "--cflags", "--libs", "libseccomp"])
        if not asked.ok:
            return asked.tail()
        flags = asked.stdout.decode().split()
        version = _ask([pkg_config, "--modversion", "libseccomp"]).stdout.decode().strip()
    with cache.scratch() as work:
        (work / "check.c").write_text(_SECCOMP if seccomp else _PLAIN)
        linked = _ask([cc, "-static", "-o", str(work / "check"), str(work / "check.c"), *flags])
        if not linked.ok or not _ask([str(work / "check")]).ok:
            return linked.tail() or "its program does not run"
    name = _ask([cc, "--version"]).stdout.decode().splitlines()[0]
    return CToolchain(
        cc=cc,
        env={"CC": cc, "PKG_CONFIG": pkg_config},
        description=f"{name.removeprefix(f'{os.uname().machine}-linux-gnu-')} of {whose}",
        libseccomp=version,
    )


def _ask(argv: list[str]) -> Completed:
    return tool(argv, deadline=CHECK_DEADLINE)
