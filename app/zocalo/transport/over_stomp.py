"""STOMP, for RabbitMQ's plugin and for ActiveMQ. This is the only code that knows ``stomp.py``."""

from __future__ import annotations

import threading
import uuid
from time import monotonic

import stomp
from stomp.exception import StompException
from stomp.utils import Frame

from app.settings import BrokerSettings
from app.zocalo.transport import sockets
from app.zocalo.transport.base import Blocked, TransportError

EXISTING = "/amq/queue/"  # RabbitMQ's destinations that declare nothing


class _Listener(stomp.ConnectionListener):
    """Waits for CONNECTED and for receipts; an ERROR or a lost connection ends every wait."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._connected = False
        self._receipts: set[str] = set()
        self.trouble: str | None = None
        self.said = False  # whether the broker answered in STOMP at all

    def on_connected(self, frame: Frame) -> None:
        with self._changed:
            self._connected = True
            self._changed.notify_all()

    def on_receipt(self, frame: Frame) -> None:
        with self._changed:
            self._receipts.add(frame.headers["receipt-id"])
            self._changed.notify_all()

    def on_error(self, frame: Frame) -> None:
        title, text = frame.headers.get("message", ""), str(frame.body or "")
        message = " ".join((text if title in text else f"{title} {text}").split())
        self.said = True
        self._fail(f"the broker says: {message[:180].rstrip('.')}" if message else "the broker refused")

    def on_disconnected(self) -> None:
        self._fail("the connection was lost")

    def on_heartbeat_timeout(self) -> None:
        self._fail("the broker's heart-beats stopped")

    def _fail(self, reason: str) -> None:
        with self._changed:
            self.trouble = self.trouble or reason
            self._changed.notify_all()

    def wait_connected(self, timeout: float) -> bool:
        """Whether CONNECTED came in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._connected or self.trouble is not None, timeout)
            return self._connected and self.trouble is None

    def wait_receipt(self, receipt: str, timeout: float) -> bool:
        """Whether this receipt came in time."""
        with self._changed:
            self._changed.wait_for(lambda: receipt in self._receipts or self.trouble is not None, timeout)
            found = receipt in self._receipts
            self._receipts.discard(receipt)
            return found


class StompTransport:
    """STOMP 1.2 with an explicit vhost, heart-beats both ways and a receipt for every message.

    RabbitMQ gives a receipt for a message to ``/amq/queue/…`` even if there is no such queue.
    """

    def __init__(self, settings: BrokerSettings) -> None:
        self._settings = settings
        self.patience = max(settings.connect_timeout, settings.receipt_timeout)
        self._connection: stomp.StompConnection12 | None = None
        self._listener = _Listener()

    def connect(self) -> bool:
        """Connect and log in, within ``connect_timeout``."""
        if self._connection is not None:
            if self._connection.is_connected() and self._listener.trouble is None:
                return False
            self.close()
        address, begun = self._settings.address, monotonic()
        beat = int(self._settings.heartbeat * 1000)
        connection = stomp.StompConnection12(
            [(address.host, address.port)],
            vhost=address.vhost,  # by itself stomp.py sends the host name, which RabbitMQ refuses
            heartbeats=(beat, beat),
            reconnect_attempts_max=1,  # the relay has its own pauses
            prefer_localhost=False,
            try_loopback_connect=False,
        )
        try:
            opened = sockets.connect(address, self._settings.ca_file, self._settings.connect_timeout)
        except OSError as error:
            raise TransportError(f"cannot connect to {address.where} ({sockets.told(error)})", written=False) from error
        # stomp.py takes a socket that is there already. Its own TLS never notices that the broker has gone, and its own
        # connecting keeps the reason of a failure to itself.
        connection.transport.socket = opened
        connection.transport.current_host_and_port = (address.host, address.port)
        self._listener = _Listener()
        self._connection = connection
        connection.set_listener("relay", self._listener)
        try:
            # wait=False: stomp.py's own wait has no end when a broker accepts and never answers.
            connection.connect(address.user, address.password.get_secret_value(), wait=False)
        except (StompException, OSError) as error:
            self.close()
            raise TransportError(f"cannot connect to {address.where} ({sockets.told(error)})", written=False) from error
        left = self._settings.connect_timeout - (monotonic() - begun)
        if not self._listener.wait_connected(left):
            reason, said = self._listener.trouble, self._listener.said
            self.close()
            left = self._settings.connect_timeout - (monotonic() - begun)
            if not said and not address.tls and sockets.speaks_tls(address, left):
                reason = "that port speaks TLS: use stomps:// in EM_BROKER__URL"
            reason = reason or f"no answer within {self._settings.connect_timeout:g} s"
            raise TransportError(f"{address.where}: {reason}", written=False)
        self._try_out(max(1.0, self._settings.connect_timeout - (monotonic() - begun)))
        return True

    def _try_out(self, timeout: float) -> None:
        """Make sure that the broker takes messages at all, by two to a queue that there is not.

        RabbitMQ confirms and drops them. Low on memory or disk it confirms the first message of a connection, and then
        says nothing.
        """
        if not self._settings.destination.startswith(EXISTING):
            return  # other destinations are made by whoever sends to them first
        try:
            for _ in range(2):
                self._send(f"{EXISTING}synchweb-em.nowhere.{uuid.uuid4()}", "", {}, timeout)
        except TransportError as error:
            raise Blocked(f"the broker lets us in, but: {error}", written=False) from error

    def send(self, body: str, headers: dict[str, str]) -> None:
        """Send with a receipt, which is the only proof that the broker has it."""
        self._send(self._settings.destination, body, headers, self._settings.receipt_timeout)

    def _send(self, destination: str, body: str, headers: dict[str, str], timeout: float) -> None:
        connection, listener = self._connection, self._listener
        if connection is None or listener.trouble is not None:
            raise TransportError(listener.trouble or "not connected", written=False)
        receipt = str(uuid.uuid4())
        try:
            connection.send(destination, body, headers={**headers, "receipt": receipt})
        except (StompException, OSError) as error:
            self.close()
            raise TransportError(f"sending failed ({str(error) or type(error).__name__})", written=True) from error
        if not listener.wait_receipt(receipt, timeout):
            silence = f"no receipt within {timeout:.2g} s, as when the broker is low on memory or disk"
            reason = listener.trouble or silence
            self.close()
            raise TransportError(reason, written=True)

    def close(self) -> None:
        """Drop the connection. Nothing is in flight: each message was waited for."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.remove_listener("relay")
            connection.transport.disconnect_socket()
