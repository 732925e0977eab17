"""``stats/mc``: the drift from frame to frame, on servers that keep it, never kept it, or stop keeping it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.db import Database
from app.ispyb.tables import Person, inserted_id
from app.settings import Settings
from tests.factories import make_visit
from tests.support import environments
from tests.support.environments import Environment, Servers
from tests.support.runs import Run, make_run
from tests.support.services import ServiceThread
from tests.synchweb.replay import DRIFT, JWT_KEY, Stage, token

HEADERS = {"Authorization": f"Bearer {token('lab_user')}"}
ADD = "INSERT INTO MotionCorrectionDrift (motionCorrectionId, frameNumber, deltaX, deltaY) VALUES (:motion, :n, :x, :y)"


def close(*numbers: float) -> Any:
    return pytest.approx(numbers, rel=1e-6)  # the columns are FLOAT


def add_drift(engine: sa.Engine, motion: int, *frames: tuple[int, float, float]) -> None:
    with engine.begin() as connection:
        for n, x, y in frames:
            connection.execute(sa.text(ADD), {"motion": motion, "n": n, "x": x, "y": y})


# On a server that keeps it.


def ask(browser: httpx.Client, visit: str) -> Any:
    answer = browser.get("/api/em/stats/mc", params={"visit": visit, "prop": "cm31111"}, headers=HEADERS)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_recorded_drift_gives_the_least_the_mean_and_the_most_of_each_step(
    stage: Stage, browser: httpx.Client
) -> None:
    """Frames of two movies: (0, 0), (0.1, -0.25), (0.00000015, 123457), (-1.23457, not known); (0, 0), (3, 4), (6, 8).

    They move by √(0.1² + 0.25²) = 0.2692582, √(0.1² + 123457.25²) = 123457.25, unknown; and by 5, 5.
    """
    answer = ask(browser, "cm31111-7")

    (series,) = answer["data"]
    assert set(answer) == {"data", "ticks"}
    assert set(series) == {"label", "min", "max", "avg"}
    assert series["label"] == "m12"
    assert answer["ticks"] == ["1-2", "2-3", "3-4"]
    assert series["min"] == close(0.2692582, 5, 0)
    assert series["avg"] == close(2.6346291, 61731.125, 0)
    assert series["max"] == close(5, 123457.25, 0)


def test_the_drift_of_another_visit_does_not_count(stage: Stage, browser: httpx.Client) -> None:
    before = ask(browser, "cm31111-7")
    add_drift(stage.engine, 900010, (1, 0, 0), (2, 0.6, 0.8), (4, 9, 9))  # of cm31111-10; a frame is missing
    try:
        mine = ask(browser, "cm31111-7")
        others = browser.get(
            "/api/em/stats/mc",
            params={"visit": "cm31111-10", "prop": "cm31111"},
            headers={"Authorization": f"Bearer {token('em_admin')}"},
        ).json()
    finally:
        with stage.engine.begin() as connection:
            connection.execute(sa.text("DELETE FROM MotionCorrectionDrift WHERE motionCorrectionId = 900010"))

    assert mine == before
    assert others["ticks"] == ["1-2"]
    assert others["data"] == [{"label": "m02", "min": close(1), "max": close(1), "avg": close(1)}]


# On a server of its own, whose ISPyB has no such table.

STATISTICS, IMAGE = PATHS = ("stats/mc", "mc/drift/{program}/n/1")
NOTHING = {
    STATISTICS: {"data": [{"label": "m12", "min": [], "max": [], "avg": []}], "ticks": []},
    IMAGE: {"xAxis": [], "yAxis": []},
}


class Server(NamedTuple):
    """An ISPyB of today with one run in it."""

    settings: Settings
    database: Database
    run: Run


@pytest.fixture(scope="module")
def today(servers: Servers, worker_id: str, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return environments.create(servers, f"today_{worker_id}", tmp_path_factory.mktemp("today"))


@pytest.fixture
def server(today: Environment) -> Iterator[Server]:
    settings = today.settings(relay={"enabled": False}, auth={"modes": ("synchweb",), "jwt_key": JWT_KEY})
    database = Database(settings, pool_size=2)

    def person(session: Session) -> int:
        found = session.execute(sa.select(Person.c.personId).where(Person.c.login == "lab_user")).scalar()
        return found or inserted_id(session.execute(sa.insert(Person).values(login="lab_user")))

    visit = make_visit(database, today.dls, members=[database.write(person)])
    yield Server(settings, database, make_run(database, visit))
    database.write(lambda session: session.execute(sa.text("DROP TABLE IF EXISTS MotionCorrectionDrift")))
    database.dispose()


def ask_all(service: ServiceThread, run: Run, paths: Sequence[str] = PATHS) -> dict[str, Any]:
    """What is answered of the visit, and of its one image."""
    query = {"visit": run.visit.name, "prop": run.visit.name.partition("-")[0]}
    out = {}
    with httpx.Client(base_url=f"http://127.0.0.1:{service.port}/api/em", headers=HEADERS, trust_env=False) as client:
        for path in paths:
            answer = client.get(path.format(program=run.program), params=query)
            assert answer.status_code == 200, answer.text
            out[path] = answer.json()
    return out


def test_a_server_that_never_kept_it_answers_with_empty_lists(server: Server) -> None:
    server.run.image(1)

    with ServiceThread(server.settings) as service:
        answers = [ask_all(service, server.run), ask_all(service, server.run)]

    assert answers == [NOTHING, NOTHING]


@pytest.mark.parametrize("paths", [PATHS, PATHS[::-1]], ids=["statistics-first", "image-first"])
def test_a_table_that_is_dropped_while_the_service_runs_leaves_empty_lists(
    server: Server, paths: Sequence[str]
) -> None:
    """Whichever of the two notices it."""
    server.database.write(lambda session: session.execute(sa.text(DRIFT)))
    motion = server.run.image(1)
    add_drift(server.database.engine, motion, (1, 0, 0), (2, 0.6, 0.8))
    with ServiceThread(server.settings) as service:
        before = ask_all(service, server.run)
        server.database.write(lambda session: session.execute(sa.text("DROP TABLE MotionCorrectionDrift")))
        after = [ask_all(service, server.run, paths), ask_all(service, server.run, paths)]

    assert before == {
        STATISTICS: {"data": [{"label": "m12", "min": close(1), "max": close(1), "avg": close(1)}], "ticks": ["1-2"]},
        IMAGE: {"xAxis": ["0", "0.6"], "yAxis": ["0", "0.8"]},
    }
    assert after == [NOTHING, NOTHING]
