"""Knowing that somebody listens: nothing is sent to a queue that is known to be missing, and people are told why."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import sqlalchemy as sa

from app.db import Database
from app.settings import Settings
from app.zocalo import outbox as outbox_module
from app.zocalo import transport
from app.zocalo import watch as watch_module
from app.zocalo.messages import StartJob
from app.zocalo.outbox import Delivery, outbox
from app.zocalo.relay import Relay
from app.zocalo.watch import QueueWatch
from tests.factories import launch_body, make_visit
from tests.servers.broker import Broker
from tests.servers.silent import SilentBroker
from tests.support.environments import Environment
from tests.support.listening import listener, wait_counted
from tests.support.services import ServiceThread

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


@pytest.fixture
def broker(environment: Environment) -> Broker:
    servers = environment.servers
    return Broker(servers.stomp_port, servers.amqp_port, servers.management_url)


@pytest.fixture
def silent() -> Iterator[SilentBroker]:
    """A server that accepts connections and never answers."""
    silent = SilentBroker()
    silent.start()
    yield silent
    silent.stop()


@pytest.fixture
def database(environment: Environment) -> Iterator[Database]:
    """This worker's database, with an empty outbox."""
    database = Database(environment.settings(), pool_size=5)
    database.write(lambda session: session.execute(sa.delete(outbox)))
    yield database
    database.write(lambda session: session.execute(sa.delete(outbox)))
    database.dispose()


def settings(environment: Environment, queue: str, **broker: Any) -> Settings:
    chosen = {"destination": f"/amq/queue/{queue}", "connect_timeout": 2, "receipt_timeout": 2} | broker
    return environment.settings(broker=chosen, relay={"claim_seconds": 4, "sweep_seconds": 0.2, "backoff_seconds": 0.5})


def new_relay(database: Database, chosen: Settings) -> Relay:
    return Relay(database, transport.create(chosen.broker), chosen.relay, QueueWatch(chosen.broker))


def enqueue(database: Database, number: int) -> None:
    database.write(lambda session: outbox_module.enqueue(session, number, StartJob(number, f"g{number}"), "me"))


def delivery(database: Database, number: int) -> Delivery:
    with database.read() as session:
        return outbox_module.find_deliveries(session, [number])[number, "start"][0]


def until(condition: Callable[[], bool], seconds: float) -> None:
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds, f"not within {seconds} s"
        time.sleep(0.05)


def test_over_stomp_nothing_is_sent_to_a_queue_that_is_missing_until_it_is_there(
    environment: Environment, broker: Broker, database: Database
) -> None:
    enqueue(database, 4711)
    relay = new_relay(database, settings(environment, "declared-later"))
    relay.start()
    relay.watch.start()
    try:
        until(lambda: "there is no queue declared-later" in str(relay.trouble), 10)
        time.sleep(1)  # in which it would be tried again
        missing = delivery(database, 4711)

        broker.declare_queue(environment.vhost, "declared-later")
        until(lambda: delivery(database, 4711).sent_at is not None, 10)
    finally:
        relay.stop()
        relay.watch.stop()

    (message,) = broker.messages(environment.vhost, "declared-later")
    assert (missing.attempted_at, missing.sent_at) == (None, None)  # so it can still be cancelled in place
    assert "there is no queue declared-later" in str(missing.last_error)
    assert message["payload"]["parameters"]["ispyb_process"] == 4711


def test_a_queue_that_vanishes_is_noticed_while_nothing_is_sent(
    environment: Environment, broker: Broker, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "SECONDS", 0.3)
    broker.declare_queue(environment.vhost, "vanishing")
    relay = new_relay(database, settings(environment, "vanishing"))
    relay.watch.start()
    relay.start()
    try:
        until(lambda: relay.trouble is None, 10)
        broker.delete_queue(environment.vhost, "vanishing")
        until(lambda: "there is no queue vanishing" in str(relay.trouble), 10)
        enqueue(database, 4712)
        relay.wake()
        time.sleep(1)
    finally:
        relay.stop()
        relay.watch.stop()

    assert delivery(database, 4712).attempts == 0


def test_without_a_way_to_look_messages_are_sent_all_the_same(
    environment: Environment, broker: Broker, database: Database
) -> None:
    broker.declare_queue(environment.vhost, "unwatched")
    enqueue(database, 4713)
    relay = new_relay(database, settings(environment, "unwatched", management_url=None))
    relay.start()
    try:
        until(lambda: delivery(database, 4713).sent_at is not None, 10)
    finally:
        relay.stop()

    assert relay.watch.queue is None
    assert "set EM_BROKER__MANAGEMENT_URL" in str(relay.watch.unknown)


