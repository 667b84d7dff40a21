"""`permlab publish`: a static site over stored runs."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import click

from lab.cli.common import tell
from lab.errors import InputError, StoreError
from lab.model.record import Run
from lab.report.site.pages import Files, site
from lab.report.words import counted
from lab.store.runs import find, read, runs_directory, stored

MARKER = ".permlab-site.json"
"""Names the files that `permlab publish` wrote: a directory without it, or with others in it, is not touched."""
TITLE = "Container permissions, measured by permlab"


@click.command("publish")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path), metavar="DIR")
@click.option(
    "--runs",
    "words",
    multiple=True,
    metavar="RUN",
    help="A stored run's id, the start of one, last, or a .jsonl file. May be repeated; all stored runs without it.",
)
@click.option(
    "--title", default=TITLE, show_default=True, metavar="TEXT", help="What the site and its feed are called."
)
def command(**kwargs: Any) -> None:
    """Write a static site over stored runs into DIR: index, pages, histories, feed, data, badge and pictures.

    DIR is made, or made anew when `permlab publish` made it; any other directory is left alone. The site works from
    disk and on any web server, and the same runs give the same bytes.

    \b
    Examples:
      permlab publish site
      permlab publish reports/example --runs last
      permlab publish site --runs 20261122-1730 --runs 20261123 --title "Our images"
    """
    run(**kwargs)


def run(directory: Path, *, words: tuple[str, ...], title: str) -> None:
    """Make the site beside its place, and put it there when it is whole."""
    place = directory.resolve()
    check(place)
    paths = _chosen(words)
    seen: list[str] = []
    files = site(title, _runs(paths, seen, strict=bool(words)))
    try:
        write(place, files)
    except OSError as error:
        raise StoreError("the site cannot be written", details=str(error), resolution="choose another DIR") from error
    tell(f"published {counted(len(seen), 'run')}")
    click.echo(str(directory / "index.html"))


def _chosen(words: tuple[str, ...]) -> tuple[Path, ...]:
    """The runs' files, oldest first: an id begins with the time."""
    paths = {find(runs_directory(), word) for word in words} if words else stored(runs_directory())
    if not paths:
        raise InputError("there is no stored run to publish", resolution="make one with `permlab run chdir-cwd`")
    return tuple(sorted(paths, key=lambda path: (path.stem, path)))


def _runs(paths: Iterable[Path], seen: list[str], *, strict: bool) -> Iterator[Run]:
    """The runs, one after the other; ids of those that were read are added to ``seen``."""
    for path in paths:
        try:
            found = read(path)
        except StoreError as error:
            if strict:
                raise
            tell(f"left out: {error.brief}")
            continue
        if found.header.id in seen:
            raise InputError(f"two files hold a run {found.header.id}", details=f"one is {path}")
        seen.append(found.header.id)
        yield found.latest
    if not seen:
        raise InputError("no stored run can be read", resolution="see them with `permlab runs`")


def check(place: Path) -> None:
    """Refuse a directory that holds what `permlab publish` did not write."""
    if not place.exists():
        return
    if not place.is_dir():
        raise InputError(f"{place} is no directory")
    known = {*_written(place), MARKER}
    files = (path for path in place.rglob("*") if path.is_symlink() or not path.is_dir())
    foreign = list(islice((name for name in (str(path.relative_to(place)) for path in files) if name not in known), 4))
    if foreign:
        raise InputError(
            f"{place} holds files that `permlab publish` did not write",
            details=", ".join(sorted(foreign[:3])) + (", …" if foreign[3:] else ""),
            resolution="name a directory that does not exist yet, or move these files away",
        )


def _written(place: Path) -> set[str]:
    """The files that the marker names; none where there is no marker, or where it is not the lab's."""
    try:
        data = json.loads((place / MARKER).read_text(encoding="utf-8"))
        return set(data["files"])
    except (OSError, ValueError, TypeError, KeyError):
        return set()


def write(place: Path, files: Files) -> None:
    """Write the files into a new directory beside ``place`` and rename it there; an older site goes only then."""
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f".{place.name}.{secrets.token_hex(4)}.part")
    try:
        names = []
        for name, data in files:
            names.append(name)
            path = part / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        (part / MARKER).write_text(json.dumps({"format": 1, "files": sorted(names)}, indent=1) + "\n", encoding="utf-8")
        _swap(part, place)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _swap(part: Path, place: Path) -> None:
    """Put the new directory where the old one is; when that fails the old one stays."""
    old = part.with_suffix(".old")
    with suppress(FileNotFoundError):
        os.rename(place, old)
    try:
        os.rename(part, place)
    except OSError:
        with suppress(FileNotFoundError):
            os.rename(old, place)
        raise
    shutil.rmtree(old, ignore_errors=True)
