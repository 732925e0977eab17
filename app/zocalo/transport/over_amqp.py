"""AMQP 0-9-1, RabbitMQ's own language.
Messages go to the queue itself, through the default exchange, as *mandatory*: a queue that does not exist is an error
here and not, as over STOMP, a message that is lost with a receipt.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any

import pika
from pika.channel import Channel
from pika.exceptions import ChannelClosedByBroker
from pika.spec import NOT_FOUND, PERSISTENT_DELIVERY_MODE

from app.settings import BrokerSettings
from app.zocalo.queue import low
from app.zocalo.transport import amqp, sockets
from app.zocalo.transport.base import QueueMissing, TransportError

GOODBYE = 1.0  # seconds that a close in good order may take; after that it goes on behind our back
NOT_HEADERS = ("content-type", "persistent")  # STOMP's headers that AMQP has properties for


class _Link:
    """One connection with one channel, and the thread that serves it: heart-beats go on while nothing is sent.

    pika's callbacks run in that thread; the relay's thread waits for what they note.
    """

    def __init__(self, settings: BrokerSettings) -> None:
        self._queue = settings.queue
        self._vhost = settings.address.vhost
        self._changed = threading.Condition()
        self._ready = self._ended = False
        self._channel: Channel | None = None
        self._published = 0  # the broker numbers what it confirms in this order
        self._unanswered: dict[int, str] = {}  # message id by that number
        self._answers: dict[str, TransportError | None] = {}  # by message id; None is a confirmation
        self.trouble: TransportError | None = None
        self.blocked: str | None = None  # why the broker takes no messages at present
        self.error: BaseException | None = None  # what ended the connection
        self._connection = pika.SelectConnection(
            amqp.parameters(settings),
            on_open_callback=self._opened,
            on_open_error_callback=self._closed,
            on_close_callback=self._closed,
        )
        self._thread = threading.Thread(target=self._run, name="amqp", daemon=True)
        self._thread.start()

    def wait_ready(self, timeout: float) -> bool:
        """Whether broker and queue were ready in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self.trouble is not None, timeout)
            return self._ready and self.trouble is None

    def publish(self, body: str, message_id: str, properties: pika.BasicProperties) -> None:
        """Hand a message to the thread, unless an earlier try of the same message was or may yet be confirmed."""
        with self._changed:
            if message_id in self._answers or message_id in self._unanswered.values():
                return
        self._call(partial(self._publish, body, message_id, properties))

    def wait_answer(self, message_id: str, timeout: float) -> bool:
        """Whether the broker confirmed the message in time.

        Raises:
            TransportError: it refused, or the connection was lost.
        """
        with self._changed:
            self._changed.wait_for(lambda: message_id in self._answers or self.trouble is not None, timeout)
            if message_id not in self._answers:
                if self.trouble is not None:
                    raise TransportError(str(self.trouble), written=True)
                return False
            if (refused := self._answers.pop(message_id)) is not None:
                raise refused
            return True

    def close(self) -> None:
        """Say goodbye; a broker that does not answer is left to the heart-beats."""
        self._call(self._close)

    def join(self, timeout: float) -> None:
        """Wait until the connection has ended."""
        self._thread.join(timeout)

    def _call(self, work: Callable[[], None]) -> None:
        with self._changed:
            if not self._ended:
                self._connection.ioloop.add_callback_threadsafe(work)

    def _run(self) -> None:
        try:
            self._connection.ioloop.start()
        except Exception as error:  # whatever ends this thread has to end every wait
            self._fail(TransportError(f"the connection was lost ({sockets.told(error)})", written=True))
        finally:
            with self._changed:
                self._ended = True
                self._connection.ioloop.close()

    def _fail(self, trouble: TransportError) -> None:
        with self._changed:
            self.trouble = self.trouble or trouble
            self._changed.notify_all()

    def _close(self) -> None:
        if not (self._connection.is_closing or self._connection.is_closed):
            self._connection.close()

    # Each of these is called by pika, in the thread.
    def _opened(self, connection: Any) -> None:
        connection.add_on_connection_blocked_callback(self._was_blocked)
        connection.add_on_connection_unblocked_callback(self._was_unblocked)
        connection.channel(on_open_callback=self._channel_opened)

    def _channel_opened(self, channel: Channel) -> None:
        self._channel = channel
        channel.add_on_close_callback(self._channel_closed)
        channel.add_on_return_callback(self._returned)
        channel.queue_declare(self._queue, passive=True, callback=self._queue_found)

    def _queue_found(self, _frame: object) -> None:
        assert self._channel is not None
        self._channel.confirm_delivery(self._answered, callback=self._all_ready)

    def _all_ready(self, _frame: object) -> None:
        with self._changed:
            self._ready = True
            self._changed.notify_all()

    def _publish(self, body: str, message_id: str, properties: pika.BasicProperties) -> None:
        if self._channel is None or not self._channel.is_open:
            return  # what closed it has been noted
        with self._changed:
            self._published += 1
            self._unanswered[self._published] = message_id
        self._channel.basic_publish("", self._queue, body.encode(), properties, mandatory=True)

    def _returned(self, _channel: Channel, _method: object, properties: pika.BasicProperties, _body: bytes) -> None:
        # A confirmation follows: it says that the broker has done what it could.
        with self._changed:
            self._answers[str(properties.message_id)] = QueueMissing(self._queue, self._vhost)

    def _answered(self, frame: Any) -> None:
        answer = None
        if isinstance(frame.method, pika.spec.Basic.Nack):
            answer = TransportError("the broker could not keep the message (basic.nack)", written=True)
        with self._changed:
            for number in list(self._unanswered):
                if number == frame.method.delivery_tag or (
                    frame.method.multiple and number < frame.method.delivery_tag
                ):
                    self._answers.setdefault(self._unanswered.pop(number), answer)
            self._changed.notify_all()

    def _was_blocked(self, _connection: object, frame: Any) -> None:
        with self._changed:
            self.blocked = low(frame.method.reason or "no reason given")

    def _was_unblocked(self, _connection: object, _frame: object) -> None:
        with self._changed:
            self.blocked = None

    def _channel_closed(self, _channel: Channel, reason: Exception) -> None:
        if isinstance(reason, ChannelClosedByBroker):
            missing = reason.reply_code == NOT_FOUND
            self._fail(
                QueueMissing(self._queue, self._vhost) if missing else TransportError(amqp.told(reason), written=True)
            )
            self._close()

    def _closed(self, _connection: object, error: BaseException) -> None:
        self.error = error
        self._fail(TransportError(amqp.told(error), written=True))
        self._connection.ioloop.stop()


