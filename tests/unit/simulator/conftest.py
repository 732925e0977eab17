"""A sandbox on SQLite in a folder of its own, and simulated Zocalos that end with the test."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.db import Database
from app.ispyb import sandbox
from app.settings import BrokerSettings, DatabaseSettings, Settings
from app.simulator.zocalo import SimulatedZocalo
from tests.unit.simulator.jobs import FAST, StartZocalo


def settings_in(folder: Path) -> Settings:
    return Settings(
        database=DatabaseSettings(url=f"sqlite:///{folder}/em.sqlite"),
        broker=BrokerSettings(url=f"embedded://{folder}/spool"),
        visit_directory=f"{folder}/dls/{{beamline}}/data/{{year}}/{{visit}}",
    )


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


@pytest.fixture
def empty(settings: Settings) -> Iterator[Database]:
    """A database in which there is nothing."""
    database = Database(settings)
    yield database
    database.dispose()


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a sandbox. No path is in its database, so that it can be copied."""
    folder = tmp_path_factory.mktemp("sandbox")
    database = Database(settings_in(folder))
    sandbox.create(database, settings_in(folder))
    database.dispose()
    return folder


@pytest.fixture
def database(template: Path, tmp_path: Path, settings: Settings) -> Iterator[Database]:
    """A database with ISPyB's tables and the demo's rows."""
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    database = Database(settings)
    yield database
    database.dispose()


@pytest.fixture
def zocalo(database: Database, settings: Settings) -> Iterator[StartZocalo]:
    """Starts a simulated Zocalo, and ends all of them after the test."""
    started = []

    def start(seconds_per_movie: float = FAST, places: int = 8) -> SimulatedZocalo:
        started.append(SimulatedZocalo(settings, database, seconds_per_movie=seconds_per_movie, places=places))
        started[-1].start()
        return started[-1]

    yield start
    for player in started:
        player.stop()
