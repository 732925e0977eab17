"""What was found a moment ago, for everybody who asks the same within that moment.

A hundred pages poll the same few jobs. What others write (a program's results, what lies in a run's directory, a
person's rights) may be told them a moment late; what they have just written themselves may not, and is never kept
here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")

MOST = 10_000  # answers; when there are more, all are forgotten
PATIENCE = 2.0  # seconds to wait for somebody else's look before one looks oneself


class Recent:
    """Answers by what was asked. Whose rights an answer depends on has to be a part of that.

    Of those who ask at once, one looks and the others wait for it, though not for long.

    Args:
        seconds: how long an answer serves, counted from when it was found; 0 for never again.
    """

    def __init__(self, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._found: dict[Hashable, tuple[float, Any]] = {}
        self._looking: dict[Hashable, threading.Lock] = {}

    def get(self, asked: Hashable, find: Callable[[], T]) -> T:
        """What was found for this a moment ago, or what ``find`` finds now; what it raises is not kept."""
        if not self._seconds:
            return find()
        if (known := self._known(asked)) is not None:
            fresh: T = known[1]
            return fresh
        with self._lock:
            looking = self._looking.setdefault(asked, threading.Lock())
        mine = looking.acquire(timeout=PATIENCE)
        try:
            if (known := self._known(asked)) is not None:
                found: T = known[1]
                return found
            answer = find()
            self._keep(asked, answer)
            return answer
        finally:
            if mine:
                with self._lock:
                    self._looking.pop(asked, None)
                looking.release()

    def recall(self, asked: Hashable) -> Any:
        """What was found for this a moment ago; ``None`` if nothing was, or that was. It never waits."""
        known = self._known(asked)
        return None if known is None else known[1]

    def _known(self, asked: Hashable) -> tuple[float, Any] | None:
        known = self._found.get(asked)
        return known if known is not None and self._clock() - known[0] < self._seconds else None

    def _keep(self, asked: Hashable, answer: object) -> None:
        with self._lock:
            if len(self._found) >= MOST:
                self._found.clear()
            self._found[asked] = (self._clock(), answer)
