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


class Recent:
    """Answers by what was asked. Whose rights an answer depends on has to be a part of that.

    Args:
        seconds: how long an answer serves; 0 for never again.
    """

    def __init__(self, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._found: dict[Hashable, tuple[float, Any]] = {}

    def get(self, asked: Hashable, find: Callable[[], T]) -> T:
        """What was found for this a moment ago, or what ``find`` finds now; what it raises is not kept."""
        if not self._seconds:
            return find()
        now = self._clock()
        known = self._found.get(asked)
        if known is not None and now - known[0] < self._seconds:
            answer: T = known[1]
            return answer
        answer = find()
        with self._lock:
            if len(self._found) >= MOST:
                self._found.clear()
            self._found[asked] = (now, answer)
        return answer
