"""Images for real: Debian's packages over the network, chroots, another user, a full disk."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab.process import Completed, run, small_environment
from lab.provision.cache import Cache, default_cache
from lab.provision.images import pull_image, verify_image

pytestmark = pytest.mark.integration

RECIPES = ("distroless-static", "distroless-static:nonroot", "busybox", "debian:bookworm", "debian:bullseye")
IS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not IS_ROOT, reason="chroot, mount and setpriv need root")


@pytest.fixture(name="fresh", scope="module")
def _fresh(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(tmp_path_factory.mktemp("cache"))


def inside(rootfs: str, *argv: str) -> Completed:
    return run(["unshare", "--mount", "--pid", "--fork", "chroot", rootfs, *argv], deadline=20)


def python(prefix: Sequence[str], program: str, cache: Path, *args: str) -> Completed:
    env = small_environment({"PERMLAB_CACHE": str(cache), "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"})
    return run([*prefix, sys.executable, "-c", program, *args], deadline=120, env=env)


def test_distroless_from_nothing_is_fast_and_as_described(fresh: Cache) -> None:
    started = time.monotonic()
    image = pull_image(fresh, "distroless-static:nonroot")
    assert time.monotonic() - started < 15
    assert pull_image(fresh, "distroless-static").digest == image.digest
    root = Path(image.rootfs)
    assert (image.config.user, image.config.working_dir) == ("65532", "/home/nonroot")
    assert not any((root / name).exists() for name in ("bin/sh", "bin/bash", "usr/bin/sh", "usr/bin/env"))
    accounts = [line.split(":")[:4] for line in (root / "etc/passwd").read_text().splitlines()]
    assert accounts == [
        ["root", "x", "0", "0"],
        ["nobody", "x", "65534", "65534"],
        ["nonroot", "x", "65532", "65532"],
    ]
    certificates = (root / "etc/ssl/certs/ca-certificates.crt").read_text()
    assert certificates.count("BEGIN CERTIFICATE") == certificates.count("END CERTIFICATE") > 100
    assert (root / "usr/share/zoneinfo/Europe/Berlin").is_file()
    assert (root / "etc/protocols").is_file()
    assert (root / "home/nonroot").stat().st_mode & 0o7777 == 0o700
    assert (root / "tmp").stat().st_mode & 0o7777 == 0o1777
    if IS_ROOT:
        assert ((root / "home/nonroot").stat().st_uid, (root / "home/nonroot").stat().st_gid) == (65532, 65532)
        assert image.squashed == ()


@pytest.mark.parametrize("name", ["distroless-static", "busybox"])
def test_the_same_digest_twice(fresh: Cache, name: str) -> None:
    assert pull_image(fresh, name).digest == pull_image(default_cache(), name).digest


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_verifies(name: str) -> None:
    assert verify_image(default_cache(), name).digest.startswith("sha256:")


def test_two_pulls_at_once_make_one_image(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: pull_image(Cache(tmp_path), "busybox"), range(2)))
    assert found[0] == found[1]
    assert list((tmp_path / "tmp").iterdir()) == []


@needs_root
def test_an_ordinary_user_gets_the_same_image_less_its_owners(fresh: Cache) -> None:
    whole = pull_image(fresh, "distroless-static:nonroot")
    other = fresh.root / "other"
    other.mkdir()
    other.chmod(0o777)
    for folder in (fresh.root, *fresh.root.parents):
        if not folder.stat().st_mode & 0o001:
            folder.chmod(0o711)  # pytest's own directories
        if folder.name.startswith("pytest-of-"):
            break
    user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    if not python(user, "import lab.provision.images", other).ok:
        pytest.skip("this Python cannot be read by an ordinary user")
    program = (
        "import sys; from lab.provision.cache import default_cache; from lab.provision.images import verify_image\n"
        "image = verify_image(default_cache(), 'distroless-static:nonroot')\n"
        "print(image.digest, image.rootfs, *image.squashed, sep='\\n')"
    )
    done = python(user, program, other)
    assert done.ok, done.tail()
    digest, rootfs, lost = done.stdout.decode().splitlines()
    assert digest == whole.digest
    assert "home/nonroot (65532:65532)" in lost
    assert (Path(rootfs) / "home/nonroot").stat().st_uid == 65534
    assert (Path(rootfs) / "home/nonroot").stat().st_mode & 0o7777 == 0o700


@needs_root
def test_busybox_runs_its_applets() -> None:
    done = inside(pull_image(default_cache(), "busybox").rootfs, "/bin/sh", "-c", "id -un; ls -ld /tmp; env -i env")
    assert done.ok, done.tail()
    assert done.stdout.decode().splitlines()[0] == "root"
    assert b"drwxrwxrwt" in done.stdout


@needs_root
@pytest.mark.parametrize(("suite", "release"), [("bookworm", "12."), ("bullseye", "11.")])
def test_debian_is_usable(suite: str, release: str) -> None:
    rootfs = pull_image(default_cache(), f"debian:{suite}").rootfs
    script = (
        "cat /etc/debian_version; id -un 65534; awk 'BEGIN{print 6*7}'; perl -v | grep -c 'perl 5'; "
        "dpkg -l | grep -c ^iU; stat -c %a:%u:%g /etc/shadow /bin/su"
    )
    done = inside(rootfs, "/bin/sh", "-c", script)
    assert done.ok, done.tail()
    version, user, awk, perl, packages, *modes = done.stdout.decode().splitlines()
    assert version.startswith(release)
    assert (user, awk, perl) == ("nobody", "42", "1")
    assert int(packages) > 70
    assert modes == ["640:0:42", "4755:0:0"]
    verify_image(default_cache(), f"debian:{suite}")


@needs_root
def test_gnu_tar_and_the_lab_agree(tmp_path: Path) -> None:
    image = pull_image(default_cache(), "debian:bookworm")
    packed = tmp_path / "debian.tar"
    made = run(
        [
            "tar",
            "--create",
            "--numeric-owner",
            "--xattrs",
            "--xattrs-include=*",
            "-C",
            image.rootfs,
            "-f",
            str(packed),
            ".",
        ],
        deadline=60,
    )
    assert made.ok, made.tail()
    again = pull_image(Cache(tmp_path / "cache"), f"rootfs:{packed}")
    assert again.digest == image.digest


@needs_root
def test_a_full_disk_is_one_clear_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "root").mkdir()
    (tmp_path / "root/large").write_bytes(os.urandom(3 << 20))
    program = (
        "import sys; from lab.errors import HostError; from lab.provision.cache import default_cache\n"
        "from lab.provision.images import pull_image\n"
        "try:\n    pull_image(default_cache(), sys.argv[1])\n"
        "except HostError as error:\n    print(error.brief, *default_cache().root.glob('tmp/*'), sep='\\n')"
    )
    mount = f'mount -t tmpfs -o size=2m tmpfs "{tmp_path}/disk" && exec "$@"'
    prefix = ["unshare", "--mount", "sh", "-c", mount, "sh"]
    done = python(prefix, program, tmp_path / "disk/cache", f"rootfs:{tmp_path}/root")
    assert done.stdout.decode().splitlines() == ["an image cannot be unpacked on this host"], done.tail()
