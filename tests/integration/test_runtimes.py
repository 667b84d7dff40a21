"""Real sources: Debian's archive through a private apt state, Go modules, and compilers in the cache."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from lab.errors import SourceUnreachable
from lab.model.runtime import Provider, Runtime
from lab.process import Identity, run, small_environment
from lab.provision import debian
from lab.provision.building import forget_silent
from lab.provision.cache import Cache, default_cache, sha256_file
from lab.provision.linked import interpreter
from lab.provision.providers.go import wheel_go
from lab.provision.pulling import pull_all
from lab.provision.runtimes import pull, verify
from lab.provision.toolchain import c_toolchain

pytestmark = pytest.mark.integration

HOST_APT = [Path("/var/lib/apt/lists"), Path("/var/cache/apt"), Path("/var/lib/dpkg"), Path("/etc/apt")]


def newest_change(places: list[Path]) -> float:
    return max(path.stat().st_mtime for place in places for path in [place, *place.rglob("*")] if path.exists())


def test_debian_packages_leave_the_host_alone_and_are_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache(tmp_path)
    before = newest_change(HOST_APT)
    (first,) = debian.fetch(cache, "bookworm", ["busybox-static"])
    assert newest_change(HOST_APT) == before
    assert first.name == "busybox-static"
    assert first.sha256 == sha256_file(first.path)
    monkeypatch.setenv(debian.MIRROR_VARIABLE, "http://127.0.0.1:9/debian")  # nobody answers there
    assert debian.fetch(cache, "bookworm", ["busybox-static"]) == (first,)
    debian.unpack(first.path, tmp_path / "root")
    assert (tmp_path / "root" / "bin" / "busybox").is_file()


def test_debian_archive_that_does_not_answer_is_given_up_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(debian.MIRROR_VARIABLE, "http://127.0.0.1:9/debian")
    forget_silent()
    started = time.monotonic()
    for _ in range(3):
        with pytest.raises(SourceUnreachable, match="does not answer for bookworm"):
            debian.fetch(Cache(tmp_path), "bookworm", ["busybox-static"])
    assert time.monotonic() - started < 15
    forget_silent()


def test_a_package_that_debian_does_not_have() -> None:
    with pytest.raises(SourceUnreachable, match="does not have no-such-package-as-this"):
        debian.fetch(default_cache(), "bookworm", ["no-such-package-as-this"])


def test_closure_holds_the_libraries() -> None:
    names = [deb.name for deb in debian.closure(default_cache(), "bookworm", ["crun"])]
    assert {"crun", "libc6", "libseccomp2", "libyajl2"} <= set(names)
    assert names == sorted(names)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("crun@0.17", "crun version 0.17"),
        ("crun@1.28", "crun version 1.28"),
        ("runc@1.0.0-rc93+debian11", "runc version 1.0.0~rc93"),
        ("runc@1.3.6+debian14", "runc version 1.3.6"),
    ],
)
def test_debian_builds_run_with_their_own_libc(name: str, says: str) -> None:
    cache = default_cache()
    runtime = pull(cache, name)
    assert runtime.provider is Provider.DEBIAN
    assert runtime.reported.startswith(says)
    assert str(cache.root) in interpreter(Path(runtime.path))
    assert runtime.details["sha256_before_patching"] != runtime.sha256
    assert verify(cache, name) == runtime


def test_go_builds_are_static_and_have_seccomp() -> None:
    runtime = pull(default_cache(), "runc@1.1.15", provider=Provider.GO)
    assert runtime.toolchain == "go1.21.13"
    assert runtime.reported.startswith("runc version 1.1.15")
    assert f"libseccomp: {runtime.details['libseccomp']}" in runtime.reported
    assert interpreter(Path(runtime.path)) == ""


def test_default_set_is_pulled_and_a_second_pull_does_nothing() -> None:
    cache = default_cache()
    names = ["runc@1.0.0-rc9", "runc@1.1.15", "crun@1.8.1"]
    assert all(isinstance(outcome, Runtime) for _, outcome in pull_all(cache, names))
    told: list[str] = []
    started = time.monotonic()
    assert len(list(pull_all(cache, names, progress=told.append))) == 3
    assert told == []
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("seccomp", [False, True])
def test_compiler_of_debian_links_static_programs(tmp_path: Path, *, seccomp: bool) -> None:
    found = c_toolchain(default_cache(), seccomp=seccomp, host=False)
    assert found.description.endswith("of Debian bookworm")
    assert bool(found.libseccomp) is seccomp
    (tmp_path / "a.c").write_text('#include <stdio.h>\nint main(void) { puts("made"); return 0; }\n')
    subprocess.run([found.cc, "-static", "-o", tmp_path / "a", tmp_path / "a.c"], check=True)  # noqa: S603  # our own
    assert run([str(tmp_path / "a")], deadline=5).stdout == b"made\n"
    assert interpreter(tmp_path / "a") == ""


def test_go_of_the_wheel_runs() -> None:
    done = run([wheel_go(default_cache()), "version"], deadline=20, env=small_environment({"GOTOOLCHAIN": "local"}))
    assert done.stdout.startswith(b"go version go1.25.5")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_packages_are_fetched_without_root(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, 65534, 65534)
    for folder in [tmp_path, *tmp_path.parents]:
        if folder.stat().st_uid == os.geteuid() and folder != Path("/") and not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
    program = (
        "import sys; from pathlib import Path; from lab.provision.cache import Cache; from lab.provision import debian;"
        "deb, = debian.fetch(Cache(Path(sys.argv[1])), 'bookworm', ['busybox-static']);"
        "debian.unpack(deb.path, Path(sys.argv[1]) / 'root'); print(deb.name)"
    )
    lab = Path(debian.__file__).parents[2]
    packages = Path(pytest.__file__).parents[1]
    env = small_environment({"HOME": str(home), "PYTHONPATH": f"{lab}:{packages}"})
    argv = ["/usr/bin/python3", "-c", program, str(home / "cache")]
    done = run(argv, deadline=120, env=env, cwd=home, identity=Identity(uid=65534, gid=65534))
    assert done.stdout == b"busybox-static\n", done.tail()
    assert (home / "cache" / "root" / "bin" / "busybox").is_file()


@pytest.mark.parametrize("name", ["runc@1.0.0-rc90", "runc@1.2.8"])
def test_releases_that_go_install_refuses_are_built_anew(tmp_path: Path, name: str) -> None:
    """One without a go.mod, one with a go.mod that only its own tree can use; with what is fetched already."""
    for fetched in ("go", "toolchains", "deb", "debian", "apt"):
        place = default_cache().root / fetched
        place.mkdir(parents=True, exist_ok=True)
        (tmp_path / fetched).symlink_to(place)
    runtime = pull(Cache(tmp_path), name, provider=Provider.GO)
    assert name.partition("@")[2] in runtime.reported
    assert not list((tmp_path / "tmp").iterdir())
