"""`permlab upgrade`: both versions measured in one run, and what changed between them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from lab.cli.common import EXIT_INTERRUPTED, check_where, runs_directory, runtime_words, selection, tell
from lab.cli.diff import FORMAT, show
from lab.cli.progress import Progress, interruptible
from lab.codec import read_text
from lab.compare import Side, compare
from lab.errors import InputError
from lab.model.engine import EngineFamily
from lab.model.record import Run
from lab.model.runtime import Family
from lab.model.scenario import Scenario
from lab.provision.cache import default_cache
from lab.provision.catalogue import load_catalogue
from lab.provision.engines import find_release
from lab.report.matrix import ENGINE, RUNTIME
from lab.scenario.expand import expand, select
from lab.scenario.load import CONTROLS, find, load_all, shipped_directory
from lab.scenario.versions import expand_runtimes, name_key, parse_engine
from lab.session import new_header, open_session, tasks_of
from lab.store import runs as store


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """From one value of an axis to another. ``runtimes`` are what the cells run on: both, when the axis is theirs."""

    axis: str
    before: str
    after: str
    runtimes: tuple[str, ...]


@click.command("upgrade")
@click.option("--from", "before", required=True, metavar="X", help="A runtime (runc@1.1.15) or an engine.")
@click.option("--to", "after", required=True, metavar="Y", help="What to compare it with; of the same kind.")
@click.argument("scenarios", nargs=-1)
@selection
@click.option("-j", "--jobs", type=click.IntRange(min=1), help="Cells at once (default: all cores).")
@click.option("--reuse", is_flag=True, help="Take what stored runs measured with the same binaries, images, settings.")
@FORMAT
@click.pass_context
def command(context: click.Context, /, **kwargs: Any) -> None:
    """Run SCENARIOS with X and with Y, controls included, and show what changed: as `permlab diff` does.

    Without SCENARIOS, every shipped scenario that has cells for both. X and Y may be of different families. An engine
    is measured with the runtimes of --runtimes, or with the newest release of runc that the lab knows.

    \b
    Examples:
      permlab upgrade --from runc@1.1.15 --to runc@1.2.0 chdir-cwd openshift-uid
      permlab upgrade --from crun@1.8.1 --to crun@1.21 --format markdown > comment.md
      permlab upgrade --from runc@1.4.3 --to crun@1.28 --where 'caps == "cri"'
      permlab upgrade --from docker@20.10.24 --to docker@26.1.5 chdir-cwd --runtimes runc@1.1.15

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
    measured = _measure(upgrade, chosen, paths, patterns=patterns, where=where, jobs=jobs, reuse=reuse)
    if not measured.finished:
        tell("interrupted; what was measured is stored: the same command with --reuse takes it from there")
        return EXIT_INTERRUPTED
    axis = f"{upgrade.axis}={upgrade.before},{upgrade.after}"
    tell(f"run {measured.header.id} is stored: `permlab diff {measured.header.id} --axis {axis}` shows this again")
    left, right = (Side(run=measured, value=value) for value in (upgrade.before, upgrade.after))
    return show(compare(left, right, upgrade.axis), form)


def upgrade_of(before: str, after: str, runtimes: tuple[str, ...]) -> Upgrade:
    """What two words of the user mean; raises :class:`InputError` when they are no two values of one axis."""
    (axis, one), (other_axis, other) = _value(before), _value(after)
    if axis != other_axis:
        raise InputError(
            f"{before} and {after} cannot be compared",
            details=f"{before} is a value of the axis {axis}, {after} of {other_axis}",
            resolution="give two runtimes or two engines",
        )
    if one == other:
        raise InputError(f"--from and --to are both {one}")
    if axis == ENGINE:
        return Upgrade(axis=axis, before=one, after=other, runtimes=runtimes or (_newest_runc(),))
    if runtimes:
        raise InputError("--runtimes is for the upgrade of an engine", details="--from and --to name the runtimes")
    return Upgrade(axis=axis, before=one, after=other, runtimes=(one, other))


def _value(word: str) -> tuple[str, str]:
    """The axis that a word is a value of, and the value."""
    if word.partition("@")[0] in set(EngineFamily):
        engine = parse_engine(word)
        if engine.family is not EngineFamily.OCI:
            find_release(engine)  # one that there is none of is a fault of the words, told before anything runs
        return ENGINE, str(engine)
    names = expand_runtimes((word,), load_catalogue())
    if len(names) > 1:
        raise InputError(f"{word!r} stands for {len(names)} runtimes", details=", ".join(names), resolution="name one")
    return RUNTIME, names[0]


def _newest_runc() -> str:
    """What engines are measured with when the user names no runtime."""
    names = [release.name for release in load_catalogue() if release.default and release.name.family is Family.RUNC]
    return max((str(name) for name in names), key=name_key)


def has_pair(upgrade: Upgrade, scenario: Scenario, patterns: tuple[str, ...], where: str | None) -> bool:
    """Whether two chosen cells of a scenario are equal in all but the axis of the upgrade."""
    found: dict[str, set[tuple[tuple[str, str], ...]]] = {upgrade.before: set(), upgrade.after: set()}
    plan = expand(_asked(upgrade, scenario), load_catalogue(), upgrade.runtimes)
    for cell in select(plan.cells, patterns, where):
        rest = tuple(pair for pair in cell.axes if pair[0] != upgrade.axis)
        found.setdefault(cell.value(upgrade.axis), set()).add(rest)
    return not found[upgrade.before].isdisjoint(found[upgrade.after])


def _asked(upgrade: Upgrade, scenario: Scenario) -> Scenario:
    """The scenario with both engines in the place of its own; runtimes are replaced when it is expanded."""
    if upgrade.axis == RUNTIME:
        return scenario
    return replace(scenario, axes={**scenario.axes, ENGINE: (upgrade.before, upgrade.after)})


def _measure(
    upgrade: Upgrade,
    scenarios: Sequence[Scenario],
    paths: Mapping[str, Path],
    *,
    patterns: tuple[str, ...],
    where: str | None,
    jobs: int | None,
    reuse: bool,
) -> Run:
    """Run both sides and the controls of both; the run as it is stored, unfinished when it was interrupted."""
    controls = () if any(scenario.id == CONTROLS for scenario in scenarios) else load_all([find(CONTROLS)])
    texts = {scenario.id: read_text(paths.get(scenario.id) or find(CONTROLS)) for scenario in (*scenarios, *controls)}
    header = new_header(texts, argv=sys.argv[1:], runtimes=upgrade.runtimes, patterns=patterns, where=where)
    every = [_asked(upgrade, scenario) for scenario in (*scenarios, *controls)]
    tasks = tasks_of(every, upgrade.runtimes, patterns, where)
    progress = Progress()
    with (
        store.create(runs_directory(), header) as writer,
        progress,
        open_session(default_cache(), writer, progress, jobs=jobs) as session,
        interruptible(),
    ):
        progress.expect(len(tasks))
        try:
            session.measure(tasks, anew=not reuse)
            writer.finish()
        except KeyboardInterrupt:
            pass  # told by the run, which has not come to its end
    return store.read(writer.path)
