"""The broker killed while people launch: every launch is accepted, and its message arrives."""

from __future__ import annotations

import os
import random
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import httpx
import pytest
import sqlalchemy as sa

from app.db import Database
from app.processing_jobs.tables import stop_request
from app.zocalo import outbox as outbox_module
from app.zocalo.outbox import outbox
from tests.factories import make_collection, make_visit, parameters
from tests.servers.activemq import ActiveMQ
from tests.servers.broker import Message
from tests.servers.certificates import Certificates
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.reaper import Reaper
from tests.support.environments import Environment
from tests.support.services import ServiceProcess
from tests.support.ways import WAYS, Way, start_brokers, ways_to
from tests.system.support import in_threads

pytestmark = [pytest.mark.system, pytest.mark.soak, pytest.mark.timeout(600)]

SOAK = bool(os.environ.get("SOAK"))
LAUNCHES, KILLS, WORKERS = (1000, 10, 2) if SOAK else (30, 1, 1)
CLIENTS = 4
RESTARTED = 5  # every so many-th launch is a restart on a data collection of the others, in these ways
RESTARTS: tuple[Literal["at once", "when sent"] | None, ...] = ("when sent", *[None] * 3, "at once", *[None] * 3)
SENT_BY = 2.0  # seconds that a restart waits for the first message, which may wait for the broker
AFTER_RESTART = 30.0  # seconds after which no job may be pending any more


class Sent(NamedTuple):
    """A message as it was found on the queue."""

    job_id: int
    kind: str
    guid: str | None
    message_id: str


@dataclass(frozen=True)
class Account:
    """What became of the launches and of their messages."""

    answers: list[httpx.Response] = field(repr=False)
    caught: list[int]  # messages that waited for the broker after each kill
    states: dict[int, str] = field(repr=False)  # of every job, when everything was sent
    drained: float  # seconds from the last restart until nothing waited any more
    arrived: list[Sent] = field(repr=False)
    log: str = field(repr=False)
    took: float

    @cached_property
    def launched(self) -> dict[int, dict[str, Any]]:
        """The answers by the job."""
        return {answer.json()["processingJobId"]: answer.json() for answer in self.answers}

    @cached_property
    def replaced(self) -> set[int]:
        """The jobs that a restart stopped."""
        return {job for launch in self.launched.values() for job in launch["stoppedJobs"]}

    def of(self, job_id: int, kind: str) -> list[Sent]:
        """The messages of this kind for a job."""
        return [sent for sent in self.arrived if (sent.job_id, sent.kind) == (job_id, kind)]

    @property
    def lost(self) -> list[int]:
        """Jobs of which Zocalo was not told what it has to know."""
        return [job_id for job_id in self.launched if not self._is_told(job_id)]

    def _is_told(self, job_id: int) -> bool:
        starts, stops = self.of(job_id, "start"), self.of(job_id, "stop")
        if job_id not in self.replaced:
            return bool(starts)
        # One that was replaced before its start was ever sent is stopped already, and there is nothing to tell.
        return not starts and not stops if self.states[job_id] == "stopped" else bool(stops)

    @property
    def stops(self) -> int:
        """Restarts of jobs that Zocalo knew already."""
        return sum(1 for job_id in self.replaced if self.of(job_id, "stop"))

    @property
    def duplicates(self) -> int:
        """Messages that came once more than they had to."""
        return len(self.arrived) - len({sent.message_id for sent in self.arrived})

    @property
    def disordered(self) -> list[int]:
        """Data collections whose messages came in another order than they were written in; a repeated one may lag."""
        first: dict[int, list[tuple[int, int]]] = defaultdict(list)
        seen: set[str] = set()
        for sent in self.arrived:
            if sent.message_id not in seen:
                seen.add(sent.message_id)
                dcid = self.launched[sent.job_id]["dataCollectionId"]
                first[dcid].append((sent.job_id, sent.kind == "stop"))
        return [dcid for dcid, order in first.items() if order != sorted(order)]


@pytest.fixture(scope="module")
def certificates(reaper: Reaper) -> Certificates:
    return Certificates(reaper.new_folder("certificates"))


@pytest.fixture(scope="module")
def brokers(reaper: Reaper, certificates: Certificates) -> tuple[RabbitMQ, ActiveMQ]:
    """Brokers of these tests' own: they are killed."""
    return start_brokers(reaper, certificates)


@pytest.fixture(params=WAYS)
def way(
    request: pytest.FixtureRequest, brokers: tuple[RabbitMQ, ActiveMQ], certificates: Certificates
) -> Iterator[Way]:
    """Each way in turn, its broker running and its queue empty."""
    way = ways_to(*brokers, certificates)[request.param]
    way.broker.start()
    way.take()
    yield way
    way.broker.start()


@pytest.fixture
def database(environment: Environment) -> Iterator[Database]:
    """This worker's database, with an empty outbox."""
    database = Database(environment.settings(), pool_size=10)
    for table in (outbox, stop_request):
        database.write(lambda session, table=table: session.execute(sa.delete(table)))  # type: ignore[misc]
    yield database
    database.dispose()


