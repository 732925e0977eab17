"""Stops that hold: repeated while the job lives, bounded, and given up when nothing is heard any more."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from app.access.identity import ANYBODY
from app.db import Database
from app.ispyb import tables
from app.processing_jobs import stopping
from app.processing_jobs.tables import stop_request
from app.resources import Resources
from app.zocalo import outbox as box
from app.zocalo.messages import STOP
from app.zocalo.outbox import outbox
from tests.api.conftest import MakeVisit
from tests.factories import (
    MadeVisit,
    end_program,
    launch_body,
    local_now,
    make_collection,
    make_file,
    make_job,
    make_program,
)
from tests.support import rows
from tests.support.services import ServiceThread


@pytest.fixture
def resources(service: ServiceThread) -> Resources:
    """What the sweep works with; stops of other tests are out of its sight."""
    resources = service.resources
    resources.database.write(lambda session: session.execute(sa.update(stop_request).values(due_at=None)))
    return resources


@pytest.fixture
def running_job(database: Database, visit: MadeVisit) -> int:
    """A job from elsewhere that runs."""
    job_id = make_job(database, make_collection(database, visit))
    make_program(database, job_id, recordTimeStamp=local_now() - timedelta(hours=12))
    return job_id


def pass_time(database: Database, job_id: int, minutes: float) -> None:
    """Let everything that was written about this stop be so much older, and its messages be sent."""
    span = timedelta(minutes=minutes)

    def work(session: Any) -> None:
        for row in session.execute(
            sa.select(outbox.c.id, outbox.c.queued_at).where(outbox.c.job_id == job_id, outbox.c.kind == STOP)
        ).all():
            earlier = row.queued_at - span
            session.execute(
                sa.update(outbox)
                .where(outbox.c.id == row.id)
                .values(queued_at=earlier, attempted_at=earlier, sent_at=earlier, open=None)
            )
        for row in session.execute(
            sa.select(stop_request.c.asked_at, stop_request.c.due_at).where(stop_request.c.job_id == job_id)
        ).all():
            session.execute(
                sa.update(stop_request)
                .where(stop_request.c.job_id == job_id)
                .values(asked_at=row.asked_at - span, due_at=None if row.due_at is None else row.due_at - span)
            )

    database.write(work)


def silence(database: Database, job_id: int, minutes: float) -> None:
    """Let the job's programs have given no sign of life for so long."""
    past = local_now() - timedelta(minutes=minutes)
    database.write(
        lambda session: session.execute(
            sa.update(tables.AutoProcProgram)
            .where(tables.AutoProcProgram.c.processingJobId == job_id)
            .values(processingStartTime=past, processingEndTime=past, recordTimeStamp=past)
        )
    )


def stops(database: Database, job_id: int) -> int:
    """How many stop messages were written for a job."""
    with database.read() as session:
        return session.execute(
            sa.select(sa.func.count()).where(outbox.c.job_id == job_id, outbox.c.kind == STOP)
        ).scalar_one()


def test_a_stop_is_repeated_with_growing_pauses_up_to_its_bound(
    resources: Resources, database: Database, running_job: int
) -> None:
    stopping.stop(resources, ANYBODY, running_job)
    counted = [stops(database, running_job)]

    for minutes in (0.2, 0.4, 0.6, 0.6, 2.1, 4.1, 8.1, 20, 60):
        pass_time(database, running_job, minutes)
        stopping.sweep(resources)
        counted.append(stops(database, running_job))

    assert counted == [1, 1, 2, 2, 3, 4, 5, 6, 6, 6]


def test_a_stop_is_not_repeated_once_the_job_has_ended(
    resources: Resources, database: Database, running_job: int
) -> None:
    stopping.stop(resources, ANYBODY, running_job)
    end_program(database, running_job, 0)
    pass_time(database, running_job, 10)

    stopping.sweep(resources)

    assert stops(database, running_job) == 1
    with database.read() as session:
        due = session.execute(sa.select(stop_request.c.due_at).where(stop_request.c.job_id == running_job)).scalar_one()
    assert due is None


def test_a_stop_is_not_repeated_while_its_message_waits_for_the_broker(
    resources: Resources, database: Database, running_job: int
) -> None:
    stopping.stop(resources, ANYBODY, running_job)
    database.write(
        lambda session: session.execute(
            sa.update(stop_request)
            .where(stop_request.c.job_id == running_job)
            .values(due_at=sa.func.utc_timestamp() - sa.text("INTERVAL 1 MINUTE"))
        )
    )

    stopping.sweep(resources)

    assert stops(database, running_job) == 1


def test_a_program_that_registers_late_is_stopped_as_well(
    resources: Resources, database: Database, visit: MadeVisit
) -> None:
    job_id = make_job(database, make_collection(database, visit))
    stopping.stop(resources, ANYBODY, job_id)
    for minutes in (1, 2, 3, 5, 9):
        pass_time(database, job_id, minutes)
        stopping.sweep(resources)
    assert stops(database, job_id) == 6
    pass_time(database, job_id, 30)
    stopping.sweep(resources)

    make_program(database, job_id)
    pass_time(database, job_id, 6)
    stopping.sweep(resources)

    assert stops(database, job_id) == 7


