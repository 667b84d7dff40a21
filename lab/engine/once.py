"""A value made once, whichever thread asks for it first."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class Once(Generic[T]):
    """Values by their keys. Making one may take long: whoever asks for it meanwhile waits, all others do not."""

    _made: dict[Hashable, Future[T]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of ``key``; what making it raises goes to all who wait, and the next one tries again."""
        with self._lock:
            mine = key not in self._made
            future = self._made.setdefault(key, Future())
        if mine:
            try:
                future.set_result(make())
            except BaseException as error:
                with self._lock:
                    del self._made[key]
                future.set_exception(error)
                raise
        return future.result()

    def values(self) -> tuple[T, ...]:
        """Everything that has been made."""
        with self._lock:
            futures = tuple(self._made.values())
        return tuple(future.result() for future in futures if future.done())
