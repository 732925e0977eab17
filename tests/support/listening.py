"""Somebody who listens to a queue, as Zocalo's Dispatcher does, and leaves every message where it is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from urllib.parse import quote

import pika

from tests.servers.broker import PROCESSING_RECIPE, Broker

SEEN = 30.0  # seconds until the management API has noticed; it counts every five, a new queue after ten


@contextmanager
def listener(broker: Broker, vhost: str, queue: str = PROCESSING_RECIPE) -> Iterator[None]:
    """A consumer that is there, by the management API too, until the block ends; what it was given goes back."""
    connection = pika.BlockingConnection(pika.URLParameters(broker.amqp_url(vhost)))
    channel = connection.channel()
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(queue, lambda *_: None)
    thread = Thread(target=channel.start_consuming, daemon=True)
    thread.start()
    try:
        wait_counted(broker, vhost, queue, consumers=1)
        yield
    finally:
        connection.add_callback_threadsafe(channel.stop_consuming)
        thread.join(10)
        connection.close()


def wait_counted(broker: Broker, vhost: str, queue: str, **counts: int) -> None:
    """Wait until the management API has counted so many ``consumers`` or ``messages``."""
    deadline = time.monotonic() + SEEN
    path = f"/queues/{quote(vhost, safe='')}/{quote(queue, safe='')}"
    while not counts.items() <= broker.call("GET", path).items():
        assert time.monotonic() < deadline, f"{queue} has not {counts} within {SEEN} s"
        time.sleep(0.2)
