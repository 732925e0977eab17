"""The test run's own MariaDB and RabbitMQ do what they are told."""

import socket
from collections.abc import Iterator

import httpx
import pymysql
import pytest

from tests.servers.broker import PROCESSING_RECIPE
from tests.servers.mariadb import MariaDB
from tests.servers.packages import ensure_packages
from tests.servers.processes import accepts_connections
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.reaper import Reaper

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]  # seconds; a broker starts in four to ten


@pytest.fixture(scope="module")
def reaper() -> Iterator[Reaper]:
    ensure_packages()
    with Reaper() as reaper:
        yield reaper


@pytest.fixture(scope="module")
def mariadb(reaper: Reaper) -> Iterator[MariaDB]:
    mariadb = MariaDB(reaper)
    mariadb.start()
    yield mariadb
    mariadb.kill()


@pytest.fixture(scope="module")
def rabbitmq(reaper: Reaper) -> Iterator[RabbitMQ]:
    rabbitmq = RabbitMQ(reaper)
    rabbitmq.start()
    yield rabbitmq
    rabbitmq.kill()


def publish(rabbitmq: RabbitMQ, vhost: str, queue: str, payload: str) -> None:
    message = {
        "properties": {"delivery_mode": 2, "headers": {"zocalo.go.user": "tester"}},
        "routing_key": queue,
        "payload": payload,
        "payload_encoding": "string",
    }
    assert rabbitmq.call("POST", f"/exchanges/{vhost}/amq.default/publish", message) == {"routed": True}


def test_mariadb_has_the_character_set_of_ispyb(mariadb: MariaDB) -> None:
    rows = mariadb.execute("SELECT @@character_set_server, @@collation_server, @@innodb_flush_log_at_trx_commit")

    assert rows == [("latin1", "latin1_swedish_ci", 1)]


def test_mariadb_keeps_what_was_committed_before_it_was_killed(mariadb: MariaDB) -> None:
    mariadb.execute("CREATE DATABASE kept")
    mariadb.execute("CREATE TABLE kept.job (id INT) ENGINE=InnoDB")
    mariadb.execute("INSERT INTO kept.job VALUES (1)")

    mariadb.kill()

    assert not mariadb.running
    with pytest.raises(pymysql.OperationalError):
        mariadb.execute("SELECT 1")
    mariadb.start()
    assert mariadb.execute("SELECT id FROM kept.job") == [(1,)]
    mariadb.restart()
    assert mariadb.execute("SELECT id FROM kept.job") == [(1,)]


def test_a_frozen_mariadb_accepts_connections_and_says_nothing(mariadb: MariaDB) -> None:
    mariadb.freeze()
    try:
        with socket.create_connection(("127.0.0.1", mariadb.port), timeout=0.5) as connection:
            # A server that is well speaks first.
            with pytest.raises(TimeoutError):
                connection.recv(1)
    finally:
        mariadb.thaw()

    assert mariadb.execute("SELECT 1") == [(1,)]


def test_a_vhost_has_diamonds_quorum_queue(rabbitmq: RabbitMQ) -> None:
    rabbitmq.add_vhost("declared")

    queues = {queue["name"]: queue for queue in rabbitmq.call("GET", "/queues/declared?disable_stats=true")}
    assert set(queues) == {PROCESSING_RECIPE, "dlq.processing_recipe"}
    for queue in queues.values():
        assert queue["durable"]
        assert queue["arguments"]["x-queue-type"] == "quorum"
    arguments = queues[PROCESSING_RECIPE]["arguments"]
    assert arguments["x-dead-letter-exchange"] == ""
    assert arguments["x-dead-letter-routing-key"] == "dlq.processing_recipe"
    assert rabbitmq.call("GET", "/policies/declared")[0]["definition"] == {"delivery-limit": 5}


def test_a_message_rejected_too_often_is_a_dead_letter(rabbitmq: RabbitMQ) -> None:
    rabbitmq.add_vhost("rejected")
    publish(rabbitmq, "rejected", PROCESSING_RECIPE, "[]")

    reject = {"count": 1, "ackmode": "reject_requeue_true", "encoding": "auto"}
    for _ in range(6):
        assert rabbitmq.call("POST", f"/queues/rejected/{PROCESSING_RECIPE}/get", reject)

    assert rabbitmq.count("rejected", PROCESSING_RECIPE) == 0
    assert [message["payload"] for message in rabbitmq.messages("rejected", "dlq.processing_recipe")] == [[]]


def test_messages_are_taken_in_their_order(rabbitmq: RabbitMQ) -> None:
    rabbitmq.add_vhost("ordered")
    rabbitmq.declare_queue("ordered", "other", kind="classic")
    for queue in (PROCESSING_RECIPE, "other"):
        publish(rabbitmq, "ordered", queue, '{"parameters": {"ispyb_process": 1}}')
        publish(rabbitmq, "ordered", queue, "no JSON")

        assert rabbitmq.count("ordered", queue) == 2
        first, second = rabbitmq.messages("ordered", queue)

        assert first["payload"] == {"parameters": {"ispyb_process": 1}}
        assert first["headers"]["zocalo.go.user"] == "tester"
        assert first["properties"] == {"delivery_mode": 2}
        assert second["payload"] == "no JSON"
        assert rabbitmq.count("ordered", queue) == 0


def test_a_deleted_queue_is_gone(rabbitmq: RabbitMQ) -> None:
    rabbitmq.add_vhost("deleted")

    rabbitmq.delete_queue("deleted", PROCESSING_RECIPE)

    with pytest.raises(LookupError):
        rabbitmq.count("deleted", PROCESSING_RECIPE)


def test_a_durable_message_survives_freeze_kill_and_restart(rabbitmq: RabbitMQ) -> None:
    rabbitmq.add_vhost("durable")
    publish(rabbitmq, "durable", PROCESSING_RECIPE, '{"job": 1}')

    rabbitmq.freeze()
    try:
        assert accepts_connections(rabbitmq.stomp_port)
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(rabbitmq.management_url, timeout=0.5, trust_env=False)
    finally:
        rabbitmq.thaw()
    assert rabbitmq.count("durable", PROCESSING_RECIPE) == 1
    rabbitmq.kill()
    assert not accepts_connections(rabbitmq.stomp_port)
    rabbitmq.start()
    assert rabbitmq.count("durable", PROCESSING_RECIPE) == 1
    rabbitmq.restart()

    assert [message["payload"] for message in rabbitmq.messages("durable", PROCESSING_RECIPE)] == [{"job": 1}]


def test_two_brokers_run_beside_one_another(reaper: Reaper, rabbitmq: RabbitMQ) -> None:
    second = RabbitMQ(reaper)
    second.start()
    second.add_vhost("second")
    second.kill()

    assert rabbitmq.call("GET", "/overview")
