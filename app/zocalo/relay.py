"""The relay: takes messages from the outbox to the broker, at least once, in order per data collection.

Claim and commit, send outside of any transaction, then mark. Several relays share the work. A broker that is away
costs nothing but time: messages wait, and the relay tries again with pauses that grow to a stated bound. Where the
queue can be looked at, nothing is sent while it is known to be missing: a STOMP broker would confirm, and drop it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from sqlalchemy.orm import Session

from app import metrics
from app.db import Database
from app.errors import Unavailable
from app.settings import BrokerSettings, RelaySettings
from app.zocalo import outbox
from app.zocalo.messages import headers
from app.zocalo.outbox import Claimed
from app.zocalo.transport import Transport, TransportError
from app.zocalo.watch import QueueWatch

log = logging.getLogger(__name__)
T = TypeVar("T")

FIRST_PAUSE = 0.5  # seconds; doubled up to RelaySettings.backoff_seconds


class Held(NamedTuple):
    """A message that was claimed, and when, on this process's clock."""

    message: Claimed
    since: float


class Relay:
    """One relay, in a thread of its own.

    Attributes:
        trouble: why nothing can be sent at present.
        watch: what is known of the queue, by whoever looks at it; without one nobody does.
    """

    def __init__(
        self, database: Database, transport: Transport, settings: RelaySettings, watch: QueueWatch | None = None
    ) -> None:
        self._database = database
        self._transport = transport
        self._settings = settings
        self.watch = watch or QueueWatch(BrokerSettings())
        self._woken = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._failures = 0
        self.trouble: str | None = "not connected yet"

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def wake(self) -> None:
        """There is something in the outbox."""
        self._woken.set()

    def stop(self) -> None:
        """Finish the message in hand and end."""
        self._ending.set()
        self._woken.set()
        self._thread.join(3 * self._transport.patience)
        if not self._thread.is_alive():  # otherwise a receipt may be on its way
            self._transport.close()

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                self._be_ready()
                held = self._hold()
                while held is not None:
                    held = self._deliver(held)
                if self._ending.is_set():
                    return
                self._be_ready()  # it may be that none was claimed because something is in the way by now
                self._all_is_well()
                self._woken.wait(self._settings.sweep_seconds)
                self._woken.clear()
            except TransportError as error:
                self._pause_for_broker(str(error))
            except Unavailable as error:
                log.warning("relay: %s", error.detail)
                self._ending.wait(1.0)
            except Exception:
                # A relay that dies leaves jobs pending for ever: say it loudly and go on.
                log.exception("relay: unexpected error")
                self._ending.wait(1.0)

    def _be_ready(self) -> None:
        """Be connected, and know of nothing that keeps messages from arriving. Before any claim, so that what waits can
        still be cancelled in place.
        """
        if self._transport.connect():
            self.watch.look(now=True)
        if (obstacle := self._obstacle()) is not None:
            raise TransportError(obstacle, written=False)

    def _obstacle(self) -> str | None:
        """What keeps messages from arriving, as far as the queue was looked at."""
        queue = self.watch.queue
        return None if queue is None else queue.obstacle

    def _all_is_well(self) -> None:
        """A message was confirmed, or there is none: a broker that only lets one connect has proved nothing."""
        if self.trouble is not None:
            log.info("relay: the broker is there")
        self.trouble, self._failures = None, 0
        metrics.broker_connected.set(1)

    def _hold(self, sent: Claimed | None = None) -> Held | None:
        """Claim a message, after noting that one was sent."""
        since = time.monotonic()

        def work(session: Session) -> Claimed | None:
            if sent is not None:
                outbox.mark_sent(session, sent.id)
            if self._ending.is_set() or self._obstacle() is not None:
                return None
            return outbox.claim(session, self._settings.claim_seconds)

        claimed = self._database.write_apart(work)
        return None if claimed is None else Held(claimed, since)

    def _deliver(self, held: Held) -> Held | None:
        """Send a message; the next one, which was claimed when this one was noted."""
        message = held.message
        try:
            self._be_ready()
            if time.monotonic() - held.since + self._transport.patience > self._settings.claim_seconds:
                raise TransportError("the claim is too old to send", written=False)  # another relay may have it soon
            self._transport.send(message.body, headers(message.login, message.message_id))
        except TransportError as error:
            metrics.sends.labels(message.kind, "failed").inc()
            reason, written = str(error), error.written
            self._settle(
                lambda: self._database.write(
                    lambda session: outbox.mark_failed(
                        # Longer than the pause for the broker, so that other messages have their turn before.
                        session,
                        message,
                        reason,
                        pause=self._pause(message.attempts) + 1.0,
                        written=written,
                    )
                )
            )
            raise
        metrics.sends.labels(message.kind, "confirmed").inc()
        following = self._settle(lambda: self._hold(message))
        self._all_is_well()
        log.info("sent the %s of job %d (message %s)", message.kind, message.job_id, message.message_id)
        return following

    def _settle(self, note: Callable[[], T]) -> T | None:
        """Write down what became of a message, however long the database is away: to forget it is a duplicate."""
        while True:
            try:
                return note()
            except Unavailable as error:
                log.warning("relay: cannot note what became of a message, or claim the next, yet: %s", error.detail)
            except Exception:
                log.exception("relay: cannot note what became of a message, or claim the next, yet")
            if self._ending.wait(0.5):
                return None

    def _pause(self, failures: int) -> float:
        return float(min(FIRST_PAUSE * 2 ** min(failures, 30), self._settings.backoff_seconds))

    def _pause_for_broker(self, reason: str) -> None:
        pause = self._pause(self._failures)
        self._failures += 1
        if self.trouble != reason:
            log.warning("relay: broker: %s; messages wait in the outbox", reason)
        self.trouble = reason
        metrics.broker_connected.set(0)
        try:
            self._database.write(lambda session: outbox.note_trouble(session, reason))
        except Unavailable as error:
            log.warning("relay: %s", error.detail)
        self._ending.wait(pause)
