"""A run leaves the rows and files that the real one leaves."""

import json
import math
from collections.abc import Callable
from itertools import pairwise, starmap
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.db import Database
from app.errors import Unavailable
from app.filesystem import sentinel
from app.ispyb import sandbox
from app.ispyb.tables import CTF, MotionCorrection, Movie, ParticlePicker
from app.settings import Settings
from app.simulator.results import Result
from tests.support.png import read_png
from tests.unit.simulator.jobs import SLOW, StartZocalo, count, look, make_job, send, wait_for_end, wait_until

MOTION_PATHS = (
    MotionCorrection.c.micrographSnapshotFullPath,
    MotionCorrection.c.micrographFullPath,
    MotionCorrection.c.driftPlotFullPath,
    MotionCorrection.c.fftFullPath,
    MotionCorrection.c.fftCorrectedFullPath,
)


def test_a_run_succeeds_and_leaves_rows_for_every_movie(
    database: Database, settings: Settings, zocalo: StartZocalo
) -> None:
    job = make_job(database, settings, parameters={"motioncor_doseperframe": "1.277", "autopick_LoG_diam_max": "180"})
    send(settings, job.start)

    zocalo()
    seen = wait_for_end(database, job)

    assert seen.status == 1
    assert seen.message == "processing successful"
    assert seen.start is not None
    assert seen.end is not None
    assert {count(database, table) for table in (Movie, MotionCorrection, CTF, ParticlePicker)} == {24}
    with database.read() as session:
        motion = session.execute(sa.select(MotionCorrection.c.dosePerFrame).distinct()).scalars().all()
        diameter = session.execute(sa.select(ParticlePicker.c.particleDiameter).distinct()).scalars().all()
    assert motion == [1.277]
    assert diameter == [18.0]  # nm


def test_a_run_leaves_its_files_where_zocalo_puts_them(
    database: Database, settings: Settings, zocalo: StartZocalo
) -> None:
    job = make_job(database, settings, parameters={"angpix": "0.885", "do_class2d": "true"})
    send(settings, job.start)

    zocalo()
    wait_for_end(database, job)

    results = job.results_directory
    assert results == job.visit_directory / "processed" / "raw" / "Frames_1" / job.guid
    assert job.working_directory.is_dir()
    assert (results / sentinel.SUBMITTED_JOBS).is_file()
    assert not list(results.glob("RUNNING_*"))
    assert (results / "Movies").resolve() == job.visit_directory / "raw"
    assert (job.visit_directory / "processed" / "raw" / "relion").resolve() == results
    assert "angpix = 0.885\ndo_class2d = True\n" in (results / "relion_it_options.py").read_text()
    with database.read() as session:
        paths = [path for row in session.execute(sa.select(*MOTION_PATHS)) for path in row]
        paths += session.execute(sa.select(CTF.c.fftTheoreticalFullPath)).scalars().all()
        paths += session.execute(sa.select(ParticlePicker.c.summaryImageFullPath)).scalars().all()
    assert len(set(paths)) == 7 * 24
    assert all(Path(path).is_relative_to(results) and Path(path).is_file() for path in paths)
    assert {read_png(path) for path in paths if path.endswith(".png")} == {(64, 64)}


def test_the_drift_of_a_movie_is_a_plot_as_long_as_its_motion(
    database: Database, settings: Settings, zocalo: StartZocalo
) -> None:
    job = make_job(database, settings)
    send(settings, job.start)

    zocalo()
    wait_for_end(database, job)

    columns = (MotionCorrection.c.driftPlotFullPath, MotionCorrection.c.totalMotion, MotionCorrection.c.lastFrame)
    with database.read() as session:
        for path, motion, frames in session.execute(sa.select(*columns)).all():
            figure = json.loads(Path(path).read_text())
            places = list(zip(figure["data"][0]["x"], figure["data"][0]["y"], strict=True))
            assert len(places) == frames
            assert sum(starmap(math.dist, pairwise(places))) == pytest.approx(motion, abs=0.02)
            assert "layout" in figure


