"""The engines of one run: made by their word, opened once, ended together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field

from lab.engine.base import Engine, EngineContext
from lab.engine.cri import CriEngine
from lab.engine.docker import DockerEngine
from lab.engine.oci import OciEngine
from lab.engine.podman import PodmanEngine
from lab.errors import InputError
from lab.model.engine import EngineFamily, EngineName
from lab.scenario.versions import parse_engine

Maker = Callable[[EngineName, EngineContext], Engine]
"""Makes an engine, cheaply: nothing is provisioned or started before it is opened."""


def _oci(_name: EngineName, context: EngineContext) -> Engine:
    return OciEngine(workspace=context.workspace, probe_layer=context.probe_layer, subordinate=context.subordinate)


FAMILIES: Mapping[EngineFamily, Maker] = {
    EngineFamily.OCI: _oci,
    EngineFamily.DOCKER: lambda name, context: DockerEngine(engine=name, context=context),
    EngineFamily.CRI: lambda name, context: CriEngine(engine=name, context=context),
    EngineFamily.PODMAN: lambda name, context: PodmanEngine(engine=name, context=context),
}


@dataclass(slots=True, kw_only=True)
class Engines:
    """The engines that the cells of one run name, each made when it is first asked for."""

    context: EngineContext
    _made: dict[str, Engine] = field(default_factory=dict)
    _opened: dict[str, Future[Engine]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, word: str) -> Engine:
        """The engine of an axis value, open or not; raises :class:`InputError` for a word that names none."""
        with self._lock:
            if word not in self._made:
                name = parse_engine(word)
                maker = FAMILIES.get(name.family)
                if maker is None:
                    raise InputError(f"this lab has no engine {word!r}")
                self._made[word] = maker(name, self.context)
            return self._made[word]

    def ready(self, word: str, tell: Callable[[str], None] = lambda _: None) -> Engine:
        """The engine, open: the first call opens it, and what that raises is raised again by every other."""
        engine = self.get(word)
        with self._lock:
            mine = word not in self._opened
            opened = self._opened.setdefault(word, Future())
        if mine:
            try:
                engine.open(tell)
            except BaseException as error:  # noqa: BLE001  # handed to whoever asks
                opened.set_exception(error)
            else:
                opened.set_result(engine)
        return opened.result()

    def interrupt(self) -> None:
        """End what any engine waits for."""
        for engine in tuple(self._made.values()):
            engine.interrupt()

    def close(self) -> None:
        """End every engine, then remove their workspace."""
        try:
            for engine in self._made.values():
                engine.close()
        finally:
            self.context.workspace.close()
