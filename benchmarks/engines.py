"""Cells through an engine beside shell loops of that engine's own command line: ``python benchmarks/engines.py``.

They take turns, so that what the machine does meanwhile meets all; medians are printed, and nothing is asserted. All
run the same image, program, runtime and build of the engine, with the same number of workers. permlab's time holds the
whole way from the plan to the stored record; a loop is ``xargs -P`` of the command, which does nothing else.
docs/speed.md says what the loops are. Needs root.

    python benchmarks/engines.py                     docker, podman and cri at 1, 2 and 4 workers
    python benchmarks/engines.py docker --rounds 9   docker alone, more turns
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import IMAGE, LOOP_DEADLINE, time_permlab
from tabulate import tabulate

from lab import process
from lab.engine import mounts
from lab.engine.base import EngineContext
from lab.engine.cri import CriEngine
from lab.engine.docker import DockerEngine
from lab.engine.docker_daemon import PrivateDaemon
from lab.engine.docker_images import DaemonImages, Layers
from lab.engine.podman import PodmanEngine
from lab.engine.registry import Engines
from lab.engine.workspace import open_workspace
from lab.model.scenario import Scenario, Task
from lab.model.settings import Process, Settings
from lab.oci.spec import PROBE
from lab.provision.cache import default_cache
from lab.provision.images import pull_image
from lab.provision.probe import probe
from lab.provision.rootfs import remove_tree
from lab.provision.runtimes import pull
from lab.scenario.expand import expand
from lab.store import runs as store

RUNTIME = "runc@1.1.5+debian12"
STEPS = ("id",)
SETTINGS = Settings(process=Process(steps=STEPS))
KEPT = 50
"""Containers whose output one loop keeps (it is cut at a length)."""

SEEN = 0.8
"""Which part of them must be there: ctr sometimes loses what a container wrote that ended at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """A command line that runs one container; ``{}`` in it stands for a number that no other has.

    ``around`` stands before ``xargs``, once.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    around: tuple[str, ...] = ()


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


class OrdinaryDaemon(PrivateDaemon):
    """A daemon as its packages start it: the default bridge for every container, its data on the disk.

    Without iptables, which it calls for published ports alone once it runs; its network namespace is its own, still.
    """

    def start(self) -> None:
        """Start it in a directory beside the cache, which is not in memory as the workspace is."""
        self._disk.mkdir()
        mounts.bind(self._disk, self.place)
        super().start()

    def stop(self) -> None:
        """End it, and remove all that it had."""
        super().stop()
        mounts.unmount(self.place)
        remove_tree(self._disk)

    @property
    def _disk(self) -> Path:
        return default_cache().root / "tmp" / self.workspace.root.name

    def _dockerd_argv(self) -> tuple[str, ...]:
        left_out = ("--bridge", "--ip-forward", "--ip-masq", "--userland-proxy")
        return tuple(word for word in super()._dockerd_argv() if not word.startswith(left_out))


@contextmanager
def docker_loops(engines: Engines, word: str) -> Iterator[list[Loop]]:
    """``docker run --rm`` on an ordinary daemon, and without a network on the lab's own."""
    engine = engines.ready(word)
    if not isinstance(engine, DockerEngine) or engine.build is None:
        sys.exit(f"{word} is no docker engine")
    context, runtime = engines.context, pull(engines.context.cache, RUNTIME)
    image = pull_image(context.cache, IMAGE)
    docker, own = str(engine.build.program("docker")), context.workspace.environment

    def loop(name: str, address: str, *words: str) -> Loop:
        return Loop(
            name=name, command=(docker, "run", "--rm", *words, *STEPS), environment={**own, "DOCKER_HOST": address}
        )

    address, identifier, named = engine.beside(image, runtime, SETTINGS)
    plain = OrdinaryDaemon(build=engine.build, workspace=context.workspace)
    try:
        plain.start()
        layers = Layers(workspace=context.workspace, cache=context.cache, probe_layer=context.probe_layer)
        there = DaemonImages(daemon=plain, layers=layers).id_of(image, SETTINGS)
        entry = f"--entrypoint={PROBE}"
        yield [
            loop("docker run --rm", plain.address, f"--runtime={plain.runtime(runtime)}", entry, there),
            loop("… --network=none, in memory", address, "--network=none", f"--runtime={named}", entry, identifier),
        ]
    finally:
        plain.stop()


