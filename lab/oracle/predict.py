"""World and era → prediction: what the container would show. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from lab.classify import checks as fact_checks
from lab.classify.causes import CAUSES
from lab.classify.steps import first_refused
from lab.errors import InputError
from lab.model.image import ImageConfig
from lab.model.observation import Fact, HostFact, Observation, Reached
from lab.model.settings import Action, Check, Process, Settings, Stdio
from lab.oci.capabilities import BY_NUMBER, full_name, names
from lab.oci.spec import Context, build_process, process_args
from lab.oci.users import UserNotFound
from lab.oracle.credentials import Capabilities
from lab.oracle.eras import Era
from lab.oracle.files import Files, Outside
from lab.oracle.ids import IdMaps
from lab.oracle.prediction import NoPrediction, Predicted, Prediction, Reason
from lab.oracle.spec import ProcessSpec, Spec, understand, understand_process
from lab.oracle.start import Start, Stopped
from lab.oracle.steps import run_steps
from lab.oracle.tree import Kind, Nodes
from lab.oracle.world import ROOT, fixture_words, make_files

_EVERYTHING: Capabilities = frozenset(f"CAP_{name}" for name in BY_NUMBER)
_DROPPABLE = frozenset({"CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH"})
"""What a runtime can lack without failing for another reason than access to files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """One cell before its runtime is called, whichever that is.

    ``host`` is what the lab's own process holds; ``exec`` is the process of an exec, or says why there is none.
    """

    spec: Spec
    settings: Settings
    files: Files
    host: tuple[str, ...]
    exec: ProcessSpec | str


def set_up(config: object, settings: Settings, image: Callable[[IdMaps], Nodes], host: int) -> Setup | NoPrediction:
    """What the predictions of all runtimes share, or why there is none.

    ``config`` is the stored config.json, decoded, of which a patch may have made anything; ``image`` gives the tree of
    the image under the cell's maps, or raises ``ValueError``; ``host`` is the capability mask of the lab's process.
    """
    try:
        _check_caller(settings)
        spec = understand(config)
        files = make_files(_tree(image, spec.maps), settings, spec)
        held = names(host)
        return Setup(spec=spec, settings=settings, files=files, host=held, exec=_exec_process(settings, spec, held))
    except Outside as outside:
        return NoPrediction(reason=f"outside the model: {outside}")


def _tree(image: Callable[[IdMaps], Nodes], maps: IdMaps) -> Nodes:
    try:
        return image(maps)
    except ValueError as error:
        raise Outside(f"an image's tree that does not read ({error})") from None


def predict(setup: Setup, era: Era) -> Predicted:
    """The prediction, or why there is none. Never raises for what a scenario or config says."""
    reasoning: list[Reason] = []
    try:
        return _predict(setup, era, reasoning)
    except Outside as outside:
        return NoPrediction(reason=f"outside the model: {outside}")
    except Stopped as stopped:
        return Prediction(
            kind=stopped.kind,
            cause=stopped.cause,
            phase=stopped.phase,
            era=era.name,
            source=era.source,
            reasoning=tuple(reasoning),
        )


def _check_caller(settings: Settings) -> None:
    """Raise for a caller whose ways the model does not know."""
    caller = settings.caller
    odd = {
        "a rootless caller with subordinate ids": caller.subordinate_ids is not None,
        "a caller that is not root, in the host's user namespace": not caller.rootless
        and bool(caller.uid or caller.gid),
        "mounts of a rootless caller": caller.rootless and bool(settings.mounts),
        "a caller's umask": caller.umask != 0o022,  # noqa: PLR2004  # the usual one
        "descriptors that the runtime inherits": bool(caller.fds),
        "standard streams that are no pipes": {caller.stdin, caller.stdout, caller.stderr} != {Stdio.PIPE},
        "flags of the runtime": bool(caller.runtime_flags or caller.verb_flags),
        "a caller without capabilities beyond CAP_DAC_*": not {*map(full_name, caller.drop_capabilities)} <= _DROPPABLE,
    }
    for what, holds in odd.items():
        if holds:
            raise Outside(what)


def _predict(setup: Setup, era: Era, reasoning: list[Reason]) -> Prediction:
    settings, spec, files = setup.settings, setup.spec, setup.files.copy()
    if settings.caller.rootless and (spec.process.uid or spec.process.gid or spec.process.groups):
        raise Outside("a rootless container with other ids than 0")
    dropped = {full_name(name) for name in settings.caller.drop_capabilities}
    held = frozenset(setup.host) - dropped if spec.maps.initial else _EVERYTHING
    process = spec.process
    start = Start(era=era, files=files, spec=process, maps=spec.maps, held=held, reasoning=reasoning)
    started = start.go()
    files.root.readonly = spec.readonly_root
    if settings.action is Action.EXEC:
        if not isinstance(setup.exec, ProcessSpec):
            raise Outside(setup.exec)
        process = setup.exec
        run_steps(files, started, spec.process.args[1:])
        reasoning.append(Reason(call="exec into it", who="the runtime", outcome="the container runs"))
        started = replace(start, spec=process, makes_cwd=False).go()
    facts = run_steps(files, started, process.args[1:])
    verdict = _judge(settings, files, facts, reasoning)
    return replace(verdict, era=era.name, source=era.source, reasoning=tuple(reasoning))


