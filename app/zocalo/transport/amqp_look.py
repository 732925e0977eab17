"""What AMQP tells about the queue, over a connection of its own, so that sending is not disturbed."""

from __future__ import annotations

import uuid

import pika
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection
from pika.exceptions import AMQPError, ChannelClosedByBroker, ConnectionBlockedTimeout, UnroutableError
from pika.spec import NOT_FOUND

from app.settings import BrokerSettings
from app.zocalo.queue import CannotLook, Queue, low, missing
from app.zocalo.transport import amqp

BLOCKED = 2.0  # seconds that a broker may block us before we believe that it takes no messages

HEARTBEAT = 2  # seconds; the shorter, the sooner a broker that has frozen in the middle of a look is given up


def look_by_amqp(settings: BrokerSettings) -> Queue:
    """Look at the queue, at that of rejected messages, and whether the broker takes messages at all.

    Raises:
        CannotLook: the broker does not let us in.
    """
    name, vhost, rejected = settings.queue, settings.address.vhost, settings.dead_letters
    parameters = amqp.parameters(settings)
    parameters.blocked_connection_timeout = BLOCKED
    parameters.heartbeat = HEARTBEAT
    try:
        connection = BlockingConnection(parameters)
    except (AMQPError, OSError) as error:
        raise CannotLook(f"not checked, for the broker was not reached ({amqp.told(error)})") from error
    try:
        if (found := _declared(connection, name)) is None:
            return Queue(name, vhost, missing(name, vhost), dead_letter_queue=rejected)
        waiting, consumers = found
        dead_letters = _declared(connection, rejected)
        return Queue(
            name,
            vhost,
            low("low on memory or disk") if _blocked(connection.channel()) else None,
            consumers=consumers,
            waiting=waiting,
            dead_letter_queue=rejected,
            dead_letters=None if dead_letters is None else dead_letters[0],
        )
    except (AMQPError, OSError) as error:
        raise CannotLook(f"not checked, for the broker did not answer ({amqp.told(error)})") from error
    finally:
        if connection.is_open:
            connection.close()


def _declared(connection: BlockingConnection, name: str) -> tuple[int, int] | None:
    """Messages and consumers of a queue, if there is one. Passive: nothing is declared."""
    channel = connection.channel()  # its own, for the broker closes it when there is none
    try:
        found = channel.queue_declare(name, passive=True).method
    except ChannelClosedByBroker as error:
        if error.reply_code == NOT_FOUND:
            return None
        raise
    return found.message_count, found.consumer_count


def _blocked(channel: BlockingChannel) -> bool:
    """Whether the broker blocks whoever sends. It says so only to those who try: with a message to nowhere."""
    channel.confirm_delivery()
    try:
        channel.basic_publish("", f"synchweb-em.nowhere.{uuid.uuid4()}", b"", pika.BasicProperties(), mandatory=True)
    except UnroutableError:
        return False
    except ConnectionBlockedTimeout:
        return True
    return False
