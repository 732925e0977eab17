"""What can be wrong with a broker that is there: it is named, jobs wait for its end, and people notice nothing else."""

from __future__ import annotations

import os
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
import sqlalchemy as sa

from app import settings
from app.db import Database
from app.zocalo import outbox as outbox_module
from app.zocalo.outbox import outbox
from tests.factories import make_collection, make_visit, parameters
from tests.servers.broker import PROCESSING_RECIPE
from tests.servers.certificates import Certificates
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.reaper import Reaper
from tests.support.doctor import Report, examine
from tests.support.environments import Environment
from tests.support.services import ServiceProcess
from tests.support.users import PASSWORD

pytestmark = [pytest.mark.system, pytest.mark.soak, pytest.mark.timeout(180)]

NAMED = 30.0  # seconds within which a trouble is named, and within which all is well again after it
READS, ROUNDS = 50, 3
USER = "em"
_numbers = count(1)


@dataclass(frozen=True)
class Place:
    """A vhost and a login of one test's own, and how the service reaches them."""

    broker: RabbitMQ
    environ: dict[str, str]
    vhost: str
    protocol: Literal["stomp", "amqp"]
    service: ServiceProcess

    def make(self) -> None:
        """Make the vhost with its queue, and let the login in."""
        self.broker.add_vhost(self.vhost)
        self.set_password(PASSWORD)
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        self.broker.call("PUT", f"/permissions/{self.vhost}/{USER}", everything)

    def set_password(self, password: str) -> None:
        """From now on this is the login's password."""
        self.broker.call("PUT", f"/users/{USER}", {"password": password, "tags": ""})

    def take(self) -> list[dict[str, Any]]:
        """What waits on the queue."""
        return [message["payload"] for message in self.broker.messages(self.vhost, PROCESSING_RECIPE)]

    def ready(self) -> dict[str, Any]:
        """What the service says of itself."""
        answer = httpx.get(f"http://127.0.0.1:{self.service.port}/readyz", timeout=10, trust_env=False)
        body: dict[str, Any] = answer.json()
        return body | {"code": answer.status_code}


Trouble = Callable[[Place], AbstractContextManager[Place]]


@contextmanager
def wrong_vhost(place: Place) -> Iterator[Place]:
    place.broker.call("DELETE", f"/vhosts/{place.vhost}")
    yield place
    place.make()


@contextmanager
def missing_queue(place: Place) -> Iterator[Place]:
    place.broker.delete_queue(place.vhost, PROCESSING_RECIPE)
    yield place
    place.broker.declare_queue(place.vhost, PROCESSING_RECIPE)


@contextmanager
def bad_password(place: Place) -> Iterator[Place]:
    place.set_password("another")
    place.broker.close_connections(place.vhost)
    yield place
    place.set_password(PASSWORD)


@contextmanager
def plain_text_to_a_tls_port(place: Place) -> Iterator[Place]:
    """The one trouble that comes and goes with a restart of the service."""
    broker = place.broker
    right, wrong = {
        "stomp": (broker.stomp_port, broker.stomps_port),
        "amqp": (broker.amqp_port, broker.amqps_port),
    }[place.protocol]
    url = place.environ["EM_BROKER__URL"]
    mistaken = place.environ | {"EM_BROKER__URL": url.replace(f":{right}", f":{wrong}")}
    place.service.restart(mistaken)
    yield replace(place, environ=mistaken)
    place.service.restart(place.environ)


@contextmanager
def low_on_memory(place: Place) -> Iterator[Place]:
    with place.broker.low_on_memory():
        yield place


# What readyz says, and what the doctor says, for each trouble and protocol.
SAID: dict[Trouble, tuple[str, str]] = {
    wrong_vhost: ("{vhost}", "{vhost}"),
    missing_queue: ("there is no queue processing_recipe in vhost {vhost}",) * 2,
    bad_password: ("refused", "refused"),
    plain_text_to_a_tls_port: ("that port speaks TLS: use {protocol}s:// in EM_BROKER__URL",) * 2,
    low_on_memory: ("low on memory", "low on memory"),
}


