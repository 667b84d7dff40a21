"""Speed, side by side: permlab and a bare `xargs -P` loop of the runtime (``engines.py`` has the engines' own loops).

Both take turns on the same bundles, so that what the machine does meanwhile meets both; medians and ratios are
printed, and nothing is asserted: absolute times are noise, and a test must not depend on them.

    python benchmarks/bench.py                     runc and crun at 1, 2, 4 workers, 100 to 2,000 cells
    python benchmarks/bench.py --quick             100 cells, 2 workers
    python benchmarks/bench.py --cells 100 10000   is the cost of a cell flat?
    python benchmarks/bench.py --plan              only the plan of 100,000 cells
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tabulate import tabulate

from lab import process
from lab.engine.base import EngineContext, Job
from lab.engine.bundle import Bundle
from lab.engine.families import command
from lab.engine.host import host_facts
from lab.engine.oci import OciEngine
from lab.engine.registry import Engines
from lab.engine.workspace import Workspace, open_workspace
from lab.model.image import Image
from lab.model.record import Record, RunHeader
from lab.model.runtime import Runtime
from lab.model.scenario import Scenario, Task
from lab.provision.cache import Cache, default_cache
from lab.provision.images import pull_image
from lab.provision.probe import ProbeBinary, probe
from lab.provision.runtimes import pull
from lab.runner import Runner
from lab.scenario.expand import expand
from lab.scenario.resolve import resolve
from lab.store import runs as store

IMAGE = "distroless-static:nonroot"
RUNTIMES = ("runc@1.1.15", "crun@1.8.1")
LOOP_DEADLINE = 3600.0


class Silent:
    """A listener that shows nothing."""

    def __init__(self) -> None:
        self.kinds: dict[str, int] = {}

    def note(self, line: str) -> None:
        """Nothing is provisioned while the clock runs."""

    def done(self, record: Record) -> None:
        """Count verdicts, so that a broken run is not taken for a fast one."""
        self.kinds[record.verdict.kind] = self.kinds.get(record.verdict.kind, 0) + 1

    def pause(self) -> None:
        """Nothing to show."""


def scenario(runtime: str, cells: int) -> Scenario:
    """``cells`` equal cells: the probe tells who it is, in the image's own working directory."""
    return Scenario(
        id="bench",
        question="how fast?",
        axes={"image": (IMAGE,), "runtime": (runtime,)},
        own_axes={"number": {str(number): {} for number in range(cells)}},
        base={"process": {"steps": ["id"]}},
    )


def tasks_for(runtime: str, cells: int) -> list[Task]:
    """The cells as the runner takes them."""
    made = scenario(runtime, cells)
    return [Task(scenario=made, cell=cell) for cell in expand(made, ()).cells]


def time_permlab(cache: Cache, engines: Engines, program: ProbeBinary, tasks: list[Task], workers: int) -> float:
    """Seconds for the whole way: bundle, runtime, verdict, stored record, clean-up."""
    with tempfile.TemporaryDirectory() as directory:
        header = RunHeader(
            id=store.new_run_id(), lab_version="bench", started=store.now(), host=host_facts(), argv=(), scenarios={}
        )
        listener = Silent()
        with store.create(Path(directory), header) as writer:
            runner = Runner(
                cache=cache,
                engines=engines,
                writer=writer,
                listener=listener,
                probe_digest=program.sha256,
                jobs=workers,
            )
            started = time.monotonic()
            runner.run(tasks)
            seconds = time.monotonic() - started
    if listener.kinds != {"passed": len(tasks)}:
        sys.exit(f"not all cells passed, so nothing can be compared: {listener.kinds}")
    return seconds


@contextmanager
def bundles(engine: OciEngine, runtime: Runtime, image: Image, tasks: list[Task]) -> Iterator[list[Path]]:
    """The bundles that permlab makes, made beforehand, as a bare loop would have them: all share one root file system.

    A mount for each would be unfair to the loop, because every runtime copies the whole mount table.
    """
    job = Job(serial=len(tasks), resolved=resolve(tasks[0].scenario, tasks[0].cell), runtime=runtime, image=image)
    first = engine.prepare(job)
    shared: Bundle = first.state
    config = json.loads(shared.fill(shared.stored))
    config["root"]["path"] = str(shared.rootfs)
    paths = [shared.path.with_name(f"loop-{number}") for number in range(len(tasks))]
    try:
        for path in paths:
            path.mkdir()
            config["linux"]["cgroupsPath"] = f"{engine.workspace.cgroup}/{path.name}"
            (path / "config.json").write_text(json.dumps(config))
        yield paths
    finally:
        for path in paths:
            shutil.rmtree(path)
        engine.discard(first)


