"""What others do wrong costs an answer that says so, and what is ours to mend is not called an outage."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pymysql
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from app import slots
from app.db import Database, DatabaseBusy, DatabaseRefuses, DatabaseUnavailable
from app.errors import EMError
from app.filesystem import gain_reference, sentinel
from app.ispyb import tables
from tests.api.conftest import MakeVisit
from tests.api.support import launch, mark_sent
from tests.factories import MadeVisit, end_program, make_collection, make_file, make_job, make_program
from tests.support import rows
from tests.support.services import ServiceThread


def test_a_column_that_is_missing_is_not_called_an_outage(database: Database) -> None:
    with pytest.raises(OperationalError, match="no_such_column"):
        database.write(lambda session: session.execute(sa.text("SELECT no_such_column FROM Proposal")))


def test_connections_share_what_they_need_for_tls(database: Database) -> None:
    with database.engine.connect() as one, database.engine.connect() as other:
        contexts = [connection.connection.driver_connection.ctx for connection in (one, other)]  # type: ignore[union-attr]

    assert contexts[0] is contexts[1]


def test_missing_rights_are_named(database: Database) -> None:
    database.write(lambda session: session.execute(sa.text("CREATE OR REPLACE USER 'nobody'@'127.0.0.1'")))
    url = database.engine.url.set(username="nobody", database="")
    engine = sa.create_engine(url)
    own, database.engine = database.engine, engine
    try:
        with pytest.raises(DatabaseRefuses, match="doctor"):
            database.write(lambda session: session.execute(sa.text("SELECT 1 FROM mysql.user")))
    finally:
        database.engine = own
        engine.dispose()


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "[::1"},
    ],
    ids=str,
)
def test_without_access_control_no_web_page_may_stop_a_job(
    client: httpx.Client, database: Database, visit: MadeVisit, headers: dict[str, str]
) -> None:
    job_id = make_job(database, make_collection(database, visit))

    answer = client.post(f"/processing-jobs/{job_id}/stop", headers=headers)

    assert answer.status_code == 403
    assert client.get(f"/processing-jobs/{job_id}").json()["stop"] is None


def test_the_names_of_the_loopback_are_answered(client: httpx.Client, visit: MadeVisit) -> None:
    for host in ("localhost:8000", "127.0.0.1", "[::1]:8000"):
        assert client.get(f"/visits/{visit.name}", headers={"Host": host}).status_code == 200


def test_a_request_cannot_write_a_line_of_its_own_into_the_log(
    client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="app.access_log"):
        client.get("/visits/x%0A2026-11-22 INFO stopped by admin")
        client.get("/visits/x")  # the line of the first is written after its answer, but before this one's

    assert caplog.messages
    assert not any("\n" in message for message in caplog.messages)


def test_one_look_serves_a_whole_list(
    service: ServiceThread, client: httpx.Client, database: Database, visit: MadeVisit, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []
    for _ in range(3):
        job = launch(client, visit, ifBlocked="restart")
        mark_sent(database, job["processingJobId"])
        make_program(database, job["processingJobId"])
    end_program(database, job["processingJobId"], 0)
    run = service.resources.looks.run

    def counted(key: str, work: Callable[[], Any]) -> Any:
        looks.append(key)
        return run(key, work)

    monkeypatch.setattr(service.resources.looks, "run", counted)

    answer = client.get(f"/data-collections/{job['dataCollectionId']}/processing-jobs").json()

    assert [item["sentinels"]["checked"] for item in answer["items"]] == ["not-looked", "absent", "absent"]
    assert looks == [str(visit.directory)]


def test_a_launch_looks_for_movies_and_gain_reference_at_once(
    service: ServiceThread, client: httpx.Client, visit: MadeVisit, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []
    run = service.resources.looks.run

    def counted(key: str, work: Callable[[], Any]) -> Any:
        looks.append(key)
        return run(key, work)

    monkeypatch.setattr(service.resources.looks, "run", counted)

    (visit.directory / "processing" / "gain.mrc").unlink()

    warnings = launch(client, visit)["warnings"]

    assert looks == [str(visit.directory)]
    assert [warning["code"] for warning in warnings] == ["gain-reference-missing"]


def test_a_gain_reference_that_hangs_does_not_hide_the_movies(
    service: ServiceThread, client: httpx.Client, visit: MadeVisit, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    monkeypatch.setattr(service.resources.looks, "deadline", 0.3)
    monkeypatch.setattr(gain_reference, "look", lambda *_, **__: release.wait(20))

    made = launch(client, visit)
    release.set()

    assert made["dataCollectionCreated"]
    assert [warning["code"] for warning in made["warnings"]] == ["gain-reference-unknown"]


def test_a_gain_reference_that_cannot_be_looked_at_hides_no_sentinel(
    client: httpx.Client, database: Database, new_visit: MakeVisit, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit = new_visit()
    job = launch(client, visit)
    mark_sent(database, job["processingJobId"])
    make_file(visit.directory / job["resultsDirectory"] / "RUNNING_RELION_IT")
    exists = Path.exists

    def refused(path: Path) -> bool:
        if path.name == "gain.mrc":
            raise PermissionError(13, "Permission denied")
        return exists(path)

    monkeypatch.setattr(Path, "exists", refused)

    status = client.get(f"/processing-jobs/{job['processingJobId']}").json()

    assert status["state"] == "running"
    assert status["sentinels"]["files"][0]["name"] == sentinel.RUNNING + "RELION_IT"


def test_a_job_without_a_time_breaks_nothing(client: httpx.Client, database: Database, visit: MadeVisit) -> None:
    dcid = make_collection(database, visit)
    job_id = make_job(database, dcid)
    with database.engine.begin() as connection:
        connection.execute(sa.text("SET SESSION sql_mode = ''"))
        connection.execute(
            sa.update(tables.ProcessingJob)
            .where(tables.ProcessingJob.c.processingJobId == job_id)
            .values(recordTimestamp=sa.text("'0000-00-00 00:00:00'"))
        )
        connection.execute(sa.text("SET SESSION sql_mode = DEFAULT"))

    status = client.get(f"/processing-jobs/{job_id}")
    check = client.get(f"/data-collections/{dcid}/launch-check")

    assert (status.status_code, check.status_code) == (200, 200)


@pytest.mark.parametrize(
    ("code", "times", "outcome"),
    [(1213, 1, "committed"), (1213, 9, DatabaseBusy), (1180, 1, DatabaseUnavailable)],
    ids=["certification lost once", "lost for good", "the server cannot commit"],
)
def test_a_commit_that_fails_leaves_nothing_behind(
    database: Database, visit: MadeVisit, monkeypatch: pytest.MonkeyPatch, code: int, times: int, outcome: Any
) -> None:
    """Galera says no at commit. What was written must not be there later, with somebody else's work."""
    left = [times]
    commit = pymysql.connections.Connection.commit

    def fails(connection: Any) -> None:
        if left[0]:
            left[0] -= 1
            raise pymysql.err.OperationalError(code, "not now")
        commit(connection)

    monkeypatch.setattr(pymysql.connections.Connection, "commit", fails)
    before = rows.counts(database)

    def work(session: Any) -> str:
        slots.take(session, "visit", visit.session_id)
        session.execute(sa.insert(tables.DataCollectionGroup).values(sessionId=visit.session_id))
        return "committed"

    told: Any
    try:
        told = database.write(work)
    except EMError as error:
        told = type(error)
    monkeypatch.undo()
    database.write(lambda session: slots.take(session, "visit", visit.session_id))  # on the same connection

    after = rows.counts(database)
    assert told == outcome
    assert {name: after[name] - before[name] for name in after if after[name] != before[name]} == (
        {"DataCollectionGroup": 1} if outcome == "committed" else {}
    )
