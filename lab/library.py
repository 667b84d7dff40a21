"""The library: load a scenario, plan it, run it, judge and compare, from a program of one's own.

``import lab`` gives all of it (docs/library.md has examples). It is what the command line does, without its words:
nothing is printed, no signal is handled, and what goes wrong is raised as a :class:`~lab.errors.LabError`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from lab import comparison
from lab.classify.again import judged_again
from lab.classify.judge import judge as judge_observation
from lab.comparison import Comparison, Side
from lab.errors import InputError
from lab.model.observation import Observation
from lab.model.record import Record, Run
from lab.model.scenario import BUILT_IN_AXES, LAST_AXES, Cell, Scenario, Task
from lab.model.settings import Check
from lab.model.verdict import Verdict
from lab.provision.cache import default_cache
from lab.provision.catalogue import load_catalogue
from lab.provision.images import check_reference
from lab.scenario.expand import axes_of, expand, select
from lab.scenario.expression import check_condition
from lab.scenario.load import CONTROLS, find, shipped_directory
from lab.scenario.load import load as load_file
from lab.scenario.releases import on_releases
from lab.scenario.write import text_of
from lab.session import control_tasks, new_header, open_session
from lab.store import runs as store

Words = str | Sequence[str]
"""One word or several: patterns of cells, names of runtimes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedScenario:
    """What would run of one scenario.

    ``axes`` has every axis with its values, in the order of a cell's id. ``left_out`` maps each reason to the number of
    combinations that do not run for it.
    """

    scenario: Scenario
    axes: Mapping[str, tuple[str, ...]]
    cells: tuple[Cell, ...]
    left_out: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would run, and by which words it was chosen: ``runtimes``, ``patterns`` and ``where`` as in a stored run."""

    scenarios: tuple[PlannedScenario, ...]
    runtimes: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    where: str | None = None

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The chosen cells of all scenarios, without the control cells that every run adds."""
        return tuple(cell for planned in self.scenarios for cell in planned.cells)


def load(name: str | os.PathLike[str]) -> Scenario:
    """The scenario of a name or of a .toml file.

    A name is looked for in ``./scenarios``, in ``.`` and among the shipped ones. Raises :class:`InputError` whose
    ``details`` list all faults of the file, or what names there are.
    """
    return load_file(find(os.fspath(name)))


def plan(
    scenarios: Scenario | Sequence[Scenario],
    *,
    runtimes: Words = (),
    releases: Words = (),
    cells: Words = (),
    where: str | None = None,
) -> Plan:
    """What a run would run, and what it would leave out and why. Nothing is provisioned or started.

    ``runtimes`` goes before the scenarios' own (``"runc@1.1.5"``, ``"runc@all"``, ``"runc>=1.1,<1.2"``), and so do the
    runtimes and engines of platform ``releases`` (``"debian-12"``). ``cells`` are globs over a cell's id or parts of
    one, ``where`` is a condition on axes (``'caps == "cri"'``): the options ``--runtimes``, ``--release``, ``--cell``
    and ``--where`` of `permlab run`. Raises :class:`InputError` for words that mean nothing and for two scenarios of
    one name.
    """
    asked = (scenarios,) if isinstance(scenarios, Scenario) else tuple(scenarios)
    twice = sorted({one.id for one in asked if [other.id for other in asked].count(one.id) > 1})
    if twice:
        raise InputError(f"two scenarios have the name {twice[0]}", resolution="give one of the files another name")
    if releases:
        asked = tuple(on_releases(scenario, _several(releases), load_catalogue()) for scenario in asked)
    check_where(where, asked)
    _check_images(asked)
    words, patterns = _several(runtimes), _several(cells)
    return Plan(
        scenarios=tuple(_planned(scenario, words, patterns, where) for scenario in asked),
        runtimes=words,
        patterns=patterns,
        where=where,
    )


def _check_images(scenarios: Sequence[Scenario]) -> None:
    """Refuse images that mean nothing, before anything is provisioned."""
    faults = []
    for scenario in scenarios:
        for index, reference in enumerate(scenario.axes.get("image", ())):
            try:
                check_reference(reference)
            except InputError as error:
                faults.append(f"{scenario.path}: axes.image[{index}]: {error.brief} ({error.resolution})")
    if faults:
        raise InputError("there are no such images", details="\n".join(faults))


