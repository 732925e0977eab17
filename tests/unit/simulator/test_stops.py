"""A stop reaches its job, whenever it comes."""

import time

from app.db import Database
from app.filesystem import sentinel
from app.ispyb.tables import Movie
from app.settings import Settings
from app.zocalo.messages import StopJob
from tests.unit.simulator.jobs import SLOW, StartZocalo, count, look, make_job, send, wait_for_end, wait_until


def test_a_run_stops_when_asked_and_the_stop_file_stays(
    database: Database, settings: Settings, zocalo: StartZocalo
) -> None:
    job = make_job(database, settings)
    send(settings, job.start)
    zocalo(SLOW)
    wait_until(lambda: count(database, Movie) > 1)

    send(settings, StopJob(job.job_id))
    began = time.monotonic()
    seen = wait_for_end(database, job)

    assert time.monotonic() - began < 5
    assert seen.status == 0
    assert seen.message is not None
    assert seen.message.startswith("processing failure")
    assert 1 < count(database, Movie) < 24
    assert not list(job.results_directory.glob("RUNNING_*"))
    assert (job.results_directory / sentinel.SUBMITTED_JOBS).is_file()
    assert job.stop_file.is_file()


def test_a_stop_that_comes_before_the_start_is_kept_for_it(
    database: Database, settings: Settings, zocalo: StartZocalo
) -> None:
    job = make_job(database, settings)
    send(settings, StopJob(job.job_id))
    zocalo()
    wait_until(job.stop_file.is_file)

    send(settings, job.start)
    seen = wait_for_end(database, job)

    assert seen.status == 0
    assert count(database, Movie) == 0
    assert job.stop_file.is_file()


def test_a_stop_leaves_other_jobs_alone(database: Database, settings: Settings, zocalo: StartZocalo) -> None:
    stopped, other = make_job(database, settings), make_job(database, settings)
    for message in (stopped.start, other.start, StopJob(stopped.job_id)):
        send(settings, message)

    zocalo(0.05)

    assert wait_for_end(database, stopped).status == 0
    assert wait_for_end(database, other).status == 1


def test_more_runs_than_places_wait_registered_and_can_be_stopped(
    database: Database, settings: Settings, zocalo: StartZocalo
) -> None:
    running, waiting = make_job(database, settings), make_job(database, settings)
    send(settings, running.start)
    zocalo(SLOW, places=1)
    wait_until(running.results_directory.is_dir)
    send(settings, waiting.start)
    wait_until(lambda: look(database, waiting) is not None)

    send(settings, StopJob(waiting.job_id))
    seen = wait_for_end(database, waiting)

    assert seen.status == 0
    still = look(database, running)
    assert still is not None
    assert still.status is None
