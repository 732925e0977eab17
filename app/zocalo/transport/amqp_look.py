"""What AMQP tells about the queue, over a connection of its own, so that sending is not disturbed."""

from __future__ import annotations

import uuid
from contextlib import suppress

import pika
from pika.adapters.blocking_connection import BlockingConnection
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPError, ChannelClosedByBroker, ConnectionBlockedTimeout, UnroutableError
from pika.spec import NOT_FOUND

from app.settings import BrokerSettings
from app.zocalo.queue import CannotLook, Queue, low, missing
from app.zocalo.transport import amqp

GOODBYE = 0.5  # seconds that a broker which blocks us may take over the end of the connection

HEARTBEAT = 2  # seconds; the shorter, the sooner a broker that has frozen in the middle of a look is given up


def look_by_amqp(settings: BrokerSettings) -> Queue:
    """Look at the queue, at that of rejected messages, and whether the broker takes messages at all.

    Raises:
        CannotLook: the broker does not let us in.
    """
    name, vhost, rejected = settings.queue, settings.address.vhost, settings.dead_letters
    try:
        parameters = amqp.parameters(settings)
        parameters.blocked_connection_timeout = GOODBYE
        parameters.heartbeat = HEARTBEAT
        connection = BlockingConnection(parameters)
    except (AMQPError, AMQPConnectorException, OSError) as error:
        raise CannotLook(f"not checked, for the broker was not reached ({amqp.told(error)})") from error
    try:
        if (found := _declared(connection, name)) is None:
            return Queue(name, vhost, missing(name, vhost), exists=False, dead_letter_queue=rejected)
        waiting, consumers = found
        dead_letters = _declared(connection, rejected)
        return Queue(
            name,
            vhost,
            _alarm(connection),
            consumers=consumers,
            waiting=waiting,
            dead_letter_queue=rejected,
            dead_letters=None if dead_letters is None else dead_letters[0],
        )
    except (AMQPError, OSError) as error:
        raise CannotLook(f"not checked, for the broker did not answer ({amqp.told(error)})") from error
    finally:
        if connection.is_open:
            with suppress(AMQPError, OSError):
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


def _alarm(connection: BlockingConnection) -> str | None:
    """Why the broker blocks whoever sends, if it does.

    It says so only to those who have sent something, so we send a message to nowhere. That first one it still handles.
    """
    reasons: list[str] = []
    connection.add_on_connection_blocked_callback(lambda _connection, frame: reasons.append(frame.method.reason))
    channel = connection.channel()
    channel.confirm_delivery()
    with suppress(UnroutableError, ConnectionBlockedTimeout):
        channel.basic_publish("", f"synchweb-em.nowhere.{uuid.uuid4()}", b"", pika.BasicProperties(), mandatory=True)
    if connection.is_open:
        connection.process_data_events(0)  # only now pika tells us of what came before the answer
    return low(reasons[0] or "no reason given") if reasons else None
