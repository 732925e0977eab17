"""Launches: how many a second, and how soon Zocalo has them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pika
import sqlalchemy as sa

from app.db import Database
from app.zocalo.outbox import outbox
from tests.bench.samples import Sample
from tests.servers.broker import PROCESSING_RECIPE
from tests.support.environments import Environment

ARRIVE_TIMEOUT = 60.0  # seconds until the last message is there


class Zocalo:
    """A consumer of the queue that starts arrive in; it notes when each job's does."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._parameters = pika.ConnectionParameters(
            host="127.0.0.1", port=environment.servers.amqp_port, virtual_host=environment.vhost
        )
        self._arrived: dict[int, datetime] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._consume, name="zocalo", daemon=True)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Until the block ends."""
        self._thread.start()
        try:
            yield
        finally:
            self._ending.set()
            self._thread.join(10)

    def delays(self, since: int) -> Sample:
        """Of the starts with a higher number than this in the outbox: from the row to the consumer.

        The row is written within the launch's transaction, so that its commit is part of the delay.
        """
        with _database(self._environment) as database, database.read() as session:
            wanted = sa.select(outbox.c.job_id, outbox.c.queued_at).where(outbox.c.id > since)
            queued = {row.job_id: row.queued_at.replace(tzinfo=UTC) for row in session.execute(wanted)}
        begun = time.monotonic()
        while missing := queued.keys() - self._arrived.keys():
            if time.monotonic() - begun > ARRIVE_TIMEOUT:
                raise RuntimeError(f"{len(missing)} of {len(queued)} starts never reached the broker")
            time.sleep(0.01)
        arrived = {job: self._arrived[job] for job in queued}
        times = [(arrived[job] - queued[job]).total_seconds() * 1000 for job in queued]
        seconds = (max(arrived.values()) - min(queued.values())).total_seconds() if queued else 1.0
        return Sample.of_times(times, seconds)

    def last(self) -> int:
        """The highest number in the outbox."""
        with _database(self._environment) as database, database.read() as session:
            return session.execute(sa.select(sa.func.max(outbox.c.id))).scalar() or 0

    def _consume(self) -> None:
        connection = pika.BlockingConnection(self._parameters)
        channel = connection.channel()
        channel.basic_consume(PROCESSING_RECIPE, self._note, auto_ack=True)
        while not self._ending.is_set():
            connection.process_data_events(time_limit=0.1)
        connection.close()

    def _note(self, _channel: Any, _method: Any, _properties: Any, body: bytes) -> None:
        now = datetime.now(UTC)
        parameters = json.loads(body).get("parameters", {})
        self._arrived.setdefault(int(parameters.get("ispyb_process", 0)), now)


@contextmanager
def _database(environment: Environment) -> Iterator[Database]:
    database = Database(environment.settings(), pool_size=1)
    try:
        yield database
    finally:
        database.dispose()
