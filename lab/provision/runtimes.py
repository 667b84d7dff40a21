"""Runtimes made ready in the cache: pulled by name, verified by digest, added by the user.

A runtime is the cache entry ``runtimes/<slug>`` with the binary (named after its family) and, as its facts, everything
that is recorded of it. ``auto`` takes what the cache has, else asks the release's sources in the catalogue's order
and says which one served.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from lab.errors import DigestMismatch, HostError, InputError, ProvisionError, SourceUnreachable
from lab.model.runtime import Provider, Release, Runtime, RuntimeName
from lab.process import small_environment
from lab.provision.building import tool
from lab.provision.cache import Cache, Entry, sha256_file
from lab.provision.catalogue import AUTO_ORDER, Catalogue, load_catalogue
from lab.provision.providers import cargo, debian, go, path
from lab.provision.providers import release as asset
from lab.provision.providers.contract import Obtain
from lab.scenario.versions import name_key, parse_name

KIND = "runtimes"
VERSION_DEADLINE = 20.0

PROVIDERS: Mapping[Provider, Obtain] = {
    Provider.RELEASE: asset.obtain,
    Provider.GO: go.obtain,
    Provider.CARGO: cargo.obtain,
    Provider.DEBIAN: debian.obtain,
    Provider.PATH: path.obtain,
}

Progress = Callable[[str], None]
"""Gets one line whenever something worth telling starts or ends."""

_RUNTIME = TypeAdapter(Runtime)


def pull(
    cache: Cache,
    wanted: Release | RuntimeName | str,
    *,
    catalogue: Catalogue | None = None,
    provider: Provider | None = None,
    progress: Progress | None = None,
) -> Runtime:
    """The runtime, from the cache (its bytes checked, see :func:`verify`) or made now.

    ``provider`` insists on a source: an entry that came from another one is replaced. Raises :class:`InputError` for
    a name that the catalogue does not know, :class:`DigestMismatch` when the cached bytes are not what was recorded,
    :class:`SourceUnreachable` when no source could serve, else the :class:`ProvisionError` of the source that failed.
    """
    tell = progress or (lambda _: None)
    release = _release(cache, wanted, catalogue)
    found = find(cache, release.name)
    if found is not None and (provider is None or found.provider == provider):
        return verify(cache, found.name)
    chosen = (provider,) if provider is not None else tuple(p for p in AUTO_ORDER if p in release.sources)
    if not chosen or any(one not in release.sources for one in chosen):
        known = ", ".join(release.sources) or "the cache only"
        raise InputError(f"{release.name} does not come from {provider}", resolution=f"known sources: {known}")
    if found is not None:
        cache.drop(KIND, release.name.slug)
    entry = cache.make(KIND, release.name.slug, lambda directory: _make(cache, release, chosen, directory, tell))
    return _runtime(entry)


def add(cache: Cache, name: RuntimeName | str, binary: Path) -> Runtime:
    """Take any binary of the user's under ``name``, in place of what the cache had.

    Raises :class:`InputError` when it is not a file, :class:`ProvisionError` when it does not run.
    """
    wanted = name if isinstance(name, RuntimeName) else parse_name(name)
    release = Release(name=wanted, date="", sources={Provider.PATH: {"path": str(binary)}})
    with cache.scratch() as trial:  # refuse it before what was there is dropped
        _make(cache, release, (Provider.PATH,), trial, lambda _: None)
    cache.drop(KIND, wanted.slug)
    return pull(cache, release, provider=Provider.PATH)


def find(cache: Cache, name: RuntimeName | str) -> Runtime | None:
    """The runtime when the cache has it, without reading its bytes; ``None`` otherwise."""
    wanted = name if isinstance(name, RuntimeName) else parse_name(name)
    entry = cache.get(KIND, wanted.slug)
    return None if entry is None else _runtime(entry)


def installed(cache: Cache) -> tuple[Runtime, ...]:
    """All runtimes in the cache, ordered by family and version."""
    entries = [cache.get(KIND, slug) for slug in cache.names(KIND)]
    found = [_runtime(entry) for entry in entries if entry is not None]
    return tuple(sorted(found, key=lambda runtime: name_key(str(runtime.name))))


def verify(cache: Cache, name: RuntimeName | str) -> Runtime:
    """The runtime, its binary and libraries read again and compared with what was recorded.

    Raises :class:`DigestMismatch` when a byte differs or a file is gone, :class:`ProvisionError` when the cache does
    not have the runtime.
    """
    runtime = find(cache, name)
    if runtime is None:
        raise ProvisionError(f"{name} is not in the cache", resolution=f"permlab runtimes pull {name}")
    _compare(runtime, Path(runtime.path), runtime.sha256)
    label = runtime.details.get("libraries")
    libraries = cache.get("libraries", label) if label else None
    if label and libraries is None:
        raise _tampered(runtime, f"its libraries {label} are gone")
    recorded = libraries.facts["files"] if libraries else {}
    for file, digest in (recorded if isinstance(recorded, dict) else {}).items():
        _compare(runtime, (libraries.path if libraries else Path()) / file, str(digest))
    return runtime


def _compare(runtime: Runtime, file: Path, digest: str) -> None:
    try:
        found = sha256_file(file)
    except FileNotFoundError as error:
        raise _tampered(runtime, f"{file.name} is gone") from error
    if found != digest:
        raise _tampered(runtime, f"{file.name} has sha256 {found}, recorded was {digest}")


def _tampered(runtime: Runtime, details: str) -> DigestMismatch:
    return DigestMismatch(
        f"{runtime.name} is not what was provisioned",
        details=details,
        resolution=f"remove {Path(runtime.path).parent}, then permlab runtimes pull {runtime.name}",
    )


def _release(cache: Cache, wanted: Release | RuntimeName | str, catalogue: Catalogue | None) -> Release:
    if isinstance(wanted, Release):
        return wanted
    name = wanted if isinstance(wanted, RuntimeName) else parse_name(wanted)
    try:
        return (catalogue or load_catalogue()).get(name)
    except InputError:
        if find(cache, name) is None:
            raise
        return Release(name=name, date="", sources={})  # the user's own, added under a name of its own


def _make(
    cache: Cache, release: Release, chosen: tuple[Provider, ...], directory: Path, tell: Progress
) -> Mapping[str, object]:
    """Ask the providers in turn; the facts to record of the first that serves."""
    passed: list[str] = []
    for provider in chosen:
        try:
            return _obtain(cache, release, provider, directory, tell=tell, passed=passed)
        except SourceUnreachable as error:
            if len(chosen) == 1:
                raise
            passed.append(f"{provider}: {error.brief}")
    raise SourceUnreachable(
        f"no source serves {release.name}",
        details="\n".join(passed),
        resolution=f"check the network, or give the binary: permlab runtimes add {release.name} FILE",
    )


def _obtain(
    cache: Cache, release: Release, provider: Provider, directory: Path, *, tell: Progress, passed: list[str]
) -> Mapping[str, object]:
    tell(f"{release.name}: from {provider}")
    got = PROVIDERS[provider](cache, release, directory)
    got.binary.chmod(0o755)
    runtime = Runtime(
        name=release.name,
        path=got.binary.name,
        sha256=sha256_file(got.binary),
        reported=_reported(cache, release.name, got.binary),
        provider=provider,
        origin=got.origin,
        toolchain=got.toolchain,
        details={**got.details, **({"passed_over": "; ".join(passed)} if passed else {})},
    )
    tell(f"{release.name}: ready, {runtime.origin}")
    facts: dict[str, object] = _RUNTIME.dump_python(runtime, mode="json")
    return facts


def _reported(cache: Cache, name: RuntimeName, binary: Path) -> str:
    """What the binary says of itself; also the proof that it runs here.

    crun makes its state directory even for this (``/run/crun`` when nothing else is said), and names it.
    """
    try:
        with cache.scratch() as work:
            env = small_environment({"XDG_RUNTIME_DIR": str(work)})
            done = tool([str(binary), "--version"], deadline=VERSION_DEADLINE, env=env)
    except (HostError, OSError) as error:  # a missing loader shows as a missing file
        raise ProvisionError(f"the binary of {name} does not run on this host", details=str(error)) from error
    if not done.ok:
        raise ProvisionError(f"the binary of {name} does not run on this host", details=done.tail())
    lines = done.stdout.decode("utf-8", "replace").strip().splitlines()
    return "\n".join(line for line in lines if not line.startswith("rundir: "))


def _runtime(entry: Entry) -> Runtime:
    try:
        runtime = _RUNTIME.validate_python(dict(entry.facts))
    except ValidationError as error:
        raise DigestMismatch(
            f"the record of {entry.path.name} in the cache is not readable",
            details=str(error),
            resolution=f"remove {entry.path} and pull it again",
        ) from error
    return replace(runtime, path=str(entry.path / runtime.path))
