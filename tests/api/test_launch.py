"""Launching: what is written."""

from __future__ import annotations

import json

import httpx
import sqlalchemy as sa

from app.db import Database
from app.ispyb import tables
from app.processing_jobs.tables import launch as launch_table
from app.zocalo.outbox import outbox
from tests.api.conftest import MakeVisit
from tests.api.support import launch, start_it
from tests.factories import (
    MadeVisit,
    end_program,
    local_now,
    make_collection,
    make_file,
    parameters,
)
from tests.support import rows


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


def test_a_visit_within_the_grace_period_may_be_launched(client: httpx.Client, new_visit: MakeVisit) -> None:
    visit = new_visit(ended_hours_ago=23)

    assert launch(client, visit)["state"] == "pending"
    assert client.get(f"/visits/{visit.name}").json()["canStart"] is True


def test_the_message_body_is_json_with_integers(client: httpx.Client, database: Database, visit: MadeVisit) -> None:
    job = launch(client, visit)

    with database.read() as session:
        body = session.execute(sa.select(outbox.c.body).where(outbox.c.job_id == job["processingJobId"])).scalar_one()

    assert type(json.loads(body)["parameters"]["ispyb_process"]) is int
