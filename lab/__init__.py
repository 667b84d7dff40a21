"""permlab: a reproducible test lab for container permissions.

The names below are the library (see docs/library.md). Each is imported when it is first used: `import lab` is cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.comparison import Answer, Change, Comparison, Misfit, Pair, Side
    from lab.errors import EngineError, HostError, InputError, LabError, ProvisionError, StoreError
    from lab.library import Plan, PlannedScenario, compare, judge, load, plan, run, stored
    from lab.model.observation import Call, HostFact, Observation, Reached
    from lab.model.record import HostFacts, Provenance, Record, Run, RunHeader
    from lab.model.scenario import Cell, Constraint, Expectation, Scenario
    from lab.model.settings import Check
    from lab.model.verdict import Denied, Errored, Failed, Passed, Phase, Skipped, Verdict
    from lab.report.expectations import held

__all__ = [
    "Answer",
    "Call",
    "Cell",
    "Change",
    "Check",
    "Comparison",
    "Constraint",
    "Denied",
    "EngineError",
    "Errored",
    "Expectation",
    "Failed",
    "HostError",
    "HostFact",
    "HostFacts",
    "InputError",
    "LabError",
    "Misfit",
    "Observation",
    "Pair",
    "Passed",
    "Phase",
    "Plan",
    "PlannedScenario",
    "Provenance",
    "ProvisionError",
    "Reached",
    "Record",
    "Run",
    "RunHeader",
    "Scenario",
    "Side",
    "Skipped",
    "StoreError",
    "Verdict",
    "compare",
    "held",
    "judge",
    "load",
    "plan",
    "run",
    "stored",
]

_MODULES = (
    "lab.library",
    "lab.comparison",
    "lab.errors",
    "lab.model.observation",
    "lab.model.record",
    "lab.model.scenario",
    "lab.model.settings",
    "lab.model.verdict",
    "lab.report.expectations",
)
"""Where they are; of two things with one name, the first is the library's."""

if not TYPE_CHECKING:  # for type checkers a name that is not there stays an error

    def __getattr__(name: str) -> object:
        if name in __all__:
            for module in map(importlib.import_module, _MODULES):
                if hasattr(module, name):
                    return getattr(module, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
