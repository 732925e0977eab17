"""What blocks a launch, and what a restart replaces."""

from __future__ import annotations

import httpx
import pytest

from app.db import Database
from tests.api.support import launch, start_it
from tests.factories import (
    MadeVisit,
    launch_body,
    make_collection,
    make_job,
    make_program,
)
from tests.support import rows


def test_a_running_job_refuses_a_second_launch_and_says_what_to_do(
    client: httpx.Client, database: Database, visit: MadeVisit
) -> None:
    first = launch(client, visit)
    start_it(database, first["processingJobId"])
    before = rows.counts(database)

    answer = client.post(f"/visits/{visit.name}/launch", json=launch_body())

    problem = answer.json()
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["type"] == "jobs-block"
    assert problem["dataCollectionId"] == first["dataCollectionId"]
    assert [job["processingJobId"] for job in problem["blockingJobs"]] == [first["processingJobId"]]
    assert problem["detail"].startswith(
        f"Job {first['processingJobId']} is already running on data collection {first['dataCollectionId']} (since "
    )
    assert problem["detail"].endswith("Use ifBlocked=restart to stop it and start again.")
    assert rows.counts(database) == before


def test_a_restart_writes_the_stop_before_the_start_and_one_job_blocks(
    client: httpx.Client, database: Database, visit: MadeVisit
) -> None:
    first = launch(client, visit)
    start_it(database, first["processingJobId"])

    second = launch(client, visit, ifBlocked="restart", replaces=[first["processingJobId"]])

    dcid, guid = first["dataCollectionId"], second["guid"]
    assert second["stoppedJobs"] == [first["processingJobId"]]
    assert rows.messages(database, dcid)[1:] == [
        {"recipes": ["relion-stop"], "parameters": {"ispyb_process": first["processingJobId"]}},
        {"parameters": {"ispyb_process": second["processingJobId"], "guid": guid}},
    ]
    check = client.get(f"/data-collections/{dcid}/launch-check").json()
    assert [job["processingJobId"] for job in check["blockingJobs"]] == [second["processingJobId"]]
    old = client.get(f"/processing-jobs/{first['processingJobId']}").json()
    assert (old["state"], old["blocking"]) == ("stopping", False)
    assert old["stop"]["replacedBy"] == second["processingJobId"]


def test_a_third_press_replaces_the_second_alike(client: httpx.Client, database: Database, visit: MadeVisit) -> None:
    first = launch(client, visit)
    start_it(database, first["processingJobId"])
    second = launch(client, visit, ifBlocked="restart")
    start_it(database, second["processingJobId"])

    third = launch(client, visit, ifBlocked="restart", replaces=[second["processingJobId"]])

    assert third["stoppedJobs"] == [second["processingJobId"]]
    check = client.get(f"/data-collections/{first['dataCollectionId']}/launch-check").json()
    assert [job["processingJobId"] for job in check["blockingJobs"]] == [third["processingJobId"]]


def test_a_restart_that_confirmed_another_job_is_refused(
    client: httpx.Client, database: Database, visit: MadeVisit
) -> None:
    first = launch(client, visit)
    start_it(database, first["processingJobId"])
    before = rows.counts(database)

    body = launch_body(ifBlocked="restart", replaces=[first["processingJobId"] + 1000])
    answer = client.post(f"/visits/{visit.name}/launch", json=body)

    assert answer.status_code == 409
    assert answer.json()["type"] == "other-jobs-block"
    assert answer.json()["errors"][0]["field"] == "replaces"
    assert rows.counts(database) == before


def test_a_restart_cancels_a_start_that_was_never_sent(
    client: httpx.Client, database: Database, visit: MadeVisit
) -> None:
    first = launch(client, visit)

    second = launch(client, visit, ifBlocked="restart")

    assert rows.messages(database, first["dataCollectionId"]) == [
        {"parameters": {"ispyb_process": second["processingJobId"], "guid": second["guid"]}}
    ]
    old = client.get(f"/processing-jobs/{first['processingJobId']}").json()
    assert old["state"] == "stopped"
    assert [program["processingStatus"] for program in old["programs"]] == [0]


@pytest.mark.parametrize("recipe", ["em-spa-preprocess", "relion-tomo"])
def test_jobs_of_other_recipes_do_not_block(
    client: httpx.Client, database: Database, visit: MadeVisit, recipe: str
) -> None:
    dcid = make_collection(database, visit)
    make_program(database, make_job(database, dcid, recipe=recipe))

    answer = launch(client, visit)

    assert answer["dataCollectionId"] == dcid


def test_a_job_from_elsewhere_blocks_and_can_be_replaced(
    client: httpx.Client, database: Database, visit: MadeVisit
) -> None:
    dcid = make_collection(database, visit)
    theirs = make_job(database, dcid)
    refused = client.post(f"/visits/{visit.name}/launch", json=launch_body())
    assert refused.status_code == 409

    answer = launch(client, visit, ifBlocked="restart", replaces=[theirs])

    assert answer["stoppedJobs"] == [theirs]
    assert rows.messages(database, dcid)[0] == {
        "recipes": ["relion-stop"],
        "parameters": {"ispyb_process": theirs},
    }


def test_a_job_that_nobody_picked_up_for_a_day_blocks_nobody(
    client: httpx.Client, database: Database, visit: MadeVisit
) -> None:
    dcid = make_collection(database, visit)
    forgotten = make_job(database, dcid, age_hours=25)

    answer = launch(client, visit)

    assert answer["stoppedJobs"] == []
    status = client.get(f"/processing-jobs/{forgotten}").json()
    assert (status["state"], status["blocking"]) == ("submitted", False)
    assert [warning["code"] for warning in status["warnings"]] == ["not-picked-up"]