@dataclass(frozen=True)
class Case:
    """A trouble, how the service speaks to the broker, and whether it may ask the management API."""

    trouble: Trouble
    protocol: Literal["stomp", "amqp"]
    managed: bool
    always: bool = False  # also in ``make test``

    def __str__(self) -> str:
        managed = "with" if self.managed else "without"
        return f"{self.trouble.__name__}, {self.protocol}, {managed} the management API".replace("_", " ")


CASES = [
    Case(wrong_vhost, "stomp", False, always=True),
    Case(wrong_vhost, "stomp", True),
    Case(wrong_vhost, "amqp", False),
    Case(wrong_vhost, "amqp", True),
    # By STOMP alone nobody can tell: see the last test.
    Case(missing_queue, "stomp", True, always=True),
    Case(missing_queue, "amqp", False),
    Case(missing_queue, "amqp", True),
    Case(bad_password, "stomp", False),
    Case(bad_password, "stomp", True),
    Case(bad_password, "amqp", False, always=True),
    Case(bad_password, "amqp", True),
    Case(plain_text_to_a_tls_port, "stomp", False, always=True),
    Case(plain_text_to_a_tls_port, "stomp", True),
    Case(plain_text_to_a_tls_port, "amqp", False),
    Case(plain_text_to_a_tls_port, "amqp", True),
    Case(low_on_memory, "stomp", False, always=True),
    Case(low_on_memory, "stomp", True),
    Case(low_on_memory, "amqp", False),
    Case(low_on_memory, "amqp", True),
]


@pytest.fixture(scope="module")
def broker(reaper: Reaper) -> RabbitMQ:
    """A broker of these tests' own: they make it block whoever sends."""
    broker = RabbitMQ(reaper, Certificates(reaper.new_folder("certificates")))
    broker.start()
    return broker


@pytest.fixture
def database(environment: Environment) -> Iterator[Database]:
    """This worker's database, with an empty outbox."""
    database = Database(environment.settings(), pool_size=4)
    database.write(lambda session: session.execute(sa.delete(outbox)))
    yield database
    database.write(lambda session: session.execute(sa.delete(outbox)))
    database.dispose()


@pytest.fixture
def new_place(broker: RabbitMQ, environment: Environment, tmp_path: Path) -> Iterator[Callable[..., Place]]:
    """Makes the place and starts the service there."""
    begun: list[ServiceProcess] = []

    def make(protocol: Literal["stomp", "amqp"], *, managed: bool) -> Place:
        vhost = f"trouble-{next(_numbers)}"
        url = {"stomp": broker.stomp_url, "amqp": broker.amqp_url}[protocol](vhost, USER, PASSWORD)
        environ = environment.environ | {"EM_BROKER__URL": url}
        if managed:
            environ["EM_BROKER__MANAGEMENT_URL"] = broker.management_url.replace("//", "//guest:guest@")
        place = Place(broker, environ, vhost, protocol, ServiceProcess(environ, tmp_path / "log"))
        place.make()
        begun.append(place.service)
        place.service.start()
        return place

    yield make
    for service in begun:
        service.stop()