@pytest.mark.parametrize("port", [None, 1], ids=["silent", "not there"])
def test_a_management_api_that_does_not_answer_holds_nothing_up(
    environment: Environment, broker: Broker, database: Database, silent: SilentBroker, port: int | None
) -> None:
    broker.declare_queue(environment.vhost, "unseen")
    enqueue(database, 4714)
    url = f"http://127.0.0.1:{port or silent.port}"
    relay = new_relay(database, settings(environment, "unseen", management_url=url))
    relay.watch.start()
    relay.start()
    try:
        until(lambda: delivery(database, 4714).sent_at is not None, 10)
        for number in range(20):  # while the watch is waiting for an answer
            enqueue(database, 5000 + number)
            relay.wake()
            time.sleep(0.1)
        until(lambda: delivery(database, 5019).sent_at is not None, 5)
        with database.read() as session:
            sent = outbox_module.find_deliveries(session, range(5000, 5020))
    finally:
        relay.stop()
        relay.watch.stop()

    waited = [(found[0].sent_at - found[0].queued_at).total_seconds() for found in sent.values() if found[0].sent_at]
    assert "does not answer" in str(relay.watch.unknown)
    assert len(waited) == 20
    assert max(waited) < 1.5  # seconds; a look at the silent one takes two


def test_a_queue_that_vanished_is_told_though_there_is_no_connection(
    environment: Environment, broker: Broker, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over AMQP a connection needs the queue."""
    monkeypatch.setattr(watch_module, "SECONDS", 0.3)
    broker.declare_queue(environment.vhost, "gone")
    amqp = {"url": broker.amqp_url(environment.vhost), "management_url": None}
    relay = new_relay(database, settings(environment, "gone", **amqp))
    relay.watch.start()
    relay.start()
    try:
        until(lambda: relay.trouble is None and relay.watch.queue is not None, 10)
        broker.delete_queue(environment.vhost, "gone")
        until(lambda: relay.watch.queue is not None and not relay.watch.queue.exists, 10)
    finally:
        relay.stop()
        relay.watch.stop()

    assert "there is no queue gone" in str(relay.watch.queue and relay.watch.queue.told)


def test_a_process_without_a_relay_looks_too(environment: Environment, broker: Broker, database: Database) -> None:
    broker.declare_queue(environment.vhost, "only-looked-at")
    chosen = environment.settings(broker={"destination": "/amq/queue/only-looked-at"}, relay={"enabled": False})

    with ServiceThread(chosen) as service, listener(broker, environment.vhost, "only-looked-at"):
        until(lambda: ready(service)["consumers"] is not None, 30)
        body = ready(service)

    assert body["broker"] == "not used: this process has no relay"
    assert "queue only-looked-at in vhost" in body["queue"]


@pytest.mark.parametrize("way", ["STOMP and the management API", "AMQP"])
def test_readyz_metrics_and_the_jobs_status_say_that_nobody_listens(
    environment: Environment, broker: Broker, database: Database, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "SECONDS", 0.3)
    queue = f"lonely-{len(way)}"
    broker.declare_queue(environment.vhost, queue)
    dead = {"properties": {}, "routing_key": f"dlq.{queue}", "payload": "{}", "payload_encoding": "string"}
    broker.call("POST", f"/exchanges/{quote(environment.vhost, safe='')}/amq.default/publish", dead)
    wait_counted(broker, environment.vhost, queue, consumers=0)
    wait_counted(broker, environment.vhost, f"dlq.{queue}", messages=1)
    amqp = {"url": broker.amqp_url(environment.vhost), "management_url": None} if way == "AMQP" else {}
    chosen = environment.settings(broker={"destination": f"/amq/queue/{queue}"} | amqp, warn={"pickup_minutes": 0.01})
    visit = make_visit(database, environment.dls)

    with ServiceThread(chosen) as service, service.client() as client:
        job = client.post(f"/visits/{visit.name}/launch", json=launch_body()).json()["processingJobId"]
        until(lambda: delivery(database, job).sent_at is not None, 10)
        time.sleep(1.5)
        lonely = ready(service)
        until(lambda: counted(service) >= COUNTED, 10)  # other services of this process count there too
        status = client.get(f"/processing-jobs/{job}").json()
        with listener(broker, environment.vhost, queue):
            until(lambda: ready(service)["status"] == "ready", 20)
            listened = ready(service)

    assert (lonely["status"], lonely["consumers"], lonely["deadLetters"]) == ("degraded", 0, 1)
    assert lonely["broker"] == "connected"
    assert f"nobody listens to queue {queue} in vhost {environment.vhost}" in lonely["queue"]
    assert f"Besides, 1 message in dlq.{queue}, which Zocalo rejected" in lonely["queue"]
    (warning,) = status["warnings"]
    assert (status["state"], warning["code"]) == ("submitted", "not-picked-up")
    assert f"The likely reason: nobody listens to queue {queue}" in warning["message"]
    assert listened["consumers"] == 1
    assert f"queue {queue} in vhost {environment.vhost} exists, 1 consumer" in listened["queue"]


COUNTED = {"em_queue_exists 1.0", "em_queue_consumers 0.0", "em_queue_dead_letters 1.0"}


def counted(service: ServiceThread) -> set[str]:
    """The lines for Prometheus."""
    return set(httpx.get(f"http://127.0.0.1:{service.port}/metrics").text.splitlines())


def ready(service: ServiceThread) -> dict[str, Any]:
    body: dict[str, Any] = httpx.get(f"http://127.0.0.1:{service.port}/readyz").json()
    return body
