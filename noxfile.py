"""Sessions of the project, in the environment that already holds its development tools.

``python -m nox -s lint types layers tests integration`` is what the README and ``.ci/run`` call. Nothing is installed
here: ``pip install '.[dev]'`` has done it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "types", "layers", "tests"]


def run(session: nox.Session, tool: str, *arguments: str) -> None:
    """Run a tool of the environment that nox itself is in, whether or not its directory is on the PATH."""
    session.run(str(Path(sys.executable).with_name(tool)), *arguments, external=True)


@nox.session
def matrix(session: nox.Session) -> None:
    """The main job: provision, run the chdir story, print the matrix, write reports/."""
    run(session, "permlab", "run", "chdir-cwd", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Fast tests, without containers."""
    run(session, "pytest", "-q", "-m", "not integration", *session.posargs)


@nox.session
def integration(session: nox.Session) -> None:
    """Tests with real runtimes, packages and containers; what this host cannot do is skipped with its reason."""
    run(session, "pytest", "-q", "-m", "integration", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Rules and format."""
    run(session, "ruff", "check")
    run(session, "ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Types, strict, of the tests too."""
    run(session, "mypy")


@nox.session
def layers(session: nox.Session) -> None:
    """The layer contract of imports."""
    run(session, "lint-imports")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure permlab beside bare loops of the runtimes, and beside loops of the engines' own command lines."""
    run(session, "python", "benchmarks/bench.py", *session.posargs)
    run(session, "python", "benchmarks/engines.py")


@nox.session
def docs(session: nox.Session) -> None:
    """Links and anchors of the documentation; schemas and goldens are current."""
    run(session, "pytest", "-q", "tests/unit/docs", "tests/unit/scenario/test_scenario_load.py", *session.posargs)
