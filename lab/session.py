"""An open lab: what cells need to run, from the cache to the engines, under one handle.

Whoever wants measurements opens a session on a run and asks: :meth:`Session.run` for all cells of a plan,
:meth:`Session.measure` for some, with answers that stored runs already hold taken from there.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path

from lab.classify.again import judged_again
from lab.codec import settings_digest
from lab.engine.base import EngineContext
from lab.engine.host import host_facts
from lab.engine.registry import Engines
from lab.engine.workspace import open_workspace
from lab.errors import LabError
from lab.model.engine import EngineFamily
from lab.model.record import Record, Run, RunHeader
from lab.model.scenario import Scenario, Task
from lab.provision.cache import Cache
from lab.provision.catalogue import load_catalogue
from lab.provision.engines import find_engine
from lab.provision.images import pull_image
from lab.provision.probe import probe
from lab.provision.runtimes import find, verify
from lab.runner import Listener, Runner
from lab.scenario.expand import expand, select
from lab.scenario.load import CONTROLS
from lab.scenario.resolve import expectation_of, resolve
from lab.scenario.versions import parse_engine
from lab.store import runs as store


def new_header(
    texts: Mapping[str, str],
    *,
    argv: Sequence[str],
    runtimes: tuple[str, ...] = (),
    patterns: tuple[str, ...] = (),
    where: str | None = None,
) -> RunHeader:
    """The header of a run that starts now; ``texts`` maps scenario ids to what their files say."""
    return RunHeader(
        id=store.new_run_id(),
        lab_version=metadata.version("permlab"),
        started=store.now(),
        host=host_facts(),
        argv=("permlab", *argv),
        scenarios=texts,
        runtimes=runtimes,
        patterns=patterns,
        where=where,
    )


def tasks_of(
    scenarios: Sequence[Scenario], words: tuple[str, ...] = (), patterns: tuple[str, ...] = (), where: str | None = None
) -> list[Task]:
    """The cells to run, controls first: for every runtime that a chosen cell uses, its control cells."""
    releases = tuple(load_catalogue())
    asked = [scenario for scenario in scenarios if scenario.id != CONTROLS]
    tasks = [
        Task(scenario=scenario, cell=cell)
        for scenario in asked or scenarios
        for cell in select(expand(scenario, releases, words).cells, patterns, where)
    ]
    controls = [scenario for scenario in scenarios if scenario.id == CONTROLS and asked]
    return [*control_tasks(controls, tasks), *tasks]


def control_tasks(controls: Sequence[Scenario], tasks: Sequence[Task]) -> list[Task]:
    """The control cells of every runtime that a task uses."""
    releases = tuple(load_catalogue())
    used = tuple(dict.fromkeys(task.cell.value("runtime") for task in tasks))
    return [
        Task(scenario=scenario, cell=cell)
        for scenario in controls
        for cell in (expand(scenario, releases, used).cells if used else ())
    ]


@dataclass(slots=True, kw_only=True)
class Session:
    """An open lab that writes one run. ``stop`` may be set by a listener to end early, without an error.

    ``records`` maps the id of every cell that this run holds to its latest record.
    """

    cache: Cache
    header: RunHeader
    writer: store.RunWriter
    listener: Listener
    engines: Engines
    probe_digest: str
    jobs: int
    deadline: float | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    interrupted: bool = False
    records: dict[str, Record] = field(default_factory=dict)

    def run(self, tasks: Sequence[Task]) -> None:
        """Run every task that this run does not hold yet."""
        self._run([task for task in tasks if task.cell.id not in self.records])

    def measure(self, tasks: Sequence[Task], *, anew: bool = False) -> tuple[Record, ...]:
        """One record for each task, in order; fewer when the session was stopped.

        What this run does not hold is looked for among the runs that this lab's version stored on this host: a record
        with the same settings, engine, runtime binary, image and probe is copied into this run (``Record.reused_from``
        names its own) and judged again. The rest is run. With ``anew`` every task is run, whatever is known.
        """
        if not anew:
            self._reuse([task for task in tasks if task.cell.id not in self.records])
        self._run([task for task in tasks if anew or task.cell.id not in self.records])
        return tuple(self.records[task.cell.id] for task in tasks if task.cell.id in self.records)

    def interrupt(self) -> None:
        """End early: what runs now, and every later call, raises :class:`KeyboardInterrupt`. For signal handlers."""
        self.interrupted = True
        self.stop.set()

    def close(self) -> None:
        """End the engines."""
        self.engines.close()

    def _run(self, tasks: Sequence[Task]) -> None:
        self._check()
        if not tasks:
            return
        Runner(
            cache=self.cache,
            engines=self.engines,
            writer=self.writer,
            listener=_Remembering(listener=self.listener, records=self.records),
            probe_digest=self.probe_digest,
            jobs=self.jobs,
            deadline=self.deadline,
            stop=self.stop,
        ).run(tasks)
        self._check()

    def _check(self) -> None:
        if self.interrupted:
            raise KeyboardInterrupt

    def _reuse(self, tasks: Sequence[Task]) -> None:
        """Copy what stored runs hold of the tasks into this run."""
        wanted = {task.cell.id: (task, settings_digest(resolve(task.scenario, task.cell).settings)) for task in tasks}
        known = store.search(self.writer.path.parent, {digest for _, digest in wanted.values()}, but=self.writer.path)
        if not known:
            return
        binary, image, build = map(functools.cache, (self._binary_of, self._image_of, self._build_of))
        for task, digest in wanted.values():
            runtime, reference, engine = (task.cell.value(axis) for axis in ("runtime", "image", "engine"))
            for found in known.get(digest, ()):
                record = found.record
                proof = record.provenance
                if (
                    self._from_here(found.run)
                    and proof.probe == self.probe_digest
                    and _measured(record)
                    and record.axes.get("engine", "") == engine
                    and proof.runtime == binary(runtime)
                    and proof.image == image(reference)
                    and proof.engine == build(engine)
                ):
                    self._adopt(task, found)
                    break

    def _from_here(self, run: Run) -> bool:
        return (run.header.host, run.header.lab_version) == (self.header.host, self.header.lab_version)

    def _binary_of(self, word: str) -> str:
        """The digest of a runtime that the cache has; empty for one that a run has to make first, or refuses."""
        try:
            return "" if find(self.cache, word) is None else verify(self.cache, word).sha256
        except LabError:
            return ""

    def _image_of(self, word: str) -> str:
        """The id of an image; empty for one that cannot be had."""
        try:
            return pull_image(self.cache, word).id
        except LabError:
            return ""

    def _build_of(self, word: str) -> str:
        """The digest of the build that an engine's word means now; empty where it has none in the cache."""
        name = parse_engine(word)
        build = None if name.family is EngineFamily.OCI else find_engine(self.cache, name)
        return "" if build is None else build.sha256

    def _adopt(self, task: Task, found: store.Found) -> None:
        record = replace(
            judged_again(found.record),
            cell=task.cell.id,
            scenario=task.scenario.id,
            axes=dict(task.cell.axes),
            expectation=expectation_of(task.scenario, task.cell),
            control=task.scenario.id == CONTROLS,
            reused_from=found.record.reused_from or found.run.header.id,
        )
        digests = record.provenance
        self.writer.describe("runtime", digests.runtime, found.run.runtimes[digests.runtime])
        self.writer.describe("image", digests.image, found.run.images[digests.image])
        self.writer.describe("config", digests.config, found.run.configs[digests.config])
        self.writer.describe("engine", digests.engine, found.run.engines.get(digests.engine, {}))
        self.writer.record(record)
        self.records[record.cell] = record
        self.listener.done(record)