def test_a_run_is_registered_before_the_cluster_has_a_place(
    database: Database, settings: Settings, zocalo: StartZocalo
) -> None:
    job = make_job(database, settings)
    send(settings, job.start)

    zocalo(places=0)
    wait_until(lambda: look(database, job) is not None)

    registered = look(database, job)
    assert registered is not None
    assert (registered.status, registered.start, registered.end) == (None, None, None)
    assert not job.results_directory.exists()


def test_a_run_says_that_it_runs(database: Database, settings: Settings, zocalo: StartZocalo) -> None:
    job = make_job(database, settings)
    send(settings, job.start)

    zocalo(SLOW)
    wait_until(lambda: count(database, Movie) > 0)
    running = look(database, job)

    assert running is not None
    assert running.status is None
    assert running.start is not None
    assert running.message is not None
    assert running.message.startswith("processing")
    assert [s.name for s in sentinel.look(job.results_directory).sentinels] == ["RUNNING_RELION_IT"]


def test_no_particles_are_picked_after_ctf_estimation_if_so_asked(
    database: Database, settings: Settings, zocalo: StartZocalo
) -> None:
    job = make_job(database, settings, parameters={"stop_after_ctf_estimation": "true"})
    send(settings, job.start)

    zocalo()
    wait_for_end(database, job)

    assert count(database, CTF) == 24
    assert count(database, ParticlePicker) == 0


def test_results_are_the_same_each_time(database: Database, settings: Settings, zocalo: StartZocalo) -> None:
    jobs = [make_job(database, settings) for _ in range(2)]
    for job in jobs:
        send(settings, job.start)

    zocalo()
    programs = [wait_for_end(database, job).program_id for job in jobs]

    with database.read() as session:
        found = [
            session.execute(
                sa.select(Movie.c.movieFullPath, MotionCorrection.c.totalMotion)
                .join(MotionCorrection, MotionCorrection.c.movieId == Movie.c.movieId)
                .where(MotionCorrection.c.autoProcProgramId == program)
                .order_by(Movie.c.movieFullPath)
            ).all()
            for program in programs
        ]
    assert found[0] == found[1]
    assert len({motion for _, motion in found[0]}) > 20


def test_epu_movies_that_arrive_later_are_processed_too(
    database: Database, settings: Settings, zocalo: StartZocalo
) -> None:
    job = make_job(database, settings, visit=sandbox.EPU, template="GridSquare_*/Data/*.tiff", prefix="GridSquare")
    send(settings, job.start)
    zocalo(0.1)
    wait_until(lambda: count(database, Movie) > 0)

    late = job.visit_directory / sandbox.epu_movie(11)
    late.parent.mkdir(parents=True)
    late.write_bytes(sandbox.MOVIE)
    seen = wait_for_end(database, job)

    assert seen.status == 1
    assert count(database, Movie) == sandbox.FIRST_EPU_MOVIES + 1
    assert (job.results_directory / "MotionCorr/job002/Movies/GridSquare_2/Data").is_dir()


def test_a_run_without_movies_fails(database: Database, settings: Settings, zocalo: StartZocalo) -> None:
    job = make_job(database, settings, template="Frames/*.eer")
    send(settings, job.start)

    zocalo()
    seen = wait_for_end(database, job)

    assert seen.status == 0
    assert seen.message == "processing failure: no movies found"


def test_a_run_that_breaks_ends_as_a_failure(
    database: Database, settings: Settings, zocalo: StartZocalo, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(database, settings)

    def broken(result: Result) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("app.simulator.outputs.write", broken)
    send(settings, job.start)

    zocalo()
    seen = wait_for_end(database, job)

    assert seen.status == 0
    assert seen.message == "processing failure: OSError"
    assert not list(job.results_directory.glob("RUNNING_*"))


def test_a_database_that_is_away_for_a_while_costs_nothing(
    database: Database, settings: Settings, zocalo: StartZocalo, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(database, settings)
    failures = iter(range(2))
    write = database.write

    def failing(work: Callable[[Session], object]) -> object:
        if next(failures, None) is not None:
            raise Unavailable("The database is away.")
        return write(work)

    monkeypatch.setattr(database, "write", failing)
    monkeypatch.setattr("app.simulator.waiting.RETRY_SECONDS", 0.01)
    send(settings, job.start)

    zocalo()

    assert wait_for_end(database, job).status == 1
