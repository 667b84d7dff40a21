"""Engines made ready in the cache: builds of Debian's suites, unpacked and linked against their own suite's libraries.

An engine is the cache entry ``engines/<slug>``: ``tree`` with the files of its packages, ``bin`` with a link to each of
its programs, and, as its facts, everything that is recorded of it. The host's own packages are neither used nor
touched.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache as memoised
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from lab.errors import DigestMismatch, InputError, ProvisionError, SourceUnreachable
from lab.model.engine import EngineBuild, EngineName, EngineProgram, EngineRelease
from lab.provision.building import tool
from lab.provision.cache import Cache, Entry, sha256_file
from lab.provision.debian import Deb, fetch, unpack
from lab.provision.linked import LINKING, interpreter, libraries_of, patch
from lab.provision.rootfs import remove_tree
from lab.scenario.versions import name_key, parse_engine

FILE = Path(__file__).with_name("engines.toml")
KIND = "engines"
VERSION_DEADLINE = 20.0

FOLDERS = ("usr/bin", "usr/sbin", "usr/libexec/podman", "usr/lib/podman", "usr/lib/containerd")
"""Where packages have programs that engines call by their bare name."""

PLUGINS = "usr/lib/cni"
"""Where packages have network plugins, which engines call by their directory."""

_UNUSED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/bash-completion", "usr/share/lintian")
_UNUSED_PROGRAMS = ("usr/bin/dnet", "usr/sbin/ovrouter")
_BUILD = TypeAdapter(EngineBuild)

Progress = Callable[[str], None]
"""Gets one line whenever something worth telling starts or ends."""


class _Words(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    main: str
    packages: list[str]


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    build: str
    suite: str
    packages: list[str] | None = None
    default: bool = False


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal[1]
    template: dict[str, _Words]
    engine: list[_Line] = Field(min_length=1)


@memoised
def engine_releases() -> tuple[EngineRelease, ...]:
    """Every build that the lab knows, by family and version, oldest first."""
    document = _Document.model_validate(tomllib.loads(FILE.read_text(encoding="utf-8")))
    return tuple(sorted((_release(line, document.template) for line in document.engine), key=_order))


def _release(line: _Line, templates: Mapping[str, _Words]) -> EngineRelease:
    name = parse_engine(line.name)
    words = templates[name.family]
    return EngineRelease(
        name=replace(name, build=line.build),
        suite=line.suite,
        main=words.main,
        packages=tuple(line.packages or words.packages),
        default=line.default,
    )


def _order(release: EngineRelease) -> tuple[str, object]:
    return name_key(str(release.name))


def find_release(name: EngineName | str) -> EngineRelease:
    """The catalogue's line for a name; a bare family means its default.

    Raises :class:`InputError` when there is none.
    """
    wanted = parse_engine(name) if isinstance(name, str) else name
    family = [release for release in engine_releases() if release.name.family is wanted.family]
    for release in family:
        if (release.default if wanted.version is None else release.name.version == wanted.version) and (
            wanted.build in {None, release.name.build}
        ):
            return release
    raise InputError(
        f"the catalogue does not know the engine {wanted}",
        details=f"it knows {', '.join(str(release.name) for release in family) or 'no build of it'}",
        resolution="see `permlab engines list --all`",
    )


def pull_engine(cache: Cache, name: EngineName | str, *, progress: Progress | None = None) -> EngineBuild:
    """The build, from the cache (its programs checked, see :func:`verify_engine`) or made now.

    Raises :class:`InputError` for an unknown name, :class:`SourceUnreachable` when Debian's archive does not serve it,
    :class:`DigestMismatch` when cached bytes are not what was recorded, else another :class:`ProvisionError`.
    """
    release = find_release(name)
    if find_engine(cache, release.name) is not None:
        return verify_engine(cache, release.name)
    cache.drop(KIND, release.name.slug)  # what may be there was made of other packages, or by another lab
    tell = progress or (lambda _: None)
    tell(f"{release.name}: from Debian {release.suite}")
    cache.make(KIND, release.name.slug, lambda directory: _make(cache, release, directory))
    build = verify_engine(cache, release.name)
    tell(f"{release.name}: ready, {build.origin}")
    return build


def find_engine(cache: Cache, name: EngineName | str) -> EngineBuild | None:
    """The build when the cache has it, made as this lab would make it; its bytes are not read; ``None`` otherwise."""
    release = find_release(name)
    entry = cache.get(KIND, release.name.slug)
    if entry is None:
        return None
    build = _build(entry)
    same = set(build.packages) == set(release.packages) and build.linking == LINKING
    return build if same else None


def installed_engines(cache: Cache) -> tuple[EngineBuild, ...]:
    """All builds in the cache, in the order of the catalogue."""
    return tuple(found for release in engine_releases() if (found := find_engine(cache, release.name)) is not None)


def verify_engine(cache: Cache, name: EngineName | str) -> EngineBuild:
    """The build, its programs and libraries read again and compared with what was recorded.

    Raises :class:`DigestMismatch` when a byte differs or a file is gone, :class:`ProvisionError` when the cache does
    not have the build.
    """
    build = find_engine(cache, name)
    if build is None:
        raise ProvisionError(f"{name} is not in the cache", resolution=f"permlab engines pull {name}")
    libraries = cache.get("libraries", build.libraries) if build.libraries else None
    if build.libraries and libraries is None:
        raise _tampered(build, f"its libraries {build.libraries} are gone")
    recorded = {Path(build.root) / program.path: program.sha256 for program in build.programs.values()}
    files = libraries.facts["files"] if libraries else None
    if libraries is not None and isinstance(files, dict):
        recorded |= {libraries.path / file: str(digest) for file, digest in files.items()}
    for file, digest in recorded.items():
        try:
            found = sha256_file(file)
        except FileNotFoundError as error:
            raise _tampered(build, f"{file.name} is gone") from error
        if found != digest:
            raise _tampered(build, f"{file.name} has sha256 {found}, recorded was {digest}")
    return build


def _tampered(build: EngineBuild, details: str) -> DigestMismatch:
    return DigestMismatch(
        f"{build.name} is not what was provisioned",
        details=details,
        resolution=f"remove {build.root}, then permlab engines pull {build.name}",
    )


def _make(cache: Cache, release: EngineRelease, directory: Path) -> Mapping[str, object]:
    """Unpack, link, try; the facts to record."""
    debs = fetch(cache, release.suite, release.packages)
    version = debs[0].version.rpartition(":")[2]
    if not version.startswith(release.name.version or ""):
        raise SourceUnreachable(
            f"Debian {release.suite} no longer has {release.packages[0]} {release.name.version}",
            details=f"it has {debs[0].version}",
        )
    tree = directory / "tree"
    for deb in debs:
        unpack(deb.path, tree)
    for unused in _UNUSED:
        remove_tree(tree / unused)
    for unused in _UNUSED_PROGRAMS:
        (tree / unused).unlink(missing_ok=True)
    programs, libraries = _link(cache, debs, directory)
    build = EngineBuild(
        name=release.name,
        root=".",
        reported=_reported(release, directory / programs[release.main].path),
        origin=f"Debian {release.suite}, {', '.join(f'{deb.name} {deb.version}' for deb in debs)}",
        programs=programs,
        packages={deb.name: deb.version for deb in debs},
        digests={deb.name: deb.sha256 for deb in debs},
        libraries=libraries,
        linking=LINKING,
    )
    facts: dict[str, object] = _BUILD.dump_python(build, mode="json")
    return facts


def _link(cache: Cache, debs: Sequence[Deb], directory: Path) -> tuple[dict[str, EngineProgram], str]:
    """Give every dynamically linked program its suite's libraries, and every program a link in ``bin``."""
    programs: dict[str, EngineProgram] = {}
    libraries: Entry | None = None
    for file in _executables(directory / "tree"):
        unpatched = sha256_file(file)
        if interpreter(file):
            libraries = libraries or libraries_of(cache, debs)
            patch(cache, file, libraries.path)
        path = str(file.relative_to(directory))
        programs[file.name] = EngineProgram(path=path, sha256=sha256_file(file), unpatched=unpatched)
    bare = directory / "bin"
    bare.mkdir()
    for folder in FOLDERS:
        for file in sorted((directory / "tree" / folder).glob("*")):
            if os.access(file, os.X_OK) and not file.is_dir() and not (bare / file.name).is_symlink():
                (bare / file.name).symlink_to(Path("..") / file.relative_to(directory))
    return programs, "" if libraries is None else libraries.path.name


def _executables(tree: Path) -> Iterator[Path]:
    for folder in (*FOLDERS, PLUGINS):
        for file in sorted((tree / folder).glob("*")):
            if file.is_file() and not file.is_symlink() and os.access(file, os.X_OK):
                yield file


def _reported(release: EngineRelease, main: Path) -> str:
    """What the main program says of itself; also the proof that it runs here."""
    done = tool([str(main), "--version"], deadline=VERSION_DEADLINE)
    if not done.ok:
        raise ProvisionError(f"{release.main} of {release.name} does not run on this host", details=done.tail())
    return done.stdout.decode("utf-8", "replace").strip()


def _build(entry: Entry) -> EngineBuild:
    try:
        build = _BUILD.validate_python(dict(entry.facts))
    except ValidationError as error:
        raise DigestMismatch(
            f"the record of {entry.path.name} in the cache is not readable",
            details=str(error),
            resolution=f"remove {entry.path} and pull it again",
        ) from error
    return replace(build, root=str(entry.path))
