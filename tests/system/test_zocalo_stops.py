"""Stops that hold, through Zocalo's published services: at any moment, when a message is lost, before a restart."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.factories import MadeVisit, launch_body
from tests.servers.broker import PROCESSING_RECIPE
from tests.servers.reaper import Reaper
from tests.servers.zocalo import CLUSTER, CONNECTOR, DISPATCHER, STOPPER
from tests.support.environments import Servers
from tests.support.services import ServiceThread
from tests.support.zocalo import Facility, facility, until
from tests.system.support import in_threads

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

STOPS = 100 if os.environ.get("SOAK") else 10
AT_ONCE = 5
MOVIES = 10
MOMENTS = ("pending", "submitted", "queued", "running", "succeeded")  # after which a stop is asked, or later
LONGEST_PAUSE = 1.0  # seconds from there to the stop
LONG = 200  # movies of a run that does not end by itself while it is looked at


@pytest.fixture(scope="module")
def here(
    servers: Servers, reaper: Reaper, worker_id: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Facility]:
    """A facility where all of Zocalo runs."""
    with facility(servers, reaper, f"{worker_id}_stops", tmp_path_factory.mktemp("dls")) as made:
        made.zocalo.start(DISPATCHER, CONNECTOR, CLUSTER, STOPPER)
        yield made


@pytest.mark.timeout(1800)
def test_a_stop_at_any_moment_ends_the_run_or_comes_too_late(here: Facility) -> None:
    """From before the pick-up to after the end. Each is asked twice, as people do."""
    visit = here.visit(collections=STOPS, movies=MOVIES)
    chance = random.Random(4)
    pauses = [chance.uniform(0, LONGEST_PAUSE) for _ in range(STOPS)]

    def launch_and_stop(number: int) -> tuple[dict[str, Any], list[int], dict[str, Any]]:
        launched = here.launch(visit, f"raw{number}")
        job = launched["processingJobId"]
        here.wait(job, *MOMENTS[number % len(MOMENTS) :], "failed")
        time.sleep(pauses[number - 1])
        answers = [here.stop(job), here.stop(job)]
        return launched, answers, here.wait_ended(job)

    asked = in_threads(AT_ONCE, launch_and_stop, range(1, STOPS + 1))
    until(
        lambda: all(here.waiting(queue) == 0 for queue in (PROCESSING_RECIPE, "relion.dev.stop", "cluster.submission"))
    )

    for launched, answers, end in asked:
        job = launched["processingJobId"]
        if 202 in answers:
            assert answers[0] == 202
            assert end["state"] in ("stopped", "succeeded"), end
            assert end["state"] == "stopped" or end["programs"][0]["processingStatus"] == 1
        else:
            assert (answers, end["state"]) == ([409, 409], "succeeded")
        # Its own start, if that was sent, and nothing more: no stop has started a run.
        assert len(end["programs"]) == 1, end
        assert runs_of(launched) in ([], [launched["guid"]])
        limit = here.service.resources.settings.stop.messages + len(end["programs"]) + 1
        assert len(here.stop_messages(job)) <= limit
        # An end is one.
        assert here.job(job)["state"] == end["state"]
    assert {end["state"] for _, _, end in asked} == {"stopped", "succeeded"}


def runs_of(launched: dict[str, Any]) -> list[str]:
    """The runs that have a directory beside that of this launch, which has a data collection of its own."""
    place = Path(launched["resultsDirectory"]).parent
    return [path.name for path in place.iterdir()] if place.exists() else []


def running(here: Facility, visit: MadeVisit, directory: str = "raw1") -> dict[str, Any]:
    """A run that has begun, and goes on for long."""
    launched = here.launch(visit, directory)
    here.wait(launched["processingJobId"], "running")
    return launched


def test_a_stop_before_the_pick_up_is_kept_and_one_that_the_broker_lost_is_sent_again(here: Facility) -> None:
    visit = here.visit(collections=2, movies=LONG)
    begun = running(here, visit)["processingJobId"]
    with here.zocalo.frozen(DISPATCHER):
        # The first message of the two that are sent is in the frozen dispatcher's hands, the other in the queue.
        early = here.launch(visit, "raw2")["processingJobId"]
        here.wait(early, "submitted")
        until(lambda: here.waiting(PROCESSING_RECIPE) == 0)
        here.stop(begun)
        until(lambda: here.waiting(PROCESSING_RECIPE) == 1)
        here.broker.call("DELETE", f"/queues/{here.environment.vhost}/{PROCESSING_RECIPE}/contents")
        here.stop(early)
        until(lambda: here.waiting(PROCESSING_RECIPE) >= 1)

    ends = {job: here.wait(job, "stopped") for job in (begun, early)}

    assert len(here.stop_messages(begun)) >= 2
    assert [len(end["programs"]) for end in ends.values()] == [1, 1]
    assert ends[early]["programs"][0]["processingStatus"] == 0
    assert (visit.directory / "tmp" / f"relion-stop-{early}").exists()


def test_a_stop_while_the_job_waits_on_the_cluster_ends_it_when_it_begins(here: Facility) -> None:
    with here.zocalo.cluster.full():
        launched = here.launch(here.visit(movies=LONG))
        job = launched["processingJobId"]
        here.wait(job, "queued")
        here.stop(job)
        until((Path(launched["resultsDirectory"].partition("/processed/")[0]) / "tmp" / f"relion-stop-{job}").exists)
        waiting = here.job(job)

    stopped = here.wait(job, "stopped")

    assert waiting["state"] == "stopping"
    assert not list(Path(launched["resultsDirectory"]).glob("RUNNING_*"))
    assert "Stopped by" in stopped["reason"]


def test_a_restart_stops_the_run_before_and_nothing_else(here: Facility) -> None:
    visit = here.visit(movies=30)
    first = running(here, visit)
    body = launch_body("raw1", ifBlocked="restart", replaces=[first["processingJobId"]])
    answer = here.client.post(f"/visits/{visit.name}/launch", json=body)
    assert answer.status_code == 202, answer.text
    second = answer.json()

    stopped = here.wait(first["processingJobId"], "stopped")
    done = here.wait(second["processingJobId"], "succeeded")

    place = Path(first["resultsDirectory"]).parent
    assert sorted(path.name for path in place.iterdir()) == sorted([first["guid"], second["guid"]])
    assert (place.parent / "relion").resolve() == Path(second["resultsDirectory"])
    assert (here.results(stopped) < 30, here.results(done)) == (True, 30)
    assert here.stop_messages(second["processingJobId"]) == []


def test_a_stop_that_names_the_file_stops_as_well(here: Facility) -> None:
    visit = here.visit(movies=LONG)
    job = running(here, visit)["processingJobId"]
    chosen = here.environment.settings(stop={"message": "file", "repeat_seconds": 60})

    with ServiceThread(chosen) as service, service.client() as client:
        client.post(f"/processing-jobs/{job}/stop").raise_for_status()
        here.wait(job, "stopped")

    file = f"{visit.directory}/tmp/relion-stop-{job}"
    assert here.stop_messages(job)[0] == {"recipes": ["relion-stop-file"], "parameters": {"stop_file": file}}
    assert [one["processingStatus"] for one in here.job(job)["programs"]] == [0]
