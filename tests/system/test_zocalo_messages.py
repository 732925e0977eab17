"""What Zocalo's own code makes of our messages and recipes, seen on the recipes' first queues: no run begins here."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.ispyb import tables
from app.zocalo.messages import StartJob
from tests.factories import make_visit, parameters
from tests.servers.reaper import Reaper
from tests.servers.zocalo import CONNECTOR, DISPATCHER, OTHER_DISPATCHER, QUEUES, RECIPES, STOPPER, Zocalo
from tests.servers.zocalo_environment import environ
from tests.support import rows
from tests.support.doctor import examine
from tests.support.environments import Servers
from tests.support.services import ServiceThread
from tests.support.zocalo import Facility, facility, until

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

FIRST_QUEUE, STOP_QUEUE = QUEUES[CONNECTOR], QUEUES[STOPPER]
PLACEHOLDER = re.compile(r"\{[$a-z]")
LAUNCHES = 300 if os.environ.get("SOAK") else 30

# What the wrapper should read from each parameter's text.
TYPES = {
    "int": {"voltage", "motioncor_binning", "eer_grouping", "extract_boxsize", "extract_small_boxsize"},
    "bool": {
        "ctffind_do_phaseshift",
        "stop_after_ctf_estimation",
        "do_class2d",
        "do_class3d",
        "use_fsc_criterion",
        "autopick_do_cryolo",
        "do_class2d_pass2",
        "do_class3d_pass2",
    },
    "number": {
        "Cs",
        "angpix",
        "motioncor_doseperframe",
        "autopick_LoG_diam_min",
        "autopick_LoG_diam_max",
        "mask_diameter",
    },
    "str": {"import_images", "acquisition_software", "motioncor_gainreference"},
}
EVERYTHING = {
    "voltage": 200,
    "sphericalAberration": 1.4,
    "phasePlateUsed": True,
    "pixelSize": 1,
    "motionCorrectionBinning": 2,
    "gainReferenceFile": "gain 2.mrc",
    "useFscCriterion": True,
    "useCryolo": True,
    "maskDiameter": 198.5,
    "boxSize": 256,
    "downsampledBoxSize": 64,
    "doClass2DSecondPass": True,
    "doClass3DSecondPass": False,
}
CTF_ONLY = {"stopAfterCtfEstimation": True, "minimumDiameter": None, "maximumDiameter": None}
KINDS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("EPU", "tiff", {}),
    ("EPU", "mrc", EVERYTHING),
    ("EPU", "eer", {"eerGrouping": 30}),
    ("SerialEM", "tif", CTF_ONLY),
)
FOLDERS = {"EPU": "GridSquare_1/Data", "SerialEM": "Frames"}


@pytest.fixture(scope="module")
def here(
    servers: Servers, reaper: Reaper, worker_id: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Facility]:
    """A facility where only the dispatcher runs."""
    dls = tmp_path_factory.mktemp("dls")
    with facility(servers, reaper, f"{worker_id}_messages", dls, repeat_seconds=3600) as made:
        made.zocalo.start(DISPATCHER)
        yield made


def test_the_recipes_are_valid_by_zocalos_own_check(here: Facility) -> None:
    names = sorted(path.name for path in RECIPES.iterdir())

    for name in names:
        here.zocalo.run("workflows.validate_recipe", str(RECIPES / name))

    assert names == ["ispyb-relion.json", "relion-stop-file.json", "relion-stop.json"]


@pytest.mark.timeout(900)
def test_every_launch_is_expanded_once_and_the_wrapper_gets_what_was_asked_for(here: Facility, tmp_path: Path) -> None:
    movies = [
        f"raw{number}/{FOLDERS[KINDS[number % len(KINDS)][0]]}/movie.{KINDS[number % len(KINDS)][1]}"
        for number in range(LAUNCHES)
    ]
    visit = make_visit(here.database, here.environment.dls, movies=movies)
    launched = {}
    for number in range(LAUNCHES):
        software, suffix, changes = KINDS[number % len(KINDS)]
        body = {
            "movies": {"imageDirectory": f"raw{number}", "acquisitionSoftware": software, "imageSuffix": suffix},
            "parameters": parameters(**changes),
        }
        answer = here.client.post(f"/visits/{visit.name}/launch", json=body)
        assert answer.status_code == 202, answer.text
        launched[answer.json()["guid"]] = answer.json()

    expanded = here.take(FIRST_QUEUE, LAUNCHES)

    # As many as were launched, each under our own name for it, in the directory that was announced.
    assert sorted(message["environment"]["ID"] for message in expanded) == sorted(launched)
    arrived = {message["environment"]["ID"]: message["recipe"]["2"]["job_parameters"] for message in expanded}
    assert {guid: answer["resultsDirectory"] for guid, answer in launched.items()} == {
        guid: given["results_directory"] for guid, given in arrived.items()
    }
    assert not PLACEHOLDER.search(json.dumps([message["recipe"] for message in expanded]))
    for guid, given in arrived.items():
        job = launched[guid]["processingJobId"]
        assert given["ispyb_parameters"] == rows.parameters(here.database, job)
        assert given["stop_file"] == f"{visit.directory}/tmp/relion-stop-{job}"

    # What RELION's published wrapper makes of it.
    one = next(iter(arrived.values())) | {"results_directory": str(tmp_path)}
    as_it_is, *read = published_wrapper([one, *map(with_downscale, arrived.values())])
    assert as_it_is["error"] == "KeyError('extract_downscale')"  # said in docs/zocalo.md
    seen: dict[str, set[str]] = {}
    for made in read:
        assert made["error"] is None
        # SynchWeb and PATo show it; RELION has no such option.
        assert made["unknown"] == ["acquisition_software"]
        for key, kind in made["types"].items():
            seen.setdefault(key, set()).add(kind)
    for key in ("extract_downscale", "motioncor_do_own"):  # the wrapper's own
        seen.pop(key)
    kinds = {key: "number" if found <= {"int", "float"} else "/".join(found) for key, found in seen.items()}
    whole = {key: "int" for key, found in seen.items() if key in TYPES["int"] and found == {"int"}}
    assert kinds | whole == {key: kind for kind, keys in TYPES.items() for key in keys}
    assert here.waiting(f"dlq.{QUEUES[DISPATCHER]}") == 0


def with_downscale(given: dict[str, Any]) -> dict[str, Any]:
    """What RELION's wrapper 0.13.16 needs and no job of ours has."""
    return given | {"ispyb_parameters": given["ispyb_parameters"] | {"extract_downscale": "false"}}


