"""Any binary that the user names, copied into the cache."""

from __future__ import annotations

import shutil
from pathlib import Path

from lab.errors import InputError
from lab.model.runtime import Provider, Release
from lab.provision.cache import Cache
from lab.provision.providers.contract import Obtained


def obtain(cache: Cache, release: Release, directory: Path) -> Obtained:  # noqa: ARG001  # the providers' one shape
    """Copy the file named by the source's word ``path``; raises :class:`InputError` when there is no such file."""
    path = Path(release.sources[Provider.PATH]["path"]).absolute()
    if not path.is_file():
        raise InputError(f"{path} is not a file", resolution="name the runtime's binary itself")
    binary = directory / release.name.family
    shutil.copyfile(path, binary)
    return Obtained(binary=binary, origin=f"file {path}")
