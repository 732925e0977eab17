"""What the relay asks of any way to the broker."""

from __future__ import annotations

from typing import Protocol

from app.zocalo.queue import missing


class TransportError(Exception):
    """The broker did not confirm.

    Args:
        written: whether any of the message may have reached it.
    """

    def __init__(self, reason: str, *, written: bool) -> None:
        super().__init__(reason)
        self.written = written


class QueueMissing(TransportError):
    """The broker is there and has no such queue; nothing was kept of the message."""

    def __init__(self, queue: str, vhost: str) -> None:
        super().__init__(missing(queue, vhost), written=False)


class Blocked(TransportError):
    """The broker lets us in and takes no messages at present."""


class Transport(Protocol):
    """A way to the broker, used by one relay.

    Args:
        patience: seconds that one ``connect`` or one ``send`` may take.
    """

    patience: float

    def connect(self) -> bool:
        """Be connected; do nothing if that is so already.

        Returns:
            Whether the connection is a new one.

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
