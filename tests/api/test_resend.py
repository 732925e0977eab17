"""Sending a start again: by staff, with a reason, for a job that nobody picked up and for no other."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from app.access.identity import ANYBODY, Person
from app.db import Database
from app.filesystem import sentinel
from app.processing_jobs import resending, stopping
from app.processing_jobs.resending import StaffOnly
from app.processing_jobs.tables import launch as launches
from app.resources import Resources
from app.zocalo import outbox as box
from app.zocalo.messages import START
from app.zocalo.outbox import outbox
from app.zocalo.queue import Queue
from tests.api.conftest import MakeVisit
from tests.api.support import launch, mark_sent
from tests.factories import MadeVisit, make_collection, make_file, make_job, make_program
from tests.support.environments import Environment
from tests.support.services import ServiceThread

REASON = {"reason": "the broker lost its disk at 02:40"}


@pytest.fixture
def resources(service: ServiceThread) -> Resources:
    return service.resources


def grow_old(database: Database, job_id: int, minutes: float) -> None:
    """Let the job have been launched, and its messages been sent, so much earlier."""

    def work(session: Any) -> None:
        for row in session.execute(sa.select(outbox).where(outbox.c.job_id == job_id)).all():
            earlier = row.queued_at - timedelta(minutes=minutes)
            session.execute(
                sa.update(outbox)
                .where(outbox.c.id == row.id)
                .values(queued_at=earlier, attempted_at=earlier, sent_at=earlier, open=None)
            )
        launched = session.execute(sa.select(launches.c.launched_at).where(launches.c.job_id == job_id)).scalar_one()
        session.execute(
            sa.update(launches)
            .where(launches.c.job_id == job_id)
            .values(launched_at=launched - timedelta(minutes=minutes))
        )

    database.write(work)


@pytest.fixture
def lost(client: httpx.Client, database: Database, visit: MadeVisit) -> dict[str, Any]:
    """A job that was sent ten minutes ago, and that nobody picked up."""
    job = launch(client, visit)
    grow_old(database, job["processingJobId"], 10)
    return job


def starts(database: Database, job_id: int) -> list[dict[str, Any]]:
    """The start messages of a job, oldest first."""
    with database.read() as session:
        rows = session.execute(
            sa.select(outbox.c.body).where(outbox.c.job_id == job_id, outbox.c.kind == START).order_by(outbox.c.id)
        )
        return [json.loads(row.body) for row in rows]


def test_the_same_start_is_sent_again_and_why_is_kept(
    client: httpx.Client, database: Database, lost: dict[str, Any]
) -> None:
    job_id = lost["processingJobId"]
    before = client.get(f"/processing-jobs/{job_id}").json()

    answer = client.post(f"/processing-jobs/{job_id}/resend", json=REASON)

    body = answer.json()
    first, again = starts(database, job_id)
    assert [warning["code"] for warning in before["warnings"]] == ["not-picked-up"]
    assert answer.status_code == 202
    assert first == again == {"parameters": {"ispyb_process": job_id, "guid": lost["guid"]}}
    assert (before["state"], body["state"]) == ("submitted", "pending")
    (resent,) = body["resends"]
    assert (resent["requestedBy"], resent["reason"]) == ("anonymous", REASON["reason"])
    assert resent["message"]["state"] == body["message"]["state"] == "pending"
    assert before["resends"] == []


def test_the_time_to_wait_counts_from_the_last_start(
    client: httpx.Client, database: Database, lost: dict[str, Any]
) -> None:
    job_id = lost["processingJobId"]
    client.post(f"/processing-jobs/{job_id}/resend", json=REASON)
    mark_sent(database, job_id)

    status = client.get(f"/processing-jobs/{job_id}").json()
    again = client.post(f"/processing-jobs/{job_id}/resend", json=REASON)

    assert (status["state"], status["warnings"]) == ("submitted", [])
    assert again.status_code == 409
    assert "was confirmed a short while ago. Wait another" in again.json()["detail"]
    assert len(starts(database, job_id)) == 2


@pytest.mark.parametrize(
    ("happened", "why"),
    [
        (lambda database, job: make_program(database, job, started=False), "it is queued"),
        (lambda database, job: make_program(database, job), "it is running"),
        (lambda database, job: make_program(database, job, status=1), "it is succeeded"),
    ],
    ids=["queued", "running", "succeeded"],
)
def test_a_job_that_was_picked_up_is_not_sent_again(
    client: httpx.Client, database: Database, lost: dict[str, Any], happened: Any, why: str
) -> None:
    happened(database, lost["processingJobId"])

    answer = client.post(f"/processing-jobs/{lost['processingJobId']}/resend", json=REASON)

    assert answer.status_code == 409
    assert answer.json()["type"].endswith("not-resendable")
    assert why in answer.json()["detail"]
    assert len(starts(database, lost["processingJobId"])) == 1


def test_a_run_whose_directory_is_there_is_not_started_again(
    client: httpx.Client, database: Database, lost: dict[str, Any]
) -> None:
    make_file(Path(lost["resultsDirectory"]) / "RUNNING_RELION_IT")

    answer = client.post(f"/processing-jobs/{lost['processingJobId']}/resend", json=REASON)

    assert answer.status_code == 409
    assert "it is running" in answer.json()["detail"]
    assert len(starts(database, lost["processingJobId"])) == 1


def test_a_pending_job_needs_no_second_message(client: httpx.Client, database: Database, visit: MadeVisit) -> None:
    job = launch(client, visit)

    answer = client.post(f"/processing-jobs/{job['processingJobId']}/resend", json=REASON)

    assert answer.status_code == 409
    assert "it is pending" in answer.json()["detail"]
    assert len(starts(database, job["processingJobId"])) == 1


def test_a_job_that_is_to_stop_is_not_sent_again(
    client: httpx.Client, database: Database, lost: dict[str, Any]
) -> None:
    client.post(f"/processing-jobs/{lost['processingJobId']}/stop")

    answer = client.post(f"/processing-jobs/{lost['processingJobId']}/resend", json=REASON)

    assert answer.status_code == 409
    assert "it is stopping" in answer.json()["detail"]


def test_a_job_from_elsewhere_cannot_be_sent_again(client: httpx.Client, database: Database, visit: MadeVisit) -> None:
    job_id = make_job(database, make_collection(database, visit), age_hours=1)

    answer = client.post(f"/processing-jobs/{job_id}/resend", json=REASON)

    assert answer.status_code == 409
    assert "it was launched elsewhere" in answer.json()["detail"]


def test_a_forgotten_job_is_not_sent_again_beside_one_that_runs(
    client: httpx.Client, database: Database, lost: dict[str, Any], visit: MadeVisit
) -> None:
    grow_old(database, lost["processingJobId"], 25 * 60)
    other = launch(client, visit)

    refused = client.post(f"/processing-jobs/{lost['processingJobId']}/resend", json=REASON)
    client.post(f"/processing-jobs/{other['processingJobId']}/stop")
    accepted = client.post(f"/processing-jobs/{lost['processingJobId']}/resend", json=REASON)

    assert refused.status_code == 409
    assert f"job {other['processingJobId']} waits or runs on its data collection" in refused.json()["detail"]
    assert accepted.status_code == 202
    assert accepted.json()["blocking"] is True


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "reason"),
        ({"reason": ""}, "reason"),
        ({"reason": "   "}, "reason"),
        ({"reason": "x" * 256}, "reason"),
        ({"reason": 7}, "reason"),
        ({"reason": None}, "reason"),
        ({"reason": "two\nlines"}, "reason"),
        ({"reason": "\ud800"}, "reason"),
        ({"reason": "a\0b"}, "reason"),
        ({"reason": "x", "force": True}, "force"),
    ],
)
def test_a_reason_is_required(
    client: httpx.Client, database: Database, lost: dict[str, Any], body: dict[str, Any], field: str
) -> None:
    content = json.dumps(body).encode()

    answer = client.post(
        f"/processing-jobs/{lost['processingJobId']}/resend",
        content=content,
        headers={"content-type": "application/json"},
    )

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert len(starts(database, lost["processingJobId"])) == 1


def test_who_is_no_staff_may_not(resources: Resources, database: Database, new_visit: MakeVisit) -> None:
    with database.read() as session:
        person_id = session.execute(sa.text("SELECT MIN(personId) FROM Person")).scalar_one()
    visit = new_visit(members=[person_id])
    job_id = make_job(database, make_collection(database, visit), age_hours=1)

    with pytest.raises(StaffOnly):
        resending.resend(resources, Person("user", person_id), job_id, "please")


def test_a_message_that_waits_for_somebody_to_listen_is_not_sent_again(
    resources: Resources, database: Database, lost: dict[str, Any]
) -> None:
    lonely = replace(resources, queue=lambda: Queue("q", "v", consumers=0, waiting=1))

    with pytest.raises(resending.NotResendable, match="nobody listens to queue q"):
        resending.resend(lonely, ANYBODY, lost["processingJobId"], "please")

    assert len(starts(database, lost["processingJobId"])) == 1


def test_a_run_whose_files_do_not_answer_is_not_started_again(
    client: httpx.Client, database: Database, lost: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_answer(_: Path) -> None:
        raise OSError("stale file handle")

    monkeypatch.setattr(sentinel, "look", no_answer)

    answer = client.post(f"/processing-jobs/{lost['processingJobId']}/resend", json=REASON)

    assert answer.status_code == 409
    assert "its files do not answer" in answer.json()["detail"]
    assert len(starts(database, lost["processingJobId"])) == 1


def test_beside_a_recipe_that_stops_the_newest_run_an_older_job_is_not_sent_again(
    resources: Resources, environment: Environment, database: Database, lost: dict[str, Any]
) -> None:
    by_link = replace(resources, settings=environment.settings(stop={"by_job": False}))
    make_program(database, make_job(database, lost["dataCollectionId"]), status=1)

    with pytest.raises(resending.NotResendable, match="a later job was launched"):
        resending.resend(by_link, ANYBODY, lost["processingJobId"], "please")


def test_a_stop_of_a_job_that_waits_to_be_sent_again_reaches_the_first_start(
    client: httpx.Client, resources: Resources, database: Database, lost: dict[str, Any]
) -> None:
    """The first start may turn up after all, so the job is not over when only the second is taken back."""
    job_id = lost["processingJobId"]
    client.post(f"/processing-jobs/{job_id}/resend", json=REASON)

    stopping.stop(resources, ANYBODY, job_id)

    with database.read() as session:
        messages = box.find_deliveries(session, [job_id])
    status = client.get(f"/processing-jobs/{job_id}").json()
    assert messages[job_id, "start"][1].cancelled_at is not None
    assert len(messages[job_id, "stop"]) == 1
    assert (status["state"], status["programs"]) == ("stopping", [])


def test_who_asks_second_is_refused(resources: Resources, database: Database, lost: dict[str, Any]) -> None:
    job_id = lost["processingJobId"]
    resending.resend(resources, replace(ANYBODY, login="one"), job_id, "first")

    with pytest.raises(resending.NotResendable, match="it is pending"):
        resending.resend(resources, replace(ANYBODY, login="two"), job_id, "second")

    assert len(starts(database, job_id)) == 2
