"""What the AMQP transport makes of pika's errors."""

from __future__ import annotations

import pytest
from pika.adapters.utils.connection_workflow import (
    AMQPConnectionWorkflowFailed,
    AMQPConnectorAMQPHandshakeError,
    AMQPConnectorStackTimeout,
)
from pika.exceptions import ConnectionOpenAborted

from app.settings import Settings
from app.zocalo.transport import amqp
from app.zocalo.transport.base import TransportError

TIMEOUT = AMQPConnectorStackTimeout("Timeout during AMQP handshake")


@pytest.mark.parametrize(
    "error",
    [
        TIMEOUT,
        AMQPConnectionWorkflowFailed([AMQPConnectorAMQPHandshakeError(TIMEOUT)]),
        AMQPConnectorAMQPHandshakeError(ConnectionOpenAborted("Connection.close() called before it was open")),
        None,
    ],
    ids=repr,
)
def test_a_broker_that_says_nothing_is_told_in_one_way(error: BaseException | None) -> None:
    broker = Settings.model_validate({"broker": {"url": "amqps://em:s3cret@h:5671", "connect_timeout": 3}}).broker
    trouble = None if error is None else TransportError("what pika said", written=False)

    reason = amqp.reason(broker, trouble, error, 0.0)

    assert reason.endswith("no answer within 3 s")
    assert "s3cret" not in reason