def published_wrapper(given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    finished = subprocess.run(
        ["python", "-m", "tests.zocalo.published_wrapper"],
        env=environ(),
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert finished.returncode == 0, finished.stderr
    out: list[dict[str, Any]] = json.loads(finished.stdout)
    return out


def test_a_stop_starts_nothing_and_names_the_runs_stop_file(here: Facility) -> None:
    visit = here.visit()
    job = here.launch(visit)["processingJobId"]
    here.take(FIRST_QUEUE, 1)

    here.stop(job)

    (stop,) = here.take(STOP_QUEUE, 1)
    assert stop["recipe"]["1"]["parameters"] == {"stop_file": f"{visit.directory}/tmp/relion-stop-{job}"}
    assert here.broker.count(here.environment.vhost, FIRST_QUEUE) == 0


def test_a_message_that_zocalo_rejects_is_a_dead_letter(here: Facility) -> None:
    job = tables.ProcessingJob.c.processingJobId
    with here.zocalo.frozen(DISPATCHER):
        launched = here.launch(here.visit())
        ident = launched["processingJobId"]
        here.wait(ident, "submitted")
        here.database.write(
            lambda session: [
                session.execute(sa.delete(table).where(table.c.processingJobId == ident))
                for table in (tables.ProcessingJobParameter, tables.ProcessingJob)
            ]
        )

    # The doctor and the metrics say so, as soon as the broker's management API knows.
    until(lambda: "1 message in dlq.processing_recipe" in str(examine(here.environment.settings())))
    until(lambda: "em_queue_dead_letters 1.0" in here.metrics())
    (dead,) = here.take(f"dlq.{QUEUES[DISPATCHER]}", 1)

    assert dead == json.loads(StartJob(ident, launched["guid"]).body())
    with here.database.read() as session:
        assert session.execute(sa.select(job).where(job == ident)).first() is None


def test_where_a_message_that_names_a_job_always_starts_it_a_stop_names_the_file(
    here: Facility, reaper: Reaper
) -> None:
    """The dispatcher of cryoemservices 1.5.1; ``EM_STOP__MESSAGE=file`` is for such."""
    visit = here.visit(collections=2)
    named, filed = (here.launch(visit, directory) for directory in ("raw1", "raw2"))
    here.take(FIRST_QUEUE, 2)
    here.stop(named["processingJobId"])
    with (
        ServiceThread(here.environment.settings(stop={"message": "file"})) as service,
        service.client() as client,
    ):
        client.post(f"/processing-jobs/{filed['processingJobId']}/stop").raise_for_status()
    here.take(STOP_QUEUE, 2)
    by_job, by_file = (rows.messages(here.database, one["dataCollectionId"])[1] for one in (named, filed))
    vhost = f"{here.environment.vhost}-other"
    here.broker.add_vhost(vhost)
    other = Zocalo(reaper, here.broker, vhost, here.environment.database_url, seconds_per_movie=1)
    other.start(OTHER_DISPATCHER)

    here.publish(json.dumps(by_job), vhost)
    started = here.take(FIRST_QUEUE, 1, vhost)
    here.publish(json.dumps(by_file), vhost)
    stopped = here.take(STOP_QUEUE, 1, vhost)
    other.stop()

    # By the first form the stop of a job has become another run of it.
    assert [message["recipe"]["1"]["parameters"]["rpid"] for message in started] == [str(named["processingJobId"])]
    assert [message["recipe"]["1"]["parameters"] for message in stopped] == [
        {"stop_file": f"{visit.directory}/tmp/relion-stop-{filed['processingJobId']}"}
    ]
    assert here.broker.count(vhost, FIRST_QUEUE) == 0


def test_the_dispatcher_that_tells_them_apart_takes_both_forms(here: Facility) -> None:
    file = f"{here.visit().directory}/tmp/relion-stop-1"
    here.publish(json.dumps({"recipes": ["relion-stop-file"], "parameters": {"stop_file": file}}))

    (taken,) = here.take(STOP_QUEUE, 1)

    assert taken["recipe"]["1"]["parameters"] == {"stop_file": file}
