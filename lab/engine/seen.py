"""What an engine has seen of a cell while its container runs, and after."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lab.model.observation import Call, HostFact, Observation, Reached


@dataclass(slots=True, kw_only=True)
class Seen:
    """What has been seen of a cell so far."""

    calls: list[Call] = field(default_factory=list)
    reached: Reached = Reached.NOTHING
    exit_code: int | None = None
    output: bytes = b""
    fault: str | None = None

    def added_to(
        self, observation: Observation, after: tuple[HostFact, ...], seconds: Mapping[str, float], finishing: float
    ) -> Observation:
        """An observation that so far has the host before; ``finishing`` is the monotonic moment when the end began."""
        return replace(
            observation,
            calls=tuple(self.calls),
            reached=self.reached,
            exit_code=self.exit_code,
            output=self.output,
            host_after=after,
            fault=self.fault,
            seconds={**seconds, "finish": time.monotonic() - finishing},
        )