def test_a_job_without_a_sign_of_life_is_given_up_and_blocks_nobody(
    client: httpx.Client, resources: Resources, database: Database, running_job: int
) -> None:
    stopping.stop(resources, ANYBODY, running_job)
    silence(database, running_job, 40)
    pass_time(database, running_job, 16)

    status = client.get(f"/processing-jobs/{running_job}").json()

    assert (status["state"], status["blocking"]) == ("stopped", False)
    assert "Given up" in status["reason"]
    assert "not seen to end" in status["reason"]


def test_a_job_that_still_writes_results_is_not_given_up(
    client: httpx.Client, resources: Resources, database: Database, running_job: int
) -> None:
    stopping.stop(resources, ANYBODY, running_job)
    silence(database, running_job, 40)
    pass_time(database, running_job, 16)
    dcid = rows.row(database, tables.ProcessingJob, running_job)["dataCollectionId"]
    (program,) = client.get(f"/processing-jobs/{running_job}").json()["programs"]

    def new_result(session: Any) -> None:
        movie = tables.inserted_id(
            session.execute(sa.insert(tables.Movie).values(dataCollectionId=dcid, createdTimeStamp=local_now()))
        )
        session.execute(
            sa.insert(tables.MotionCorrection).values(
                movieId=movie, autoProcProgramId=program["autoProcProgramId"], dataCollectionId=dcid
            )
        )

    database.write(new_result)

    status = client.get(f"/processing-jobs/{running_job}").json()

    assert (status["state"], status["blocking"]) == ("stopping", True)
    assert "stop-overdue" in [warning["code"] for warning in status["warnings"]]


def test_a_launch_does_not_take_a_run_for_given_up_whose_files_still_change(
    client: httpx.Client, resources: Resources, database: Database, new_visit: MakeVisit
) -> None:
    visit = new_visit()
    job = client.post(f"/visits/{visit.name}/launch", json=launch_body()).json()
    make_program(database, job["processingJobId"])
    database.write(
        lambda session: session.execute(
            sa.update(outbox)
            .where(outbox.c.job_id == job["processingJobId"])
            .values(open=None, attempted_at=sa.func.utc_timestamp(), sent_at=sa.func.utc_timestamp())
        )
    )
    stopping.stop(resources, ANYBODY, job["processingJobId"])
    silence(database, job["processingJobId"], 40)
    pass_time(database, job["processingJobId"], 16)
    make_file(Path(job["resultsDirectory"]) / "RUNNING_RELION_IT")

    answer = client.post(f"/visits/{visit.name}/launch", json=launch_body())

    assert answer.status_code == 409
    assert answer.json()["blockingJobs"][0]["state"] == "stopping"


def test_a_stop_does_not_overtake_a_start_that_a_relay_holds(
    resources: Resources, database: Database, client: httpx.Client, new_visit: MakeVisit
) -> None:
    database.write(lambda session: session.execute(sa.update(outbox).values(open=None)))
    job = client.post(f"/visits/{new_visit().name}/launch", json=launch_body()).json()
    held = database.write(lambda session: box.claim(session, 60))

    stopping.stop(resources, ANYBODY, job["processingJobId"])
    meanwhile = database.write(lambda session: box.claim(session, 60))
    assert held is not None
    database.write(lambda session: box.mark_sent(session, held.id))
    after = database.write(lambda session: box.claim(session, 60))

    assert meanwhile is None
    assert after is not None
    assert after.kind == STOP


def test_a_cancelled_start_whose_send_was_never_confirmed_is_closed_not_sent(
    resources: Resources, database: Database, client: httpx.Client, new_visit: MakeVisit
) -> None:
    database.write(lambda session: session.execute(sa.update(outbox).values(open=None)))
    job = client.post(f"/visits/{new_visit().name}/launch", json=launch_body()).json()
    held = database.write(lambda session: box.claim(session, 60))
    assert held is not None
    stopping.stop(resources, ANYBODY, job["processingJobId"])
    database.write(lambda session: box.mark_failed(session, held, "no receipt", pause=0, written=True))

    after = database.write(lambda session: box.claim(session, 60))

    assert after is not None
    assert after.kind == STOP
    assert after.id != held.id


def test_a_stop_of_a_run_that_was_given_up_but_lives_is_no_conflict(
    client: httpx.Client, resources: Resources, database: Database, running_job: int
) -> None:
    stopping.stop(resources, ANYBODY, running_job)
    silence(database, running_job, 40)
    pass_time(database, running_job, 16)

    answer = client.post(f"/processing-jobs/{running_job}/stop")

    assert answer.status_code == 202
    assert stops(database, running_job) == 1


def test_a_stop_that_cannot_be_handled_does_not_hold_up_the_others(
    resources: Resources, database: Database, new_visit: MakeVisit, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = []
    for _ in range(2):
        job_id = make_job(database, make_collection(database, new_visit()))
        make_program(database, job_id, recordTimeStamp=local_now() - timedelta(hours=12))
        stopping.stop(resources, ANYBODY, job_id)
        pass_time(database, job_id, 1)
        jobs.append(job_id)
    decide = stopping.next_step

    def fails_for_the_first(facts: Any, settings: Any) -> Any:
        assert facts.job_id != jobs[0]
        return decide(facts, settings)

    monkeypatch.setattr(stopping, "next_step", fails_for_the_first)

    stopping.sweep(resources)

    assert [stops(database, job_id) for job_id in jobs] == [1, 2]
