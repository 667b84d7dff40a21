"""Debian packages, fetched and checked by apt itself, with the host's own apt left alone.

Each suite gets a private apt state below the cache (``apt/<suite>``: own configuration, lists, archives and an empty
dpkg status), so nothing of the host's sources, credentials, hooks or preferences is read and nothing of it is written.
apt checks the suite's signature against Debian's archive keyring and every package against the signed index. None of
this needs root. Proxies are taken from the environment.

Packages land in the cache's kind ``deb``, one entry each; what a request came to is remembered in the kind
``debian``, so the same request asked again needs no network and gives the same packages.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from filelock import FileLock

from lab.errors import ArchiveError, HostError, InputError, SourceUnreachable
from lab.process import Completed, small_environment
from lab.provision.building import remember_silent, require_answer, tool
from lab.provision.cache import Cache, Entry, sha256_file

SUITES: Mapping[str, tuple[str, ...]] = {
    "bullseye": ("bullseye",),
    "bookworm": ("bookworm",),
    "trixie": ("trixie",),
    "forky": ("forky",),
    "sid": ("sid",),
    # experimental holds only what differs from sid, so its packages find their dependencies there
    "experimental": ("sid", "experimental"),
}
"""The suites that the lab knows, each with the archive suites it reads."""

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MIRROR = "http://deb.debian.org/debian"
MIRROR_VARIABLE = "PERMLAB_DEBIAN_MIRROR"
FRESH_SECONDS = 24 * 3600.0
"""Age up to which a suite's package lists are used again."""

UPDATE_DEADLINE = 120.0
RESOLVE_DEADLINE = 60.0
DOWNLOAD_DEADLINE = 600.0

_CONFIGURATION = """\
Dir "{base}";
Dir::Etc "{base}/etc";
Dir::State "{base}/state";
Dir::State::status "{base}/state/status";
Dir::Cache "{base}/cache";
Dir::Cache::srcpkgcache "";
Dir::Log "{base}/log";
Dir::Bin::methods "/usr/lib/apt/methods";
APT::Architecture "{arch}";
APT::Architectures {{ "{arch}"; }};
APT::Sandbox::User "";
APT::Install-Recommends "false";
APT::Update::Error-Mode "any";
APT::Cache-Limit "0";
Acquire::Languages "none";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
Acquire::GzipIndexes "true";
Acquire::PDiffs "false";
Acquire::Retries "1";
Acquire::http::Timeout "5";
Acquire::https::Timeout "5";
Acquire::Check-Valid-Until "false";
"""
# Check-Valid-Until: mirrors may serve forky and sid with a Release file past its date; the signature still counts.


@dataclass(frozen=True, slots=True, kw_only=True)
class Deb:
    """One package file of a suite, in the cache; ``sha256`` is that of the file, ``version`` Debian's own spelling."""

    name: str
    version: str
    suite: str
    path: Path
    sha256: str


def fetch(cache: Cache, suite: str, packages: Sequence[str]) -> tuple[Deb, ...]:
    """Exactly the named packages (``name`` or ``name=version``) of a suite, in the order asked for.

    Raises :class:`SourceUnreachable` when the archive does not answer (remembered for the life of the process) or
    does not have a package, :class:`HostError` when apt or its keyring is missing.
    """
    return _request(cache, suite, packages, "fetch")


def closure(cache: Cache, suite: str, packages: Sequence[str]) -> tuple[Deb, ...]:
    """The named packages and all that they depend on, as apt resolves it for an empty system; sorted by name.

    Raises the same errors as :func:`fetch`.
    """
    return _request(cache, suite, packages, "closure")


def unpack(deb: Path, target: Path) -> None:
    """Unpack the files of a package below ``target`` (made when missing); owners are kept when run by root.

    Raises :class:`ArchiveError` for a file that is no package.
    """
    target.mkdir(parents=True, exist_ok=True)
    done = tool(["dpkg-deb", "--extract", str(deb), str(target)], deadline=RESOLVE_DEADLINE)
    if not done.ok:
        raise ArchiveError(f"the package {deb.name} cannot be unpacked", details=done.tail())


def architecture() -> str:
    """Debian's name of this machine's architecture."""
    machine = os.uname().machine
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def _request(cache: Cache, suite: str, packages: Sequence[str], verb: str) -> tuple[Deb, ...]:
    if suite not in SUITES:
        raise InputError(f"unknown Debian suite {suite!r}", resolution=f"one of: {', '.join(SUITES)}")
    key = hashlib.sha256("\n".join([architecture(), *packages]).encode()).hexdigest()[:16]
    memo = f"{suite}/{verb}-{key}"

    def answer(_: Path) -> Mapping[str, object]:
        names = _resolve(cache, suite, packages, verb)
        _download(cache, suite, names)
        return {"suite": suite, "packages": list(packages), "debs": names}

    for _ in range(2):
        entry = cache.make("debian", memo, answer)
        debs = [cache.get("deb", name) for name in _strings(entry.facts["debs"])]
        if all(debs):
            return tuple(_deb(found, suite) for found in debs if found is not None)
        cache.drop("debian", memo)  # a package was dropped from the cache since: ask again
    raise SourceUnreachable(f"packages of Debian {suite} vanish from the cache while they are fetched")


