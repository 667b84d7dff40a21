"""Cells by the user's word: what `sweep`, `bisect` and `explain` start from."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.cli.common import runs_directory, tell
from lab.cli.progress import Progress, interruptible
from lab.codec import read_text
from lab.errors import InputError
from lab.model.record import Record
from lab.provision.cache import default_cache
from lab.provision.catalogue import load_catalogue
from lab.runner import Task
from lab.scenario.expand import expand, select
from lab.scenario.load import CONTROLS, find, load, shipped_directory
from lab.session import Session, new_header, open_session
from lab.store import runs as store

MOST = 10
"""Cells that are named in an error."""
_SCENARIO = re.compile(r"([\w.-]+)/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """The cells that a word names, and the texts of their scenarios by id."""

    tasks: tuple[Task, ...]
    texts: Mapping[str, str]


def named_cells(word: str, scenario: str | None = None) -> Named:
    """The cells that fit a word: an id, a part of one, or a glob; raises :class:`InputError` when none does.

    They are looked for in ``scenario`` (a name or a file), else in the one that the word begins with, else in all that
    there are; first with the runtimes that the scenarios name, then with all. An id that fits exactly goes first.
    """
    paths = _paths(word, scenario)
    loaded = [(path, load(path)) for path in paths]
    releases = tuple(load_catalogue())
    for runtimes in ((), ("all",)):
        tasks = [
            Task(scenario=one, cell=cell)
            for _, one in loaded
            for cell in select(expand(one, releases, runtimes).cells, (word,))
        ]
        exact = [task for task in tasks if task.cell.id == word]
        chosen = tuple(exact or tasks)
        if chosen:
            used = {task.scenario.id for task in chosen}
            return Named(tasks=chosen, texts={path.stem: read_text(path) for path in paths if path.stem in used})
    raise InputError(
        f"no cell fits {word!r}",
        details=f"looked for in {', '.join(sorted(path.stem for path in paths))}",
        resolution="see the cells with `permlab plan SCENARIO --ids`",
    )


def named_cell(word: str, scenario: str | None = None) -> tuple[Task, Mapping[str, str]]:
    """The one cell that a word names, and its scenario's text by id."""
    named = named_cells(word, scenario)
    if len(named.tasks) > 1:
        ids = [task.cell.id for task in named.tasks]
        more = [f"… and {len(ids) - MOST} more"] if len(ids) > MOST else []
        raise InputError(
            f"{len(ids)} cells fit {word!r}", details="\n".join([*ids[:MOST], *more]), resolution="name one of them"
        )
    return named.tasks[0], named.texts


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """An open session that tells its progress."""

    session: Session
    progress: Progress

    def measure(self, tasks: Sequence[Task], *, anew: bool = False) -> tuple[Record, ...]:
        """As :meth:`lab.session.Session.measure`."""
        self.progress.expect(sum(anew or task.cell.id not in self.session.records for task in tasks))
        return self.session.measure(tasks, anew=anew)

    def note(self, line: str) -> None:
        """A line for the user, on stderr."""
        self.progress.note(line)


@contextmanager
def measuring(texts: Mapping[str, str], *, jobs: int | None) -> Iterator[Bench]:
    """A session that writes a new stored run, with its progress on stderr."""
    header = new_header(texts, argv=sys.argv[1:])
    with (
        store.create(runs_directory(), header) as writer,
        Progress() as progress,
        open_session(default_cache(), writer, progress, jobs=jobs) as session,
        interruptible(),
    ):
        yield Bench(session=session, progress=progress)
        writer.finish()
    tell(f"run {header.id} is stored: `permlab show CELL --run {header.id}` shows a cell of it")


def _paths(word: str, scenario: str | None) -> list[Path]:
    if scenario is not None:
        return [find(scenario)]
    begins = _SCENARIO.match(word)
    if begins:
        try:
            return [find(begins[1])]
        except InputError:
            pass  # a part of an id that begins elsewhere
    files = [*Path("scenarios").glob("*.toml"), *shipped_directory().glob("*.toml")]
    return list({path.stem: path for path in reversed(files) if path.stem != CONTROLS}.values())
