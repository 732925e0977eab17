"""Many clients at once on MariaDB: one job, one data collection, and nobody who only looks is kept waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from app.db import Database
from app.ispyb import tables
from app.zocalo import outbox
from tests.factories import MadeVisit, launch_body, make_collection, make_program, make_visit, parameters
from tests.support import rows
from tests.support.environments import Environment
from tests.support.services import ServiceThread, api_client
from tests.system.support import at_once, press_at_once, statuses


@pytest.fixture
def client(service: ServiceThread) -> Iterator[httpx.Client]:
    with service.client() as client:
        yield client


@pytest.fixture
def database(service: ServiceThread) -> Database:
    return service.resources.database


@pytest.fixture
def visit(database: Database, environment: Environment) -> MadeVisit:
    return make_visit(database, environment.dls)


@pytest.mark.timeout(300)
def test_fifty_launches_on_one_data_collection_make_one_job(
    service: ServiceThread, database: Database, environment: Environment, rounds: int
) -> None:
    for _ in range(rounds):
        visit = make_visit(database, environment.dls)
        dcid = make_collection(database, visit)
        path, body = f"/data-collections/{dcid}/launch", {"parameters": parameters()}

        answers = press_at_once(service.port, 50, path, body)

        assert statuses(answers) == {202: 1, 409: 49}
        (job_id,) = rows.jobs_of(database, dcid)
        refused = [answer.json()["blockingJobs"] for answer in answers if answer.status_code == 409]
        assert all([job["processingJobId"] for job in blocking] == [job_id] for blocking in refused)


@pytest.mark.timeout(300)
def test_thirty_two_launches_of_new_files_make_one_data_collection_and_one_group(
    service: ServiceThread, database: Database, environment: Environment, rounds: int
) -> None:
    for _ in range(rounds):
        visit = make_visit(database, environment.dls)

        answers = press_at_once(service.port, 32, f"/visits/{visit.name}/launch", launch_body())

        assert statuses(answers) == {202: 1, 409: 31}
        with database.read() as session:
            found = [
                session.execute(sa.select(sa.func.count()).where(column == visit.session_id)).scalar_one()
                for column in (tables.DataCollection.c.SESSIONID, tables.DataCollectionGroup.c.sessionId)
            ]
        assert found == [1, 1]


@pytest.mark.timeout(120)
def test_the_same_key_ten_times_at_once_makes_one_job_and_ten_answers_alike(
    service: ServiceThread, database: Database, environment: Environment, rounds: int
) -> None:
    for _ in range(rounds):
        visit = make_visit(database, environment.dls)
        headers = {"Idempotency-Key": f"race-{visit.name}"}

        answers = press_at_once(service.port, 10, f"/visits/{visit.name}/launch", launch_body(), headers)

        assert statuses(answers) == {202: 10}
        assert len({answer.text for answer in answers}) == 1
        assert len(rows.jobs_of(database, answers[0].json()["dataCollectionId"])) == 1


@pytest.mark.timeout(120)
def test_ten_restarts_at_once_that_confirmed_the_same_job_make_one_new_job(
    service: ServiceThread, client: httpx.Client, database: Database, visit: MadeVisit
) -> None:
    first = client.post(f"/visits/{visit.name}/launch", json=launch_body()).json()
    make_program(database, first["processingJobId"])
    body = launch_body(ifBlocked="restart", replaces=[first["processingJobId"]])

    answers = press_at_once(service.port, 10, f"/visits/{visit.name}/launch", body)

    assert statuses(answers) == {202: 1, 409: 9}
    check = client.get(f"/data-collections/{first['dataCollectionId']}/launch-check").json()
    assert len(check["blockingJobs"]) == 1


def test_a_launch_does_not_wait_for_an_open_insert_of_a_movie(
    client: httpx.Client, database: Database, visit: MadeVisit
) -> None:
    dcid = make_collection(database, visit)

    with database.engine.connect() as acquisition:
        acquisition.execute(sa.insert(tables.Movie).values(dataCollectionId=dcid, movieNumber=1))
        begun = time.monotonic()
        answer = client.post(f"/data-collections/{dcid}/launch", json={"parameters": parameters()})
        waited = time.monotonic() - begun
        acquisition.commit()

    assert answer.status_code == 202
    assert waited < 2.5  # seconds; a lock wait would have lasted three


def test_an_insert_of_a_movie_does_not_wait_for_an_open_launch(
    database: Database, visit: MadeVisit, service: ServiceThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    dcid = make_collection(database, visit)
    in_transaction, go_on = threading.Event(), threading.Event()
    written = outbox.enqueue

    def enqueue_and_wait(*arguments: Any) -> None:
        written(*arguments)
        in_transaction.set()
        assert go_on.wait(10)

    monkeypatch.setattr(outbox, "enqueue", enqueue_and_wait)
    with service.client() as client:
        launch = threading.Thread(
            target=client.post,
            args=(f"/data-collections/{dcid}/launch",),
            kwargs={"json": {"parameters": parameters()}},
        )
        launch.start()
        assert in_transaction.wait(10)

        with database.engine.connect() as acquisition:
            acquisition.execute(sa.text("SET SESSION innodb_lock_wait_timeout = 1"))
            acquisition.execute(sa.insert(tables.Movie).values(dataCollectionId=dcid, movieNumber=1))
            acquisition.execute(sa.insert(tables.DataCollectionGroup).values(sessionId=visit.session_id))
            acquisition.commit()
        still_open = launch.is_alive()
        go_on.set()
        launch.join(10)

    assert still_open
    assert len(rows.jobs_of(database, dcid)) == 1


@pytest.mark.timeout(180)
def test_two_hundred_clients_at_once_are_all_served(
    service: ServiceThread, client: httpx.Client, database: Database, environment: Environment
) -> None:
    visits = [make_visit(database, environment.dls) for _ in range(10)]
    jobs = [client.post(f"/visits/{visit.name}/launch", json=launch_body()).json() for visit in visits]

    def work(index: int) -> list[int]:
        job = jobs[index % len(jobs)]
        paths = (
            f"/processing-jobs/{job['processingJobId']}",
            f"/data-collections/{job['dataCollectionId']}/launch-check",
            f"/visits/{visits[index % len(visits)].name}/data-collections",
        )
        # Each has a connection of its own: httpx's pool is not safe when so many threads close and open in it.
        with api_client(service.port) as one:
            return [one.get(path).status_code for path in paths]

    answers = at_once(200, work)

    assert {status for answer in answers for status in answer} == {200}
