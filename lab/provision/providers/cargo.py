"""Runtimes built from released crates, where cargo is installed; libseccomp is linked statically.

cargo's registry cache is the lab's own (``cargo`` in the cache); a configuration in the user's own cargo home (a
registry mirror, for example) still counts.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from lab.errors import BuildFailed, SourceUnreachable
from lab.model.runtime import Provider, Release
from lab.process import BASE_PATH, small_environment
from lab.provision.building import remember_silent, require_answer, tool
from lab.provision.cache import Cache
from lab.provision.providers.contract import Obtained
from lab.provision.toolchain import c_toolchain

BUILD_DEADLINE = 1200.0
ASK_DEADLINE = 20.0

_SILENT = re.compile(
    r"Could not resolve host|Timeout was reached|Connection refused|[Cc]ouldn't connect|SSL connect error"
)


def obtain(cache: Cache, release: Release, directory: Path) -> Obtained:
    """Build the crate named by the source's words: ``crate``, ``crate_version``, ``features`` (comma separated)."""
    words = release.sources[Provider.CARGO]
    cargo = shutil.which("cargo")
    if cargo is None:
        raise SourceUnreachable("cargo is not on this host", resolution="install Rust's cargo, or take another runtime")
    require_answer("cargo")
    compiler = c_toolchain(cache, seccomp=True)
    library = tool([compiler.cc, "-print-file-name=libseccomp.a"], deadline=ASK_DEADLINE).stdout.decode().strip()
    target = f"CARGO_TARGET_{os.uname().machine.upper()}_UNKNOWN_LINUX_GNU_LINKER"
    env = _environment(cache, cargo) | {
        **compiler.env,
        target: compiler.cc,
        "LIBSECCOMP_LINK_TYPE": "static",
        "LIBSECCOMP_LIB_PATH": str(Path(library).parent),
    }
    with cache.scratch() as work:
        env["CARGO_TARGET_DIR"] = str(work / "target")
        argv = [cargo, "install", words["crate"], "--version", words["crate_version"], "--locked", "--no-track"]
        argv += ["--features", words["features"], "--root", str(work / "out")]
        done = tool(argv, deadline=BUILD_DEADLINE, env=env, cwd=work)
        if not done.ok and _SILENT.search(done.tail()):
            error = SourceUnreachable("the crate registry does not answer", details=done.tail())
            raise remember_silent("cargo", error)
        if not done.ok:
            raise BuildFailed(f"{release.name} does not build", details=done.tail())
        binary = directory / release.name.family
        (work / "out" / "bin" / words["crate"]).rename(binary)
    rustc = tool([shutil.which("rustc") or cargo, "--version"], deadline=ASK_DEADLINE, env=env)
    return Obtained(
        binary=binary,
        origin=f"crate {words['crate']} {words['crate_version']} (features {words['features']})",
        toolchain=rustc.stdout.decode().strip(),
        details={"cc": compiler.description, "libseccomp": compiler.libseccomp},
    )


def _environment(cache: Cache, cargo: str) -> dict[str, str]:
    home = cache.root / "cargo"
    home.mkdir(parents=True, exist_ok=True)
    own = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo")) / "config.toml"
    if own.is_file() and not (home / "config.toml").exists():
        (home / "config.toml").symlink_to(own)
    rustup = {name: value for name, value in os.environ.items() if name.startswith("RUSTUP_")}
    return small_environment(
        {
            **rustup,
            "PATH": f"{Path(cargo).parent}:{BASE_PATH}",
            "CARGO_HOME": str(home),
            "CARGO_NET_RETRY": "1",
            "CARGO_HTTP_TIMEOUT": "10",
        }
    )