def test_a_broker_killed_while_people_launch_loses_nothing(
    way: Way,
    database: Database,
    environment: Environment,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    record_property: Any,
) -> None:
    """A relay has one message in hand at a time, so one kill can double one; the soak has two, one in each worker."""
    account = launch_and_kill(way, database, environment, tmp_path / "log")

    said = (
        f"{way.name}: {len(account.answers)} launches ({len(account.replaced)} restarts, {account.stops} with a stop), "
        f"{KILLS} kills, {sum(account.caught)} messages waited for the broker: {len(account.lost)} lost, "
        f"{account.duplicates} twice, all sent {account.drained:.1f} s after the last restart; "
        f"{account.took:.0f} s in all"
    )
    record_property("account", said)
    with capsys.disabled():
        sys.stderr.write(f"\n{said}\n")
    assert {answer.status_code for answer in account.answers} == {202}
    assert len(account.launched) == LAUNCHES
    assert len(account.replaced) == LAUNCHES // RESTARTED
    assert all(account.caught)
    assert account.stops or not SOAK
    assert account.lost == []
    assert account.duplicates <= KILLS
    assert unlike_their_jobs(account) == []
    assert account.disordered == []
    assert account.drained < AFTER_RESTART
    assert [job for job, state in account.states.items() if state == "pending"] == []
    assert "Traceback" not in account.log


def launch_and_kill(way: Way, database: Database, environment: Environment, log: Path) -> Account:
    """Launch in as many parts as there are kills, each kill at a moment when messages leave."""
    visit = make_visit(database, environment.dls)
    singles = LAUNCHES - LAUNCHES // RESTARTED
    directories = [f"{visit.directory}/raw{number}/" for number in range(singles)]
    dcids = in_threads(8, lambda directory: make_collection(database, visit, imageDirectory=directory), directories)
    parts = [dcids[n::KILLS] for n in range(KILLS)]
    environ = way.environ(environment) | {"EM_STOP__REPEAT_SECONDS": "3600"}  # each stop is one message here
    service = ServiceProcess(environ, log, "--workers", str(WORKERS))
    answers: list[httpx.Response] = []
    caught = []
    begun = time.monotonic()
    with service, service.client() as client, ThreadPoolExecutor(CLIENTS) as pool:
        for number, part in enumerate(parts):
            if number % 2 == 0:  # else what waited for the last restart comes first
                until(lambda: waiting(database) == 0, 60)
            enough = sent(database) + random.randint(1, len(part) // 3)
            work = [partial(press, client, dcid, restart=RESTARTS[n % 8]) for n, dcid in enumerate(part)]
            pressed = [pool.submit(one) for one in work[: len(part) // 2]]
            until(lambda enough=enough: sent(database) >= enough, 60)
            pressed += [pool.submit(one) for one in work[len(part) // 2 :]]
            way.broker.kill()
            answers += [answer for one in pressed for answer in one.result()]
            caught.append(waiting(database))
            way.broker.start()
        restarted = time.monotonic()
        until(lambda: waiting(database) == 0, 2 * AFTER_RESTART)
        drained = time.monotonic() - restarted
        states = ask_states(client, [answer.json()["processingJobId"] for answer in answers])
    return Account(
        answers=answers,
        caught=caught,
        states=states,
        drained=drained,
        arrived=[read(message) for message in way.take()],
        log=log.read_text(),
        took=time.monotonic() - begun,
    )


def press(client: httpx.Client, dcid: int, restart: Literal["at once", "when sent"] | None) -> list[httpx.Response]:
    """The button, and perhaps once more: before or after the first message left, or while it is on its way."""
    path, body = f"/data-collections/{dcid}/launch", {"parameters": parameters()}
    answers = [client.post(path, json=body)]
    if restart is None or answers[0].status_code != 202:
        return answers
    job_id = answers[0].json()["processingJobId"]
    patience = time.monotonic() + SENT_BY if restart == "when sent" else 0.0
    while time.monotonic() < patience:
        if client.get(f"/processing-jobs/{job_id}").json()["message"]["state"] == "sent":
            break
        time.sleep(0.05)
    return [*answers, client.post(path, json=body | {"ifBlocked": "restart"})]


def ask_states(client: httpx.Client, jobs: Sequence[int]) -> dict[int, str]:
    """What the status route says of each job."""
    bodies = in_threads(CLIENTS, lambda job: client.get(f"/processing-jobs/{job}").json(), jobs)
    return {body["processingJobId"]: body["state"] for body in bodies}


def unlike_their_jobs(account: Account) -> list[Sent]:
    """Messages that are not what their job's had to be, or that came again under another id."""
    ids: dict[tuple[int, str], set[str]] = defaultdict(set)
    for sent in account.arrived:
        ids[sent.job_id, sent.kind].add(sent.message_id)
    return [
        sent
        for sent in account.arrived
        if len(ids[sent.job_id, sent.kind]) > 1
        or (sent.kind == "start" and sent.guid != account.launched[sent.job_id]["guid"])
    ]


def read(message: Message) -> Sent:
    """A start or a stop; anything else is an error."""
    payload, message_id = message["payload"], message["headers"]["synchweb.message.id"]
    job_id, guid = payload["parameters"]["ispyb_process"], payload["parameters"].get("guid")
    bodies = {
        "start": {"parameters": {"ispyb_process": job_id, "guid": guid}},
        "stop": {"recipes": ["relion-stop"], "parameters": {"ispyb_process": job_id}},
    }
    (kind,) = [kind for kind, body in bodies.items() if body == payload]
    return Sent(job_id, kind, guid, message_id)


def sent(database: Database) -> int:
    """How many messages the broker has confirmed."""
    with database.read() as session:
        return session.execute(
            sa.select(sa.func.count()).select_from(outbox).where(outbox.c.sent_at.is_not(None))
        ).scalar_one()


def waiting(database: Database) -> int:
    with database.read() as session:
        return outbox_module.waiting(session)[0]


def until(condition: Any, seconds: float) -> None:
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds, f"not within {seconds} s"
        time.sleep(0.02)
