"""Upstream's own static release assets, checked against the published checksum file or a pinned digest.

Layout as upstream publishes it: ``<base>/<owner>/<project>/releases/download/<tag>/<asset>``, for runc with a checksum
file ``runc.sha256sum`` (clear-signed in most releases) and a detached signature ``<asset>.asc``. A runtime without a
checksum file needs its digest pinned in the catalogue, else it is refused: nothing would vouch for its bytes.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import requests

from lab.errors import DigestMismatch, SourceUnreachable
from lab.model.runtime import Provider, Release
from lab.process import small_environment
from lab.provision.building import remember_silent, require_answer, tool
from lab.provision.cache import Cache
from lab.provision.providers.contract import Obtained

BASE = "https://github.com"
BASE_VARIABLE = "PERMLAB_RELEASE_BASE"
KEYRING_VARIABLE = "PERMLAB_RELEASE_KEYRING"
"""Names a file of upstream's public keys; with it, and gpg on the host, signatures are checked as well."""

CONNECT_SECONDS = 3.0
READ_SECONDS = 30.0
GPG_DEADLINE = 30.0
SIZE_LIMIT = 200 << 20

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def obtain(cache: Cache, release: Release, directory: Path) -> Obtained:
    """Download the asset named by the source's words.

    ``asset`` and, where upstream has them, ``checksums`` and ``signature`` are paths below the base address, with
    ``{arch}`` for Debian's name of the architecture; ``sha256`` pins a digest.

    Raises :class:`SourceUnreachable` when the site does not answer, has no such asset, or nothing vouches for it, and
    :class:`DigestMismatch` when the bytes differ from what was published or pinned, or the signature is not good.
    """
    words = {name: _filled(word) for name, word in release.sources[Provider.RELEASE].items()}
    asset = words["asset"]
    if "checksums" not in words and "sha256" not in words:
        raise SourceUnreachable(
            f"nothing vouches for the release asset of {release.name}",
            details="upstream publishes no checksum file and the catalogue pins no digest",
            resolution=f"download it yourself and use `permlab runtimes add {release.name} FILE`",
        )
    sums = _get(words["checksums"]) if "checksums" in words else b""
    expected = words.get("sha256") or _published(sums, asset)
    body = _get(asset)
    found = hashlib.sha256(body).hexdigest()
    if found != expected:
        raise DigestMismatch(
            f"the release asset of {release.name} is not what upstream published",
            details=f"sha256 is {found}, expected {expected}",
            resolution="try again; if it stays, the mirror or the release has been tampered with",
        )
    binary = directory / release.name.family
    binary.write_bytes(body)
    signed = _check_signature(cache, words, binary)
    vouched = "the pinned digest" if "sha256" in words else "the published checksum file"
    return Obtained(
        binary=binary, origin=f"release asset {base()}/{asset}", details={"checked": vouched, "signature": signed}
    )


def base() -> str:
    """The address that releases are below: the public one, or what ``PERMLAB_RELEASE_BASE`` names."""
    return os.environ.get(BASE_VARIABLE, BASE).rstrip("/")


def _filled(word: str) -> str:
    machine = os.uname().machine
    return word.replace("{arch}", _ARCHITECTURES.get(machine, machine))


def _published(sums: bytes, asset: str) -> str:
    """The digest of an asset in a checksum file, clear-signed or plain (``<hex>  <name>`` a line)."""
    name = asset.rpartition("/")[2]
    for line in sums.decode("utf-8", "replace").splitlines():
        match = re.fullmatch(r"([0-9a-fA-F]{64})\s+\*?(\S+)", line.strip())
        if match and match[2].rpartition("/")[2] == name:
            return match[1].lower()
    raise SourceUnreachable(f"the published checksum file does not list {name}")


def _get(path: str) -> bytes:
    source = base()
    require_answer(source)
    try:
        with requests.get(f"{source}/{path}", timeout=(CONNECT_SECONDS, READ_SECONDS), stream=True) as answer:
            if not answer.ok:
                raise SourceUnreachable(
                    f"the release site does not have {path.rpartition('/')[2]}",
                    details=f"HTTP status {answer.status_code}",
                )
            body = bytearray()
            for chunk in answer.iter_content(1 << 20):
                body += chunk
                if len(body) > SIZE_LIMIT:
                    raise SourceUnreachable(f"the release asset {path} is larger than {SIZE_LIMIT >> 20} MiB")
            return bytes(body)
    except requests.RequestException as error:
        silent = SourceUnreachable("the release site does not answer", details=str(error))
        raise remember_silent(source, silent) from error


def _check_signature(cache: Cache, words: Mapping[str, str], binary: Path) -> str:
    """Check the detached signature where that is possible; says in words what was done."""
    keyring = os.environ.get(KEYRING_VARIABLE)
    gpg = shutil.which("gpg")
    if "signature" not in words or keyring is None or gpg is None:
        return "not checked"
    signature = _get(words["signature"])
    with cache.scratch() as work:
        (work / "home").mkdir(mode=0o700)
        (work / "signature").write_bytes(signature)
        argv = [gpg, "--batch", "--quiet", "--homedir", str(work / "home"), "--no-autostart"]
        imported = tool([*argv, "--import", keyring], deadline=GPG_DEADLINE, env=small_environment())
        checked = tool([*argv, "--verify", str(work / "signature"), str(binary)], deadline=GPG_DEADLINE)
    if not imported.ok or not checked.ok:
        raise DigestMismatch(
            f"the signature of {binary.name} is not good", details=(checked if imported.ok else imported).tail()
        )
    return "good"
