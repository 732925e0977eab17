"""Movies keep arriving in the EPU visit."""

import time
from pathlib import Path

from app.db import Database
from app.ispyb import sandbox
from app.settings import Settings
from app.simulator.microscope import Microscope


def movies(tmp_path: Path) -> list[Path]:
    return [path for path in tmp_path.glob(f"dls/*/*/*/{sandbox.EPU}/raw/*/Data/*") if not path.name.startswith(".")]


def wait_for_movies(tmp_path: Path, count: int) -> None:
    deadline = time.monotonic() + 10
    while len(movies(tmp_path)) < count:
        assert time.monotonic() < deadline, f"only {len(movies(tmp_path))} movies"
        time.sleep(0.01)


def test_movies_arrive_in_new_grid_squares_until_there_are_enough(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    microscope = Microscope(settings, database, interval=0.001, most=25)

    microscope.start()
    wait_for_movies(tmp_path, 25)
    time.sleep(0.05)
    microscope.stop()

    assert len(movies(tmp_path)) == 25
    assert {path.parent.parent.name for path in movies(tmp_path)} == {f"GridSquare_{n}" for n in (1, 2, 3)}


def test_another_microscope_goes_on_where_the_first_stopped(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    first = Microscope(settings, database, interval=0.001, most=10)
    first.start()
    wait_for_movies(tmp_path, 10)
    first.stop()

    second = Microscope(settings, database, interval=0.001, most=12)
    second.start()
    wait_for_movies(tmp_path, 12)
    second.stop()

    assert len(movies(tmp_path)) == 12


def test_it_stops_at_once(database: Database, settings: Settings) -> None:
    microscope = Microscope(settings, database, interval=60)
    microscope.start()

    began = time.monotonic()
    microscope.stop()

    assert time.monotonic() - began < 5


def test_without_its_visit_it_just_ends(empty: Database, settings: Settings, tmp_path: Path) -> None:
    sandbox.create(empty, settings)
    elsewhere = settings.model_copy(update={"beamlines": ("m12",)})
    microscope = Microscope(elsewhere, empty, interval=0.001)

    microscope.start()
    microscope._thread.join(10)

    assert not microscope._thread.is_alive()
    assert len(movies(tmp_path)) == sandbox.FIRST_EPU_MOVIES
