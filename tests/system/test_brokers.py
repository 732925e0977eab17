"""The same suite on every broker that a facility may have: RabbitMQ by STOMP and by AMQP, ActiveMQ by STOMP."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from app.db import Database
from app.settings import Settings
from app.zocalo import outbox as outbox_module
from app.zocalo import transport as transports
from app.zocalo.messages import StartJob, headers
from app.zocalo.outbox import outbox
from app.zocalo.relay import Relay
from app.zocalo.transport import AmqpTransport, QueueMissing, TransportError
from tests.servers.activemq import ActiveMQ
from tests.servers.broker import Message
from tests.servers.certificates import Certificates
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.reaper import Reaper
from tests.support.doctor import examine
from tests.support.environments import Environment
from tests.support.users import PASSWORD
from tests.support.ways import VHOST, WAYS, Way, start_brokers, ways_to

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]  # the first installs ActiveMQ


@pytest.fixture(scope="module")
def certificates(reaper: Reaper) -> Certificates:
    return Certificates(reaper.new_folder("certificates"))


@pytest.fixture(scope="module")
def brokers(reaper: Reaper, certificates: Certificates) -> tuple[RabbitMQ, ActiveMQ]:
    """Brokers of these tests' own: they are killed."""
    return start_brokers(reaper, certificates)


@pytest.fixture
def ways(brokers: tuple[RabbitMQ, ActiveMQ], certificates: Certificates) -> dict[str, Way]:
    """Every way, on brokers that run."""
    rabbitmq, activemq = brokers
    for broker in brokers:
        broker.start()
    return ways_to(rabbitmq, activemq, certificates)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, ways: dict[str, Way]) -> Way:
    """Each way in turn, its queue empty."""
    way = ways[request.param]
    way.take()
    return way


@pytest.fixture
def amqp(ways: dict[str, Way]) -> Way:
    """What only AMQP can do."""
    way = ways["RabbitMQ by AMQP"]
    way.take()
    return way


@pytest.fixture
def database(environment: Environment) -> Iterator[Database]:
    """This worker's database, with an empty outbox."""
    database = Database(environment.settings(), pool_size=10)
    database.write(lambda session: session.execute(sa.delete(outbox)))
    yield database
    database.write(lambda session: session.execute(sa.delete(outbox)))
    database.dispose()


def new_relay(database: Database, chosen: Settings) -> Relay:
    return Relay(database, transports.create(chosen.broker), chosen.relay)


def enqueue(database: Database, key: int, *numbers: int) -> None:
    """Leave start messages of one data collection in the outbox."""

    def write(session: Any) -> None:
        for number in numbers:
            outbox_module.enqueue(session, key, StartJob(number, f"g{number}"), "somebody")

    database.write(write)


def waiting(database: Database) -> int:
    with database.read() as session:
        return outbox_module.waiting(session)[0]


def until(condition: Callable[[], bool], seconds: float) -> None:
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds, f"not within {seconds} s"
        time.sleep(0.02)


def numbers(messages: list[Message]) -> list[int]:
    return [message["payload"]["parameters"]["ispyb_process"] for message in messages]


def cannot_connect(chosen: Settings) -> str:
    """What is said when there is no connection; it is told in time, and nothing was sent."""
    transport = transports.create(chosen.broker)
    begun = time.monotonic()
    with pytest.raises(TransportError) as caught:
        transport.connect()
    took = time.monotonic() - begun
    transport.close()
    assert caught.value.written is False
    assert took < chosen.broker.connect_timeout + 1
    return str(caught.value)


def test_a_message_arrives_once_with_body_and_headers(way: Way, database: Database, environment: Environment) -> None:
    enqueue(database, 7, 4711)
    relay = new_relay(database, way.settings(environment))

    relay.start()
    until(lambda: waiting(database) == 0, 10)
    relay.stop()

    (message,) = way.take()
    assert message["payload"] == {"parameters": {"ispyb_process": 4711, "guid": "g4711"}}
    assert message["headers"]["zocalo.go.user"] == message["headers"]["synchweb.user"] == "somebody"
    assert message["headers"]["zocalo.go.host"] == message["headers"]["synchweb.host"] == socket.gethostname()
    assert len(message["headers"]["synchweb.message.id"]) == 36
    assert message["properties"]["content_type"] == "application/json"
    assert message["properties"]["delivery_mode"] == 2
    assert message["redelivered"] is False


