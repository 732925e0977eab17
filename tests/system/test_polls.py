"""Polls of a real service with several workers: shared for a moment, and never stale for who has just written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.db import Database
from tests.factories import MadeVisit, make_collection, make_job, make_program, make_visit, parameters
from tests.support.environments import Environment
from tests.support.services import ServiceProcess, api_client

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


@pytest.fixture
def database(environment: Environment) -> Iterator[Database]:
    database = Database(environment.settings(), pool_size=3)
    yield database
    database.dispose()


@pytest.fixture
def visit(environment: Environment, database: Database) -> MadeVisit:
    return make_visit(database, environment.dls)


def asked_of_every_worker(port: int, path: str) -> list[httpx.Response]:
    """Answers to the same request on many new connections: the workers share them."""
    answers = []
    for _ in range(12):
        with api_client(port) as client:
            answers.append(client.get(path))
    return answers


def test_who_has_just_written_is_never_told_what_was_before(
    environment: Environment, database: Database, visit: MadeVisit, tmp_path: Path
) -> None:
    environ = environment.environ | {"EM_SHARE_SECONDS": "5", "EM_RELAY__ENABLED": "false"}
    told = []
    with ServiceProcess(environ, tmp_path / "log", "--workers", "2") as service, service.client() as client:
        for _ in range(5):
            dcid = make_collection(database, visit)
            before = asked_of_every_worker(service.port, f"/data-collections/{dcid}/processing-jobs")
            job = client.post(f"/data-collections/{dcid}/launch", json={"parameters": parameters()}).json()
            launched = asked_of_every_worker(service.port, f"/data-collections/{dcid}/processing-jobs")
            path = f"/processing-jobs/{job['processingJobId']}"
            waiting = asked_of_every_worker(service.port, path)
            client.post(f"{path}/stop")
            stopped = asked_of_every_worker(service.port, path)
            told.append(
                (
                    {answer.json()["total"] for answer in before},
                    {answer.json()["total"] for answer in launched},
                    {answer.json()["state"] for answer in waiting},
                    {answer.json()["state"] for answer in stopped},
                )
            )

    assert told == [({0}, {1}, {"pending"}, {"stopped"})] * 5


def test_what_others_write_is_told_a_moment_late_at_most_and_not_sent_twice(
    environment: Environment, database: Database, visit: MadeVisit, tmp_path: Path
) -> None:
    job = make_job(database, make_collection(database, visit))
    path = f"/processing-jobs/{job}"
    environ = environment.environ | {"EM_SHARE_SECONDS": "5", "EM_RELAY__ENABLED": "false"}
    with ServiceProcess(environ, tmp_path / "log") as service, service.client() as client:
        first = client.get(path)
        make_program(database, job)
        shared = client.get(path)
        unchanged = client.get(path, headers={"If-None-Match": first.headers["ETag"]})
        client.post(f"/processing-jobs/{job + 1_000_000}/stop")  # refused, but a write might have been
        changed = client.get(path, headers={"If-None-Match": first.headers["ETag"]})

    assert (first.json()["state"], shared.json()["state"]) == ("submitted", "submitted")
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert unchanged.headers["X-Request-ID"] != first.headers["X-Request-ID"]
    assert (changed.status_code, changed.json()["state"]) == (200, "running")
    assert changed.headers["Cache-Control"] == "private, no-cache"
