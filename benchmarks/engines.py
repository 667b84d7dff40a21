"""Cells through an engine against a shell loop of that engine's own command line: ``python benchmarks/engines.py``.

Both sides use the same private daemon (or storage), the same image, program, runtime and number of workers, without a
network; permlab's time holds the whole way from the plan to the stored record. Needs root.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench import IMAGE, LOOP_DEADLINE, time_permlab
from tabulate import tabulate

from lab import process
from lab.engine.base import EngineContext
from lab.engine.docker import DockerEngine
from lab.engine.podman import PodmanEngine
from lab.engine.registry import Engines
from lab.engine.workspace import open_workspace
from lab.model.scenario import Scenario, Task
from lab.model.settings import Process, Settings
from lab.oci.spec import PROBE
from lab.provision.cache import default_cache
from lab.provision.images import pull_image
from lab.provision.probe import probe
from lab.provision.runtimes import pull
from lab.scenario.expand import expand
from lab.store import runs as store

RUNTIME = "runc@1.1.5+debian12"
STEPS = ("id",)


def tasks_for(engine: str, cells: int) -> list[Task]:
    """``cells`` equal cells on an engine: the probe tells who it is."""
    made = Scenario(
        id="bench",
        question="how fast?",
        axes={"image": (IMAGE,), "runtime": (RUNTIME,), "engine": (engine,)},
        own_axes={"number": {str(number): {} for number in range(cells)}},
        base={"process": {"steps": list(STEPS)}},
    )
    return [Task(scenario=made, cell=cell) for cell in expand(made, ()).cells]


def docker_command(engines: Engines, word: str) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """``docker run --rm`` of the same container on the same daemon, and the environment that finds its helpers."""
    engine = engines.ready(word)
    if not isinstance(engine, DockerEngine) or engine.build is None:
        sys.exit(f"{word} is no docker engine")
    cache = engines.context.cache
    settings = Settings(process=Process(steps=STEPS))
    address, image, runtime = engine.beside(pull_image(cache, IMAGE), pull(cache, RUNTIME), settings)
    words = ("run", "--rm", "--network=none", f"--runtime={runtime}", f"--entrypoint={PROBE}", image, *STEPS)
    environment = {**engines.context.workspace.environment, "DOCKER_HOST": address}
    return (str(engine.build.program("docker")), *words), environment


def podman_command(engines: Engines, word: str) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """``podman run --rm`` of the same container in the same storage, below tini as the lab's own calls are."""
    engine = engines.ready(word)
    if not isinstance(engine, PodmanEngine):
        sys.exit(f"{word} is no podman engine")
    cache = engines.context.cache
    runtime = pull(cache, RUNTIME)
    home, image = engine.beside(pull_image(cache, IMAGE), runtime, Settings(process=Process(steps=STEPS)))
    words = ("--network=none", "--log-driver=none", f"--cgroup-parent={home.containers}", f"--entrypoint={PROBE}")
    return home.command(home.argv(runtime, "run", "--rm", *words, image, *STEPS)), home.environment


COMMANDS: Mapping[str, Callable[[Engines, str], tuple[tuple[str, ...], Mapping[str, str]]]] = {
    "docker": docker_command,
    "podman": podman_command,
}
"""How each family's own command line makes the same container."""


def time_loop(command: Sequence[str], environment: Mapping[str, str], cells: int, workers: int) -> float:
    """Seconds for a shell loop of an engine's command line."""
    with tempfile.TemporaryFile() as names:
        names.write(b"x\n" * cells)
        names.seek(0)
        started = time.monotonic()
        argv = ["xargs", "-P", str(workers), "-I{}", *command]
        done = process.run(argv, deadline=LOOP_DEADLINE, stdin=names.fileno(), env=environment)
        seconds = time.monotonic() - started
    if not done.ok or done.stdout.count(b'"op":"start"') < min(cells, 50):
        sys.exit(f"the loop failed: {done.tail()}")
    return seconds


def main() -> None:
    """Parse the command line, measure in turn and print one row for each engine and number of workers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engines", nargs="*", default=["docker"])
    parser.add_argument("--cells", type=int, default=60)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3, help="turns; the median counts")
    given = parser.parse_args()
    if os.geteuid():
        sys.exit("the bench needs root: the lab starts daemons of its own")
    cache = default_cache()
    program = probe(cache)
    workspace = open_workspace(store.new_run_id())
    engines = Engines(context=EngineContext(workspace=workspace, probe_layer=Path(program.layer), cache=cache))
    rows = []
    try:
        for word in given.engines:
            command, environment = COMMANDS[word.partition("@")[0]](engines, word)
            tasks = tasks_for(word, given.cells)
            for workers in given.workers:
                ours, loop = [], []
                for _ in range(given.rounds):
                    ours.append(time_permlab(cache, engines, program, tasks, workers))
                    loop.append(time_loop(command, environment, given.cells, workers))
                mine, theirs = statistics.median(ours), statistics.median(loop)
                rows.append((word, workers, mine / given.cells * 1000, theirs / given.cells * 1000, theirs / mine))
    finally:
        engines.close()
    headers = ("engine", "workers", "permlab ms/cell", "own command ms/container", "times faster")
    print(tabulate(rows, headers=headers, floatfmt=".1f"))  # noqa: T201  # the result


if __name__ == "__main__":
    main()
