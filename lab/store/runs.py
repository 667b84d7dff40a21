"""Runs as JSON Lines: one file for each run, appended only, never edited.

Why JSON Lines and not SQLite: a record is one ``write(2)`` of one line, so a kill at any moment loses at most the line
being written and corrupts none; runs can be read with grep and jq, sent by mail, and kept in git; and nothing here
needs a query that a pass over one run's lines cannot answer.

The first line is the header; ``runtime``, ``image``, ``config`` and ``engine`` lines describe digests once, before the
first record that speaks of them; a ``finished`` line ends a run that came to its end. A last line without its newline
was cut off by a kill: readers leave it out, and resuming cuts it off.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from lab.codec import decode_header, decode_record, encode_header, encode_record
from lab.errors import InputError, StoreError
from lab.model.record import FORMAT, Record, Run, RunHeader
from lab.provision.cache import default_cache

SUFFIX = ".jsonl"


def runs_directory() -> Path:
    """Where runs are stored: ``$PERMLAB_RUNS``, else beside the cache's other contents."""
    chosen = os.environ.get("PERMLAB_RUNS")
    return Path(chosen).absolute() if chosen else default_cache().root / "runs"


def now() -> str:
    """This moment in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def new_run_id() -> str:
    """A run's id: sorts by time, to 1/65536 of a second, and names the run's cgroups and directories."""
    moment = datetime.now(UTC)
    return f"{moment:%Y%m%d-%H%M%S}-{moment.microsecond * 65536 // 1_000_000:04x}"


@dataclass(slots=True, kw_only=True)
class RunWriter:
    """Appends to one run. Holds an exclusive lock on the file, so that no two labs write the same run."""

    path: Path
    fd: int
    known: set[str] = field(default_factory=set)

    def record(self, record: Record) -> None:
        """Append one record."""
        self._line(encode_record(record))

    def knows(self, kind: str, digest: str) -> bool:
        """Whether :meth:`describe` would append nothing."""
        return not digest or f"{kind}:{digest}" in self.known

    def describe(self, kind: str, digest: str, facts: Mapping[str, object] | str) -> None:
        """Append what is known of a digest, unless it stands there already.

        ``kind`` is runtime, image, config or engine.
        """
        if not self.knows(kind, digest):
            self.known.add(f"{kind}:{digest}")
            self._line(json.dumps({kind: {"digest": digest, "facts": facts}}).encode())

    def finish(self) -> None:
        """Append the line that says that the run came to its end."""
        self._line(json.dumps({"finished": now()}).encode())

    def close(self) -> None:
        """Let go of the file."""
        os.close(self.fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _line(self, line: bytes) -> None:
        data = line + b"\n"
        try:
            written = os.write(self.fd, data)
        except OSError as error:
            raise self._failure(str(error)) from error
        if written != len(data):
            os.ftruncate(self.fd, os.fstat(self.fd).st_size - written)
            raise self._failure("the disk is full")

    def _failure(self, why: str) -> StoreError:
        return StoreError(
            f"the run {self.path.stem} cannot be written",
            details=f"{self.path}: {why}",
            resolution=f"free some space and continue with `permlab run --resume {self.path.stem}`",
        )


def create(directory: Path, header: RunHeader) -> RunWriter:
    """Start a new run. Its file appears with the header in it: a kill before that leaves no run."""
    path, part = directory / f"{header.id}{SUFFIX}", directory / f".{header.id}.part"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise _not_stored(error) from error
    writer = RunWriter(path=path, fd=fd)
    try:
        _lock(fd, path)
        writer._line(encode_header(header))  # noqa: SLF001  # the same module
        os.link(part, path)
    except OSError as error:
        writer.close()
        raise _not_stored(error) from error
    except BaseException:
        writer.close()
        raise
    finally:
        part.unlink()
    return writer


def _not_stored(error: OSError) -> StoreError:
    return StoreError(
        "the run cannot be stored", details=str(error), resolution="set PERMLAB_RUNS to a directory of yours"
    )


def reopen(path: Path) -> RunWriter:
    """Open a stored run to append to it; a line that a kill cut off is removed first."""
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
    try:
        _lock(fd, path)
        data = path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        os.ftruncate(fd, len(whole))
    except BaseException:
        os.close(fd)
        raise
    known = {
        f"{kind}:{value['digest']}"
        for kind, value in (next(iter(json.loads(line).items())) for line in whole.splitlines()[1:] if _side(line))
    }
    return RunWriter(path=path, fd=fd, known=known)


def _side(line: bytes) -> bool:
    return line.startswith((b'{"runtime"', b'{"image"', b'{"config"', b'{"engine"'))


def _lock(fd: int, path: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StoreError(
            f"the run {path.stem} is being written by another permlab", resolution="wait for it, or stop it first"
        ) from None


def read(path: Path) -> Run:
    """A stored run; raises :class:`StoreError` when it is none, is damaged, or is of a newer format."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path} cannot be read", details=str(error)) from error
    lines = data[: data.rfind(b"\n") + 1].splitlines()
    if not lines:
        raise StoreError(f"{path} is no stored run", details="it has no header")
    _check_format(lines[0], path)
    header = decode_header(lines[0], where=str(path))
    sides: dict[str, dict[str, Any]] = {"runtime": {}, "image": {}, "config": {}, "engine": {}}
    records, finished = [], ""
    for number, line in enumerate(lines[1:], start=2):
        where = f"{path}:{number}"
        if line.startswith(b'{"record"'):
            records.append(decode_record(line, where=where))
            continue
        kind, value = next(iter(_data(line, where).items()))
        match value:
            case str() if kind == "finished":
                finished = value
            case {"digest": str(digest), "facts": facts} if kind in sides:
                sides[kind][digest] = facts
            case _:
                raise StoreError(f"{where}: a line is damaged", details=f"{kind!r:.60} is nothing that a run holds so")
    return Run(
        header=header,
        records=tuple(records),
        runtimes=sides["runtime"],
        images=sides["image"],
        configs=sides["config"],
        engines=sides["engine"],
        finished=finished,
    )


