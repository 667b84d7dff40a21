"""A stored record → its case: config.json as it was, the image with the cell's edits, its fixtures, its caller."""

from __future__ import annotations

import json
import os
import shlex
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from lab.engine import host
from lab.engine.bundle import Bundle, caller_of, make_fixture
from lab.engine.families import global_flags
from lab.engine.trees import Owner, apply_edits, as_named, read_text
from lab.engine.workspace import Workspace, mapped_owner
from lab.errors import HostError, InputError
from lab.model.image import Image
from lab.model.record import Record, Run
from lab.model.runtime import Runtime
from lab.model.settings import Action, Edit, EditKind, Settings, Stdio
from lab.model.verdict import Denied, Failed, Phase
from lab.oci.capabilities import full_name
from lab.oci.spec import HELD, PROBE, Context, build_process, mapped_linux, process_args
from lab.provision.cache import Cache
from lab.provision.images import pull_image
from lab.provision.probe import ProbeBinary, probe
from lab.provision.rootfs import copy_tree, remove_tree
from lab.provision.runtimes import find, verify
from lab.repro.case import Call, Case, Config
from lab.repro.tree import FIXTURES, ROOTFS, Entry, read_tree
from lab.scenario.expand import make_cell
from lab.scenario.load import parse
from lab.scenario.resolve import resolve
from lab.scenario.versions import name_key, parse_name

_OCI = "oci"
_PROBE_PLACE = f"{ROOTFS}{PROBE}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a case was made from.

    ``witness`` is a runtime with which the same cell passed, in the same run, and which the cache still has.
    """

    run: Run
    record: Record
    settings: Settings
    runtime: Runtime
    image: Image
    probe: ProbeBinary
    witness: Runtime | None = None


def origin_of(cache: Cache, run: Run, record: Record) -> Origin:
    """What the record speaks of, from the cache; raises :class:`InputError` when it is not the same any more."""
    if record.observation is None or record.verdict.kind in {"skipped", "errored"}:
        raise InputError(
            f"the cell was not measured: {record.verdict.kind}", resolution="choose a cell that passed or failed"
        )
    text = run.header.scenarios[record.scenario]
    scenario = parse(text, id=record.scenario, where=f"{record.scenario} (stored)")
    settings = resolve(scenario, make_cell(scenario.id, tuple(record.axes.items()))).settings
    reasons = tuple(inexpressible(record, settings))
    if reasons:
        raise InputError("the cell is not expressible as a folder", details="\n".join(reasons))
    if os.geteuid():
        raise HostError("a reproduction is made and tried as root", resolution="call permlab repro with sudo")
    origin = Origin(
        run=run,
        record=record,
        settings=settings,
        runtime=verify(cache, record.axes["runtime"]),
        image=pull_image(cache, record.axes["image"]),
        probe=probe(cache),
        witness=_witness(cache, run, record),
    )
    proof = record.provenance
    now = {"runtime": origin.runtime.sha256, "image": origin.image.id, "probe": origin.probe.sha256}
    changed = [
        f"{name}: {getattr(proof, name)} then, {own} now" for name, own in now.items() if getattr(proof, name) != own
    ]
    if changed:
        raise InputError(
            "what the record was measured with has changed since",
            details="\n".join(changed),
            resolution=f"measure it anew: permlab run {record.scenario} --cell {shlex.quote(record.cell)}",
        )
    return origin


def siblings(run: Run, record: Record) -> tuple[Record, ...]:
    """The measured records of the run that differ from this one in the runtime only."""
    own = {axis: value for axis, value in record.axes.items() if axis != "runtime"}
    return tuple(
        one
        for one in run.records
        if one.scenario == record.scenario
        and one.cell != record.cell
        and one.verdict.kind not in {"skipped", "errored"}
        and {axis: value for axis, value in one.axes.items() if axis != "runtime"} == own
    )


def _witness(cache: Cache, run: Run, record: Record) -> Runtime | None:
    """Of the runtimes with which the cell passed: one of its own family where there is one, the nearest version."""
    own = parse_name(record.axes["runtime"])
    passing = [one for one in siblings(run, record) if one.verdict.kind == "passed"]
    names = sorted({record.axes["runtime"], *(one.axes["runtime"] for one in passing)}, key=name_key)
    place = names.index(record.axes["runtime"])
    known = {one.axes["runtime"]: one.provenance.runtime for one in passing}
    for name in sorted(known, key=lambda name: (parse_name(name).family != own.family, abs(names.index(name) - place))):
        found = find(cache, name)
        if found and found.sha256 == known[name] and global_flags(found.name) == global_flags(own):
            return found
    return None


def inexpressible(record: Record, settings: Settings) -> Iterator[str]:
    """Why a script cannot call the runtime as the cell did; nothing where it can."""
    caller = settings.caller
    if record.axes.get("engine") != _OCI:
        yield f"engine {record.axes.get('engine')}: a folder is for the bare runtime; take the same cell on engine oci"
    for name in ("stdin", "stdout", "stderr"):
        if getattr(caller, name) is Stdio.TERMINAL:
            yield f"caller.{name} = terminal: a shell script makes no terminal"
    for number in caller.fds:
        if len(number) > 1:
            yield f"caller.fds.{number}: a POSIX shell has descriptors up to 9 only"
    if caller.subordinate_ids is not None:
        yield "caller.subordinate_ids: they need entries in the host's /etc/subuid and /etc/subgid"
    if settings.linux.namespaces.get("user") == HELD:
        yield 'linux.namespaces.user = "held": the script holds no user namespace'
    if record.observation is not None and record.observation.refusal is not None:
        yield "it was refused before any runtime was called, so that there is no config.json"
    if settings.action is Action.CREATE_START and any(check.fact == "exit_code" for check in settings.checks):
        yield "a check on the exit code of a container that was created and started: a shell cannot wait for it"


def make_case(origin: Origin, trials: Path) -> Case:
    """The whole case, nothing taken away; what is looked at afterwards only where that decided.

    Its files are made in the directory of the trials, and read. Raises :class:`HostError` when this host refuses an
    edit or a copy.
    """
    settings, caller = origin.settings, origin.settings.caller
    owner = caller_of(settings)
    context = Context(rootless=owner if owner[0] else None)
    linux = mapped_linux(settings, context)
    mapped = mapped_owner(linux.uid_mappings, linux.gid_mappings) if linux.uid_mappings else as_named
    with tempfile.TemporaryDirectory(dir=trials) as place:
        tree, accounts = _tree(origin, Path(place), mapped)
    dropped = tuple(full_name(name) for name in caller.drop_capabilities)
    full = replace(
        context,
        passwd=accounts[0],
        group=accounts[1],
        caller_capabilities=tuple(name for name in host.capabilities() if name not in dropped),
    )
    return Case(
        call=Call(
            action=settings.action,
            owner=owner,
            umask=caller.umask,
            dropped=dropped,
            flags=(*global_flags(origin.runtime.name), *caller.runtime_flags),
            verb_flags=caller.verb_flags,
            exec_flags=settings.exec_flags,
            exec_words=tuple(process_args(settings.exec)) if settings.exec and settings.exec_flags else (),
            streams={
                name: getattr(caller, name)
                for name in ("stdin", "stdout", "stderr")
                if getattr(caller, name) is not Stdio.PIPE
            },
            stdio_fixture=caller.stdio_fixture,
            fds=caller.fds,
            seconds=max(1, round(settings.deadline)),
        ),
        config=json.loads(origin.run.configs[origin.record.provenance.config]),
        process=_process(origin, full),
        tree=tree,
        host_mounts={name: one.mount_options for name, one in settings.fixtures.items() if one.mount_options},
        host=settings.host if _ran(origin.record) else (),
        tolerate=origin.record.tolerate,
        checks=origin.record.checks if _ran(origin.record) else (),
        probe=Path(origin.probe.path).read_bytes(),
    )


def _ran(record: Record) -> bool:
    """Whether the container's program ran, so that what came of it was looked at."""
    verdict = record.verdict
    return not isinstance(verdict, Denied | Failed) or verdict.phase in {Phase.PROCESS, Phase.HOST_AFTER}


