"""How many statements a request takes, who is asking included: what grows here is felt at the facility's scale."""

from __future__ import annotations

import httpx
import pytest

from app.db import Database
from tests.api.support import mark_sent
from tests.api.test_stopping import pass_time
from tests.factories import MadeVisit, end_program, make_collection, make_job, make_program, make_visit
from tests.support import statements
from tests.support.environments import Environment
from tests.support.services import ServiceThread
from tests.support.statements import Recorder
from tests.synchweb.replay import Stage, token
from tests.synchweb.test_access import FORM

LAB_USER = 90001


@pytest.fixture(scope="module")
def database(synchweb: ServiceThread, stage: Stage) -> Database:
    return synchweb.resources.database


@pytest.fixture(scope="module")
def visit(database: Database, recorded: Environment) -> MadeVisit:
    return make_visit(database, recorded.dls, members=[LAB_USER])


def ask(
    browser: httpx.Client, database: Database, method: str, path: str, login: str = "lab_user", **more: object
) -> tuple[httpx.Response, Recorder]:
    headers = {"Authorization": f"Bearer {token(login)}"}
    with statements.recorded(database.engine) as sent:
        answer = browser.request(method, f"/api/em/{path}", headers=headers, **more)  # type: ignore[arg-type]
    return answer, sent


@pytest.mark.parametrize("login", ["lab_user", "em_admin"])
def test_fifteen_jobs_take_four_statements(
    browser: httpx.Client, database: Database, visit: MadeVisit, login: str
) -> None:
    dcid = make_collection(database, visit)
    jobs = [make_job(database, dcid) for _ in range(15)]
    for job in jobs[:12]:
        make_program(database, job)

    answer, sent = ask(browser, database, "GET", f"jobs/{dcid}?currentPage=1&pageSize=500", login)

    assert (answer.status_code, answer.json()["total"]) == (200, 15)
    assert len(sent.statements) <= 4, [statement.where for statement in sent.statements]


def test_fifteen_jobs_that_were_asked_to_stop_take_no_more(
    browser: httpx.Client, database: Database, visit: MadeVisit
) -> None:
    dcid = make_collection(database, visit)
    give_up_jobs(browser, database, dcid, 15)

    answer, sent = ask(browser, database, "GET", f"jobs/{dcid}")

    words = {row["processingStatusDescription"] for row in answer.json()["data"]}
    assert words == {"failure"}
    assert len(sent.statements) <= 4, [statement.where for statement in sent.statements]


def give_up_jobs(browser: httpx.Client, database: Database, dcid: int, many: int) -> None:
    """Jobs launched here that nobody ever picked up, and whose stop was given up."""
    proposal = {"prop": None}
    for _ in range(many):
        started, _ = ask(browser, database, "POST", f"relion/start/{dcid}", json=FORM | proposal)
        job = started.json()["message"]["parameters"]["ispyb_process"]
        mark_sent(database, job)
        ask(browser, database, "GET", f"relion/stop/{job}")
        pass_time(database, job, 60)


def test_a_data_collection_takes_three_statements(browser: httpx.Client, database: Database, visit: MadeVisit) -> None:
    dcid = make_collection(database, visit)

    answer, sent = ask(browser, database, "GET", f"dc/{dcid}")

    assert answer.status_code == 200
    assert len(sent.statements) <= 3, [statement.where for statement in sent.statements]


@pytest.mark.parametrize("before", [0, 1, 15])
def test_a_start_takes_fifteen_statements_however_many_jobs_were_before(
    browser: httpx.Client, database: Database, visit: MadeVisit, before: int
) -> None:
    dcid = make_collection(database, visit)
    for _ in range(before):
        job = make_job(database, dcid)
        make_program(database, job)
        end_program(database, job, 1)

    answer, sent = ask(
        browser, database, "POST", f"relion/start/{dcid}", json=FORM | {"prop": visit.name.partition("-")[0]}
    )

    assert answer.status_code == 200, answer.text
    assert len(sent.statements) <= 15, [statement.where for statement in sent.statements]


def test_a_start_takes_no_more_after_jobs_that_were_given_up(
    browser: httpx.Client, database: Database, visit: MadeVisit
) -> None:
    dcid = make_collection(database, visit)
    give_up_jobs(browser, database, dcid, 15)

    answer, sent = ask(browser, database, "POST", f"relion/start/{dcid}", json=FORM | {"prop": None})

    assert answer.status_code == 200, answer.text
    assert len(sent.statements) <= 15, [statement.where for statement in sent.statements]
