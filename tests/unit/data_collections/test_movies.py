"""Whether movies are there, as far as that can be seen in time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.data_collections import movies
from app.data_collections.movies import FilesDoNotAnswer, MoviesNotFound, Place, Sight
from app.data_collections.rules import Movies, MoviesInvalid
from app.db import Database
from app.filesystem.looks import Looks
from app.resources import Resources
from app.settings import Settings
from tests.factories import make_file


@pytest.fixture
def resources(tmp_path: Path) -> Iterator[Resources]:
    """With looks that wait a moment only; the database is not asked."""
    settings = Settings.model_validate({"database": {"url": f"sqlite:///{tmp_path}/ispyb.db"}})
    database = Database(settings)
    yield Resources(settings, database, Looks(threads=4, deadline=0.2))
    database.dispose()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "visit", (tmp_path / "visit",), "movies.")


def epu(place: Place) -> Movies:
    """EPU's movies in ``raw``."""
    return Movies(f"{place.visit_directory}/raw", "GridSquare_*/Data/*.tiff")


def test_a_movie_is_seen(resources: Resources, place: Place) -> None:
    make_file(place.visit_directory / "raw/GridSquare_1/Data/a.tiff")

    assert movies.look(resources, epu(place), place) == Sight(True)


def test_no_movie_is_said_with_what_was_looked_for(resources: Resources, place: Place) -> None:
    sight = movies.look(resources, epu(place), place)

    assert sight.exists is False
    assert epu(place).import_images in sight.remark


def test_no_answer_in_time_is_unknown(resources: Resources, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr("app.filesystem.movies.look", lambda *_, **__: release.wait(10))

    sight = movies.look(resources, epu(place), place)
    release.set()

    assert sight.exists is None
    assert "could not be seen" in sight.remark


def test_a_link_out_of_the_visit_is_refused_by_the_clients_own_field(
    resources: Resources, place: Place, tmp_path: Path
) -> None:
    make_file(tmp_path / "elsewhere/GridSquare_1/Data/a.tiff")
    place.visit_directory.mkdir()
    (place.visit_directory / "raw").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(MoviesInvalid) as refused:
        movies.look(resources, epu(place), place)

    assert [error.field for error in refused.value.errors] == ["movies.imageDirectory"]


def test_movies_that_were_seen_are_enough(place: Place) -> None:
    assert movies.require(epu(place), Sight(True)) is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize(
    ("exists", "error", "fields"), [(False, MoviesNotFound, ["movies.imageDirectory"]), (None, FilesDoNotAnswer, [])]
)
def test_movies_that_were_not_seen_are_refused(
    place: Place, exists: bool | None, error: type[MoviesNotFound | FilesDoNotAnswer], fields: list[str]
) -> None:
    with pytest.raises(error) as refused:
        movies.require(epu(place), Sight(exists, "It hangs."), place.prefix)

    assert [one.field for one in refused.value.errors] == fields
