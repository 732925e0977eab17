"""The Idempotency-Key: one launch, however often it is sent."""

from __future__ import annotations

import os

import httpx

from app.db import Database
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
