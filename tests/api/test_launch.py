"""Launching: what is written, what is refused, what is replaced."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from app.db import Database
from app.ispyb import tables
from app.processing_jobs.tables import launch as launch_table
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
    parameters,
)
from tests.support import rows


def launch(client: httpx.Client, visit: MadeVisit, **changes: Any) -> dict[str, Any]:
    answer = client.post(f"/visits/{visit.name}/launch", json=launch_body(**changes))
    assert answer.status_code == 202, answer.text
    body: dict[str, Any] = answer.json()
    return body


def start_it(database: Database, job_id: int) -> None:
    """As if the relay had sent the start and Zocalo had picked it up."""
    mark_sent(database, job_id)
    make_program(database, job_id)


def mark_sent(database: Database, job_id: int) -> None:
    now = sa.func.utc_timestamp()
    database.write(
        lambda session: session.execute(
            sa.update(outbox)
            .where(outbox.c.job_id == job_id, outbox.c.open == 1)
            .values(open=None, attempted_at=now, sent_at=now)
        )
    )


def test_launch_of_the_tutorial_writes_exactly_the_rows_and_the_message_of_the_design(
    client: httpx.Client, database: Database, new_visit: MakeVisit
) -> None:
    visit = new_visit(movies=[f"raw/Frames/20170629_000{n}_frameImage.tiff" for n in range(21, 45)])
    movies = {"imageDirectory": "raw", "acquisitionSoftware": "SerialEM", "imageSuffix": "tiff"}
    tutorial = parameters(voltage=200, sphericalAberration=1.4)

    answer = launch(client, visit, movies=movies, parameters=tutorial)

    dcid, job_id, guid = answer["dataCollectionId"], answer["processingJobId"], answer["guid"]
    results = f"{visit.directory}/processed/raw/Frames_1/{guid}"
    assert answer == {
        "processingJobId": job_id,
        "dataCollectionId": dcid,
        "dataCollectionCreated": True,
        "guid": guid,
        "resultsDirectory": results,
        "stoppedJobs": [],
        "state": "pending",
        "warnings": [],
        "links": {
            "status": f"/api/em/v1/processing-jobs/{job_id}",
            "parameters": f"/api/em/v1/processing-jobs/{job_id}/parameters",
            "stop": f"/api/em/v1/processing-jobs/{job_id}/stop",
        },
    }
    collection = rows.row(database, tables.DataCollection, dcid)
    assert {
        name: collection[name]
        for name in (
            "SESSIONID",
            "imageDirectory",
            "fileTemplate",
            "imagePrefix",
            "imageSuffix",
            "dataCollectionNumber",
            "runStatus",
        )
    } == {
        "SESSIONID": visit.session_id,
        "imageDirectory": f"{visit.directory}/raw/",
        "fileTemplate": "Frames/*.tiff",
        "imagePrefix": "Frames",
        "imageSuffix": "tiff",
        "dataCollectionNumber": 1,
        "runStatus": "DataCollection Successful",
    }
    assert collection["endTime"] == rows.row(database, tables.BLSession, visit.session_id)["endDate"]
    assert abs((collection["startTime"] - local_now()).total_seconds()) < 30
    group = rows.row(database, tables.DataCollectionGroup, collection["dataCollectionGroupId"])
    assert (group["sessionId"], group["experimentType"], group["comments"]) == (
        visit.session_id,
        "EM",
        "Submitted via SynchWeb",
    )
    job = rows.row(database, tables.ProcessingJob, job_id)
    assert {name: job[name] for name in ("dataCollectionId", "displayName", "comments", "recipe", "automatic")} == {
        "dataCollectionId": dcid,
        "displayName": "RELION",
        "comments": "Submitted via SynchWeb",
        "recipe": "relion",
        "automatic": 0,
    }
    assert rows.parameters(database, job_id) == {
        "import_images": f"{visit.directory}/raw/Frames/*.tiff",
        "acquisition_software": "SerialEM",
        "voltage": "200",
        "Cs": "1.4",
        "ctffind_do_phaseshift": "false",
        "angpix": "0.885",
        "motioncor_doseperframe": "1.277",
        "motioncor_binning": "1",
        "motioncor_gainreference": f"{visit.directory}/processing/gain.mrc",
        "stop_after_ctf_estimation": "false",
        "do_class2d": "true",
        "do_class3d": "true",
        "use_fsc_criterion": "false",
        "autopick_do_cryolo": "false",
        "autopick_LoG_diam_min": "150",
        "autopick_LoG_diam_max": "180",
        "mask_diameter": "198",
        "extract_boxsize": "246",
        "extract_small_boxsize": "64",
    }
    assert rows.messages(database, dcid) == [{"parameters": {"ispyb_process": job_id, "guid": guid}}]
    record = rows.row(database, launch_table, job_id)
    assert (record["dcid"], record["guid"], record["results_directory"], record["launched_by"], record["face"]) == (
        dcid,
        guid,
        results,
        "anonymous",
        "native",
    )


def test_movies_of_several_supervisor_folders_are_launched_by_their_template(
    client: httpx.Client, database: Database, new_visit: MakeVisit
) -> None:
    visit = new_visit(movies=["raw/Supervisor_20210301/GridSquare_1/Data/movie_1.tiff"])
    movies = {"imageDirectory": "raw", "fileTemplate": "Supervisor_*/GridSquare_*/Data/*.tiff"}

    answer = launch(client, visit, movies=movies)

    stored = rows.parameters(database, answer["processingJobId"])
    assert stored["import_images"] == f"{visit.directory}/raw/Supervisor_*/GridSquare_*/Data/*.tiff"
    assert stored["acquisition_software"] == "EPU"
    assert answer["resultsDirectory"] == f"{visit.directory}/processed/raw/GridSquare_1/{answer['guid']}"


def test_an_absolute_directory_below_the_visit_means_the_same_files(
    client: httpx.Client, database: Database, visit: MadeVisit
) -> None:
    first = launch(client, visit)
    end_program(database, first["processingJobId"], 1)
    start_it(database, first["processingJobId"])
    end_program(database, first["processingJobId"], 1)

    second = launch(client, visit, directory=f"{visit.directory}//raw/./")

    assert second["dataCollectionId"] == first["dataCollectionId"]
    assert second["dataCollectionCreated"] is False


def test_a_data_collection_of_other_software_is_found_with_or_without_a_slash(
    client: httpx.Client, database: Database, visit: MadeVisit
) -> None:
    dcid = make_collection(database, visit, imageDirectory=f"{visit.directory}/raw")
    make_collection(database, visit)

    answer = launch(client, visit)

    assert answer["dataCollectionId"] == dcid
    assert answer["resultsDirectory"] == f"{visit.directory}/processed/raw/{answer['guid']}"


def test_a_data_collection_whose_path_differs_in_case_is_another_one(
    client: httpx.Client, database: Database, visit: MadeVisit
) -> None:
    other = make_collection(database, visit, imageDirectory=f"{visit.directory}/RAW/")

    answer = launch(client, visit)

    assert answer["dataCollectionId"] != other
    assert answer["dataCollectionCreated"] is True


def test_the_second_data_collection_of_a_directory_gets_the_next_number(
    client: httpx.Client, database: Database, visit: MadeVisit
) -> None:
    launch(client, visit)
    make_file(visit.directory / "raw/GridSquare_1/Data/movie_1.eer")

    movies = {"imageDirectory": "raw", "acquisitionSoftware": "EPU", "imageSuffix": "eer"}
    answer = launch(client, visit, movies=movies)

    assert f"/processed/raw/GridSquare_2/{answer['guid']}" in answer["resultsDirectory"]
    assert rows.parameters(database, answer["processingJobId"])["eer_grouping"] == "20"


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


def test_a_missing_gain_reference_is_a_warning(client: httpx.Client, new_visit: MakeVisit) -> None:
    visit = new_visit(gain=False)

    answer = launch(client, visit)

    assert [warning["code"] for warning in answer["warnings"]] == ["gain-reference-missing"]


def test_a_known_data_collection_without_a_movie_yet_is_a_warning(
    client: httpx.Client, database: Database, new_visit: MakeVisit
) -> None:
    visit = new_visit(movies=[])
    dcid = make_collection(database, visit)

    answer = client.post(f"/data-collections/{dcid}/launch", json={"parameters": parameters()})

    assert answer.status_code == 202
    assert [warning["code"] for warning in answer.json()["warnings"]] == ["no-movies"]


def test_a_stored_directory_stands_even_in_another_visits_folder(
    client: httpx.Client, database: Database, new_visit: MakeVisit
) -> None:
    theirs, visit = new_visit(), new_visit()
    dcid = make_collection(database, visit, imageDirectory=f"{theirs.directory}/raw/")

    answer = client.post(f"/data-collections/{dcid}/launch", json={"parameters": parameters()})

    assert answer.status_code == 202
    stored = rows.parameters(database, answer.json()["processingJobId"])
    assert stored["import_images"] == f"{theirs.directory}/raw/GridSquare_*/Data/*.tiff"
    assert stored["motioncor_gainreference"] == f"{visit.directory}/processing/gain.mrc"


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


def test_a_visit_within_the_grace_period_may_be_launched(client: httpx.Client, new_visit: MakeVisit) -> None:
    visit = new_visit(ended_hours_ago=23)

    assert launch(client, visit)["state"] == "pending"
    assert client.get(f"/visits/{visit.name}").json()["canStart"] is True


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


def test_the_message_body_is_json_with_integers(client: httpx.Client, database: Database, visit: MadeVisit) -> None:
    job = launch(client, visit)

    with database.read() as session:
        body = session.execute(sa.select(outbox.c.body).where(outbox.c.job_id == job["processingJobId"])).scalar_one()

    assert type(json.loads(body)["parameters"]["ispyb_process"]) is int
