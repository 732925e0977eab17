"""From the outbox to the broker: once each, in order per data collection, whatever goes down meanwhile."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy import event

from app.db import Database
from app.processing_jobs.tables import stop_request
from app.settings import BrokerSettings, Settings
from app.zocalo import outbox as outbox_module
from app.zocalo.messages import StartJob
from app.zocalo.outbox import outbox
from app.zocalo.queue import Queue
from app.zocalo.relay import Relay
from app.zocalo.transport import StompTransport, TransportError
from app.zocalo.watch import QueueWatch
from tests.factories import launch_body, make_collection, make_program, make_visit, parameters
from tests.servers.broker import PROCESSING_RECIPE
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.reaper import Reaper
from tests.servers.silent import SilentBroker
from tests.support import rows
from tests.support.environments import Environment
from tests.support.services import ServiceProcess
from tests.system.support import in_threads

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]
VHOST = "zocalo"


@pytest.fixture(scope="module")
def broker(reaper: Reaper) -> RabbitMQ:
    """A broker of these tests' own: they stop and kill it."""
    broker = RabbitMQ(reaper)
    broker.start()
    broker.add_vhost(VHOST)
    return broker


@pytest.fixture
def queue(broker: RabbitMQ) -> Iterator[Callable[[], list[Any]]]:
    """Takes what is on the queue; empty at the beginning."""
    if not broker.running:
        broker.start()
    broker.messages(VHOST, PROCESSING_RECIPE)
    yield lambda: [message["payload"] for message in broker.messages(VHOST, PROCESSING_RECIPE)]
    if not broker.running:
        broker.start()


@pytest.fixture
def database(environment: Environment) -> Iterator[Database]:
    """This worker's database, with an empty outbox."""
    database = Database(environment.settings(), pool_size=10)
    database.write(lambda session: session.execute(sa.delete(outbox)))
    database.write(lambda session: session.execute(sa.delete(stop_request)))
    yield database
    database.dispose()


def settings(environment: Environment, broker_url: str, **broker: Any) -> Settings:
    return environment.settings(
        # The environment's management API is another broker's.
        broker={"url": broker_url, "management_url": None, "connect_timeout": 1, "receipt_timeout": 2, **broker},
        relay={"claim_seconds": 4, "sweep_seconds": 0.2, "backoff_seconds": 2},
    )


def new_relay(database: Database, chosen: Settings) -> Relay:
    return Relay(database, StompTransport(chosen.broker), chosen.relay)


def service_of(environment: Environment, broker_url: str, folder: Path) -> ServiceProcess:
    own = {"EM_BROKER__URL": broker_url, "EM_BROKER__MANAGEMENT_URL": "", "EM_RELAY__CLAIM_SECONDS": "8"}
    environ = environment.environ | own
    return ServiceProcess(environ, folder / "service.log")


def enqueue(database: Database, key: int, number: int, guid: str) -> None:
    """Leave one start message in the outbox."""
    database.write(lambda session: outbox_module.enqueue(session, key, StartJob(number, guid), "me"))


def waiting(database: Database) -> int:
    with database.read() as session:
        return outbox_module.waiting(session)[0]


