"""Images from a registry, over the distribution-spec's HTTP API.

Anonymous, with the bearer token that a registry hands out to anybody; the lab reads no credentials. Everything is
checked against its digest as it arrives. Plain HTTP is spoken to loopback only.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from lab.errors import ArchiveError, DigestMismatch, InputError, SourceUnreachable
from lab.provision.archives import DIGEST, INDEXES, MAX_JSON, Layout, Source, from_manifest, parse

ACCEPT = ", ".join(
    [
        *INDEXES,
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    ]
)
REFERENCE = re.compile(
    r"//(?P<host>[A-Za-z0-9.-]+(?::\d+)?|\[[0-9a-fA-F:]+\](?::\d+)?)/"
    r"(?P<name>[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*)"
    r"(?::(?P<tag>[\w][\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
TIMEOUT = (5.0, 30.0)
"""Seconds to connect, and between two pieces of an answer."""

MAX_BLOB = 8 << 30
CHUNK = 1 << 20
UNAUTHORIZED = 401
MAX_REDIRECTS = 5

ENDPOINTS = {"docker.io": "registry-1.docker.io"}
"""Docker's registry is asked under another host name than its images are named with."""


def source(rest: str, work: Path) -> Source:
    """``docker://HOST/NAME[:TAG][@DIGEST]``; blobs are fetched into ``work`` when they are needed.

    :raises SourceUnreachable: when the registry does not answer, or refuses.
    """
    match = REFERENCE.fullmatch(rest)
    if match is None:
        raise InputError(
            f"docker:{rest} names no image of a registry",
            resolution="docker://HOST/NAME:TAG or docker://HOST/NAME@DIGEST",
        )
    repository = Repository(host=match["host"], name=match["name"], work=work)
    digest = repository.resolve(match["digest"] or match["tag"] or "latest")
    return from_manifest(repository, {"digest": digest}, f"registry {match['host']}/{match['name']}")


@dataclass(slots=True, kw_only=True)
class Repository:
    """One repository of a registry; what is fetched lies below ``work`` as in a layout."""

    host: str
    name: str
    work: Path
    token: str = ""

    def resolve(self, reference: str) -> str:
        """Fetch a manifest or index by tag or digest; returns its digest."""
        with self._get(f"manifests/{reference}") as answer:
            raw = b"".join(_bounded(answer, MAX_JSON))
            said = answer.headers.get("Docker-Content-Digest", "")
        digest = f"sha256:{hashlib.sha256(raw).hexdigest()}"
        expected = reference if DIGEST.fullmatch(reference) else said
        if expected.startswith("sha256:") and expected != digest:
            raise DigestMismatch(f"{self.host} sent another manifest than {expected}", details=f"received {digest}")
        self._place(digest).write_bytes(raw)
        return digest

    def manifest(self, digest: str, size: int | None) -> Path:
        """A manifest or index, fetched when it is not here yet, and checked."""
        if not self._place(digest).exists():
            self.resolve(digest)
        return Layout(self.work).manifest(digest, size)

    def file(self, digest: str, size: int | None) -> Path:
        """The blob's file, fetched when it is not here yet, and checked."""
        place = self._place(digest)
        if not place.exists():
            with self._get(f"blobs/{digest}") as answer, place.open("wb") as out:
                for chunk in _bounded(answer, MAX_BLOB if size is None else size):
                    out.write(chunk)
        return Layout(self.work).file(digest, size)

    def _place(self, digest: str) -> Path:
        folder = self.work / "blobs" / "sha256"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / digest.partition(":")[2]

    def _get(self, part: str) -> requests.Response:
        host = ENDPOINTS.get(self.host, self.host)
        url = f"{'http' if loopback(host) else 'https'}://{host}/v2/{self.name}/{part}"
        answer = _ask(url, self._headers())
        if answer.status_code == UNAUTHORIZED and not self.token:
            self.token = self._new_token(answer.headers.get("WWW-Authenticate", ""))
            answer.close()
            answer = _ask(url, self._headers())
        if not answer.ok:
            answer.close()
            raise SourceUnreachable(
                f"{self.host} does not serve {self.name}",
                details=f"{answer.status_code} {answer.reason} for {part}",
                resolution="check the name; the lab reads no credentials, so a private image must come as an archive",
            )
        return answer

    def _headers(self) -> dict[str, str]:
        return {"Accept": ACCEPT} | ({"Authorization": f"Bearer {self.token}"} if self.token else {})

    def _new_token(self, challenge: str) -> str:
        """A token for anybody, as the challenge of a 401 says (distribution's token authentication)."""
        scheme, _, rest = challenge.partition(" ")
        words = dict(CHALLENGE.findall(rest))
        realm = words.get("realm", "")
        if scheme.lower() != "bearer" or not realm:
            raise SourceUnreachable(f"{self.host} wants credentials for {self.name}", details=f"challenge: {scheme}")
        wanted = {key: words[key] for key in ("service", "scope") if key in words}
        with _ask(realm, {}, {"scope": f"repository:{self.name}:pull", **wanted}) as answer:
            if not answer.ok:
                raise SourceUnreachable(
                    f"{self.host} gives no token for {self.name}", details=f"{answer.status_code} {answer.reason}"
                )
            told = parse(b"".join(_bounded(answer, MAX_JSON)), "a registry's token")
        token = told.get("token") or told.get("access_token")
        if not isinstance(token, str):
            raise SourceUnreachable(f"{self.host} gives no token for {self.name}")
        return token


def loopback(netloc: str) -> bool:
    """Whether ``host[:port]`` is this machine, for which plain HTTP is good enough."""
    host = urlsplit(f"//{netloc}").hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _ask(url: str, headers: Mapping[str, str], params: Mapping[str, str] | None = None) -> requests.Response:
    """GET; redirects are followed here, so that each is looked at first and a token stays with its own host."""
    first = urlsplit(url).netloc
    for _ in range(MAX_REDIRECTS):
        netloc = urlsplit(url).netloc
        _refuse_plain(url)
        sent = {key: value for key, value in headers.items() if key != "Authorization" or netloc == first}
        try:
            answer = requests.get(
                url,
                headers=sent,
                params=params,
                timeout=TIMEOUT,
                stream=True,
                auth=_without_credentials,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise SourceUnreachable(f"{netloc} does not answer", details=type(error).__name__) from error
        if not answer.is_redirect:
            return answer
        answer.close()
        url, params = urljoin(url, answer.headers["Location"]), None
    raise SourceUnreachable(f"{first} redirects more than {MAX_REDIRECTS} times")


def _refuse_plain(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and loopback(parts.netloc)):
        raise SourceUnreachable(f"{parts.netloc or url[:100]} would be asked without encryption")


def _without_credentials(request: requests.PreparedRequest) -> requests.PreparedRequest:
    # given as auth=, it keeps requests from reading the user's .netrc
    return request


def _bounded(answer: requests.Response, limit: int) -> Iterator[bytes]:
    """The bytes of an answer as they were sent; more than ``limit`` is an error."""
    got = 0
    try:
        # not iter_content: it would undo a Content-Encoding, and digests are over what was stored
        while chunk := answer.raw.read(CHUNK, decode_content=False):
            got += len(chunk)
            if got > limit:
                raise ArchiveError(f"{urlsplit(answer.url).netloc} sends more than {limit} bytes")
            yield chunk
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise SourceUnreachable(
            f"{urlsplit(answer.url).netloc} broke off in the middle", details=type(error).__name__
        ) from error