def _check_format(line: bytes, path: Path) -> None:
    head = _data(line, str(path)).get("header")
    number = head.get("format") if isinstance(head, dict) else None
    if isinstance(number, int) and number > FORMAT:
        raise StoreError(
            f"{path} was written by a newer permlab",
            details=f"its format is {number}, this lab reads up to {FORMAT}",
            resolution="upgrade permlab",
        )


def _data(line: bytes, where: str) -> dict[str, Any]:
    try:
        data = json.loads(line)
    except ValueError as error:
        raise StoreError(f"{where}: a line is damaged", details=str(error)) from error
    if not isinstance(data, dict) or not data:
        raise StoreError(f"{where}: a line is damaged", details="expected a JSON object")
    return data


def stored(directory: Path) -> tuple[Path, ...]:
    """All stored runs, oldest first."""
    return tuple(sorted(directory.glob(f"*{SUFFIX}"))) if directory.is_dir() else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A record and the run that holds it."""

    run: Run
    record: Record


def search(directory: Path, digests: Collection[str], *, but: Path) -> dict[str, list[Found]]:
    """The records whose settings have one of these digests, by digest, the latest run first; ``but`` is left out.

    A run that is damaged or of a newer format is passed over: it is asked for by nobody.
    """
    found: dict[str, list[Found]] = defaultdict(list)
    needles = [digest.encode() for digest in digests]
    for path in reversed(stored(directory)):
        if path == but or not _mentions(path, needles):
            continue
        try:
            run = read(path)
        except (StoreError, InputError):
            continue
        if run.void:
            continue
        for record in run.records:
            if record.provenance.settings in digests:
                found[record.provenance.settings].append(Found(run=run, record=record))
    return found


def _mentions(path: Path, needles: Sequence[bytes]) -> bool:
    data = path.read_bytes()
    return any(needle in data for needle in needles)


def find(directory: Path, word: str) -> Path:
    """The run that a user means: ``last``, an id, the start of one, or a path; raises :class:`InputError`."""
    given = Path(word)
    if given.suffix == SUFFIX and given.is_file():
        return given
    paths = stored(directory)
    if word == "last" and paths:
        return paths[-1]
    fitting = [path for path in paths if path.stem.startswith(word)]
    if len(fitting) == 1:
        return fitting[0]
    raise InputError(
        f"no stored run {word!r}" if not fitting else f"{word!r} fits {len(fitting)} stored runs",
        details=f"stored runs: {', '.join(path.stem for path in paths[-5:]) or 'none'}",
        resolution="give an id, the start of one, `last`, or the path of a .jsonl file",
    )