def _process(origin: Origin, context: Context) -> Config | None:
    settings = origin.settings
    if settings.action is not Action.EXEC or settings.exec is None or settings.exec_flags:
        return None
    return build_process(settings.exec, origin.image.config, settings, context)


def _tree(origin: Origin, place: Path, mapped: Owner) -> tuple[tuple[Entry, ...], tuple[str, str]]:
    """All entries, and the account files; made as the engine makes them, in a private place."""
    settings, program = origin.settings, Path(origin.probe.path)
    rootfs = place / ROOTFS
    copy_tree(Path(origin.image.rootfs), rootfs)
    try:
        apply_edits(rootfs, (Edit(path=PROBE, kind=EditKind.FILE, mode=0o755, program="probe"),), program)
        apply_edits(rootfs, settings.rootfs, program)
        workspace = Workspace(run_id="repro", root=place, privileged=True)
        bundle = Bundle(path=place, identifier="", caller=(0, 0), cgroup="")
        for name, fixture in settings.fixtures.items():
            make_fixture(workspace, bundle, name, replace(fixture, mount_options=()), program)
        accounts = read_text(rootfs, "/etc/passwd"), read_text(rootfs, "/etc/group")
        entries = [*read_tree(rootfs, ROOTFS, lambda path: as_named if _probe_at(path) else mapped)]
        if settings.fixtures:
            entries += read_tree(place / FIXTURES, FIXTURES, lambda _: as_named)
        return tuple(entries), accounts
    finally:
        remove_tree(rootfs)
        remove_tree(place / FIXTURES)


def _probe_at(path: str) -> bool:
    """Whether an entry belongs to the layer with the probe, whose owners no map changes."""
    return path == _PROBE_PLACE or path == _PROBE_PLACE.rpartition("/")[0]
