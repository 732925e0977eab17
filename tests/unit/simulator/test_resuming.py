"""Whatever is repeated or interrupted, each run happens once."""

import time

from app.db import Database
from app.ispyb.tables import CTF, MotionCorrection, Movie, ParticlePicker
from app.settings import Settings
from tests.unit.simulator.jobs import StartZocalo, count, left, look, make_job, send, wait_for_end, wait_until


def test_a_start_that_comes_again_changes_nothing(database: Database, settings: Settings, zocalo: StartZocalo) -> None:
    job = make_job(database, settings)
    send(settings, job.start)
    send(settings, job.start)  # while it runs
    zocalo()
    first = wait_for_end(database, job)
    wait_until(lambda: left(settings, "taken") == [])

    send(settings, job.start)  # after its end
    wait_until(lambda: left(settings) + left(settings, "taken") == [])

    assert look(database, job) == first
    assert count(database, Movie) == 24
    assert left(settings, "dead-letters") == []


def test_an_interrupted_run_is_taken_up_where_it_was(
    database: Database, settings: Settings, zocalo: StartZocalo
) -> None:
    job = make_job(database, settings)
    send(settings, job.start)
    first = zocalo(0.1)
    wait_until(lambda: count(database, Movie) >= 3)
    first.stop()
    interrupted = look(database, job)
    done = count(database, Movie)
    assert left(settings, "taken")
    assert (job.results_directory / "RUNNING_RELION_IT").is_file()

    zocalo()
    seen = wait_for_end(database, job)

    assert done < 24
    assert interrupted is not None
    assert seen.program_id == interrupted.program_id
    assert seen.status == 1
    assert {count(database, table) for table in (Movie, MotionCorrection, CTF, ParticlePicker)} == {24}
    wait_until(lambda: left(settings, "taken") == [])


def test_a_run_interrupted_before_it_began_is_taken_up(
    database: Database, settings: Settings, zocalo: StartZocalo
) -> None:
    job = make_job(database, settings)
    send(settings, job.start)
    first = zocalo(places=0)
    wait_until(lambda: look(database, job) is not None)
    first.stop()
    assert not job.results_directory.exists()

    zocalo()

    assert wait_for_end(database, job).status == 1


def test_a_second_one_on_the_same_folder_waits(database: Database, settings: Settings, zocalo: StartZocalo) -> None:
    job = make_job(database, settings)
    first = zocalo(0.05)
    zocalo(0.05)
    send(settings, job.start)
    wait_until(lambda: count(database, Movie) >= 2)

    first.stop()

    assert wait_for_end(database, job).status == 1
    assert count(database, Movie) == 24


def test_it_ends_quickly(database: Database, settings: Settings, zocalo: StartZocalo) -> None:
    job = make_job(database, settings)
    send(settings, job.start)
    player = zocalo(30)
    wait_until(lambda: left(settings, "taken") != [])

    began = time.monotonic()
    player.stop()

    assert time.monotonic() - began < 5
