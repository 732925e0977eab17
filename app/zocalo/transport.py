"""How a message reaches the broker. ``StompTransport`` is the only code that knows ``stomp.py``."""

from __future__ import annotations

import json
import os
import threading
import uuid
from pathlib import Path
from typing import Protocol

import stomp
from stomp.exception import StompException
from stomp.utils import Frame

from app.settings import BrokerSettings


class TransportError(Exception):
    """The broker did not confirm.

    Args:
        written: whether any of the message may have reached it.
    """

    def __init__(self, reason: str, *, written: bool) -> None:
        super().__init__(reason)
        self.written = written


class Transport(Protocol):
    """A way to the broker, used by one relay.

    Args:
        patience: seconds that one ``connect`` or one ``send`` may take.
    """

    patience: float

    def connect(self) -> None:
        """Be connected; do nothing if that is so already.

        Raises:
            TransportError: with ``written`` false.
        """

    def send(self, body: str, headers: dict[str, str]) -> None:
        """Hand over one message and wait for the broker's confirmation.

        Raises:
            TransportError: there was none in time.
        """

    def close(self) -> None:
        """Let go of the broker."""


class _Listener(stomp.ConnectionListener):
    """Waits for CONNECTED and for receipts; an ERROR or a lost connection ends every wait."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._connected = False
        self._receipts: set[str] = set()
        self.trouble: str | None = None

    def on_connected(self, frame: Frame) -> None:
        with self._changed:
            self._connected = True
            self._changed.notify_all()

    def on_receipt(self, frame: Frame) -> None:
        with self._changed:
            self._receipts.add(frame.headers["receipt-id"])
            self._changed.notify_all()

    def on_error(self, frame: Frame) -> None:
        message = " ".join(f"{frame.headers.get('message', '')} {frame.body or ''}".split())
        self._fail(f"the broker says: {message[:180]}" if message else "the broker refused")

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
    """STOMP 1.2 with an explicit vhost, heart-beats both ways and a receipt for every message."""

    def __init__(self, settings: BrokerSettings) -> None:
        self._settings = settings
        self.patience = max(settings.connect_timeout, settings.receipt_timeout)
        self._connection: stomp.StompConnection12 | None = None
        self._listener = _Listener()

    def connect(self) -> None:
        """Connect and log in, within ``connect_timeout``."""
        if self._connection is not None:
            if self._connection.is_connected() and self._listener.trouble is None:
                return
            self.close()
        address = self._settings.address
        beat = int(self._settings.heartbeat * 1000)
        connection = stomp.StompConnection12(
            [(address.host, address.port)],
            vhost=address.vhost,  # by itself stomp.py sends the host name, which RabbitMQ refuses
            heartbeats=(beat, beat),
            timeout=self._settings.connect_timeout,
            reconnect_attempts_max=1,  # the relay has its own pauses
            prefer_localhost=False,
            try_loopback_connect=False,
        )
        self._listener = _Listener()
        self._connection = connection
        connection.set_listener("relay", self._listener)
        try:
            # wait=False: stomp.py's own wait has no end when a broker accepts and never answers.
            connection.connect(address.user, address.password.get_secret_value(), wait=False)
        except (StompException, OSError) as error:
            self.close()
            raise TransportError(
                f"cannot connect to {address.host}:{address.port} ({str(error) or type(error).__name__})", written=False
            ) from error
        if not self._listener.wait_connected(self._settings.connect_timeout):
            reason = self._listener.trouble or f"no answer within {self._settings.connect_timeout:g} s"
            self.close()
            raise TransportError(f"{address.host}:{address.port}: {reason}", written=False)

    def send(self, body: str, headers: dict[str, str]) -> None:
        """Send with a receipt, which is the only proof that the broker has it."""
        connection, listener = self._connection, self._listener
        if connection is None or listener.trouble is not None:
            raise TransportError(listener.trouble or "not connected", written=False)
        receipt = str(uuid.uuid4())
        try:
            connection.send(self._settings.destination, body, headers={**headers, "receipt": receipt})
        except (StompException, OSError) as error:
            self.close()
            raise TransportError(f"sending failed ({str(error) or type(error).__name__})", written=True) from error
        if not listener.wait_receipt(receipt, self._settings.receipt_timeout):
            reason = listener.trouble or f"no receipt within {self._settings.receipt_timeout:g} s"
            self.close()
            raise TransportError(reason, written=True)

    def close(self) -> None:
        """Drop the connection. Nothing is in flight: each message was waited for."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.remove_listener("relay")
            connection.transport.disconnect_socket()


class SpoolTransport:
    """The demo's broker: a folder. A message is a file that appears whole, and the file is its receipt."""

    patience = 1.0

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sequence = 0

    def connect(self) -> None:
        """Make sure that the folder is there."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TransportError(f"cannot create {self._folder} ({error.strerror})", written=False) from error

    def send(self, body: str, headers: dict[str, str]) -> None:
        """Write the message under another name, then rename it: whoever reads the folder sees all or nothing."""
        message_id = headers["synchweb.message.id"]
        draft = self._folder / f".{message_id}"
        try:
            with draft.open("w") as file:
                json.dump({"body": json.loads(body), "headers": headers}, file)
                file.flush()
                os.fsync(file.fileno())
            self._sequence += 1
            draft.rename(self._folder / f"{os.stat(draft).st_mtime_ns:020d}-{self._sequence:06d}-{message_id}.json")
        except OSError as error:
            raise TransportError(f"cannot write to {self._folder} ({error.strerror})", written=True) from error

    def close(self) -> None:
        """Nothing to let go of."""


def create(settings: BrokerSettings) -> Transport:
    """The way to the broker that the settings name."""
    return SpoolTransport(settings.spool) if settings.is_embedded else StompTransport(settings)
