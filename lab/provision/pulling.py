"""Many runtimes at once: as parallel as memory allows, each handed out as soon as it is ready.

The cache answers first. Packages of Debian are fetched beside the builds. Builds are ordered by toolchain: the first
build with a toolchain compiles that toolchain's standard library into the shared build cache, so no second build
with it starts before the first is done; one worker goes on with toolchains that are warm, the others open new ones.
"""

from __future__ import annotations

import os
import queue
import threading
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab.errors import InputError, LabError
from lab.model.runtime import Provider, Release, Runtime, RuntimeName
from lab.process import end_all
from lab.provision.cache import Cache
from lab.provision.catalogue import Catalogue, load_catalogue
from lab.provision.runtimes import Progress, find, pull

BUILD_MEMORY = 2 << 30
"""Bytes that one build may take at its peak (measured: runc 0.9 GiB, runsc 1.8 GiB)."""

Outcome = tuple[RuntimeName, Runtime | LabError]


def pull_all(
    cache: Cache,
    names: Sequence[RuntimeName | str],
    *,
    catalogue: Catalogue | None = None,
    provider: Provider | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Generator[Outcome, None, None]:
    """Each runtime, or the error that stopped it, as it becomes ready; cached ones at once.

    Raises :class:`lab.errors.InputError` at once when a name is not known. Closing the iterator early ends the builds.
    """
    known = catalogue or load_catalogue()
    releases = list({release.name: release for release in (_known(cache, known, name) for name in names)}.values())
    return _outcomes(cache, releases, provider, jobs or default_jobs(), progress or (lambda _: None))


def default_jobs() -> int:
    """How many builds to run at once: one a core, as far as memory that is free now allows."""
    return max(1, min(os.cpu_count() or 1, available_memory() // BUILD_MEMORY))


def available_memory(meminfo: Path = Path("/proc/meminfo")) -> int:
    """Bytes that could be used without swapping; 0 when the kernel does not tell."""
    for line in meminfo.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def _known(cache: Cache, catalogue: Catalogue, name: RuntimeName | str) -> Release:
    try:
        return catalogue.get(name)
    except InputError:
        runtime = find(cache, name)  # the user's own, added under a name of its own
        if runtime is None:
            raise
        return Release(name=runtime.name, date="", sources={})


def _outcomes(
    cache: Cache, releases: Sequence[Release], provider: Provider | None, jobs: int, progress: Progress
) -> Generator[Outcome, None, None]:
    missing: list[Release] = []
    for release in releases:
        found = find(cache, release.name)
        if found is None or (provider is not None and found.provider != provider):
            missing.append(release)
        else:
            yield release.name, _outcome(cache, release, provider, progress)
    results: queue.SimpleQueue[Outcome] = queue.SimpleQueue()

    def work(source: _Builds, *, warm: bool) -> None:
        while (release := source.take(warm=warm)) is not None:
            outcome = _outcome(cache, release, provider, progress)
            source.done(release)
            results.put((release.name, outcome))

    light = _Builds([release for release in missing if toolchain(release) == ""])
    heavy = _Builds([release for release in missing if toolchain(release) != ""])
    threads = [threading.Thread(target=work, args=(light,), kwargs={"warm": True}, daemon=True)]
    threads += [
        threading.Thread(target=work, args=(heavy,), kwargs={"warm": index == 0}, daemon=True) for index in range(jobs)
    ]
    for thread in threads:
        thread.start()
    try:
        for _ in missing:
            yield results.get()
    finally:
        if light.stop() | heavy.stop():
            end_all()
        for thread in threads:
            thread.join()


def _outcome(cache: Cache, release: Release, provider: Provider | None, progress: Progress) -> Runtime | LabError:
    try:
        return pull(cache, release, provider=provider, progress=progress)
    except LabError as error:
        return error
    except Exception as error:  # noqa: BLE001  # a fault in a thread must reach the caller, who else waits for ever
        return LabError(f"pulling {release.name} failed in an unforeseen way", details=repr(error))


def toolchain(release: Release) -> str:
    """What a release is compiled with when it is built here; empty when it is only downloaded."""
    go = release.sources.get(Provider.GO)
    if go is not None:
        return go["toolchain"]
    return "cargo" if Provider.CARGO in release.sources else ""


@dataclass(slots=True)
class _Builds:
    """Releases waiting for a worker, grouped by the toolchain that builds them; see the module's text for the order."""

    pending: list[Release]
    warm: set[str] = field(default_factory=lambda: {""})
    opening: set[str] = field(default_factory=set)
    active: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    def take(self, *, warm: bool) -> Release | None:
        """The next release to work on, waiting while all that is left needs a toolchain being opened; then ``None``."""
        with self.changed:
            while self.pending:
                ready = [release for release in self.pending if toolchain(release) not in self.opening]
                if not ready:
                    self.changed.wait()
                    continue
                sizes = Counter(toolchain(release) for release in self.pending)
                chosen = min(
                    ready, key=lambda release: ((toolchain(release) in self.warm) != warm, -sizes[toolchain(release)])
                )
                self.pending.remove(chosen)
                self.active += 1
                if toolchain(chosen) not in self.warm:
                    self.opening.add(toolchain(chosen))
                return chosen
            return None

    def done(self, release: Release) -> None:
        """Note that a release is finished, one way or the other."""
        with self.changed:
            self.active -= 1
            self.opening.discard(toolchain(release))
            self.warm.add(toolchain(release))
            self.changed.notify_all()

    def stop(self) -> bool:
        """Hand out nothing more; whether something is still being worked on."""
        with self.changed:
            self.pending.clear()
            self.changed.notify_all()
            return self.active > 0
