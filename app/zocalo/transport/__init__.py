"""How a message reaches the broker: over STOMP, over AMQP, or as a file in the demo's folder.

Only this package knows ``stomp.py`` and ``pika``.
"""

from __future__ import annotations

from app.settings import BrokerSettings
from app.zocalo.transport.amqp_look import look_by_amqp
from app.zocalo.transport.base import Blocked, QueueMissing, Transport, TransportError
from app.zocalo.transport.over_amqp import AmqpTransport
from app.zocalo.transport.over_stomp import StompTransport
from app.zocalo.transport.spool import SpoolTransport

__all__ = [
    "AmqpTransport",
    "Blocked",
    "QueueMissing",
    "SpoolTransport",
    "StompTransport",
    "Transport",
    "TransportError",
    "create",
    "look_by_amqp",
]


def create(settings: BrokerSettings) -> Transport:
    """The way to the broker that the settings name."""
    if settings.is_embedded:
        return SpoolTransport(settings.spool)
    return AmqpTransport(settings) if settings.is_amqp else StompTransport(settings)
