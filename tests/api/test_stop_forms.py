"""What a stop message says, and when none may be sent: by the facility's dispatcher and its recipe."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from app.access.identity import ANYBODY
from app.db import Database
from app.processing_jobs import launching, stopping
from app.processing_jobs.launching import Order
from app.processing_jobs.relion import RelionParameters
from app.processing_jobs.stopping import LaterJob, NoStopFile
from app.processing_jobs.tables import stop_request
from app.resources import Resources
from app.zocalo.messages import STOP
from app.zocalo.outbox import outbox
from tests.api.test_stopping import pass_time, stops
from tests.factories import MadeVisit, end_program, make_collection, make_job, make_program, parameters
from tests.support.environments import Environment
from tests.support.services import ServiceThread


@pytest.fixture
def by_file(service: ServiceThread, environment: Environment) -> Resources:
    """A service whose dispatcher starts a run for every message that names a job."""
    return replace(service.resources, settings=environment.settings(stop={"message": "file"}))


@pytest.fixture
def by_link(service: ServiceThread, environment: Environment) -> Resources:
    """A service beside a recipe that stops the newest run of a data collection, whatever job is named."""
    resources = replace(service.resources, settings=environment.settings(stop={"by_job": False}))
    resources.database.write(lambda session: session.execute(sa.update(stop_request).values(due_at=None)))
    return resources


@pytest.fixture
def dcid(database: Database, visit: MadeVisit) -> int:
    return make_collection(database, visit)


def running(database: Database, dcid: int) -> int:
    job_id = make_job(database, dcid)
    make_program(database, job_id)
    return job_id


def bodies(database: Database, job_id: int) -> list[dict[str, Any]]:
    with database.read() as session:
        rows = session.execute(sa.select(outbox.c.body).where(outbox.c.job_id == job_id, outbox.c.kind == STOP))
        return [json.loads(row.body) for row in rows]


def restart(resources: Resources, dcid: int) -> launching.Launched:
    chosen = RelionParameters.model_validate(parameters())
    return launching.launch_collection(resources, ANYBODY, dcid, Order(chosen, if_blocked="restart"))


def test_by_file_a_stop_names_the_stop_file_and_no_job(
    by_file: Resources, database: Database, visit: MadeVisit, dcid: int
) -> None:
    job_id = running(database, dcid)

    stopping.stop(by_file, ANYBODY, job_id)
    pass_time(database, job_id, 1)
    stopping.sweep(by_file)

    expected = {
        "recipes": ["relion-stop-file"],
        "parameters": {"stop_file": f"{visit.directory}/tmp/relion-stop-{job_id}"},
    }
    assert bodies(database, job_id) == [expected, expected]


def test_by_file_a_job_without_a_place_for_its_stop_file_is_refused(
    by_file: Resources, database: Database, visit: MadeVisit
) -> None:
    job_id = running(database, make_collection(database, visit, imageDirectory="/elsewhere/raw/"))

    with pytest.raises(NoStopFile, match="lies in no visit's directory"):
        stopping.stop(by_file, ANYBODY, job_id)

    with database.read() as session:
        assert session.execute(sa.select(stop_request.c.job_id).where(stop_request.c.job_id == job_id)).first() is None


def test_by_link_a_stop_is_repeated_until_a_later_job_is_launched(
    by_link: Resources, database: Database, dcid: int
) -> None:
    job_id = running(database, dcid)
    stopping.stop(by_link, ANYBODY, job_id)
    pass_time(database, job_id, 1)
    stopping.sweep(by_link)
    repeated = stops(database, job_id)

    later = restart(by_link, dcid)
    for minutes in (3, 5, 9, 17, 30):
        pass_time(database, job_id, minutes)
        stopping.sweep(by_link)

    # The restart itself asks once more: that message leaves before the start of the new job.
    assert (repeated, stops(database, job_id)) == (2, 3)
    with database.read() as session:
        order = session.execute(
            sa.select(outbox.c.job_id, outbox.c.kind).where(outbox.c.order_key == dcid).order_by(outbox.c.id)
        ).all()
    assert [tuple(row) for row in order][-2:] == [(job_id, "stop"), (later.job_id, "start")]


def test_by_link_an_older_job_cannot_be_stopped_any_more(by_link: Resources, database: Database, dcid: int) -> None:
    older, newer = running(database, dcid), running(database, dcid)

    with pytest.raises(LaterJob, match="a later job of data collection"):
        stopping.stop(by_link, ANYBODY, older)
    stopping.stop(by_link, ANYBODY, newer)

    assert (stops(database, older), stops(database, newer)) == (0, 1)
    with database.read() as session:
        assert session.execute(sa.select(stop_request.c.job_id).where(stop_request.c.job_id == older)).first() is None


def test_by_link_a_restart_stops_the_newest_and_says_that_nothing_was_sent_for_the_others(
    by_link: Resources, client: httpx.Client, database: Database, dcid: int
) -> None:
    older, newer = running(database, dcid), running(database, dcid)

    launched = restart(by_link, dcid)

    status = client.get(f"/processing-jobs/{older}").json()
    assert launched.stopped_jobs == [older, newer]
    assert (stops(database, older), stops(database, newer)) == (0, 1)
    assert (status["state"], status["blocking"]) == ("stopping", False)
    assert "nothing was sent" in status["reason"]


def test_by_link_a_start_that_never_left_is_cancelled_in_place_all_the_same(
    by_link: Resources, client: httpx.Client, database: Database, dcid: int
) -> None:
    launched = launching.launch_collection(by_link, ANYBODY, dcid, Order(RelionParameters.model_validate(parameters())))
    end_program(database, make_job(database, dcid), 1)

    stopping.stop(by_link, ANYBODY, launched.job_id)

    assert client.get(f"/processing-jobs/{launched.job_id}").json()["state"] == "stopped"
    assert stops(database, launched.job_id) == 0


def test_by_link_a_later_job_that_never_left_does_not_count(
    by_link: Resources, client: httpx.Client, database: Database, dcid: int
) -> None:
    """A restart while the broker is away, taken back."""
    job_id = running(database, dcid)
    stopping.stop(by_link, ANYBODY, job_id)
    pass_time(database, job_id, 1)
    later = restart(by_link, dcid)
    stopping.stop(by_link, ANYBODY, later.job_id)
    before = stops(database, job_id)
    pass_time(database, job_id, 3)

    stopping.sweep(by_link)

    assert client.get(f"/processing-jobs/{later.job_id}").json()["state"] == "stopped"
    assert stops(database, job_id) == before + 1


def test_by_job_a_later_job_changes_nothing(service: ServiceThread, database: Database, dcid: int) -> None:
    older, _newer = running(database, dcid), running(database, dcid)

    stopping.stop(service.resources, ANYBODY, older)
    pass_time(database, older, 1)
    stopping.sweep(service.resources)

    assert stops(database, older) == 2
    assert bodies(database, older)[0] == {"recipes": ["relion-stop"], "parameters": {"ispyb_process": older}}
