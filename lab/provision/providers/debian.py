"""The build of a Debian suite, made to run on this host.

A dynamically linked binary gets its own suite's libraries (see :mod:`lab.provision.linked`). Its sha256 before that is
recorded.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from lab.errors import SourceUnreachable
from lab.model.runtime import Provider, Release
from lab.provision.cache import Cache, Entry, sha256_file
from lab.provision.debian import fetch, unpack
from lab.provision.linked import interpreter, libraries_of, patch
from lab.provision.providers.contract import Obtained


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
        libraries = libraries_of(cache, [found])
        details |= {"sha256_before_patching": sha256_file(binary), "libraries": libraries.path.name}
        details |= _versions(libraries)
        patch(cache, binary, libraries.path)
    return Obtained(binary=binary, origin=f"Debian {suite}, package {package} {found.version}", details=details)


def _versions(libraries: Entry) -> dict[str, str]:
    packages = libraries.facts["packages"]
    known = packages if isinstance(packages, dict) else {}
    wanted = {"libseccomp": "libseccomp2", "libc": "libc6"}
    return {label: str(known[name]) for label, name in wanted.items() if name in known}
