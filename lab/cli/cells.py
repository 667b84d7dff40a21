"""Cells by the user's word: what `sweep`, `bisect` and `explain` start from."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from lab.cli.common import tell
from lab.cli.progress import Progress, interruptible
from lab.codec import read_text
from lab.errors import EngineError, InputError
from lab.model.record import Record
from lab.model.scenario import Scenario, Task
from lab.provision.cache import default_cache
from lab.provision.catalogue import load_catalogue
from lab.report.escape import escape_text
from lab.report.expectations import held
from lab.scenario.expand import expand, select
from lab.scenario.load import CONTROLS, find, load, shipped_directory
from lab.session import Session, new_header, open_session, tasks_of
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


@dataclass(slots=True, kw_only=True)
class Bench:
    """An open session that tells its progress, and that runs the control cells of every runtime before all else."""

    session: Session
    progress: Progress
    controls: Scenario
    _controlled: set[str] = field(default_factory=set)

    def measure(self, tasks: Sequence[Task], *, anew: bool = False) -> tuple[Record, ...]:
        """As :meth:`lab.session.Session.measure`."""
        first = {task.cell.value("runtime") for task in tasks} - self._controlled
        self._controlled |= first
        controls = tasks_of((self.controls,), tuple(sorted(first))) if first else []
        wanted = [task for task in tasks if anew or task.cell.id not in self.session.records]
        if controls or wanted:
            self.progress.expect(len(controls) + len(wanted))
        if anew:
            self.session.measure(controls)
            return self.session.measure(tasks, anew=True)
        ids = {task.cell.id for task in tasks}
        return tuple(one for one in self.session.measure([*controls, *tasks]) if one.cell in ids)

    def note(self, line: str) -> None:
        """A line for the user, on stderr."""
        self.progress.note(escape_text(line))

    @property
    def broken(self) -> tuple[Record, ...]:
        """The control cells that did not show what they must: nothing of this run can be trusted then."""
        return tuple(one for one in self.session.records.values() if one.control and held(one) is False)


@contextmanager
def measuring(texts: Mapping[str, str], *, jobs: int | None) -> Iterator[Bench]:
    """A session that writes a new stored run, with its progress on stderr.

    Raises :class:`EngineError` at its end when a control cell did not show what it must.
    """
    controls = find(CONTROLS)
    header = new_header({**texts, CONTROLS: read_text(controls)}, argv=sys.argv[1:])
    with (
        store.create(store.runs_directory(), header) as writer,
        interruptible() as interruption,
        Progress() as progress,
        open_session(default_cache(), writer, progress, jobs=jobs) as session,
    ):
        interruption.reaches(session)
        bench = Bench(session=session, progress=progress, controls=load(controls))
        yield bench
        writer.finish()
    if bench.broken:
        raise EngineError(
            f"run {header.id} is void: {len(bench.broken)} control cells did not show what they must",
            details="\n".join(record.cell for record in bench.broken[:MOST]),
            resolution="`permlab show CELL` shows one of them, `permlab doctor` what this host can do",
        )
    tell(f"run {header.id} is stored: `permlab show CELL --run {header.id}` shows a cell of it")


def answer(form: str, text: str, data: Mapping[str, Any]) -> None:
    """Print what was found: for people, or as JSON."""
    click.echo(json.dumps(data, indent=1) + "\n" if form == "json" else text, nl=False)


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
