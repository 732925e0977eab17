"""Whether somebody listens: looks at the queue, independent of sending, for the relay, readyz, doctor and metrics."""

from __future__ import annotations

import logging
import math
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
    """Remembers the last look, and makes the next when it is due.

    A queue that was seen to be missing counts as missing until a look finds it: while none can be made, sending might
    lose messages.
    """

    def __init__(self, settings: BrokerSettings, look: Callable[[BrokerSettings], Queue | None] = look) -> None:
        self._settings = settings
        self._look = look
        self._looked: float | None = None
        self.queue: Queue | None = None
        self.unknown: str | None = None if settings.is_embedded else UNWATCHED

    def look(self, *, now: bool = False) -> Queue | None:
        """What is known of the queue; looks if the last look is old, or if ``now`` is asked for."""
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
            if before is None or before.obstacle is None:
                self.queue = None
                _count(None)
            return
        if seen is None:
            return
        self.queue, self.unknown = seen, None
        if seen.trouble is not None and (before is None or before.trouble != seen.trouble):
            log.warning("queue: %s", seen.trouble)
        _count(seen)


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