@pytest.mark.parametrize("case", [case for case in CASES if case.always or os.environ.get("SOAK")], ids=str)
def test_trouble_with_the_broker_is_named_and_costs_nothing_but_time(
    case: Case, new_place: Callable[..., Place], database: Database, environment: Environment
) -> None:
    place = new_place(case.protocol, managed=case.managed)
    visit = make_visit(database, environment.dls)
    first, *early, late = (
        make_collection(database, visit, imageDirectory=f"{visit.directory}/raw{number}/") for number in range(5)
    )
    told, examined = (text.format(vhost=place.vhost, protocol=case.protocol) for text in SAID[case.trouble])
    with place.service.client() as client:
        sample = launch(client, first)["processingJobId"]
        until(lambda: waiting(database) == 0 and place.ready()["broker"] == "connected", NAMED)
        sent = place.take()
        before = time_to_read(client, sample)

        with case.trouble(place) as worse:
            if case.trouble is missing_queue and case.protocol == "stomp":
                until_named(place, told)  # what is sent before it is known is lost
            jobs = [launch(client, dcid) for dcid in early]
            until_named(place, told)
            jobs.append(launch(client, late))
            named = place.ready()
            during = time_to_read(client, sample)
            states = [client.get(f"/processing-jobs/{job['processingJobId']}").json()["state"] for job in jobs]
            begun = time.monotonic()
            report = examine(settings.load(worse.environ))
            took = time.monotonic() - begun
        until(lambda: waiting(database) == 0 and place.ready()["broker"] == "connected", NAMED)

    assert len(sent) == 1
    assert (named["code"], named["status"]) == (200, "degraded")
    # A broker that is low on memory takes the first message of each connection before it blocks it.
    held = jobs[1:] if case.trouble is low_on_memory else jobs
    assert named["messagesWaiting"] >= len(held)
    assert states[-len(held) :] == ["pending"] * len(held)
    assert during <= 2 * before + 0.02
    assert examined in " ".join(report.wrong.values())
    assert names_broker_or_queue(report)
    assert took < NAMED
    arrived = Counter((one["parameters"]["ispyb_process"], one["parameters"]["guid"]) for one in place.take())
    assert set(arrived) == {(job["processingJobId"], job["guid"]) for job in jobs}


def test_by_stomp_alone_it_is_said_that_nobody_knows_of_the_queue(new_place: Callable[..., Place]) -> None:
    """RabbitMQ confirms what it drops, so that silence must not be taken for a queue that is there."""
    place = new_place("stomp", managed=False)
    place.broker.delete_queue(place.vhost, PROCESSING_RECIPE)

    until(lambda: place.ready()["broker"] == "connected", NAMED)
    ready, report = place.ready(), examine(settings.load(place.environ))

    for said in (ready["queue"], report.look["queue"]):
        assert said.startswith("not checked: set EM_BROKER__MANAGEMENT_URL")
    assert ready["consumers"] is None


def launch(client: httpx.Client, dcid: int) -> dict[str, Any]:
    """The button; it is accepted whatever the broker does."""
    answer = client.post(f"/data-collections/{dcid}/launch", json={"parameters": parameters()})
    assert answer.status_code == 202, answer.text
    body: dict[str, Any] = answer.json()
    return body


def until_named(place: Place, told: str) -> None:
    """Until readyz says so, about the broker or about the queue."""
    begun = time.monotonic()
    while told not in "{broker} {queue}".format_map(ready := place.ready()):
        assert time.monotonic() - begun < NAMED, f"not within {NAMED} s: {ready}"
        time.sleep(0.1)


def names_broker_or_queue(report: Report) -> bool:
    """Whether nothing else is wrong."""
    return report.code == 1 and set(report.wrong) <= {"broker", "queue"}


def time_to_read(client: httpx.Client, job_id: int) -> float:
    """The median time of the answers to many reads, in seconds: of several rounds, for others use the machine too."""
    rounds = []
    for _ in range(ROUNDS):
        times = []
        for _ in range(READS):
            begun = time.monotonic()
            answer = client.get(f"/processing-jobs/{job_id}")
            times.append(time.monotonic() - begun)
            assert answer.status_code == 200
        rounds.append(statistics.median(times))
    return min(rounds)


def waiting(database: Database) -> int:
    with database.read() as session:
        return outbox_module.waiting(session)[0]


def until(condition: Callable[[], bool], seconds: float) -> None:
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds, f"not within {seconds} s"
        time.sleep(0.1)