def _exec_process(settings: Settings, spec: Spec, host: tuple[str, ...]) -> ProcessSpec | str:
    """The process of an exec, where it says all by itself, or what the model does not know of it."""
    if settings.exec is None:
        return "exec without a process"
    try:
        if settings.exec_flags:
            return _flagged(settings.exec_flags, settings.exec, spec)
        return _own(settings.exec, settings, host)
    except Outside as outside:
        return str(outside)


def _own(process: Process, settings: Settings, host: tuple[str, ...]) -> ProcessSpec:
    """A process that is none of the container's."""
    user = process.user or ""
    if not all(part.isdigit() for part in user.split(":")) or ":" not in user or process.cwd is None:
        raise Outside("an exec whose user is not uid:gid, or that leaves its working directory to the image")
    context = Context(caller_capabilities=host)
    try:
        built = build_process(process, ImageConfig(), settings, context)
    except (UserNotFound, InputError) as error:
        raise Outside(str(error)) from None
    return understand_process(built)


def _flagged(flags: Sequence[str], process: Process, spec: Spec) -> ProcessSpec:
    """``exec --user UID:GID --cwd DIR``: the rest is the container's own process, as runc's exec takes it."""
    given = dict(zip(flags[::2], flags[1::2], strict=False))
    uid, _, gid = given.get("--user", "").partition(":")
    if len(flags) % 2 or set(given) != {"--user", "--cwd"} or not (uid.isdigit() and gid.isdigit()):
        raise Outside("an exec by other flags than --user UID:GID --cwd DIR")
    return ProcessSpec(
        uid=int(uid),
        gid=int(gid),
        groups=(),
        args=tuple(process_args(process)),
        cwd=given["--cwd"],
        sets=spec.process.sets,
        no_new_privileges=spec.process.no_new_privileges,
    )


def _judge(settings: Settings, files: Files, facts: Sequence[Fact], reasoning: list[Reason]) -> Prediction:
    """The verdict over predicted facts, by the rules that measured ones are judged with."""
    checks, steps = settings.checks, facts[1:-1]
    reasoning += [_told(fact, who=f"uid {facts[0]['euid']}") for fact in steps if not fact["ok"]]
    verdict = Prediction(
        kind="passed", steps=tuple((int(str(fact["step"])), str(fact.get("errno", ""))) for fact in steps)
    )
    found = first_refused(facts, tolerate=frozenset(settings.tolerate), judged=fact_checks.judged_steps(checks))
    if found is not None:
        return replace(verdict, kind=CAUSES[found.cause].verdict, cause=found.cause, phase=found.phase)
    seen = Observation(reached=Reached.STARTED, exit_code=0, host_after=_host(files, settings))
    for check in checks:
        _check_known(check, facts, seen)
    broken = fact_checks.first_broken(checks, facts, seen)
    if broken is None:
        return verdict
    reasoning.append(Reason(call="check", who="the scenario", outcome=broken.evidence))
    return replace(verdict, kind=broken.kind, cause=broken.cause, phase=broken.phase)


def _told(fact: Fact, who: str) -> Reason:
    args = fact["args"]
    words = [str(fact["op"]), *(map(str, args) if isinstance(args, list) else ())]
    return Reason(call=f"step {fact['step']}, {' '.join(words)}", who=who, outcome=f"{fact['errno']}: {fact['why']}")


def _check_known(check: Check, facts: Sequence[Fact], seen: Observation) -> None:
    """Raise where a check asks for a fact that the model does not know; an errno that a good step lacks is known."""
    root, _, rest = check.fact.partition(".")
    number, _, name = rest.partition(".")
    if root in {"stderr", "output"}:
        raise Outside(f"a check of {check.fact}")
    if fact_checks.look_up(check.fact, facts, seen) is not fact_checks.MISSING:
        return
    step = next((fact for fact in facts if root == "step" and str(fact.get("step")) == number), None)
    if step is None or (step["ok"] is True and name not in {"errno", "call"}):
        raise Outside(f"a check of {check.fact}")


def _host(files: Files, settings: Settings) -> tuple[HostFact, ...]:
    """What the host would see of the places that the cell names, as far as that needs no walk through symlinks."""
    return tuple(fact for place in settings.host if (fact := _host_fact(files, place)) is not None)


def _host_fact(files: Files, place: str) -> HostFact | None:
    kind, _, rest = place.partition(":")
    name, _, inner = rest.partition("/")
    wanted = ROOT if kind == "rootfs" else fixture_words(name)
    layer = next((mount.layer for mount in (files.root, *files.mounts) if mount.what == wanted), None)
    if layer is None:
        return None
    path = f"/{inner}".rstrip("/") or "/"
    above = ["/".join(path.split("/")[:end]) for end in range(2, len(path.split("/")))]
    if any((node := layer.get(one)) is not None and node.kind is Kind.SYMLINK for one in above):
        return None
    node = layer.get(path)
    if node is None or any(layer.get(one) is None for one in above):
        return HostFact(path=place)
    return HostFact(path=place, type=str(node.kind), uid=node.uid, gid=node.gid, mode=node.mode)
