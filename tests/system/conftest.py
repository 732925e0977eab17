"""What system tests share: how long they go on, and somebody who listens."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.servers.broker import Broker
from tests.support.environments import Environment
from tests.support.listening import listener


@pytest.fixture(scope="session")
def rounds() -> int:
    """Rounds of each race: few in ``make test``, those of the issue in ``make soak``."""
    return 20 if os.environ.get("SOAK") else 4


@pytest.fixture(scope="module")
def dispatcher(environment: Environment) -> Iterator[None]:
    """Somebody listens to this worker's queue, as doctor and readyz want it."""
    servers = environment.servers
    with listener(Broker(servers.stomp_port, servers.amqp_port, servers.management_url), environment.vhost):
        yield
