"""The content-addressed cache that everything provisioned lives in.

One entry is a directory ``<kind>/<name>`` with the artefact's files and, written last, ``entry.json``: an entry
without that file does not exist. Making one follows a fixed order, so that two labs can share a cache and a kill at
any moment leaves nothing half-made: check, lock, check again, build in a temporary directory, verify, rename, record.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import platformdirs
from filelock import FileLock

from lab.errors import HostError
from lab.provision.rootfs import remove_tree

RECORD = "entry.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One finished entry: its directory and the facts recorded with it (JSON object; digests, origin, toolchain)."""

    path: Path
    facts: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Cache:
    """A cache rooted at ``root``; see the module's text for the guarantees."""

    root: Path

    def get(self, kind: str, name: str) -> Entry | None:
        """The finished entry, or ``None``."""
        path = self.root / kind / name
        try:
            return Entry(path=path, facts=json.loads((path / RECORD).read_bytes()))
        except (FileNotFoundError, ValueError):  # a record that is no JSON is no record: the entry is made again
            return None

    def make(self, kind: str, name: str, build: Callable[[Path], Mapping[str, object]]) -> Entry:
        """The finished entry; when there is none, ``build(directory)`` makes its files and returns its facts.

        ``build`` verifies what it made and raises to refuse it; the directory is then removed.
        """
        found = self.get(kind, name)
        if found is not None:
            return found
        with self._lock(kind, name):
            found = self.get(kind, name)
            if found is not None:
                return found
            with self.scratch() as work:
                made = work / "entry"
                made.mkdir()
                facts = build(made)
                record = made / f".{RECORD}"
                record.write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")
                path = self.root / kind / name
                path.parent.mkdir(parents=True, exist_ok=True)
                if path.exists():  # left by a kill between rename and record
                    remove_tree(path)
                made.rename(path)
                (path / f".{RECORD}").rename(path / RECORD)
            return Entry(path=path, facts=facts)

    def drop(self, kind: str, name: str) -> None:
        """Remove an entry; no error when there is none."""
        with self._lock(kind, name):
            path = self.root / kind / name
            (path / RECORD).unlink(missing_ok=True)
            remove_tree(path)

    def names(self, kind: str) -> tuple[str, ...]:
        """Names of the finished entries of a kind, sorted."""
        base = self.root / kind
        found = []
        for folder, below, names in os.walk(base):
            if RECORD in names:
                found.append(str(Path(folder).relative_to(base)))
                below.clear()  # what is inside an entry is its own: a root file system may hold such a name too
        return tuple(sorted(found))

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A temporary directory on the cache's own file system, removed afterwards."""
        base = self._directory("tmp")
        path = Path(tempfile.mkdtemp(prefix=f"build-{os.getpid()}-", dir=base))
        try:
            yield path
        finally:
            with suppress(OSError):
                remove_tree(path)

    def stale(self) -> tuple[Path, ...]:
        """Temporary directories whose maker has ended."""
        return tuple(path for path in sorted((self.root / "tmp").glob("build-*")) if not _maker_runs(path))

    def remove_stale(self) -> None:
        """Remove what :meth:`stale` names."""
        for path in self.stale():
            remove_tree(path)

    def _directory(self, name: str) -> Path:
        path = self.root / name
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise HostError(
                f"the cache directory {self.root} cannot be written",
                details=str(error),
                resolution="set PERMLAB_CACHE to a directory of yours",
            ) from error
        return path

    @contextmanager
    def _lock(self, kind: str, name: str) -> Iterator[None]:
        base = self._directory("locks")
        with FileLock(base / f"{kind}-{name}.lock".replace("/", "_")):
            yield


def default_cache() -> Cache:
    """The cache of this user: ``$PERMLAB_CACHE``, else the platform's cache directory.

    For root that is the system's, not one below /root: rootless cells must be able to reach what is in it.
    """
    chosen = os.environ.get("PERMLAB_CACHE")
    if chosen:
        return Cache(Path(chosen).absolute())
    system_wide = os.geteuid() == 0
    return Cache(platformdirs.site_cache_path("permlab") if system_wide else platformdirs.user_cache_path("permlab"))


def sha256_file(path: Path) -> str:
    """The hex sha256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _maker_runs(path: Path) -> bool:
    pid = path.name.split("-")[1]
    return pid.isdigit() and Path("/proc", pid).exists()
