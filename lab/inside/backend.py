"""pytest-testinfra's connection to a held container: a backend as its own are for docker, ssh or podman."""

from __future__ import annotations

from typing import Any

from testinfra.backend.base import BaseBackend, CommandResult
from testinfra.host import Host

from lab.inside.entering import run_inside
from lab.inside.holding import Held
from lab.provision.toolbox import Toolbox

DEADLINE = 60.0
"""Seconds for one command of a test."""


class CellBackend(BaseBackend):
    """Runs a test's commands in the container of one cell; ``bind`` gives it the container.

    ``host.backend.pid`` is the container's first process on this host, for tests that look from outside.
    """

    NAME = "permlab"

    def __init__(self, cell: str) -> None:
        super().__init__(cell)
        self._bound: tuple[Held, Toolbox] | None = None

    def bind(self, held: Held | None, toolbox: Toolbox | None = None) -> None:
        """Use a container from now on; ``None`` when it is gone."""
        self._bound = (held, toolbox) if held is not None and toolbox is not None else None

    @property
    def pid(self) -> int:
        """The container's first process, as this host counts; raises :class:`RuntimeError` where none is held."""
        return self._container[0].pid

    @property
    def _container(self) -> tuple[Held, Toolbox]:
        if self._bound is None:
            raise RuntimeError(f"the container of {self.hostname} runs while its test runs, not before or after")
        return self._bound

    def get_encoding(self) -> str:
        """UTF-8, without asking a Python that the container may not have."""
        return "utf-8"

    def run(self, command: str, *args: str, **_: Any) -> CommandResult:
        """Run a command with the toolbox's shell, as the container's process would."""
        held, toolbox = self._container
        text = self.get_command(command, *args)
        ran = run_inside(held, toolbox, text, deadline=DEADLINE)
        return self.result(ran.exit_code, self.encode(text), ran.stdout, ran.stderr)


def host_of(cell: str) -> Host:
    """A testinfra host for a cell; its backend is bound to a container later."""
    backend = CellBackend(cell)
    made = Host(backend)
    backend.set_host(made)
    return made