def _several(words: Words) -> tuple[str, ...]:
    return (words,) if isinstance(words, str) else tuple(words)


def _planned(
    scenario: Scenario, words: tuple[str, ...], patterns: tuple[str, ...], where: str | None
) -> PlannedScenario:
    releases = tuple(load_catalogue())
    expanded = expand(scenario, releases, words)
    chosen = select(expanded.cells, patterns, where)
    dropped = len(expanded.cells) - len(chosen)
    return PlannedScenario(
        scenario=scenario,
        axes=axes_of(scenario, releases, words),
        cells=chosen,
        left_out={**dict(expanded.left_out), **({"not selected by --cell or --where": dropped} if dropped else {})},
    )


def check_where(where: str | None, scenarios: Sequence[Scenario]) -> None:
    """Refuse a condition that is none, or that names an axis which no scenario can have."""
    axes = dict.fromkeys((*BUILT_IN_AXES, *(axis for one in scenarios for axis in one.own_axes), *LAST_AXES))
    fault = check_condition(where, axes) if where else None
    if fault:
        raise InputError("--where cannot be used", details=fault)


def begin(chosen: Plan, *, argv: Sequence[str], runs: Path | None = None) -> tuple[store.RunWriter, list[Task]]:
    """A new stored run for a plan, and what it has to run: first the control cells of every runtime.

    ``argv`` is what was typed after `permlab`; ``runs`` as for :func:`run`. Raises :class:`InputError` where the plan
    has no cell, :class:`~lab.errors.StoreError` where the run cannot be stored.
    """
    asked = [one for one in chosen.scenarios if one.scenario.id != CONTROLS]
    tasks = [Task(scenario=one.scenario, cell=cell) for one in asked or chosen.scenarios for cell in one.cells]
    if not tasks:
        raise InputError("no cell is selected", resolution="see what there is with `permlab plan SCENARIO`")
    scenarios = {one.scenario.id: one.scenario for one in chosen.scenarios}
    scenarios.setdefault(CONTROLS, load(CONTROLS))
    header = new_header(
        {name: text_of(scenario) for name, scenario in scenarios.items()},
        argv=argv,
        runtimes=chosen.runtimes,
        patterns=chosen.patterns,
        where=chosen.where,
    )
    before = control_tasks((scenarios[CONTROLS],), tasks) if asked else []
    return store.create(runs or store.runs_directory(), header), [*before, *tasks]


def run(
    what: Plan | Scenario | Sequence[Scenario],
    *,
    jobs: int | None = None,
    deadline: float | None = None,
    docker_host: str | None = None,
    reuse: bool = False,
    runs: str | os.PathLike[str] | None = None,
    progress: Callable[[Record], None] | None = None,
    notes: Callable[[str], None] | None = None,
) -> Run:
    """Run every cell of a plan in a real container, controls included, and return the stored run.

    ``jobs`` cells run at once (default: all cores). ``deadline`` is in seconds for each call of a runtime.
    ``docker_host`` is the address of your own Docker daemon. With ``reuse`` a cell that a stored run has measured with
    the same binaries, image and settings is taken from there. ``runs`` is the directory to store in (default: where the
    command line stores). ``progress`` gets each record once it is stored, and ``notes`` a line now and then about what
    is being provisioned; both are called in the caller's thread. What they raise ends the run.

    A cell that this host cannot run is a record with :class:`~lab.model.verdict.Skipped`, a fault of the lab one with
    :class:`~lab.model.verdict.Errored`; neither raises. Look at ``Run.void`` before you trust the rest. Raises
    :class:`InputError` for a plan without cells or a bad option, :class:`~lab.errors.HostError` where this host lets no
    lab work, :class:`~lab.errors.ProvisionError` where the probe cannot be built, and :class:`KeyboardInterrupt`; a
    run that ended so stays stored without its end, and ``permlab run --resume`` continues it.

    As root the calling process moves into a private mount namespace, for good (see docs/library.md).
    """
    if (jobs is not None and jobs < 1) or (deadline is not None and not deadline > 0):
        raise InputError(f"jobs = {jobs}, deadline = {deadline}: expected numbers above 0")
    chosen = what if isinstance(what, Plan) else plan(what)
    writer, tasks = begin(chosen, argv=("run", *_argv(chosen)), runs=None if runs is None else Path(runs).absolute())
    listener = _Told(progress=progress, notes=notes)
    with (
        writer,
        open_session(
            default_cache(), writer, listener, jobs=jobs, deadline=deadline, docker_host=docker_host
        ) as session,
    ):
        if reuse:
            session.measure(tasks)
        else:
            session.run(tasks)
        writer.finish()
    return store.read(writer.path)


