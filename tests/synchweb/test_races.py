"""Many browsers at once on MariaDB: whoever presses first is served, the others are told why not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from app.db import Database
from app.ispyb.tables import DataCollection, DataCollectionGroup
from tests.factories import MadeVisit, make_collection, make_visit
from tests.support import rows
from tests.support.environments import Environment
from tests.support.services import ServiceThread
from tests.synchweb.replay import Stage, token
from tests.synchweb.test_access import FORM
from tests.system.support import at_once, statuses

pytestmark = pytest.mark.timeout(300)

LAB_USER = 90001
BROWSERS = 16
ROUNDS = 20 if os.environ.get("SOAK") else 3
MOVIES = {"acquisitionSoftware": "EPU", "imageDirectory": "raw", "imageSuffix": "tiff"}


@pytest.fixture(scope="module")
def database(synchweb: ServiceThread, stage: Stage) -> Database:
    return synchweb.resources.database


@pytest.fixture(autouse=True)
def unchanged(stage: Stage) -> Iterator[None]:
    with stage.kept():
        yield


def post_at_once(port: int, path: str, body: dict[str, Any]) -> list[httpx.Response]:
    """One post from each browser, on a connection of its own, all at the same moment."""
    headers = {"Authorization": f"Bearer {token('lab_user')}"}
    with ExitStack() as stack:
        browsers = [
            stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False))
            for _ in range(BROWSERS)
        ]
        for browser in browsers:  # so that no connection has yet to be made
            browser.get("/healthz")
        return at_once(BROWSERS, lambda n: browsers[n].post(f"/api/em/{path}", json=body, headers=headers))


def count(database: Database, column: sa.Column[int], visit: MadeVisit) -> int:
    with database.read() as session:
        return session.execute(sa.select(sa.func.count()).where(column == visit.session_id)).scalar_one()


@pytest.mark.parametrize("_", range(ROUNDS))
def test_new_movies_become_one_data_collection_whoever_posts_them(
    synchweb: ServiceThread, database: Database, recorded: Environment, _: int
) -> None:
    visit = make_visit(database, recorded.dls, members=[LAB_USER])

    answers = post_at_once(synchweb.port, f"dc/new/{visit.name}", MOVIES | {"prop": visit.name.partition("-")[0]})

    refused = [answer.json() for answer in answers if answer.status_code != 200]
    assert statuses(answers) == {200: 1, 400: BROWSERS - 1}, refused
    assert {body["status"] for body in refused} == {400}
    assert all(set(body["message"]) == set(MOVIES) and all(body["message"].values()) for body in refused), refused
    assert count(database, DataCollection.c.SESSIONID, visit) == 1
    assert count(database, DataCollectionGroup.c.sessionId, visit) == 1


@pytest.mark.parametrize("_", range(ROUNDS))
def test_a_data_collection_gets_one_job_whoever_starts_it(
    synchweb: ServiceThread, database: Database, recorded: Environment, _: int
) -> None:
    visit = make_visit(database, recorded.dls, members=[LAB_USER])
    dcid = make_collection(database, visit)

    answers = post_at_once(synchweb.port, f"relion/start/{dcid}", FORM | {"prop": visit.name.partition("-")[0]})

    refused = [answer.json() for answer in answers if answer.status_code != 200]
    assert statuses(answers) == {200: 1, 400: BROWSERS - 1}, refused
    assert all(set(body) == {"status", "message"} and isinstance(body["message"], str) for body in refused), refused
    assert all(body["status"] == 400 and body["message"].endswith(".") for body in refused), refused
    (started,) = [answer.json()["message"] for answer in answers if answer.status_code == 200]
    assert rows.jobs_of(database, dcid) == [started["parameters"]["ispyb_process"]]
    assert len(rows.messages(database, dcid)) == 1
