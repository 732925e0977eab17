"""Whether somebody listens: looks at the queue, independent of sending, for the relay, readyz, doctor and metrics."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from time import monotonic

from app import metrics
from app.settings import BrokerSettings
from app.zocalo import management, transport
from app.zocalo.queue import CannotLook, Queue

log = logging.getLogger(__name__)

SECONDS = 10.0  # between two looks while all is well
UNWATCHED = (
    "not checked: set EM_BROKER__MANAGEMENT_URL, for a STOMP broker confirms messages to queues that do not exist"
)


def look(settings: BrokerSettings) -> Queue | None:
    """Look at the queue in the way that the settings allow; ``None`` if none of them does.

    Raises:
        CannotLook: the broker or its management API does not answer.
    """
    if settings.is_embedded:
        return None
    if settings.management_url is not None:
        return management.look(settings)
    return transport.look_by_amqp(settings) if settings.is_amqp else None


class QueueWatch:
    """Looks at the queue in a thread of its own, and remembers what it saw last.

    A queue that was seen to be missing counts as missing until a look finds it, where sending meanwhile would lose
    messages: over STOMP.

    Attributes:
        queue: what was seen; ``None`` if nothing is known.
        unknown: why nothing is known now.
    """

    def __init__(self, settings: BrokerSettings, look: Callable[[BrokerSettings], Queue | None] = look) -> None:
        self._settings = settings
        self._look = look
        self._looking = threading.Lock()
        self._looked: float | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="queue", daemon=True)
        self.queue: Queue | None = None
        self.unknown: str | None = None
        if not settings.is_embedded:
            watched = settings.is_amqp or settings.management_url is not None
            self.unknown = "not looked at yet" if watched else UNWATCHED
        _count(None)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End, soon: a look that is under way ends by itself."""
        self._ending.set()

    def _run(self) -> None:
        while not self._ending.wait(SECONDS / 10):
            try:
                self.look()
            except Exception:
                log.exception("queue: unexpected error")  # a thread that dies would go on saying what was once

    def look(self, *, now: bool = False) -> Queue | None:
        """What is known of the queue; looks if the last look is old, or in trouble, or if ``now`` is asked for."""
        with self._looking:
            fresh = self._looked is not None and monotonic() - self._looked < SECONDS
            if now or not fresh or (self.queue is not None and self.queue.obstacle is not None):
                self._see()
                self._looked = monotonic()
            return self.queue

    def _see(self) -> None:
        before = self.queue
        try:
            seen = self._look(self._settings)
        except CannotLook as error:
            if self.unknown != str(error):
                log.warning("queue: %s", error)
            self.unknown = str(error)
            if before is not None and not before.exists and not self._settings.is_amqp:
                return
            seen = None
        else:
            if seen is not None:
                self.unknown = None
        self.queue = seen
        _count(seen)
        if seen is not None and seen.trouble is not None and (before is None or before.trouble != seen.trouble):
            log.warning("queue: %s", seen.trouble)


def _count(seen: Queue | None) -> None:
    """For Prometheus. What is not known must not go on as it was once."""
    exists = None if seen is None else int(seen.obstacle is None)
    consumers, waiting, dead = (None,) * 3 if seen is None else (seen.consumers, seen.waiting, seen.dead_letters)
    for gauge, value in (
        (metrics.queue_exists, exists),
        (metrics.queue_consumers, consumers),
        (metrics.queue_waiting, waiting),
        (metrics.queue_dead_letters, dead),
    ):
        gauge.set(math.nan if value is None else value)