def test_messages_of_a_data_collection_arrive_in_order(way: Way, database: Database, environment: Environment) -> None:
    enqueue(database, 7, *range(1, 101))
    relay = new_relay(database, way.settings(environment))

    relay.start()
    until(lambda: waiting(database) == 0, 30)
    relay.stop()

    assert numbers(way.take()) == list(range(1, 101))


def test_a_wrong_password_is_named(way: Way, environment: Environment) -> None:
    said = cannot_connect(way.settings(environment, url=way.url.replace(":guest@", f":{PASSWORD}@")))

    assert way.refuses_login in said
    assert PASSWORD not in said


@pytest.mark.parametrize("name", WAYS[:2])
def test_a_wrong_vhost_is_named(ways: dict[str, Way], name: str, environment: Environment) -> None:
    said = cannot_connect(ways[name].settings(environment, url=ways[name].url.replace(VHOST, "nowhere")))

    assert "nowhere" in said


def test_over_tls_a_message_arrives(way: Way, environment: Environment) -> None:
    chosen = way.settings(environment, url=way.tls_url, ca_file=way.certificates.authority)
    transport = transports.create(chosen.broker)

    transport.connect()
    transport.send(StartJob(1, "g1").body(), headers("somebody", "an-id"))
    transport.close()

    (message,) = way.take()
    assert message["headers"]["synchweb.message.id"] == "an-id"


def test_a_certificate_of_an_authority_that_is_not_known_is_refused(way: Way, environment: Environment) -> None:
    said = cannot_connect(way.settings(environment, url=way.tls_url))

    assert "its certificate is refused" in said
    assert "EM_BROKER__CA_FILE" in said


def test_a_certificate_of_another_host_is_refused(way: Way, environment: Environment) -> None:
    url = way.tls_url.replace("127.0.0.1", "localhost")

    said = cannot_connect(way.settings(environment, url=url, ca_file=way.certificates.authority))

    assert "not valid for 'localhost'" in said


def test_plain_text_to_a_tls_port_is_named(way: Way, environment: Environment) -> None:
    scheme, _, rest = way.tls_url.partition("://")

    said = cannot_connect(way.settings(environment, url=f"{scheme.removesuffix('s')}://{rest}"))

    assert f"that port speaks TLS: use {scheme}:// in EM_BROKER__URL" in said


def test_tls_to_a_plain_port_is_named(way: Way, environment: Environment) -> None:
    scheme, _, rest = way.url.partition("://")

    said = cannot_connect(way.settings(environment, url=f"{scheme}s://{rest}", ca_file=way.certificates.authority))

    assert "TLS" in said
    assert "plain-text port" in said


def test_over_amqp_a_message_waits_until_its_queue_exists(
    amqp: Way, database: Database, environment: Environment
) -> None:
    assert isinstance(amqp.broker, RabbitMQ)
    enqueue(database, 7, 4711)
    relay = new_relay(database, amqp.settings(environment, destination="/amq/queue/later"))

    def told() -> outbox_module.Delivery:
        with database.read() as session:
            return outbox_module.find_deliveries(session, [4711])[4711, "start"][0]

    relay.start()
    until(lambda: "there is no queue later in vhost zocalo" in str(relay.trouble), 5)
    until(lambda: told().last_error is not None, 5)  # written down a moment later
    delivery = told()
    amqp.broker.declare_queue(VHOST, "later")
    until(lambda: waiting(database) == 0, 10)
    relay.stop()

    assert "there is no queue later" in str(delivery.last_error)
    assert delivery.sent_at is None
    assert delivery.attempted_at is None  # so that it can still be cancelled
    assert numbers(amqp.broker.messages(VHOST, "later")) == [4711]


def test_over_amqp_a_queue_that_is_deleted_under_way_is_an_error_and_no_loss(
    amqp: Way, environment: Environment
) -> None:
    assert isinstance(amqp.broker, RabbitMQ)
    amqp.broker.declare_queue(VHOST, "short-lived")
    transport = transports.create(amqp.settings(environment, destination="/amq/queue/short-lived").broker)
    transport.connect()
    amqp.broker.delete_queue(VHOST, "short-lived")

    with pytest.raises(QueueMissing, match="there is no queue short-lived") as caught:
        transport.send(StartJob(1, "g1").body(), headers("somebody", "an-id"))
    with pytest.raises(QueueMissing):
        transport.connect()

    assert caught.value.written is False
    transport.close()


