"""`permlab upgrade`: both versions measured in one run, and what changed between them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import click

from lab.cli.common import EXIT_INTERRUPTED, runtime_words, selection, tell
from lab.cli.diff import FORMAT, show
from lab.cli.progress import Progress, interruptible
from lab.comparison import Side, compare, shared_axes
from lab.errors import InputError
from lab.library import check_where
from lab.model.engine import EngineFamily
from lab.model.platform_release import RELEASE
from lab.model.record import Run
from lab.model.runtime import Family
from lab.model.scenario import Cell, Scenario
from lab.provision.cache import default_cache
from lab.provision.catalogue import load_catalogue
from lab.provision.engines import find_release
from lab.report.matrix import ENGINE, RUNTIME
from lab.scenario.expand import expand, select
from lab.scenario.load import CONTROLS, find, load_all, shipped_directory
from lab.scenario.releases import family_words, on_releases
from lab.scenario.versions import expand_runtimes, name_key, parse_engine
from lab.scenario.write import text_of
from lab.session import new_header, open_session, tasks_of
from lab.store import runs as store

_PLATFORM = "debian-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """From one value of an axis to another. ``runtimes`` are what the cells run on: both, where they change."""

    before: Mapping[str, str]
    after: Mapping[str, str]
    runtimes: tuple[str, ...]

    def measures(self, cell: Cell) -> bool:
        """Whether a cell belongs to one of the sides."""
        return any(all(cell.value(axis) == value for axis, value in side.items()) for side in (self.before, self.after))


@click.command("upgrade")
@click.option("--from", "before", required=True, metavar="X", help="A runtime, an engine, or a platform release.")
@click.option("--to", "after", required=True, metavar="Y", help="What to compare it with; of the same kind.")
@click.argument("scenarios", nargs=-1)
@selection
@click.option("-j", "--jobs", type=click.IntRange(min=1), help="Cells at once (default: all cores).")
@click.option("--reuse", is_flag=True, help="Take what stored runs measured with the same binaries, images, settings.")
@FORMAT
@click.pass_context
def command(context: click.Context, /, **kwargs: Any) -> None:
    """Run SCENARIOS with X and with Y, controls included, and show what changed: as `permlab diff` does.

    Without SCENARIOS, every shipped scenario that has cells for both. X and Y are two runtimes or two engines, of any
    families, or two releases of a platform: debian-12 is docker, podman, containerd (cri), runc and crun as Debian 12
    has them. An engine is measured with the runtimes of --runtimes, or with the newest release of runc that the lab
    knows; of a release --runtimes and --where choose what is measured.

    \b
    Examples:
      permlab upgrade --from runc@1.1.15 --to runc@1.2.0 chdir-cwd openshift-uid
      permlab upgrade --from crun@1.8.1 --to crun@1.21 --format markdown > comment.md
      permlab upgrade --from runc@1.4.3 --to crun@1.28 --where 'caps == "cri"'
      permlab upgrade --from docker@20.10.24 --to docker@26.1.5 chdir-cwd --runtimes runc@1.1.15
      permlab upgrade --from debian-12 --to debian-13 chdir-cwd
      permlab upgrade --from debian-11 --to debian-12 chdir-cwd --runtimes runc --where 'engine in "podman"'

    \b
    Exit codes:
      0    no regressions                    1    regressions
      2    bad input                         3    cannot be told: a control failed, nothing is comparable,
      130  interrupted                            or a cell that passed with X errored with Y
    """
    context.exit(run(**kwargs))


def run(
    scenarios: tuple[str, ...],
    *,
    before: str,
    after: str,
    patterns: tuple[str, ...],
    where: str | None,
    runtimes: str | None,
    jobs: int | None,
    reuse: bool,
    form: str,
) -> int:
    """Run both sides, compare, and return the exit code."""
    upgrade = upgrade_of(before, after, runtime_words(runtimes))
    paths = {path.stem: path for path in ([find(name) for name in scenarios] or shipped_directory().glob("*.toml"))}
    loaded = load_all(sorted(paths.values()))
    check_where(where, loaded)
    chosen = [scenario for scenario in loaded if has_pair(upgrade, scenario, patterns, where)]
    if not chosen:
        raise InputError(
            f"no scenario has a cell that exists with {before} and with {after}",
            details=f"asked: {', '.join(paths)}",
            resolution="see the cells with `permlab plan SCENARIO --ids`",
        )
    if len(chosen) < len(loaded):
        names = sorted(paths.keys() - {scenario.id for scenario in chosen})
        tell(f"left out, with no cell for both: {', '.join(names)}")
    measured = _measure(upgrade, chosen, patterns=patterns, where=where, jobs=jobs, reuse=reuse)
    if not measured.finished:
        tell("interrupted; what was measured is stored: the same command with --reuse takes it from there")
        return EXIT_INTERRUPTED
    axes = " ".join(f"--axis {axis}={value},{upgrade.after[axis]}" for axis, value in upgrade.before.items())
    tell(f"run {measured.header.id} is stored: `permlab diff {measured.header.id} {axes}` shows this again")
    return show(compare(Side(run=measured, values=upgrade.before), Side(run=measured, values=upgrade.after)), form)


def upgrade_of(before: str, after: str, runtimes: tuple[str, ...]) -> Upgrade:
    """What two words of the user mean; raises :class:`InputError` when they are not two of one kind."""
    one, other = _values(before), _values(after)
    if one.keys() != other.keys():
        raise InputError(
            f"{before} and {after} cannot be compared",
            details=f"{before} says the {' and '.join(one)}, {after} the {' and '.join(other)}",
            resolution="give two runtimes, two engines, or two releases of a platform",
        )
    if one == other:
        raise InputError(f"--from and --to are both {', '.join(one.values())}")
    if RELEASE in one:
        return Upgrade(before=one, after=other, runtimes=family_words(RUNTIME, runtimes) if runtimes else ())
    if RUNTIME not in one:
        return Upgrade(before=one, after=other, runtimes=runtimes or (_newest_runc(),))
    if runtimes:
        raise InputError("--runtimes is for the upgrade of an engine", details="--from and --to name the runtimes")
    return Upgrade(before=one, after=other, runtimes=tuple(dict.fromkeys((one[RUNTIME], other[RUNTIME]))))


def _values(word: str) -> dict[str, str]:
    """What a word says: the value of an axis."""
    if word.startswith(_PLATFORM):
        return {RELEASE: family_words(RELEASE, (word,))[0]}
    if word.partition("@")[0] in set(EngineFamily):
        engine = parse_engine(word)
        if engine.family is not EngineFamily.OCI:
            find_release(engine)  # one that there is none of is a fault of the words, told before anything runs
        return {ENGINE: str(engine)}
    names = expand_runtimes((word,), load_catalogue())
    if len(names) > 1:
        raise InputError(f"{word!r} stands for {len(names)} runtimes", details=", ".join(names), resolution="name one")
    return {RUNTIME: names[0]}


def _newest_runc() -> str:
    """What engines are measured with when the user names no runtime."""
    names = [release.name for release in load_catalogue() if release.default and release.name.family is Family.RUNC]
    return max((str(name) for name in names), key=name_key)


def has_pair(upgrade: Upgrade, scenario: Scenario, patterns: tuple[str, ...], where: str | None) -> bool:
    """Whether two chosen cells of a scenario are equal in all but the axes of the upgrade."""
    if RELEASE in scenario.axes and RELEASE not in upgrade.before:
        return False
    try:
        asked = _asked(upgrade, scenario)
    except InputError:
        return False  # on releases that have none of its runtimes
    plan = expand(asked, load_catalogue(), upgrade.runtimes)
    rests: dict[tuple[str, ...], set[tuple[tuple[str, str], ...]]] = {}
    for cell in select(plan.cells, patterns, where):
        if upgrade.measures(cell):
            side = tuple(cell.value(axis) for axis in upgrade.before)
            rests.setdefault(side, set()).add(tuple(shared_axes(dict(cell.axes), upgrade.before).items()))
    before, after = (rests.get(tuple(side.values()), set()) for side in (upgrade.before, upgrade.after))
    return not before.isdisjoint(after)


def _asked(upgrade: Upgrade, scenario: Scenario) -> Scenario:
    """The scenario with both engines or releases in the place of its own; runtimes are replaced when it is expanded.

    Controls know no release: they have the runtimes that the other cells have.
    """
    if RELEASE in upgrade.before:
        names = (upgrade.before[RELEASE], upgrade.after[RELEASE])
        return scenario if scenario.id == CONTROLS else on_releases(scenario, names, load_catalogue())
    if ENGINE not in upgrade.before:
        return scenario
    engines = tuple(dict.fromkeys((upgrade.before[ENGINE], upgrade.after[ENGINE])))
    return replace(scenario, axes={**scenario.axes, ENGINE: engines})


def _belongs(upgrade: Upgrade, cell: Cell) -> bool:
    """Whether a cell is measured: one of a side, or a control of a runtime that one has."""
    return upgrade.measures(cell) or (RELEASE in upgrade.before and cell.scenario == CONTROLS)


def _measure(
    upgrade: Upgrade,
    scenarios: Sequence[Scenario],
    *,
    patterns: tuple[str, ...],
    where: str | None,
    jobs: int | None,
    reuse: bool,
) -> Run:
    """Run both sides and the controls of both; the run as it is stored, unfinished when it was interrupted."""
    controls = () if any(scenario.id == CONTROLS for scenario in scenarios) else load_all([find(CONTROLS)])
    every = [_asked(upgrade, scenario) for scenario in (*scenarios, *controls)]
    texts = {scenario.id: text_of(scenario) for scenario in every}
    header = new_header(texts, argv=sys.argv[1:], runtimes=upgrade.runtimes, patterns=patterns, where=where)
    tasks = [task for task in tasks_of(every, upgrade.runtimes, patterns, where) if _belongs(upgrade, task.cell)]
    progress = Progress()
    with (
        store.create(store.runs_directory(), header) as writer,
        interruptible() as interruption,
        progress,
        open_session(default_cache(), writer, progress, jobs=jobs) as session,
    ):
        interruption.reaches(session)
        progress.expect(len(tasks))
        try:
            session.measure(tasks, anew=not reuse)
            writer.finish()
        except KeyboardInterrupt:
            pass  # told by the run, which has not come to its end
    return store.read(writer.path)
