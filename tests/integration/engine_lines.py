"""Runs what a README of `permlab repro` says to an engine, on a private daemon of the lab.

``python engine_lines.py ENGINE RUNTIME FOLDER…`` prints a JSON object: folder → exit code and text. It is a program of
its own, because the lab leaves the host's mount namespace for good. Debian has no crictl: its call is made as it would
make it, with the two files as they stand there.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from lab.engine.base import EngineContext
from lab.engine.cri import CriEngine
from lab.engine.cri_api import cri_pb2 as api
from lab.engine.cri_daemon import Containerd
from lab.engine.docker_daemon import PrivateDaemon
from lab.engine.docker_images import Layers
from lab.engine.podman_home import Caller, PodmanHome
from lab.engine.workspace import Workspace, open_workspace
from lab.model.runtime import Runtime
from lab.process import Completed, run
from lab.provision.cache import default_cache
from lab.provision.engines import pull_engine
from lab.provision.probe import probe
from lab.provision.runtimes import pull
from lab.scenario.versions import parse_engine
from lab.store.runs import new_run_id

IMPORTER = "docker@20.10.24"
"""Makes the image for containerd, as the README says."""


@dataclass(frozen=True)
class Bench:
    """What all engines need. ``probe_layer`` is the lab's own program as an image layer."""

    workspace: Workspace
    runtime: Runtime
    probe_layer: Path

    def shell(self, script: str, environment: Mapping[str, str]) -> Completed:
        return run(["bash", "-ec", script], deadline=120, env=environment, cwd=self.workspace.root)


def blocks(folder: Path) -> list[str]:
    """The README's lines, for each engine."""
    section = (folder / "README.md").read_text().partition("## Through an engine")[2].partition("\n## ")[0]
    found = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert found is not None, section
    return found[1].rstrip("\n").split("\n\n")


def tree(bench: Bench, folder: Path) -> Path:
    place = bench.workspace.root / f"tree-{folder.name}"
    place.mkdir()
    made = run(["sh", str(folder / "make-rootfs.sh"), str(place)], deadline=60)
    assert made.ok, made.tail()
    return place


def told(done: Completed) -> dict[str, Any]:
    return {"code": done.returncode, "text": (done.stdout + done.stderr).decode()}


@contextmanager
def docker(bench: Bench, engine: str) -> Iterator[PrivateDaemon]:
    daemon = PrivateDaemon(build=pull_engine(default_cache(), engine), workspace=bench.workspace)
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.stop()


def docker_environment(daemon: PrivateDaemon) -> dict[str, str]:
    own = daemon.workspace.environment
    return {**own, "PATH": f"{daemon.build.path}:{own['PATH']}", "DOCKER_HOST": daemon.address}


def through_docker(bench: Bench, engine: str, folders: list[Path]) -> Iterator[dict[str, Any]]:
    with docker(bench, engine) as daemon:
        name = daemon.runtime(bench.runtime)
        for folder in folders:
            script = blocks(folder)[0].replace("DIR", str(tree(bench, folder))).replace("NAME", name)
            yield told(bench.shell(script, docker_environment(daemon)))


def through_podman(bench: Bench, engine: str, folders: list[Path]) -> Iterator[dict[str, Any]]:
    workspace, cache = bench.workspace, default_cache()
    layers = Layers(workspace=workspace, cache=cache, probe_layer=bench.probe_layer)
    place = workspace.root / "podman" / "root"
    place.mkdir(parents=True)
    home = PodmanHome(
        build=pull_engine(cache, engine), workspace=workspace, layers=layers, caller=Caller(uid=0, gid=0), place=place
    )
    workspace.own_run_directory()
    workspace.own_state_directory(cache.root)
    (workspace.root / "r0").mkdir()
    home.set_up()
    own = workspace.root / "own"
    own.mkdir()
    (own / "podman").write_text(f'#!/bin/sh\nexec {shlex.join(home.argv(bench.runtime))} "$@"\n')
    (own / "podman").chmod(0o755)
    environment = {**home.environment, "PATH": f"{own}:{home.environment['PATH']}"}
    for folder in folders:
        script = blocks(folder)[1].replace("DIR", str(tree(bench, folder))).replace("RUNTIME", bench.runtime.path)
        yield told(bench.shell(script, environment))


def through_cri(bench: Bench, engine: str, folders: list[Path]) -> Iterator[dict[str, Any]]:
    context = EngineContext(workspace=bench.workspace, probe_layer=bench.probe_layer, cache=default_cache())
    opened = CriEngine(engine=parse_engine(engine), context=context)
    opened.open(lambda _: None)
    try:
        daemon = opened._daemon  # noqa: SLF001  # nobody else has it
        assert daemon is not None
        with docker(bench, IMPORTER) as importer:
            for folder in folders:
                yield _called(bench, daemon, importer, folder)
    finally:
        opened.close()


def _called(bench: Bench, daemon: Containerd, importer: PrivateDaemon, folder: Path) -> dict[str, Any]:
    """The image and the files by the README's own lines; then what `crictl run` calls."""
    *lines, call, last = blocks(folder)[2].splitlines()
    assert call == "crictl run --no-pull --runtime HANDLER container.json pod.json"
    logs = f"{bench.workspace.root}/logs-{folder.name}"
    assert last == "cat /tmp/repro-logs/repro.log"
    imported = blocks(folder)[0].splitlines()[0].replace("DIR", str(tree(bench, folder)))
    script = "\n".join((imported, *lines)).replace("/tmp/repro-logs", logs)  # noqa: S108  # the same
    script = script.replace("ctr -n", f"ctr --address {daemon.place}/c.sock -n")
    environment = docker_environment(importer)
    made = bench.shell(script, {**environment, "PATH": f"{daemon.build.path}:{environment['PATH']}"})
    assert made.ok, made.tail()
    pod, container = (json.loads((bench.workspace.root / name).read_text()) for name in ("pod.json", "container.json"))
    pod["metadata"]["uid"] = folder.name  # as another one on the same daemon
    try:
        box = daemon.call(
            "RunPodSandbox",
            {"config": pod, "runtimeHandler": daemon.handler(bench.runtime)},
            api.RunPodSandboxRequest,
            api.RunPodSandboxResponse,
        ).pod_sandbox_id
        own = {
            "containerId": daemon.call(
                "CreateContainer",
                {"podSandboxId": box, "config": container, "sandboxConfig": pod},
                api.CreateContainerRequest,
                api.CreateContainerResponse,
            ).container_id
        }
        daemon.call("StartContainer", own, api.StartContainerRequest, api.Empty)
    except grpc.RpcError as error:
        return {"code": 1, "text": str(error)}
    status = (own, api.ContainerStatusRequest, api.ContainerStatusResponse)
    while (seen := daemon.call("ContainerStatus", *status).status).state != api.CONTAINER_EXITED:
        time.sleep(0.05)
    return {"code": seen.exit_code, "text": Path(f"{logs}/repro.log").read_text()}


def main() -> None:
    engine, runtime, *folders = sys.argv[1:]
    ways = {"docker": through_docker, "podman": through_podman, "cri": through_cri}
    bench = Bench(
        workspace=open_workspace(new_run_id()),
        runtime=pull(default_cache(), runtime),
        probe_layer=Path(probe(default_cache()).layer),
    )
    try:
        found = ways[engine.partition("@")[0]](bench, engine, [Path(folder) for folder in folders])
        json.dump(dict(zip((Path(folder).name for folder in folders), found, strict=True)), sys.stdout)
    finally:
        bench.workspace.close()


if __name__ == "__main__":
    main()