def test_over_amqp_a_broker_low_on_memory_is_named_and_gets_each_message_once(
    amqp: Way, database: Database, environment: Environment
) -> None:
    assert isinstance(amqp.broker, RabbitMQ)
    relay = new_relay(database, amqp.settings(environment, receipt_timeout=1))
    relay.start()
    until(lambda: relay.trouble is None, 5)

    with amqp.broker.low_on_memory():
        for key in range(1, 6):
            enqueue(database, key, key)
        relay.wake()
        until(lambda: relay.trouble is not None, 5)
        time.sleep(1.2)  # in which it is tried again
        trouble, left = relay.trouble, waiting(database)
    until(lambda: waiting(database) == 0, 15)
    relay.stop()

    assert trouble == "the broker takes no messages at present: low on memory"
    assert left == 5
    assert sorted(numbers(amqp.take())) == [1, 2, 3, 4, 5]


def test_over_amqp_a_message_that_the_broker_will_not_keep_is_an_error(amqp: Way, environment: Environment) -> None:
    assert isinstance(amqp.broker, RabbitMQ)
    full = {"x-max-length": 1, "x-overflow": "reject-publish"}
    amqp.broker.call("PUT", f"/queues/{VHOST}/full", {"durable": True, "arguments": full})
    transport = transports.create(amqp.settings(environment, destination="/amq/queue/full").broker)
    transport.connect()
    transport.send(StartJob(1, "g1").body(), headers("somebody", "an-id"))

    with pytest.raises(TransportError, match="the broker could not keep the message"):
        transport.send(StartJob(2, "g2").body(), headers("somebody", "another-id"))
    transport.close()

    assert numbers(amqp.broker.messages(VHOST, "full")) == [1]


def test_over_amqp_a_frozen_broker_costs_the_timeout_and_is_used_again(amqp: Way, environment: Environment) -> None:
    assert isinstance(amqp.broker, RabbitMQ)
    chosen = amqp.settings(environment, receipt_timeout=1)
    transport = transports.create(chosen.broker)
    transport.connect()
    amqp.broker.freeze()
    try:
        with pytest.raises(TransportError, match="no confirmation within 1 s") as caught:
            transport.send(StartJob(1, "g1").body(), headers("somebody", "an-id"))
        said = cannot_connect(chosen)
    finally:
        amqp.broker.thaw()
    transport.connect()
    transport.send(StartJob(1, "g1").body(), headers("somebody", "an-id"))
    transport.close()

    assert caught.value.written is True
    assert "no answer within 1 s" in said
    assert set(numbers(amqp.take())) == {1}


def test_over_amqp_a_login_that_may_only_send_is_enough(amqp: Way, environment: Environment) -> None:
    assert isinstance(amqp.broker, RabbitMQ)
    amqp.broker.call("PUT", "/users/sender", {"password": PASSWORD, "tags": ""})
    rights = {"configure": "^$", "read": "^$", "write": r"^amq\.default$"}
    amqp.broker.call("PUT", f"/permissions/{VHOST}/sender", rights)
    url = amqp.broker.amqp_url(VHOST, "sender", PASSWORD)
    transport = transports.create(amqp.settings(environment, url=url).broker)

    transport.connect()
    transport.send(StartJob(1, "g1").body(), headers("somebody", "an-id"))
    transport.close()

    assert numbers(amqp.take()) == [1]


def test_over_amqp_a_lost_connection_is_noticed_while_nothing_is_sent(amqp: Way, environment: Environment) -> None:
    assert isinstance(amqp.broker, RabbitMQ)
    transport = transports.create(amqp.settings(environment).broker)
    assert isinstance(transport, AmqpTransport)
    transport.connect()
    link = transport._link
    assert link is not None

    amqp.broker.close_connections(VHOST)
    until(lambda: link.trouble is not None, 10)
    transport.connect()
    transport.send(StartJob(1, "g1").body(), headers("somebody", "an-id"))
    transport.close()

    assert numbers(amqp.take()) == [1]


def test_over_amqp_the_doctor_sees_queue_and_consumers_without_the_management_api(
    amqp: Way, environment: Environment
) -> None:
    unheard = examine(amqp.settings(environment))
    missing = examine(amqp.settings(environment, destination="/amq/queue/mispelt"))
    refused = examine(amqp.settings(environment, url=amqp.url.replace(":guest@", f":{PASSWORD}@")))

    assert list(unheard.wrong) == ["queue"]
    assert "nobody listens to queue processing_recipe in vhost zocalo" in unheard.wrong["queue"]
    assert list(missing.wrong) == ["queue"]
    assert "there is no queue mispelt in vhost zocalo" in missing.wrong["queue"]
    assert list(refused.wrong) == ["broker"]
    assert amqp.refuses_login in refused.wrong["broker"]
    assert refused.ok["queue"].startswith("not checked, for the broker was not reached")
