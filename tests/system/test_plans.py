"""Nothing that the service asks of MariaDB takes longer as ISPyB grows: the plans of every statement that it sends.

The copy has all movies of a facility's biggest program, and a fiftieth of its data collections and jobs: enough for
MariaDB to choose as it does at full size, which the soak looks at.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import httpx
import pytest
import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy.orm import Session

from app.access import tokens
from app.db import utc_now
from app.ispyb import tables
from app.processing_jobs import idempotency, stopping
from app.processing_jobs.tables import stop_request
from app.zocalo import outbox
from app.zocalo.messages import StopJob
from tests.support import environments, facility, walk
from tests.support.environments import Environment, Servers
from tests.support.facility import Facility
from tests.support.services import ServiceThread
from tests.support.statements import Plan, Recorder, Statement, explain, recorded, trouble
from tests.support.walk import Ask, Operation, Walk

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

KEY = "a key that is as long as HS512 wants it to be, which is sixty-four bytes at the least"
PART = 1 if os.environ.get("SOAK") else 50  # of a facility's 200,000 data collections and 400,000 jobs
MOVIES = 50_000
LAUNCHES = 100_000
# Of whoever asks, apart from good answers. Sending a job again is for staff, and needs a job that was lost.
REFUSED: dict[str, set[int]] = {"synchwebScipion": {410}, "resendProcessingJob": {403, 409}}


class Served(NamedTuple):
    """The service on such a database, what it sends there, and a walk through its operations."""

    service: ServiceThread
    facility: Facility
    recorder: Recorder
    walk: Walk

    def ask(self, ask: Ask, login: str | None) -> httpx.Response:
        """Send a request, with SynchWeb's token for this login."""
        headers = dict(ask.headers)
        if login is not None:
            headers["Authorization"] = f"Bearer {tokens.issue(login, SecretStr(KEY), seconds=3600)}"
        url = f"http://127.0.0.1:{self.service.port}{ask.url}"
        with self.service.client() as client:
            return client.request(ask.method, url, params=dict(ask.params), json=ask.json, headers=headers)

    def plans(self) -> list[Plan]:
        """Those of the statements that were sent since the last time."""
        engine = self.service.resources.database.engine
        plans = [explain(engine, statement) for statement in self.recorder.take()]
        return [plan for plan in plans if plan is not None]


def report(plans: Sequence[Plan]) -> str:
    """What is wrong with each of these plans."""
    return "\n\n".join(f"{found}\n{plan}" for plan in plans for found in trouble(plan))