def _deb(entry: Entry, suite: str) -> Deb:
    name, version, _ = entry.path.name.split("_")
    return Deb(
        name=name,
        version=unquote(version),
        suite=suite,
        path=entry.path / f"{entry.path.name}.deb",
        sha256=str(entry.facts["sha256"]),
    )


def _resolve(cache: Cache, suite: str, packages: Sequence[str], verb: str) -> list[str]:
    """What a request means now: ``name_version_arch`` of each package file, without ``.deb``."""
    apt = _Apt.ready(cache, suite)
    # apt prefers sid: a name asked of experimental has to say so, but its dependencies come from sid where those do
    marked = [name if "=" in name or suite != "experimental" else f"{name}/experimental" for name in packages]
    direct = apt.files("download", *marked)
    if verb == "closure":
        return sorted(apt.files("install", "--yes", *_pins(direct)))
    wanted = [package.partition("=")[0] for package in packages]
    return sorted(direct, key=lambda name: wanted.index(name.partition("_")[0]))


def _pins(names: Sequence[str]) -> list[str]:
    """``name=version`` for each ``name_version_arch``."""
    return [f"{name}={unquote(version)}" for name, version, _ in (each.split("_") for each in names)]


def _download(cache: Cache, suite: str, names: Sequence[str]) -> None:
    missing = [name for name in names if cache.get("deb", name) is None]
    if not missing:
        return
    with cache.scratch() as work:
        done = _Apt(cache.root / "apt" / suite).get(
            "-qq", "download", *_pins(missing), deadline=DOWNLOAD_DEADLINE, cwd=work
        )
        if not done.ok:
            raise SourceUnreachable(f"packages of Debian {suite} cannot be fetched", details=done.tail())
        for name in missing:
            _keep(cache, suite, name, work / f"{name}.deb")


def _keep(cache: Cache, suite: str, name: str, file: Path) -> None:
    def build(directory: Path) -> Mapping[str, object]:
        kept = file.rename(directory / f"{name}.deb")
        return {"sha256": sha256_file(kept), "suite": suite}

    cache.make("deb", name, build)


@dataclass(frozen=True, slots=True)
class _Apt:
    """A private apt state in the directory ``base``."""

    base: Path

    @classmethod
    def ready(cls, cache: Cache, suite: str) -> _Apt:
        """The state of a suite with package lists not older than a day."""
        apt = cls(cache.root / "apt" / suite)
        source = f"{mirror()} {suite}"
        require_answer(source)
        apt.base.mkdir(parents=True, exist_ok=True)
        with FileLock(apt.base / "update.lock"):
            if apt.age() < FRESH_SECONDS:
                return apt
            apt.configure(suite)
            done = apt.get("-qq", "update", deadline=UPDATE_DEADLINE)
            if not done.ok:
                raise remember_silent(source, _unreachable(suite, done.tail()))
            (apt.base / "updated").write_text(mirror() + "\n")
        return apt

    def age(self) -> float:
        """Seconds since the lists were updated from the present mirror; infinite when never."""
        stamp = self.base / "updated"
        try:
            return time.time() - stamp.stat().st_mtime if stamp.read_text().strip() == mirror() else float("inf")
        except FileNotFoundError:
            return float("inf")

    def configure(self, suite: str) -> None:
        if not KEYRING.exists():
            raise HostError(
                f"Debian's archive keyring {KEYRING} is not on this host",
                resolution="install the package debian-archive-keyring, or use runtimes and images of other origin",
            )
        for part in ("etc/preferences.d", "etc/apt.conf.d", "state/lists/partial", "cache/archives/partial", "log"):
            (self.base / part).mkdir(parents=True, exist_ok=True)
        (self.base / "state" / "status").touch()
        (self.base / "apt.conf").write_text(_CONFIGURATION.format(base=self.base, arch=architecture()))
        lines = [f"deb [signed-by={KEYRING}] {mirror()} {part} main\n" for part in SUITES[suite]]
        (self.base / "etc" / "sources.list").write_text("".join(lines))

    def files(self, *words: str) -> list[str]:
        """``name_version_arch`` of each package that ``apt-get *words`` would fetch."""
        # without -qq apt says which dependency is missing; its other lines start differently
        done = self.get("--print-uris", *words, deadline=RESOLVE_DEADLINE)
        if not done.ok:
            what = " ".join(words[1:])
            raise SourceUnreachable(f"Debian {self.base.name} does not have {what}", details=done.tail())
        # 'URI' name_version_arch.deb size SHA256:…, with ':' of an epoch written %3a
        lines = done.stdout.decode().splitlines()
        return [line.split()[1].removesuffix(".deb") for line in lines if line.startswith("'")]

    def get(self, *words: str, deadline: float, cwd: Path | None = None) -> Completed:
        env = small_environment({"APT_CONFIG": str(self.base / "apt.conf")})
        return tool(["apt-get", *words], deadline=deadline, env=env, cwd=cwd or self.base)


def mirror() -> str:
    """The archive that packages come from: Debian's own default, or what ``PERMLAB_DEBIAN_MIRROR`` names."""
    return os.environ.get(MIRROR_VARIABLE, MIRROR).rstrip("/")


def _unreachable(suite: str, details: str) -> SourceUnreachable:
    return SourceUnreachable(
        f"Debian's archive does not answer for {suite}",
        details=details,
        resolution=f"check the network and proxy, or name a mirror in {MIRROR_VARIABLE}",
    )


def _strings(value: object) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, list) else ()