def time_loop(workspace: Workspace, runtime: Runtime, paths: list[Path], workers: int) -> float:
    """Seconds for ``xargs -P``, which does nothing but start the runtime in each bundle."""
    state = workspace.root / "state" / "bench"
    state.mkdir(parents=True, exist_ok=True)
    names = workspace.root / "names"
    names.write_text("".join(f"{path.name}\n" for path in paths))
    call = command(runtime.name, runtime.path, str(state), (), "run")
    with names.open("rb") as stdin:
        started = time.monotonic()
        done = process.run(
            ["xargs", "-P", str(workers), "-I{}", *call, "--bundle", f"{paths[0].parent}/{{}}", "bench-{}"],
            deadline=LOOP_DEADLINE,
            stdin=stdin.fileno(),
            env=workspace.environment,
        )
        seconds = time.monotonic() - started
    if not done.ok:
        sys.exit(f"the bare loop failed: {done.tail()}")
    return seconds


def compare(names: Sequence[str], counts: Sequence[int], workers: Sequence[int], rounds: int) -> None:
    """Measure in turn and print one row for each runtime, number of workers and number of cells."""
    cache = default_cache()
    program = probe(cache)
    image = pull_image(cache, IMAGE)
    provisioned = {name: pull(cache, name) for name in names}
    workspace = open_workspace(store.new_run_id())
    engines = Engines(context=EngineContext(workspace=workspace, probe_layer=Path(program.layer), cache=cache))
    engine = OciEngine(workspace=workspace, probe_layer=Path(program.layer))
    rows = []
    try:
        for name, runtime in provisioned.items():
            for count in counts:
                tasks = tasks_for(name, count)
                for number in workers:
                    ours, bare = [], []
                    for _ in range(rounds if count <= 500 else 1):  # noqa: PLR2004  # long ones average themselves
                        ours.append(time_permlab(cache, engines, program, tasks, number))
                        with bundles(engine, runtime, image, tasks) as paths:
                            bare.append(time_loop(workspace, runtime, paths, number))
                    rows.append(_row(name, workers=number, count=count, ours=ours, bare=bare))
                    print(*rows[-1], sep="  ", file=sys.stderr, flush=True)  # noqa: T201  # progress
    finally:
        engines.close()
    print(  # noqa: T201  # the result
        tabulate(
            rows,
            headers=(
                "runtime",
                "workers",
                "cells",
                "permlab ms/cell",
                "xargs ms/cell",
                "permlab : xargs",
            ),
            floatfmt=".2f",
        )
    )


def _row(name: str, *, workers: int, count: int, ours: list[float], bare: list[float]) -> tuple[object, ...]:
    mine, loop = statistics.median(ours), statistics.median(bare)
    return name, workers, count, mine / count * 1000, loop / count * 1000, loop / mine


def plan() -> None:
    """Time and memory of a plan of 100,000 cells, in this process."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    axes = {
        "image": (IMAGE,),
        "user": tuple(f"{number}:0" for number in range(100)),
        "cwd": tuple(f"/w{number}" for number in range(100)),
        "runtime": tuple(f"runc@1.0.{number}" for number in range(10)),
    }
    made = Scenario(id="plan", question="how fast?", axes=axes)
    started = time.monotonic()
    cells = expand(made, ()).cells
    seconds = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"plan of {len(cells)} cells: {seconds:.2f} s, {after // 1024} MiB at most ({(after - before) // 1024} more)")  # noqa: T201


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="100 cells, 2 workers")
    parser.add_argument("--plan", action="store_true", help="only the plan of 100,000 cells")
    parser.add_argument("--cells", type=int, nargs="+", default=[100, 500, 2000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--runtimes", nargs="+", default=list(RUNTIMES))
    parser.add_argument("--rounds", type=int, default=3, help="turns; the median counts")
    given = parser.parse_args()
    plan()
    if given.plan:
        return
    if os.geteuid():
        sys.exit("the bench needs root: it compares rootful cells")
    quick = given.quick
    compare(given.runtimes, [100] if quick else given.cells, [2] if quick else given.workers, given.rounds)


if __name__ == "__main__":
    main()