class AmqpTransport:
    """AMQP with publisher confirms and mandatory routing; the queue is looked for whenever we connect."""

    def __init__(self, settings: BrokerSettings) -> None:
        self._settings = settings
        self.patience = max(settings.connect_timeout, settings.receipt_timeout)
        self._link: _Link | None = None

    def connect(self) -> bool:
        """Connect, log in and find the queue, within ``connect_timeout``."""
        if self._link is not None and self._link.trouble is None:
            # The connection is kept: a new one would not be told that the broker is blocked until it sends something.
            if self._link.blocked is not None:
                raise TransportError(self._link.blocked, written=False)
            return False
        self._drop()
        address, begun = self._settings.address, monotonic()
        try:
            link = self._link = _Link(self._settings)
        except OSError as error:  # the file of authorities
            raise TransportError(f"cannot connect to {address.where} ({sockets.told(error)})", written=False) from error
        if link.wait_ready(self._settings.connect_timeout):
            return True
        trouble, cause = link.trouble, link.error
        self._drop()
        if isinstance(trouble, QueueMissing):
            raise trouble
        left = self._settings.connect_timeout - (monotonic() - begun)
        raise TransportError(amqp.reason(self._settings, trouble, cause, left), written=False)

    def send(self, body: str, headers: dict[str, str]) -> None:
        """Publish and wait for the confirmation."""
        link = self._link
        if link is None or link.trouble is not None:
            raise TransportError(str(link.trouble) if link else "not connected", written=False)
        if link.blocked is not None:
            raise TransportError(link.blocked, written=False)
        message_id = headers["synchweb.message.id"]
        properties = pika.BasicProperties(
            content_type=headers.get("content-type"),
            delivery_mode=PERSISTENT_DELIVERY_MODE,
            message_id=message_id,
            headers={name: value for name, value in headers.items() if name not in NOT_HEADERS},
        )
        link.publish(body, message_id, properties)
        try:
            confirmed = link.wait_answer(message_id, self._settings.receipt_timeout)
        except TransportError:
            self._drop()  # connecting looks for the queue again
            raise
        if not confirmed:
            reason = link.blocked
            if reason is None:
                self._drop()
            raise TransportError(reason or f"no confirmation within {self._settings.receipt_timeout:g} s", written=True)

    def close(self) -> None:
        """Close the connection. Nothing is in flight: each message was waited for."""
        if (link := self._drop()) is not None:
            link.join(GOODBYE)

    def _drop(self) -> _Link | None:
        link, self._link = self._link, None
        if link is not None:
            link.close()
        return link