@contextmanager
def open_session(
    cache: Cache,
    writer: store.RunWriter,
    listener: Listener,
    *,
    jobs: int | None = None,
    deadline: float | None = None,
    docker_host: str | None = None,
) -> Iterator[Session]:
    """Open the lab for one run; everything that it started ends with the block.

    ``jobs`` cells run at once (default: all cores); ``deadline`` is in seconds for each call of a runtime and goes
    before what scenarios say. ``docker_host`` is the address of the user's own Docker daemon, to be used instead of one
    that the lab starts.
    """
    program = probe(cache)
    stored = store.read(writer.path)
    context = EngineContext(
        workspace=open_workspace(writer.path.stem),
        probe_layer=Path(program.layer),
        cache=cache,
        docker_host=docker_host,
    )
    session = Session(
        cache=cache,
        header=stored.header,
        writer=writer,
        listener=listener,
        engines=Engines(context=context),
        probe_digest=program.sha256,
        jobs=jobs or len(os.sched_getaffinity(0)),
        deadline=deadline,
        records={record.cell: record for record in stored.records},
    )
    try:
        yield session
    finally:
        session.close()


def _measured(record: Record) -> bool:
    return record.observation is not None and record.verdict.kind not in {"skipped", "errored"}


@dataclass(slots=True, kw_only=True)
class _Remembering:
    """A listener that keeps the records, before it passes them on."""

    listener: Listener
    records: dict[str, Record]

    def note(self, line: str) -> None:
        self.listener.note(line)

    def done(self, record: Record) -> None:
        self.records[record.cell] = record
        self.listener.done(record)

    def pause(self) -> None:
        self.listener.pause()
