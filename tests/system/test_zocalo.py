"""The whole circle through Zocalo's published services: from the button to the outcome, seen through the API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.ispyb import tables
from app.simulator.project import SENTINEL
from app.zocalo.messages import StartJob
from tests.factories import make_collection, make_job, make_visit, parameters
from tests.servers.reaper import Reaper
from tests.servers.zocalo import CLUSTER, CONNECTOR, DISPATCHER, STOPPER
from tests.support import rows
from tests.support.environments import Servers
from tests.support.zocalo import Facility, facility, snapshot, until

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def here(
    servers: Servers, reaper: Reaper, worker_id: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Facility]:
    """A facility where all of Zocalo runs."""
    with facility(servers, reaper, f"{worker_id}_zocalo", tmp_path_factory.mktemp("dls")) as made:
        made.zocalo.start(DISPATCHER, CONNECTOR, CLUSTER, STOPPER)
        yield made


def test_from_the_button_to_the_results(here: Facility) -> None:
    visit = here.visit(movies=12)
    with here.zocalo.cluster.full():
        launched = here.launch(visit, parameters=parameters(doClass2D=False))
        job, results = launched["processingJobId"], Path(launched["resultsDirectory"])
        queued = here.wait(job, "queued")
        assert not results.exists()
    running = here.wait(job, "running")
    until(lambda: (results / SENTINEL).exists() or here.job(job)["state"] == "succeeded")
    seen = here.job(job)
    done = here.wait(job, "succeeded")

    assert [one["processingStartTime"] for one in queued["programs"]] == [None]
    assert running["sentinels"]["seenRunningAt"] or running["programs"][0]["processingStartTime"]
    assert SENTINEL in [file["name"] for file in seen["sentinels"]["files"]]
    (program,) = done["programs"]
    assert (program["processingStatus"], program["processingMessage"]) == (1, "processing successful")
    assert [here.results(done, kind) for kind in ("motion", "ctf", "particles")] == [12, 12, 12]
    assert not (results / SENTINEL).exists()
    assert (results / "Movies").readlink() == visit.directory / "raw1"
    assert (results.parents[1] / "relion").resolve() == results
    options: dict[str, Any] = {}
    exec((results / "relion_it_options.py").read_text(), options)
    assert (options["angpix"], options["voltage"], options["do_class2d"]) == (0.885, 300, False)


def test_a_start_that_comes_twice_while_the_first_waits_makes_one_run(here: Facility) -> None:
    with here.zocalo.cluster.full():
        launched = here.launch(here.visit())
        job = launched["processingJobId"]
        here.wait_programs(job, 1)
        ended = here.zocalo.cluster.ended
        here.publish(StartJob(job, launched["guid"]).body())
        first, second = here.wait_programs(job, 2)
        # Both jobs on the cluster now have the second program's number: Zocalo writes it where the first one's was.
        until(lambda: given_to_wrapper(launched) == second["autoProcProgramId"])
    here.zocalo.cluster.wait_ended(ended + 2, 60)

    done = here.wait(job, "succeeded")

    assert [one["processingStatus"] for one in done["programs"]] == [None, 1]
    assert done["programs"][0]["autoProcProgramId"] == first["autoProcProgramId"]
    assert here.results(done) == 3


def test_a_start_that_comes_twice_after_the_end_touches_nothing(here: Facility) -> None:
    launched = here.launch(here.visit())
    job, results = launched["processingJobId"], Path(launched["resultsDirectory"])
    first = here.wait(job, "succeeded")
    ended = here.zocalo.cluster.ended
    row = rows.row(here.database, tables.AutoProcProgram, first["programs"][0]["autoProcProgramId"])
    files, link = snapshot(results), snapshot(results.parents[1])["relion"]

    here.publish(StartJob(job, launched["guid"]).body())
    here.wait_programs(job, 2)
    here.zocalo.cluster.wait_ended(ended + 1, 60)

    assert rows.row(here.database, tables.AutoProcProgram, row["autoProcProgramId"]) == row
    assert (snapshot(results), snapshot(results.parents[1])["relion"]) == (files, link)
    again = here.job(job)
    assert (again["state"], again["blocking"]) == ("succeeded", False)
    assert [one["processingStartTime"] for one in again["programs"]][1:] == [None]
    assert here.results(again) == 3


def given_to_wrapper(launched: dict[str, Any]) -> int | None:
    """Which program the file names that waits for the wrapper."""
    working = launched["resultsDirectory"].replace("/processed/", "/tmp/zocalo/")
    try:
        written = json.loads((Path(working) / "recipewrapper.json").read_text())
    except ValueError:
        return None  # it is being written
    ident = written["environment"]["ispyb_autoprocprogram_id"]
    return int(ident)


@pytest.mark.parametrize("sender", ["zocalo.go", "PATo"])
def test_a_job_from_elsewhere_is_shown_blocks_and_can_be_stopped(here: Facility, sender: str) -> None:
    visit = here.visit(movies=100)
    dcid = make_collection(here.database, visit, imageDirectory=f"{visit.directory}/raw1/")
    job = make_job(here.database, dcid)
    given = {"processingJobId": job, "parameterKey": "import_images"}
    images = f"{visit.directory}/raw1/GridSquare_*/Data/*.tiff"
    here.database.write(
        lambda session: session.execute(
            sa.insert(tables.ProcessingJobParameter).values(given | {"parameterValue": images})
        )
    )
    if sender == "zocalo.go":
        here.zocalo.run("zocalo.go", "-p", str(job))
    else:
        here.publish(json.dumps({"parameters": {"ispyb_process": job}}))

    running = here.wait(job, "running")
    listed = here.client.get(f"/data-collections/{dcid}/processing-jobs").json()
    check = here.client.get(f"/data-collections/{dcid}/launch-check").json()
    refused = here.client.post(f"/data-collections/{dcid}/launch", json={"parameters": parameters()})
    asked = here.stop(job)
    stopped = here.wait(job, "stopped")

    assert (running["launch"], running["blocking"], len(running["programs"])) == (None, True, 1)
    assert [(one["processingJobId"], one["state"]) for one in listed["items"]] == [(job, "running")]
    assert (check["action"], [one["processingJobId"] for one in check["blockingJobs"]]) == ("stop-and-restart", [job])
    assert (refused.status_code, asked) == (409, 202)
    assert [one["processingStatus"] for one in stopped["programs"]] == [0]
    assert (here.results(stopped) < 100, stopped["blocking"]) == (True, False)


def test_a_run_without_movies_by_then_fails_in_words(here: Facility) -> None:
    visit = make_visit(here.database, here.environment.dls, movies=["raw1/GridSquare_1/Data/only.tiff"])
    with here.zocalo.cluster.full():
        job = here.launch(visit)["processingJobId"]
        here.wait(job, "queued")
        (visit.directory / "raw1/GridSquare_1/Data/only.tiff").unlink()

    failed = here.wait(job, "failed")

    assert failed["reason"] == "RELION has failed. It said: processing failure"
    assert failed["blocking"] is False
