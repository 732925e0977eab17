"""How pika is told where to connect, and what its many errors mean."""

from __future__ import annotations

import re

import pika
from pika.adapters.utils import connection_workflow as workflow
from pika.exceptions import (
    ChannelClosedByBroker,
    ConnectionClosed,
    ConnectionOpenAborted,
    IncompatibleProtocolError,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
    StreamLostError,
)

from app.settings import BrokerSettings
from app.zocalo.transport import sockets
from app.zocalo.transport.base import TransportError

QUOTED = re.compile(r"""\(\d+\) ['"](.*)['"]""", re.DOTALL)


def parameters(settings: BrokerSettings) -> pika.ConnectionParameters:
    """Where to connect, as whom, and how long to wait."""
    address = settings.address
    tls = pika.SSLOptions(sockets.context(settings.ca_file), address.host) if address.tls else None
    return pika.ConnectionParameters(
        host=address.host,
        port=address.port,
        virtual_host=address.vhost,
        credentials=pika.PlainCredentials(address.user, address.password.get_secret_value()),
        ssl_options=tls,
        heartbeat=int(settings.heartbeat),
        connection_attempts=1,  # the relay has its own pauses
        socket_timeout=settings.connect_timeout,
        stack_timeout=settings.connect_timeout,
        client_properties={"product": "synchweb-em"},
    )


def reason(settings: BrokerSettings, trouble: TransportError | None, error: BaseException | None, left: float) -> str:
    """Why there is no connection."""
    address, patience, cause = settings.address, settings.connect_timeout, _cause(error)
    if isinstance(cause, StreamLostError | IncompatibleProtocolError | None) and not address.tls:
        if sockets.speaks_tls(address, left):
            return f"{address.where}: that port speaks TLS: use amqps:// in EM_BROKER__URL"
    # pika tells the end of its patience in two ways, by which of its clocks was first.
    if trouble is None or isinstance(cause, workflow.AMQPConnectorStackTimeout | ConnectionOpenAborted):
        return f"{address.where}: no answer within {patience:g} s"
    return (
        f"cannot connect to {address.where} ({trouble})"
        if isinstance(cause, OSError)
        else f"{address.where}: {trouble}"
    )


def _cause(error: BaseException | None) -> BaseException | None:
    """What lies below pika's wrappings."""
    while True:
        if isinstance(error, workflow.AMQPConnectionWorkflowFailed):
            error = error.exceptions[-1]
        elif isinstance(error, workflow.AMQPConnectorPhaseErrorBase):
            error = error.exception
        elif error is not None and len(error.args) == 1 and isinstance(error.args[0], BaseException):
            error = error.args[0]
        else:
            return error


def told(error: BaseException) -> str:
    """What the broker, or the way to it, said."""
    cause = _cause(error)
    if isinstance(cause, ConnectionClosed | ChannelClosedByBroker):
        return f"the broker says: {cause.reply_text.rstrip('.')}"
    if isinstance(cause, ProbableAuthenticationError | ProbableAccessDeniedError):
        # pika says it with names of its own around what the broker said: ConnectionClosedByBroker: (403) '…'
        quoted = QUOTED.search(str(cause))
        return f"the broker says: {(quoted[1] if quoted else str(cause)).rstrip('.')}"
    if isinstance(cause, StreamLostError):
        return "the connection was lost"
    return sockets.told(cause or error)
