"""The ways to a broker that a facility may have: RabbitMQ by STOMP and by AMQP, ActiveMQ by STOMP."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from app.settings import Settings
from tests.servers.activemq import ActiveMQ
from tests.servers.broker import PROCESSING_RECIPE, Message
from tests.servers.certificates import Certificates
from tests.servers.packages import ACTIVEMQ, ensure_packages
from tests.servers.rabbitmq import DECLARATION_SAVED, RabbitMQ
from tests.servers.reaper import Reaper
from tests.support.environments import Environment

VHOST = "zocalo"
WAYS = ["RabbitMQ by STOMP", "RabbitMQ by AMQP", "ActiveMQ by STOMP"]
RABBITMQ_DESTINATION = f"/amq/queue/{PROCESSING_RECIPE}"
ACTIVEMQ_DESTINATION = f"/queue/{PROCESSING_RECIPE}"


@dataclass(frozen=True)
class Way:
    """A broker, and how it is spoken to."""

    name: str
    broker: RabbitMQ | ActiveMQ
    url: str
    tls_url: str
    destination: str
    refuses_login: str  # what it says to a wrong password
    take: Callable[[], list[Message]]  # everything that waits on the queue
    certificates: Certificates = field(repr=False)

    def settings(self, environment: Environment, **broker: Any) -> Settings:
        """The service's settings on this way, with timeouts that a test can wait for."""
        chosen = {
            "url": self.url,
            "destination": self.destination,
            "management_url": None,
            "connect_timeout": 1,
            "receipt_timeout": 2,
        }
        return environment.settings(
            broker=chosen | broker, relay={"claim_seconds": 4, "sweep_seconds": 0.2, "backoff_seconds": 1}
        )

    def environ(self, environment: Environment) -> dict[str, str]:
        """The same for a service in a process of its own, with the timeouts of a facility."""
        return environment.environ | {"EM_BROKER__URL": self.url, "EM_BROKER__DESTINATION": self.destination}


def start_brokers(reaper: Reaper, certificates: Certificates) -> tuple[RabbitMQ, ActiveMQ]:
    """Brokers of a test's own, for those that kill them."""
    ensure_packages((ACTIVEMQ,))
    rabbitmq, activemq = RabbitMQ(reaper, certificates), ActiveMQ(reaper, certificates)
    with ThreadPoolExecutor() as pool:
        for started in [pool.submit(rabbitmq.start), pool.submit(activemq.start)]:
            started.result()
    rabbitmq.add_vhost(VHOST)
    time.sleep(DECLARATION_SAVED)  # otherwise a kill would wait for it, while messages are sent
    return rabbitmq, activemq


def ways_to(rabbitmq: RabbitMQ, activemq: ActiveMQ, certificates: Certificates) -> dict[str, Way]:
    """Every way to these brokers, by its name."""

    def take() -> list[Message]:
        return rabbitmq.messages(VHOST, PROCESSING_RECIPE)

    stomp, amqp, active = WAYS
    ways = [
        Way(
            name=stomp,
            broker=rabbitmq,
            url=rabbitmq.stomp_url(VHOST),
            tls_url=f"stomps://guest:guest@127.0.0.1:{rabbitmq.stomps_port}?vhost={VHOST}",
            destination=RABBITMQ_DESTINATION,
            refuses_login="Access refused for user 'guest'",
            take=take,
            certificates=certificates,
        ),
        Way(
            name=amqp,
            broker=rabbitmq,
            url=rabbitmq.amqp_url(VHOST),
            tls_url=f"amqps://guest:guest@127.0.0.1:{rabbitmq.amqps_port}/{VHOST}",
            destination=RABBITMQ_DESTINATION,
            refuses_login="ACCESS_REFUSED - Login was refused",
            take=take,
            certificates=certificates,
        ),
        Way(
            name=active,
            broker=activemq,
            url=activemq.stomp_url(),
            tls_url=f"stomps://guest:guest@127.0.0.1:{activemq.stomps_port}",
            destination=ACTIVEMQ_DESTINATION,
            refuses_login="password is invalid",
            take=activemq.messages,
            certificates=certificates,
        ),
    ]
    return {way.name: way for way in ways}