def until(condition: Callable[[], bool], seconds: float) -> float:
    """Wait for a condition; how long it took."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds, f"not within {seconds} s"
        time.sleep(0.05)
    return time.monotonic() - begun


def launch_many(client: httpx.Client, database: Database, environment: Environment, many: int) -> list[dict[str, Any]]:
    """Launch on so many data collections of one visit."""
    visit = make_visit(database, environment.dls)
    dcids = [make_collection(database, visit, imageDirectory=f"{visit.directory}/raw{n}/") for n in range(many)]
    answers = in_threads(
        8, lambda dcid: client.post(f"/data-collections/{dcid}/launch", json={"parameters": parameters()}), dcids
    )
    assert [answer.status_code for answer in answers] == [202] * many
    return [answer.json() for answer in answers]


def is_connected(service: ServiceProcess) -> bool:
    ready = httpx.get(f"http://127.0.0.1:{service.port}/readyz", trust_env=False).json()
    return bool(ready["broker"] == "connected")


def starts(jobs: list[dict[str, Any]]) -> Counter[str]:
    return Counter(
        json.dumps({"parameters": {"ispyb_process": job["processingJobId"], "guid": job["guid"]}}) for job in jobs
    )


def arrived(messages: list[Any]) -> Counter[str]:
    return Counter(json.dumps(message) for message in messages)


def test_a_consumer_receives_a_json_object_with_an_integer_and_the_guid(
    broker: RabbitMQ, queue: Callable[[], list[Any]], database: Database, environment: Environment, tmp_path: Path
) -> None:
    with service_of(environment, broker.stomp_url(VHOST), tmp_path) as service, service.client() as client:
        visit = make_visit(database, environment.dls)
        job = client.post(f"/visits/{visit.name}/launch", json=launch_body()).json()
        until(lambda: waiting(database) == 0, 10)
        (message,) = broker.messages(VHOST, PROCESSING_RECIPE)
        status = client.get(f"/processing-jobs/{job['processingJobId']}").json()

    assert message["payload"] == {"parameters": {"ispyb_process": job["processingJobId"], "guid": job["guid"]}}
    assert type(message["payload"]["parameters"]["ispyb_process"]) is int
    assert message["headers"]["zocalo.go.user"] == "anonymous"
    assert message["headers"]["synchweb.user"] == "anonymous"
    assert message["headers"]["zocalo.go.host"] == message["headers"]["synchweb.host"] == socket.gethostname()
    assert message["properties"]["delivery_mode"] == 2
    assert message["properties"]["content_type"] == "application/json"
    assert status["state"] == "submitted"
    assert status["message"]["state"] == "sent"


def test_launches_wait_for_a_broker_that_is_down_and_are_sent_once_when_it_is_back(
    broker: RabbitMQ, queue: Callable[[], list[Any]], database: Database, environment: Environment, tmp_path: Path
) -> None:
    broker.kill()
    with service_of(environment, broker.stomp_url(VHOST), tmp_path) as service, service.client() as client:
        jobs = launch_many(client, database, environment, 100)
        until(lambda: client.get(f"/processing-jobs/{jobs[0]['processingJobId']}").json()["message"]["lastError"], 10)
        status = client.get(f"/processing-jobs/{jobs[0]['processingJobId']}").json()
        ready = httpx.get(f"http://127.0.0.1:{service.port}/readyz", trust_env=False).json()

        broker.start()
        until(lambda: waiting(database) == 0, 30)

    assert status["state"] == "pending"
    assert "cannot connect" in status["reason"]
    assert ready["status"] == "degraded"
    assert ready["messagesWaiting"] == 100
    assert arrived(queue()) == starts(jobs)


def test_launches_do_not_wait_for_a_broker_that_never_answers(
    broker: RabbitMQ, queue: Callable[[], list[Any]], database: Database, environment: Environment, tmp_path: Path
) -> None:
    silent = SilentBroker()
    silent.start()
    with service_of(environment, silent.stomp_url(VHOST), tmp_path) as service, service.client() as client:
        begun = time.monotonic()
        jobs = launch_many(client, database, environment, 100)
        took = time.monotonic() - begun
        status = client.get(f"/processing-jobs/{jobs[0]['processingJobId']}").json()
    silent.stop()
    with service_of(environment, broker.stomp_url(VHOST), tmp_path):
        until(lambda: waiting(database) == 0, 30)

    assert status["state"] == "pending"
    assert took < 60  # one launch that waited for the broker's five seconds, eight at once, would make it more
    assert arrived(queue()) == starts(jobs)


def test_a_frozen_broker_gets_everything_once_it_thaws(
    broker: RabbitMQ, queue: Callable[[], list[Any]], database: Database, environment: Environment
) -> None:
    """It may have taken the message whose receipt was waited for: that one may come twice, with one guid."""
    chosen = settings(environment, broker.stomp_url(VHOST))
    relay = new_relay(database, chosen)
    relay.start()
    until(lambda: relay.trouble is None, 10)
    broker.freeze()
    for number in range(10):
        enqueue(database, 1000 + number, number, f"g{number}")
    relay.wake()
    time.sleep(3)

    broker.thaw()
    until(lambda: waiting(database) == 0, 30)
    relay.stop()

    counted = Counter(message["parameters"]["guid"] for message in queue())
    assert set(counted) == {f"g{number}" for number in range(10)}
    assert sum(counted.values()) <= 11


def test_a_service_killed_between_commit_and_send_sends_once_after_its_restart(
    broker: RabbitMQ, queue: Callable[[], list[Any]], database: Database, environment: Environment, tmp_path: Path
) -> None:
    broker.kill()
    service = service_of(environment, broker.stomp_url(VHOST), tmp_path)
    service.start()
    with service.client() as client:
        jobs = launch_many(client, database, environment, 5)
    service.kill()
    broker.start()

    service.start()
    until(lambda: waiting(database) == 0, 30)
    service.stop()

    assert arrived(queue()) == starts(jobs)


def test_a_relay_killed_while_it_held_a_claim_leaves_the_message_to_another(
    broker: RabbitMQ, queue: Callable[[], list[Any]], database: Database, environment: Environment
) -> None:
    enqueue(database, 7, 7, "g7")
    claimed = database.write(lambda session: outbox_module.claim(session, 2.0))
    relay = new_relay(database, settings(environment, broker.stomp_url(VHOST)))

    relay.start()
    took = until(lambda: waiting(database) == 0, 15)
    relay.stop()

    assert claimed is not None
    assert took > 0.5  # not before the claim ended
    assert [message["parameters"]["guid"] for message in queue()] == ["g7"]


class _LosesReceipts(StompTransport):
    """The broker takes the message; its receipt is lost on the way, once."""

    lost = 0

    def send(self, body: str, headers: dict[str, str]) -> None:
        super().send(body, headers)
        if not self.lost:
            self.lost += 1
            self.close()
            raise TransportError("the receipt was lost", written=True)


def test_a_lost_receipt_makes_at_most_one_duplicate_with_the_same_guid_and_id(
    broker: RabbitMQ, queue: Callable[[], list[Any]], database: Database, environment: Environment
) -> None:
    chosen = settings(environment, broker.stomp_url(VHOST))
    relay = Relay(database, _LosesReceipts(chosen.broker), chosen.relay)
    enqueue(database, 7, 7, "g7")

    relay.start()
    until(lambda: waiting(database) == 0, 15)
    relay.stop()

    found = broker.messages(VHOST, PROCESSING_RECIPE)
    assert [message["payload"]["parameters"]["guid"] for message in found] == ["g7", "g7"]
    assert len({message["headers"]["synchweb.message.id"] for message in found}) == 1


def test_two_relays_share_an_outbox_and_keep_the_order_of_each_data_collection(
    broker: RabbitMQ, queue: Callable[[], list[Any]], database: Database, environment: Environment
) -> None:
    chosen = settings(environment, broker.stomp_url(VHOST))
    for block in range(20):

        def work(session: Any, block: int = block) -> None:
            for number in range(block * 50, block * 50 + 50):
                outbox_module.enqueue(session, number % 50, StartJob(number + 1, f"g{number}"), "me")

        database.write(work)
    relays = [new_relay(Database(chosen, pool_size=2), chosen) for _ in range(2)]

    for relay in relays:
        relay.start()
    until(lambda: waiting(database) == 0, 120)
    for relay in relays:
        relay.stop()

    numbers = [message["parameters"]["ispyb_process"] - 1 for message in queue()]
    assert sorted(numbers) == list(range(1000))
    for key in range(50):
        of_key = [number for number in numbers if number % 50 == key]
        assert of_key == sorted(of_key)


def test_two_relays_both_do_some_of_the_work(
    broker: RabbitMQ, queue: Callable[[], list[Any]], database: Database, environment: Environment
) -> None:
    chosen = settings(environment, broker.stomp_url(VHOST))
    sent: Counter[str] = Counter()

    class Counting(StompTransport):
        def send(self, body: str, headers: dict[str, str]) -> None:
            super().send(body, headers)
            sent[threading.current_thread().name + str(id(self))] += 1

    for number in range(200):
        enqueue(database, number, number + 1, "g")
    relays = [Relay(Database(chosen, pool_size=2), Counting(chosen.broker), chosen.relay) for _ in range(2)]

    for relay in relays:
        relay.start()
    until(lambda: waiting(database) == 0, 60)
    for relay in relays:
        relay.stop()

    assert sum(sent.values()) == 200
    assert len(sent) == 2
    assert min(sent.values()) > 20


def test_a_restart_puts_the_stop_before_the_start_on_the_queue(
    broker: RabbitMQ, queue: Callable[[], list[Any]], database: Database, environment: Environment, tmp_path: Path
) -> None:
    with service_of(environment, broker.stomp_url(VHOST), tmp_path) as service, service.client() as client:
        visit = make_visit(database, environment.dls)
        path = f"/visits/{visit.name}/launch"
        first = client.post(path, json=launch_body()).json()
        until(lambda: waiting(database) == 0, 10)
        make_program(database, first["processingJobId"])
        again = launch_body(ifBlocked="restart", replaces=[first["processingJobId"]])
        second = client.post(path, json=again).json()
        until(lambda: waiting(database) == 0, 10)

    assert queue() == [
        {"parameters": {"ispyb_process": first["processingJobId"], "guid": first["guid"]}},
        {"recipes": ["relion-stop"], "parameters": {"ispyb_process": first["processingJobId"]}},
        {"parameters": {"ispyb_process": second["processingJobId"], "guid": second["guid"]}},
    ]


def test_a_stop_before_the_broker_is_back_sends_nothing_at_all(
    broker: RabbitMQ, queue: Callable[[], list[Any]], database: Database, environment: Environment, tmp_path: Path
) -> None:
    broker.kill()
    with service_of(environment, broker.stomp_url(VHOST), tmp_path) as service, service.client() as client:
        (job,) = launch_many(client, database, environment, 1)
        until(lambda: client.get(f"/processing-jobs/{job['processingJobId']}").json()["message"]["lastError"], 10)
        stopped = client.post(f"/processing-jobs/{job['processingJobId']}/stop").json()
        broker.start()
        until(lambda: is_connected(service), 30)
        time.sleep(1.5)  # longer than the relay's sweep

    assert stopped["state"] == "stopped"
    assert queue() == []
    assert rows.messages(database, job["dataCollectionId"]) == []


class Confirms:
    """A broker that takes everything."""

    patience = 1.0

    def __init__(self) -> None:
        self.sent: list[int] = []

    def connect(self) -> bool:
        return False

    def send(self, body: str, headers: dict[str, str]) -> None:
        self.sent.append(json.loads(body)["parameters"]["ispyb_process"])

    def close(self) -> None: ...


def test_a_message_costs_three_statements_and_no_transaction(database: Database, environment: Environment) -> None:
    for number in range(1, 6):
        enqueue(database, number, number, "g")
    broker, verbs = Confirms(), list[str]()
    relay = Relay(database, broker, settings(environment, "stomp://x").relay)
    event.listen(database.engine, "before_cursor_execute", lambda *sent: verbs.append(sent[2].split()[0]))

    relay.start()
    until(lambda: verbs.count("UPDATE") == 10, 20)
    relay.stop()

    assert broker.sent == [1, 2, 3, 4, 5]
    # To claim, and after each but the last to note it and to claim the next.
    assert verbs[:14] == ["SELECT", "UPDATE", *["UPDATE", "SELECT", "UPDATE"] * 4]


def test_a_message_that_is_noted_twice_was_sent_when_it_was_first(database: Database) -> None:
    """As where the connection is lost after the note, and before the claim of the next."""
    enqueue(database, 7, 7, "g")
    times = []
    for _ in range(2):
        database.write_apart(
            lambda session: outbox_module.mark_sent(session, session.execute(sa.select(outbox.c.id)).scalar_one())
        )
        with database.read() as session:
            times.append(session.execute(sa.select(outbox.c.sent_at)).scalar_one())
        time.sleep(0.01)

    assert times[0] is not None
    assert times[0] == times[1]


def test_what_comes_in_the_way_while_messages_are_sent_is_said_and_stops_them(
    database: Database, environment: Environment
) -> None:
    for number in range(1, 4):
        enqueue(database, number, number, "g")
    broker, watch = Confirms(), QueueWatch(BrokerSettings())
    well: list[int] = []

    class Watched(Relay):
        def _all_is_well(self) -> None:
            super()._all_is_well()
            well.append(len(broker.sent))

    def send_and_lose_the_queue(body: str, headers: dict[str, str]) -> None:
        Confirms.send(broker, body, headers)
        watch.queue = Queue("processing_recipe", "zocalo", "the queue is missing", exists=False)

    broker.send = send_and_lose_the_queue  # type: ignore[method-assign]
    relay = Watched(database, broker, settings(environment, "stomp://x").relay, watch)

    relay.start()
    until(lambda: relay.trouble == "the queue is missing", 5)
    time.sleep(0.5)
    trouble = relay.trouble
    relay.stop()

    assert broker.sent == [1]
    assert well == [1]  # when it was confirmed, and not again
    assert trouble == "the queue is missing"
    assert waiting(database) == 2


def test_of_many_who_claim_at_once_each_gets_other_messages(database: Database) -> None:
    for number in range(1, 101):
        enqueue(database, number, number, "g")
    together = threading.Barrier(8)

    def claim_all(_: int) -> list[int]:
        together.wait(10)
        claimed = []
        while (one := database.write_apart(lambda session: outbox_module.claim(session, 60))) is not None:
            claimed.append(one.job_id)
        return claimed

    found = in_threads(8, claim_all, range(8))

    assert sorted(number for numbers in found for number in numbers) == list(range(1, 101))


def test_a_start_is_either_claimed_or_cancelled_before_it_was_sent(database: Database) -> None:
    fates = []
    for number in range(1, 41):
        enqueue(database, number, number, "g")
        together = threading.Barrier(2)

        def claim(together: threading.Barrier = together) -> bool:
            together.wait(10)
            return database.write_apart(lambda session: outbox_module.claim(session, 60)) is not None

        def cancel(together: threading.Barrier = together, number: int = number) -> bool:
            together.wait(10)
            return database.write(lambda session: outbox_module.cancel_start(session, number))

        fates.append(tuple(in_threads(2, lambda work: work(), [claim, cancel])))
        database.write(lambda session: session.execute(sa.update(outbox).values(open=None)))

    assert set(fates) <= {(True, False), (False, True)}


def test_a_transaction_that_does_not_end_holds_up_its_own_message_only(
    database: Database, environment: Environment
) -> None:
    """As of a service that was frozen while it cancelled a start."""
    for number in range(1, 4):
        enqueue(database, number, number, "g")
    broker = Confirms()
    relay = Relay(database, broker, settings(environment, "stomp://x").relay)
    with database.engine.connect() as frozen:
        frozen.exec_driver_sql("START TRANSACTION")
        frozen.execute(sa.select(outbox.c.id).where(outbox.c.job_id == 1).with_for_update())
        relay.start()
        until(lambda: len(broker.sent) == 2, 2)
        meanwhile = list(broker.sent)
        frozen.exec_driver_sql("ROLLBACK")
    until(lambda: len(broker.sent) == 3, 5)
    relay.stop()

    assert meanwhile == [2, 3]
    assert broker.sent[2] == 1


def test_a_poisoned_message_does_not_hold_up_the_others(database: Database, environment: Environment) -> None:
    """A message that is never confirmed is passed over by those of other data collections."""
    sent: list[int] = []

    class Refuses:
        patience = 1.0

        def connect(self) -> bool:
            return False

        def send(self, body: str, headers: dict[str, str]) -> None:
            number = json.loads(body)["parameters"]["ispyb_process"]
            if number == 1:
                raise TransportError("refused", written=True)
            sent.append(number)

        def close(self) -> None: ...

    for number in range(1, 6):
        enqueue(database, number, number, "g")
    relay = Relay(database, Refuses(), settings(environment, "stomp://x").relay)

    relay.start()
    until(lambda: len(sent) == 4, 20)
    relay.stop()

    assert sorted(sent) == [2, 3, 4, 5]


def test_a_broker_that_lets_connect_and_refuses_messages_is_not_hammered(
    database: Database, environment: Environment
) -> None:
    connected: list[float] = []

    class Refuses:
        patience = 1.0

        def connect(self) -> bool:
            connected.append(time.monotonic())
            return False

        def send(self, body: str, headers: dict[str, str]) -> None:
            raise TransportError("memory alarm", written=True)

        def close(self) -> None: ...

    for number in range(1, 21):
        enqueue(database, number, number, "g")
    relay = Relay(database, Refuses(), settings(environment, "stomp://x").relay)

    relay.start()
    time.sleep(4)
    trouble = relay.trouble
    relay.stop()

    assert trouble == "memory alarm"
    assert len(connected) <= 12  # two for each try, and pauses of 0.5, 1, 2, 2, … seconds between


def test_a_relay_whose_claim_has_passed_to_another_does_not_call_the_message_unsent(
    database: Database, environment: Environment
) -> None:
    enqueue(database, 7, 7, "g7")
    first = database.write(lambda session: outbox_module.claim(session, -1))
    second = database.write(lambda session: outbox_module.claim(session, 60))
    assert first is not None
    assert second is not None

    database.write(lambda session: outbox_module.mark_failed(session, first, "late", pause=0, written=False))

    assert database.write(lambda session: outbox_module.claim(session, 60)) is None
    assert database.write(lambda session: outbox_module.cancel_start(session, 7)) is False


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("stomp://guest:wrong@127.0.0.1:{port}?vhost=zocalo", "Access refused"),
        ("stomp://guest:guest@127.0.0.1:{port}?vhost=nowhere", "nowhere"),
        ("stomp://guest:guest@127.0.0.1:1?vhost=zocalo", "cannot connect to 127.0.0.1:1"),
    ],
    ids=["wrong password", "wrong vhost", "nobody there"],
)
def test_what_is_wrong_with_the_broker_is_said(broker: RabbitMQ, environment: Environment, url: str, said: str) -> None:
    if not broker.running:
        broker.start()
    transport = StompTransport(settings(environment, url.format(port=broker.stomp_port)).broker)

    with pytest.raises(TransportError) as caught:
        transport.connect()

    assert said in str(caught.value)
    assert caught.value.written is False
