"""Watching and stopping: states, lists, parameters, and what the button should say."""

from __future__ import annotations

from pathlib import Path

import httpx
import sqlalchemy as sa

from app.db import Database
from app.zocalo.outbox import outbox
from tests.api.conftest import MakeVisit
from tests.api.support import launch, mark_sent, start_it
from tests.factories import (
    MadeVisit,
    end_program,
    make_collection,
    make_file,
    make_job,
    make_program,
    parameters,
)
from tests.support import rows


def test_parameters_come_back_typed_and_can_be_sent_again(
    client: httpx.Client, database: Database, visit: MadeVisit
) -> None:
    sent = parameters(voltage=200, phasePlateUsed=True, pixelSize=1, doClass2DSecondPass=False)
    first = launch(client, visit, parameters=sent)

    answer = client.get(f"/processing-jobs/{first['processingJobId']}/parameters").json()

    assert {name: answer["parameters"][name] for name in sent} == sent
    assert answer["acquisitionSoftware"] == "EPU"
    assert answer["other"] == {}
    again = launch(client, visit, parameters=answer["parameters"], ifBlocked="restart")
    assert rows.parameters(database, again["processingJobId"]) == rows.parameters(database, first["processingJobId"])


def test_launch_check_says_what_the_button_should(client: httpx.Client, database: Database, visit: MadeVisit) -> None:
    query = {"imageDirectory": "raw", "acquisitionSoftware": "EPU", "imageSuffix": "tiff"}
    path = f"/visits/{visit.name}/launch-check"

    before = client.get(path, params=query).json()
    first = launch(client, visit)
    after = client.get(path, params=query).json()
    missing = client.get(path, params=query | {"imageSuffix": "eer"}).json()

    assert (before["action"], before["dataCollectionId"], before["filesExist"]) == ("start", None, True)
    assert (after["action"], after["dataCollectionId"]) == ("stop-and-restart", first["dataCollectionId"])
    assert [job["processingJobId"] for job in after["blockingJobs"]] == [first["processingJobId"]]
    assert (missing["action"], missing["filesExist"]) == ("none", False)


def test_launch_check_of_an_ended_visit_says_why_not(client: httpx.Client, new_visit: MakeVisit) -> None:
    visit = new_visit(ended_hours_ago=30)

    answer = client.get(
        f"/visits/{visit.name}/launch-check", params={"imageDirectory": "raw", "fileTemplate": "Frames/*.tiff"}
    ).json()

    assert answer["action"] == "none"
    assert "ended on" in answer["reason"]


def test_a_stop_before_the_start_was_sent_sends_nothing(
    client: httpx.Client, database: Database, visit: MadeVisit
) -> None:
    job = launch(client, visit)

    answer = client.post(f"/processing-jobs/{job['processingJobId']}/stop")

    assert answer.status_code == 202
    assert answer.json()["state"] == "stopped"
    assert answer.json()["message"]["state"] == "cancelled"
    assert rows.messages(database, job["dataCollectionId"]) == []
    (program,) = answer.json()["programs"]
    assert program["processingStatus"] == 0
    assert program["processingMessage"] == "Cancelled before it was sent: stopped by anonymous"


def test_a_stop_after_an_unconfirmed_send_cancels_the_repeat_and_sends_a_stop(
    client: httpx.Client, database: Database, visit: MadeVisit
) -> None:
    job = launch(client, visit)
    job_id = job["processingJobId"]
    database.write(
        lambda session: session.execute(
            sa.update(outbox).where(outbox.c.job_id == job_id).values(attempted_at=sa.func.utc_timestamp(), attempts=1)
        )
    )

    answer = client.post(f"/processing-jobs/{job_id}/stop")

    assert answer.json()["state"] == "stopping"
    assert answer.json()["programs"] == []
    assert rows.messages(database, job["dataCollectionId"]) == [
        {"recipes": ["relion-stop"], "parameters": {"ispyb_process": job_id}}
    ]


def test_stopping_twice_changes_nothing_and_an_ended_job_is_a_conflict(
    client: httpx.Client, database: Database, visit: MadeVisit
) -> None:
    job = launch(client, visit)
    job_id = job["processingJobId"]
    start_it(database, job_id)

    first = client.post(f"/processing-jobs/{job_id}/stop")
    second = client.post(f"/processing-jobs/{job_id}/stop")
    end_program(database, job_id, 0)
    third = client.post(f"/processing-jobs/{job_id}/stop")

    assert (first.status_code, second.status_code, third.status_code) == (202, 202, 409)
    assert second.json()["stop"] == first.json()["stop"]
    assert third.json()["type"] == "job-ended"
    assert third.json()["state"] == "stopped"


def test_the_results_directory_moves_the_state_to_running_and_is_remembered(
    client: httpx.Client, database: Database, visit: MadeVisit
) -> None:
    job = launch(client, visit)
    path = f"/processing-jobs/{job['processingJobId']}"
    mark_sent(database, job["processingJobId"])
    submitted = client.get(path).json()
    sentinel = make_file(Path(job["resultsDirectory"]) / "RUNNING_RELION_IT")

    running = client.get(path).json()
    sentinel.unlink()
    sentinel.parent.rmdir()
    vanished = client.get(path).json()

    assert submitted["state"] == "submitted"
    assert running["state"] == "running"
    assert running["sentinels"]["files"][0]["name"] == "RUNNING_RELION_IT"
    assert vanished["state"] == "running"
    assert "sentinel-gone" in [warning["code"] for warning in vanished["warnings"]]


def test_lists_show_newest_first_with_the_latest_jobs_state(
    client: httpx.Client, database: Database, visit: MadeVisit
) -> None:
    old = make_collection(database, visit, imageDirectory=f"{visit.directory}/raw2/")
    make_program(database, make_job(database, old), status=1)
    job = launch(client, visit)

    page = client.get(f"/visits/{visit.name}/data-collections", params={"limit": 1}).json()
    rest = client.get(f"/visits/{visit.name}/data-collections", params={"limit": 1, "page": 2}).json()
    jobs = client.get(f"/data-collections/{job['dataCollectionId']}/processing-jobs").json()

    assert (page["total"], rest["total"]) == (2, 2)
    assert [(item["dataCollectionId"], item["latestJob"]["state"]) for item in page["items"] + rest["items"]] == [
        (job["dataCollectionId"], "pending"),
        (old, "succeeded"),
    ]
    assert [item["processingJobId"] for item in jobs["items"]] == [job["processingJobId"]]