@contextmanager
def podman_loops(engines: Engines, word: str) -> Iterator[list[Loop]]:
    """``podman run --rm`` in the same storage; below tini, because the lab, a subreaper, would inherit every conmon."""
    engine = engines.ready(word)
    if not isinstance(engine, PodmanEngine):
        sys.exit(f"{word} is no podman engine")
    runtime = pull(engines.context.cache, RUNTIME)
    home, image = engine.beside(pull_image(engines.context.cache, IMAGE), runtime, SETTINGS)
    words = ("--network=none", "--log-driver=none", f"--cgroup-parent={home.containers}", f"--entrypoint={PROBE}")
    command = home.argv(runtime, "run", "--rm", *words, image, *STEPS)
    yield [
        Loop(
            name="podman run --rm --network=none",
            command=command,
            environment=home.environment,
            around=home.command(()),
        )
    ]


@contextmanager
def cri_loops(engines: Engines, word: str) -> Iterator[list[Loop]]:
    """``ctr run --rm`` on the same containerd, from the same image: what containerd's own packages bring."""
    engine = engines.ready(word)
    if not isinstance(engine, CriEngine):
        sys.exit(f"{word} is no cri engine")
    runtime = pull(engines.context.cache, RUNTIME)
    daemon, image = engine.beside(pull_image(engines.context.cache, IMAGE), SETTINGS)
    ctr = (str(daemon.build.program("ctr")), f"--address={daemon.place}/c.sock", "--namespace=k8s.io", "run", "--rm")
    words = (f"--runc-binary={runtime.path}", f"--cgroup={daemon.cgroup}/loop-{{}}", image, "loop-{}", PROBE, *STEPS)
    yield [Loop(name="ctr run --rm", command=(*ctr, *words), environment=daemon.environment)]


LOOPS: Mapping[str, Callable[[Engines, str], AbstractContextManager[list[Loop]]]] = {
    "docker": docker_loops,
    "podman": podman_loops,
    "cri": cri_loops,
}
"""How each family's own command line makes the same container."""

FORMAT = ("", "", ".0f", ".0f", "", ".2f")

_numbers = itertools.count()


def time_loop(loop: Loop, cells: int, workers: int) -> float:
    """Seconds for a shell loop of an engine's command line."""
    with tempfile.TemporaryFile() as names:
        names.write("".join(f"{next(_numbers)}\n" for _ in range(cells)).encode())
        names.seek(0)
        argv = [*loop.around, "xargs", "-P", str(workers), "-I{}", *loop.command]
        started = time.monotonic()
        done = process.run(argv, deadline=LOOP_DEADLINE, stdin=names.fileno(), env=loop.environment)
        seconds = time.monotonic() - started
    if not done.ok or done.stdout.count(b'"op":"start"') < SEEN * min(cells, KEPT):
        sys.exit(f"the loop `{loop.name}` failed: {done.tail()}")
    return seconds


def measure(
    engines: Engines, word: str, loops: Sequence[Loop], given: argparse.Namespace
) -> Iterator[tuple[object, ...]]:
    """A row for each number of workers and each loop: milliseconds each, and the median of the turns' ratios."""
    cache = engines.context.cache
    tasks, program = tasks_for(word, given.cells), probe(cache)
    time_permlab(cache, engines, program, tasks[:4], 1)
    for workers in given.workers:
        ours: list[float] = []
        theirs: dict[str, list[float]] = {loop.name: [] for loop in loops}
        for _ in range(given.rounds):
            ours.append(time_permlab(cache, engines, program, tasks, workers))
            for loop in loops:
                theirs[loop.name].append(time_loop(loop, given.cells, workers))
        for name, taken in theirs.items():
            ratio = statistics.median(loop / mine for loop, mine in zip(taken, ours, strict=True))
            each = (1000 / given.cells * statistics.median(turns) for turns in (ours, taken))
            yield word, workers, *each, name, ratio


def main() -> None:
    """Parse the command line, measure in turn and print one row for each engine, loop and number of workers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engines", nargs="*", default=list(LOOPS))
    parser.add_argument("--cells", type=int, default=30)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--rounds", type=int, default=5, help="turns; the median counts")
    given = parser.parse_args()
    if os.geteuid():
        sys.exit("the bench needs root: the lab starts daemons of its own")
    cache = default_cache()
    workspace = open_workspace(store.new_run_id())
    layer = Path(probe(cache).layer)
    engines = Engines(context=EngineContext(workspace=workspace, probe_layer=layer, cache=cache))
    rows = []
    try:
        for word in given.engines:
            with LOOPS[word.partition("@")[0]](engines, word) as loops:
                for row in measure(engines, word, loops, given):
                    rows.append(row)
                    print(tabulate([row], tablefmt="plain", floatfmt=FORMAT), file=sys.stderr, flush=True)  # noqa: T201  # progress
    finally:
        engines.close()
    headers = ("engine", "workers", "permlab, ms", "loop, ms", "loop", "times faster")
    print(tabulate(rows, headers=headers, floatfmt=FORMAT))  # noqa: T201  # the result


if __name__ == "__main__":
    main()