@pytest.fixture(scope="module")
def place(servers: Servers, worker_id: str, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Databases of its own, since they are filled."""
    return environments.create(servers, f"{worker_id}_plans", tmp_path_factory.mktemp("plans"))


@pytest.fixture(scope="module")
def served(place: Environment) -> Iterator[Served]:
    made = facility.fill(
        place.database_url,
        schema=place.schema,
        dls=str(place.dls),
        data_collections=200_000 // PART,
        jobs=400_000 // PART,
        movies=MOVIES,
        launches=LAUNCHES,
    )
    walk.put_files(made)
    settings = place.settings(relay={"enabled": False}, auth={"modes": ["synchweb", "onetime"], "jwt_key": KEY})
    with ServiceThread(settings) as service, recorded(service.resources.database.engine) as recorder:
        yield Served(service, made, recorder, Walk(made))


@pytest.mark.parametrize("who", ["staff", "member", "outsider"])
@pytest.mark.parametrize("operation", walk.operations(), ids=str)
def test_no_statement_of_an_operation_reads_or_sorts_a_large_table(
    served: Served, operation: Operation, who: str
) -> None:
    login = getattr(served.facility, who)
    served.recorder.take()
    plans = []

    for ask in served.walk.requests(operation):
        answer = served.ask(ask, login)
        good = {200, 202, *REFUSED.get(operation.name, ())} if who != "outsider" else range(200, 500)
        assert answer.status_code in good, (ask, answer.text)
        plans += served.plans()

    assert report(plans) == ""
    # For somebody who sees nothing, MariaDB notices before it has planned.
    assert who == "outsider" or [str(plan) for plan in plans if plan.unseen] == []


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT comments FROM DataCollection WHERE comments = 'x'", "reads all of DataCollection"),
        ("SELECT COUNT(*) FROM Movie", "reads all of Movie"),
        ("SELECT 1 FROM Proposal WHERE CONCAT(proposalCode, proposalNumber) = 'cm1'", "reads all of Proposal"),
        ("SELECT m.movieId FROM Movie AS m ORDER BY m.movieFullPath LIMIT 1", "reads all of Movie"),
        ("SELECT ctfId FROM CTF AS c WHERE c.autoProcProgramId = 1 ORDER BY ccValue", "sorts rows of CTF"),
        (
            "SELECT c.ctfId FROM CTF AS c JOIN MotionCorrection AS mc USING (motionCorrectionId) "
            "WHERE c.autoProcProgramId = 1 ORDER BY mc.imageNumber",
            "sorts rows of MotionCorrection",
        ),
        ("UPDATE DataCollection SET comments = 'x' WHERE comments = 'y'", "reads all of DataCollection"),
        ("DELETE FROM Session_has_Person WHERE role = 'x'", "reads all of Session_has_Person"),
        ("SELECT 1 WHERE EXISTS (SELECT 1 FROM Movie WHERE movieFullPath = 'x')", "reads all of Movie"),
        ("SELECT x FROM (SELECT MAX(ccValue) AS x FROM CTF GROUP BY ccValue) AS d", "reads all of CTF"),
        ("SELECT comments FROM DataCollection WHERE dataCollectionId = 1", ""),
        ("SELECT ctfId FROM CTF WHERE autoProcProgramId = 1 ORDER BY ctfId", ""),
        ("SELECT permissionId FROM Permission ORDER BY description", ""),
    ],
)
def test_trouble_is_seen_where_there_is_some(served: Served, sql: str, expected: str) -> None:
    plan = explain(served.service.resources.database.engine, Statement(sql, (), "here", "-"))

    assert plan is not None
    found = trouble(plan)
    assert any(expected in one for one in found) if expected else found == []


def test_no_statement_about_a_one_time_token_reads_or_sorts_a_large_table(served: Served) -> None:
    address = f"/em/v1/visits/{served.facility.visit}"
    database, person = served.service.resources.database, tables.Person.c
    token = sa.select(
        sa.literal("once"), person.personId, sa.literal(address)
    ).where(person.login == served.facility.member)  # fmt: skip
    columns = ["token", "personId", "validity"]
    database.write(lambda session: session.execute(sa.insert(tables.SWOnceToken).from_select(columns, token)))
    served.recorder.take()

    answer = served.ask(Ask("GET", f"/api{address}", {"token": "once"}, None, {}), None)
    plans = served.plans()

    assert answer.status_code == 200
    assert "SW_onceToken" in str([plan.statement.sql for plan in plans])
    assert report(plans) == ""


def deliver(session: Session) -> None:
    for _ in range(2):
        claimed = outbox.claim(session, 15)
        assert claimed is not None
        outbox.mark_failed(session, claimed, "the broker is away", pause=1, written=True)
        outbox.mark_sent(session, claimed.id)


BACKGROUND: dict[str, Callable[[Session], object]] = {
    "deliver": deliver,
    "waiting": outbox.waiting,
    "note_trouble": lambda session: outbox.note_trouble(session, "the broker is away"),
    "cancel_start": lambda session: outbox.cancel_start(session, 1),
    "forget_old_keys": idempotency.forget_old,
}


@pytest.fixture(scope="module")
def busy(served: Served) -> Served:
    """With messages that wait behind a hundred thousand that were sent, and stops that are due."""
    facility = served.facility

    def work(session: Session) -> None:
        for dcid, job_id in facility.running[-9:]:
            for _ in range(50):
                outbox.enqueue(session, dcid, StopJob(job_id), facility.member)
            values = {"job_id": job_id, "dcid": dcid, "asked_by": facility.member, "asked_at": utc_now()}
            session.execute(sa.insert(stop_request).values(values | {"due_at": utc_now()}))

    served.service.resources.database.write(work)
    return served


@pytest.mark.parametrize("name", BACKGROUND)
def test_no_statement_of_the_background_reads_or_sorts_a_large_table(busy: Served, name: str) -> None:
    busy.recorder.take()

    with Session(busy.service.resources.database.engine) as session:
        session.connection().exec_driver_sql("START TRANSACTION")
        BACKGROUND[name](session)
        session.connection().exec_driver_sql("ROLLBACK")  # so that the plans are asked for with the same rows
    plans = busy.plans()

    assert len(plans) >= 1
    assert report(plans) == ""


def test_no_statement_of_the_stops_reads_or_sorts_a_large_table(busy: Served) -> None:
    busy.recorder.take()

    stopping.sweep(busy.service.resources)
    plans = busy.plans()

    assert len(plans) > 9
    assert report(plans) == ""
