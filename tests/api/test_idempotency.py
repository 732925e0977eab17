"""The Idempotency-Key: one launch, however often it is sent."""

from __future__ import annotations

import os

import httpx
import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.db import Database
from app.processing_jobs import idempotency
from tests.api.conftest import MakeVisit
from tests.factories import (
    MadeVisit,
    launch_body,
    make_file,
)
from tests.support import rows


def test_the_same_key_launches_once_and_answers_alike(
    client: httpx.Client, database: Database, visit: MadeVisit
) -> None:
    headers = {"Idempotency-Key": f"key-of-{visit.name}"}
    path = f"/visits/{visit.name}/launch"

    first = client.post(path, json=launch_body(), headers=headers)
    for movie in visit.directory.glob("raw/GridSquare_1/Data/*"):
        os.unlink(movie)
    second = client.post(path, json=launch_body(), headers=headers)
    other = client.post(path, json=launch_body(ifBlocked="restart"), headers=headers)

    assert (first.status_code, second.status_code) == (202, 202)
    assert second.json() == first.json()
    assert rows.jobs_of(database, first.json()["dataCollectionId"]) == [first.json()["processingJobId"]]
    assert other.status_code == 422
    assert other.json()["type"] == "idempotency-key-reused"


def test_a_refused_launch_does_not_use_up_its_key(client: httpx.Client, new_visit: MakeVisit) -> None:
    visit = new_visit(movies=[])
    headers = {"Idempotency-Key": f"key-of-{visit.name}"}
    path = f"/visits/{visit.name}/launch"

    refused = client.post(path, json=launch_body(), headers=headers)
    make_file(visit.directory / "raw/GridSquare_1/Data/movie_1.tiff")
    accepted = client.post(path, json=launch_body(), headers=headers)

    assert refused.status_code == 422
    assert refused.json()["type"] == "movies-not-found"
    assert accepted.status_code == 202


def test_a_key_whose_first_request_does_not_end_is_a_conflict(
    client: httpx.Client, database: Database, visit: MadeVisit
) -> None:
    key = f"slow-{visit.name}"
    rival = idempotency.Attempt("anonymous", f"visits/{visit.name}/launch", key, "another")

    with Session(database.engine) as session:
        session.connection().exec_driver_sql("START TRANSACTION")
        idempotency.begin(session, rival)
        answer = client.post(f"/visits/{visit.name}/launch", json=launch_body(), headers={"Idempotency-Key": key})
        session.connection().exec_driver_sql("ROLLBACK")

    assert answer.status_code == 409
    assert answer.json()["type"] == "same-request-in-progress"


def test_a_key_that_is_a_day_old_may_be_used_again(client: httpx.Client, database: Database, visit: MadeVisit) -> None:
    headers = {"Idempotency-Key": f"old-{visit.name}"}
    path = f"/visits/{visit.name}/launch"
    client.post(path, json=launch_body(), headers=headers)
    table = idempotency.idempotency
    database.write(
        lambda session: session.execute(
            sa.update(table)
            .where(table.c.key == headers["Idempotency-Key"])
            .values(created_at=sa.func.utc_timestamp() - sa.text("INTERVAL 25 HOUR"))
        )
    )

    answer = client.post(path, json=launch_body(ifBlocked="restart"), headers=headers)
    again = client.post(path, json=launch_body(ifBlocked="restart"), headers=headers)

    assert answer.status_code == 202
    assert len(answer.json()["stoppedJobs"]) == 1
    assert again.json() == answer.json()
