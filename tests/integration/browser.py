"""Debian's Chromium, unpacked into the lab's cache and run from there: nothing is installed on the host.

The host's own loader and libc serve (Debian 12's, or newer); every other library comes from bookworm's packages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from lab.provision.cache import Cache, default_cache
from lab.provision.debian import closure, unpack

SUITE = "bookworm"
PACKAGES = ("chromium", "fonts-dejavu-core")
KEPT = ("usr/lib/chromium", "usr/share/fonts")
UNUSED = ("libLLVM*", "dri", "perl*", "systemd")
"""Much of the size, and nothing that a browser without a screen starts."""

_START = """\
#!/bin/sh
root=$(cd "${0%/*}" && pwd)
libraries="$root/libraries"
export LD_LIBRARY_PATH="$libraries:$libraries/pulseaudio" FONTCONFIG_FILE="$root/fonts.conf"
exec "$root/usr/lib/chromium/chromium" "$@"
"""
_FONTS = """\
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir prefix="relative">usr/share/fonts</dir><cachedir prefix="xdg">fontconfig</cachedir></fontconfig>
"""


def chromium(cache: Cache) -> Path:
    """The program that starts Chromium; fetched and unpacked when it is not in the cache yet."""
    return cache.make("browsers", f"chromium-{SUITE}", partial(_unpack, cache)).path / "chromium"


@contextmanager
def browser() -> Iterator[Browser]:
    """A running browser without a screen; raises :class:`LabError` where it cannot be had."""
    program = chromium(default_cache())
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=program)
        try:
            yield found
        finally:
            found.close()


def _unpack(cache: Cache, directory: Path) -> Mapping[str, object]:
    packages = closure(cache, SUITE, PACKAGES)
    with cache.scratch() as work:
        for package in packages:
            if package.name != "libc6":  # the loader that starts the program needs the libc it came with
                unpack(package.path, work)
        for name in KEPT:
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).rename(directory / name)
        libraries = directory / "libraries"
        next(work.glob("usr/lib/*-linux-gnu")).rename(libraries)
        for library in next(work.glob("lib/*-linux-gnu")).iterdir():
            if not (libraries / library.name).exists():
                library.rename(libraries / library.name)
        for pattern in UNUSED:
            for found in libraries.glob(pattern):
                found.rename(work / f"unused-{found.name}")
    (directory / "fonts.conf").write_text(_FONTS)
    start = directory / "chromium"
    start.write_text(_START)
    start.chmod(0o755)
    return {"suite": SUITE, "packages": {package.name: package.version for package in packages}}