def _argv(chosen: Plan) -> Sequence[str]:
    """The words with which `permlab run` runs the same plan, where its scenarios are what their files say."""
    shipped = shipped_directory()
    words = [
        one.scenario.id if Path(one.scenario.path).parent == shipped else one.scenario.path for one in chosen.scenarios
    ]
    words += [word for pattern in chosen.patterns for word in ("--cell", pattern)]
    words += ["--where", chosen.where] if chosen.where else []
    return [*words, "--runtimes", ",".join(chosen.runtimes)] if chosen.runtimes else words


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """A listener that calls two functions, where there are any."""

    progress: Callable[[Record], None] | None
    notes: Callable[[str], None] | None

    def note(self, line: str) -> None:
        if self.notes is not None:
            self.notes(line)

    def done(self, record: Record) -> None:
        if self.progress is not None:
            self.progress(record)

    def pause(self) -> None:
        """Nothing is shown in between."""


def stored(word: str | os.PathLike[str] = "last", *, runs: str | os.PathLike[str] | None = None) -> Run:
    """A stored run: ``last``, an id, the start of one, or a path. ``runs`` as for :func:`run`.

    Raises :class:`InputError` where there is no such run, :class:`~lab.errors.StoreError` where it is damaged.
    """
    return store.read(store.find(store.runs_directory() if runs is None else Path(runs), os.fspath(word)))


@overload
def judge(seen: Record) -> Verdict: ...


@overload
def judge(seen: Observation, *, tolerate: Sequence[str] = (), checks: Sequence[Check] = ()) -> Verdict: ...


def judge(seen: Record | Observation, *, tolerate: Sequence[str] = (), checks: Sequence[Check] = ()) -> Verdict:
    """What today's rules conclude from an observation, old or new. Pure: no container is needed.

    A record brings its own ``tolerate`` (errnos that steps may end with, such as ``"EACCES"``) and ``checks``; one
    without an observation was skipped or could not be prepared, and keeps its verdict.
    """
    if isinstance(seen, Record):
        return judged_again(seen).verdict
    return judge_observation(seen, tolerate=tuple(tolerate), checks=tuple(checks))


def compare(before: Run, after: Run | None = None, *, axes: Mapping[str, tuple[str, str]] | None = None) -> Comparison:
    """What changed from one run to another, or between two values of axes: regressions first. Pure.

    ``axes`` maps an axis to the value it has before and after: ``{"runtime": ("runc@1.1.15", "runc@1.3.6")}``; without
    ``after`` both are looked for in the one run. Only cells that are equal on every other axis are compared, by
    verdict, cause and phase; skipped and errored cells are unknown. Raises :class:`InputError` where the two sides are
    one, or no cell of a side has the value.
    """
    right = before if after is None else after
    values = dict(axes or {})
    one = Side(run=before, values={axis: pair[0] for axis, pair in values.items()})
    other = Side(run=right, values={axis: pair[1] for axis, pair in values.items()})
    if before is right and one.values == other.values:
        raise InputError(
            "both sides are the same cells of one run",
            resolution="give two runs, or two different values of an axis",
        )
    for side in (one, other):
        for axis, value in side.values.items():
            known = values_of(side.run, axis)
            if value not in known:
                raise InputError(
                    f"no cell of run {side.run.header.id} has {axis} = {value}",
                    details=f"values of {axis}: {', '.join(known)}" if known else "the cells have no such axis",
                )
    return comparison.compare(one, other)


def values_of(found: Run, axis: str) -> tuple[str, ...]:
    """The values that an axis has among a run's cells, in the run's order; empty where no cell has the axis."""
    return tuple(dict.fromkeys(record.axes[axis] for record in comparison.cells(found) if axis in record.axes))
