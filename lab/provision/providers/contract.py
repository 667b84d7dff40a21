"""The shape that every provider has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from lab.model.runtime import Release
from lab.provision.cache import Cache


@dataclass(frozen=True, slots=True, kw_only=True)
class Obtained:
    """A binary that a provider has put into the directory it was given.

    ``binary`` is inside that directory; ``origin``, ``toolchain`` and ``details`` are as in
    :class:`lab.model.runtime.Runtime`.
    """

    binary: Path
    origin: str
    toolchain: str = ""
    details: Mapping[str, str] = field(default_factory=dict)


class Obtain(Protocol):
    """Get the runtime of a catalogue line.

    Raises :class:`lab.errors.SourceUnreachable` when this source cannot serve it now, and other
    :class:`lab.errors.ProvisionError` or :class:`lab.errors.HostError` when it could not be made.
    """

    def __call__(self, cache: Cache, release: Release, directory: Path) -> Obtained:
        """Put the binary into ``directory`` (which exists and is empty)."""
        ...
