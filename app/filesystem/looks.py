"""Looks at the visits' file system that end in time.

A network file system may hang for minutes, and a thread that waits for it cannot be interrupted. So looks run in a
small pool of threads of their own, a request waits for one only until its deadline, and while a look at one visit
hangs no further one at that visit is begun: its requests get "no answer" at once, and other visits are served.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, TypeVar

from app import metrics

log = logging.getLogger(__name__)
T = TypeVar("T")

THREADS_PER_KEY = 2  # looks at one visit at once: all that one hanging visit can cost
PATIENCE = 2  # deadlines that a request waits for its turn where a visit is busy, which is not to hang


class NoAnswer(Exception):
    """The file system did not answer in time; what was asked is unknown."""


class _Turn:
    """Somebody who waits for a free thread.

    Attributes:
        granted: whether a thread is kept for it, once it was called.
    """

    def __init__(self, key: str, at_once: int) -> None:
        self.key = key
        self.at_once = at_once
        self.granted = False
        self.called = threading.Event()


class Looks:
    """A pool of at most ``threads`` daemon threads; they are started as they are needed."""

    def __init__(self, *, threads: int, deadline: float) -> None:
        self.deadline = deadline
        self._most = threads
        self._queue: queue.SimpleQueue[tuple[Future[Any], str, Callable[[], Any]]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting: list[_Turn] = []  # in the order in which they came
        self._started = 0
        self._running: Counter[str] = Counter()
        self._hung: Counter[str] = Counter()

    @property
    def threads(self) -> int:
        """How many threads exist."""
        return self._started

    def run(self, key: str, look: Callable[[], T], *, at_once: int = THREADS_PER_KEY, wait: float | None = None) -> T:
        """What ``look`` returns or raises, if it ends within the deadline, once it is its turn.

        Args:
            key: what hangs together, such as a visit directory.
            at_once: looks with this key that may run at once.
            wait: seconds to wait for its turn.

        Raises:
            NoAnswer: it did not end in time, its turn did not come, or an earlier look at this key still hangs.
        """
        self._take(key, at_once, self.deadline * PATIENCE if wait is None else wait)
        future: Future[T] = Future()
        self._queue.put((future, key, look))
        try:
            result = future.result(timeout=self.deadline)
        except FutureTimeout:
            with self._lock:
                late = not future.done()
                if late:
                    self._hung[key] += 1
                    self._call()
            if not late:
                return future.result()  # it ended at the last moment, or raised a TimeoutError of its own
            future.add_done_callback(lambda _: self._recover(key))
            metrics.looks.labels("timeout").inc()
            log.warning("no answer from the file system at %s within %g s", key, self.deadline)
            raise NoAnswer(f"{key} did not answer within {self.deadline:g} s") from None
        metrics.looks.labels("answered").inc()
        return result

    def _take(self, key: str, at_once: int, wait: float) -> None:
        """Wait for a free thread, but not behind a look that hangs."""
        turn = _Turn(key, at_once)
        with self._lock:
            self._waiting.append(turn)
            self._call()
        turn.called.wait(wait)
        with self._lock:
            if turn in self._waiting:
                self._waiting.remove(turn)
            if not turn.granted:
                metrics.looks.labels("refused").inc()
                raise NoAnswer(f"{key} hangs" if self._hung[key] else "too many looks at files at once")
            if self._started < self._running.total():
                self._started += 1
                threading.Thread(target=self._work, name=f"look-{self._started}", daemon=True).start()

    def _call(self) -> None:
        """Let those go on whose turn it is, and those who would wait in vain. The lock must be held.

        Only they are woken: of a hundred who wait for one visit, each look would wake all others for nothing.
        """
        for turn in self._waiting[:]:
            free = self._running[turn.key] < turn.at_once and self._running.total() < self._most
            if self._hung[turn.key] or free:
                turn.granted = not self._hung[turn.key]
                if turn.granted:
                    self._running[turn.key] += 1
                self._waiting.remove(turn)
                turn.called.set()

    def _recover(self, key: str) -> None:
        with self._lock:
            self._hung[key] -= 1
            self._hung += Counter()  # forgets keys that are at zero
            self._call()

    def _work(self) -> None:
        while True:
            future, key, look = self._queue.get()
            try:
                result = look()
            except BaseException as error:
                self._release(key)
                future.set_exception(error)
            else:
                self._release(key)
                future.set_result(result)

    def _release(self, key: str) -> None:
        with self._lock:
            self._running[key] -= 1
            self._running += Counter()
            self._call()
