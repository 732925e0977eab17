"""Are there movies? The first one is enough."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.filesystem.movies import MovieLook, is_below, look


@pytest.fixture
def visit(tmp_path: Path) -> Path:
    """A visit directory with an empty ``raw``."""
    directory = tmp_path / "cm28212-1"
    (directory / "raw").mkdir(parents=True)
    return directory


@pytest.fixture
def scanned(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of the directories that were read, in order."""
    names: list[str] = []
    real = os.scandir

    def scandir(path: Any) -> Any:
        names.append(Path(path).name)
        return real(path)

    monkeypatch.setattr("os.scandir", scandir)
    yield names
    monkeypatch.undo()


def put(*paths: Path) -> Path:
    """Empty files with the folders they need; the first of them."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return paths[0]


def raw(visit: Path, template: str) -> MovieLook:
    return look(visit / "raw", template, within=[visit])


# Finding.


@pytest.mark.parametrize(
    ("file", "template"),
    [
        ("GridSquare_1/Data/movie_1.tiff", "GridSquare_*/Data/*.tiff"),
        ("GridSquare_1/Data/a.b.tiff", "GridSquare_*/Data/*.tiff"),
        ("GridSquare_/Data/.tiff.tiff", "GridSquare_*/Data/.*.tiff"),
        ("Supervisor_1/GridSquare_1/Data/movie.tiff", "Supervisor_*/GridSquare_*/Data/*.tiff"),
        ("Supervisor_2021/x/GridSquare_1/Data/movie.eer", "Supervisor_????/*/GridSquare_*/Data/*.eer"),
        ("Frames/frame.tif", "Frames/*.tif"),
        ("Frames/frame.tif", "Frames/frame.tif"),
        ("Frames/frame.tif", "*/frame.tif"),
        ("Frames/frame.tif", "F?ames/f*e.tif"),
        ("Frames/frame.tif", "*/*.tif"),
        ("movie.mrc", "*.mrc"),
        ("a+b(c)$^|.mrc", "a+b(c)$^|.mrc"),
        ("a+b(c)$^|.mrc", "a+b(c)$^|*.mrc"),
        ("name\nwith newline.mrc", "*.mrc"),
        ("Grün €.mrc", "Gr?n *.mrc"),
    ],
)
def test_a_movie_is_found(visit: Path, file: str, template: str) -> None:
    movie = put(visit / "raw" / file)

    found = raw(visit, template)

    assert found == MovieLook(movie=movie)
    assert found.exists is True


@pytest.mark.parametrize(
    ("file", "template"),
    [
        pytest.param("GridSquare_1/Data/movie.tif", "GridSquare_*/Data/*.tiff", id="another suffix"),
        pytest.param("GridSquare_1/Data/movie.tiff.part", "GridSquare_*/Data/*.tiff", id="not complete yet"),
        pytest.param("GridSquare_1/Data/movie.TIFF", "GridSquare_*/Data/*.tiff", id="case counts"),
        pytest.param("GridSquare_1/movie.tiff", "GridSquare_*/Data/*.tiff", id="too high"),
        pytest.param("GridSquare_1/Data/a/movie.tiff", "GridSquare_*/Data/*.tiff", id="too deep"),
        pytest.param("Frames/frame.tif", "*.tif", id="a star does not descend"),
        pytest.param("Frames/frame.tif", "Frames*.tif", id="a star does not cross a slash"),
        pytest.param("Frames/frame.tif", "Frames?frame.tif", id="a question mark is no slash"),
        pytest.param("Frames/.hidden.tif", "Frames/*.tif", id="a star does not match a leading dot"),
        pytest.param("Frames/.hidden.tif", "Frames/?hidden.tif", id="a question mark does not match a leading dot"),
        pytest.param(".GridSquare_1/Data/movie.tiff", "*/Data/*.tiff", id="nor does it in a folder's name"),
        pytest.param("Frames/a.tif", "Frames/??.tif", id="a question mark is one character"),
        pytest.param("Frames/xtif", "Frames/*.tif", id="a dot is a dot"),
        pytest.param("Frames/a.tif\n", "Frames/*.tif", id="a newline behind the suffix"),
        pytest.param("Frames/a.tif/file", "Frames/*.tif", id="a folder named like a movie"),
        pytest.param("Frames/a.tif/file", "Frames/a.tif", id="a folder named exactly like the movie"),
        pytest.param("Frames", "Frames/*.tif", id="a file named like the folder"),
        pytest.param("Frames", "*/*.tif", id="a file where a folder is meant"),
        pytest.param("Frames", "Frames/a.tif", id="a file where the folder is named"),
    ],
)
def test_other_files_are_no_movies(visit: Path, file: str, template: str) -> None:
    put(visit / "raw" / file)

    found = raw(visit, template)

    assert found == MovieLook()
    assert found.exists is False


@pytest.mark.parametrize("template", ["*.tif", "Frames/*.tif", "*/*.tif", "Frames/a.tif"])
@pytest.mark.parametrize("there", [True, False], ids=["empty", "missing"])
def test_an_empty_or_missing_directory_has_no_movies(visit: Path, template: str, there: bool) -> None:
    directory = visit / ("raw" if there else "nothing/here")

    found = look(directory, template, within=[visit])

    assert found == MovieLook()
    assert found.exists is False


def test_a_movie_beside_a_folder_of_the_same_kind_is_found(visit: Path) -> None:
    (visit / "raw/a.tif").mkdir()
    movie = put(visit / "raw/b.tif")

    assert raw(visit, "*.tif") == MovieLook(movie=movie)


# Stopping at the first.


def test_the_look_stops_at_the_first_movie(visit: Path, scanned: list[str]) -> None:
    for number in range(50):
        put(visit / f"raw/GridSquare_{number}/Data/movie.tiff")

    found = raw(visit, "GridSquare_*/Data/*.tiff")

    assert found.exists is True
    assert scanned == ["raw", "Data"]  # "Data" itself is not looked for: its name is known


def test_folders_without_movies_are_passed(visit: Path, scanned: list[str]) -> None:
    for number in range(5):
        (visit / f"raw/GridSquare_{number}/Data").mkdir(parents=True)

    found = raw(visit, "GridSquare_*/Data/*.tiff")

    assert found.exists is False
    assert scanned == ["raw"] + ["Data"] * 5


def test_names_without_wildcards_are_not_searched_for(visit: Path, scanned: list[str]) -> None:
    put(visit / "raw/Frames/frame.tif")

    found = raw(visit, "Frames/frame.tif")

    assert found.exists is True
    assert scanned == []


def test_no_directory_stays_open(visit: Path) -> None:
    put(*(visit / f"raw/GridSquare_{number}/Data/movie.tiff" for number in range(3)))
    before = os.listdir("/proc/self/fd")

    for _ in range(5):
        raw(visit, "GridSquare_*/Data/*.tiff")

    assert len(os.listdir("/proc/self/fd")) == len(before)


# Links.


def test_links_that_stay_inside_are_followed(visit: Path) -> None:
    put(visit / "elsewhere/Data/movie.tiff")
    (visit / "raw/GridSquare_1").symlink_to(visit / "elsewhere")

    found = raw(visit, "GridSquare_*/Data/*.tiff")

    assert found == MovieLook(movie=visit / "raw/GridSquare_1/Data/movie.tiff")


def test_a_movie_may_be_a_link_that_stays_inside(visit: Path) -> None:
    put(visit / "elsewhere/movie.tiff")
    (visit / "raw/movie.tiff").symlink_to("../elsewhere/movie.tiff")

    assert raw(visit, "*.tiff").exists is True


def test_the_visit_directory_may_be_reached_through_a_link(visit: Path, tmp_path: Path) -> None:
    movie = put(visit / "raw/movie.tiff")
    (tmp_path / "dls").symlink_to(tmp_path)

    found = look(tmp_path / "dls/cm28212-1/raw", "*.tiff", within=[tmp_path / "dls/cm28212-1"])
    across = look(tmp_path / "dls/cm28212-1/raw", "*.tiff", within=[visit])

    assert found.movie is not None
    assert found.movie.resolve() == movie
    assert across == found


@pytest.mark.parametrize(
    "link", ["raw", "raw/GridSquare_1", "raw/GridSquare_1/Data", "raw/GridSquare_1/Data/movie.tiff"]
)
def test_links_that_lead_out_of_the_visit_are_refused(visit: Path, tmp_path: Path, link: str) -> None:
    other = tmp_path / "cm28212-2"
    put(other / "raw/GridSquare_1/Data/movie.tiff")
    (visit / "raw").rmdir()
    (visit / link).parent.mkdir(parents=True, exist_ok=True)
    (visit / link).symlink_to(other / link)

    found = raw(visit, "GridSquare_*/Data/*.tiff")

    assert found.movie is None
    assert found.outside == visit / link


def test_a_link_out_of_the_visit_is_refused_also_beside_movies_that_stay(visit: Path, tmp_path: Path) -> None:
    for square in (1, 3):
        put(visit / f"raw/GridSquare_{square}/Data/movie.tiff")
    put(tmp_path / "cm28212-2/raw/GridSquare_2/Data/movie.tiff")
    (visit / "raw/GridSquare_2").symlink_to(tmp_path / "cm28212-2/raw/GridSquare_2")

    found = raw(visit, "GridSquare_*/Data/*.tiff")

    assert found.outside == visit / "raw/GridSquare_2"


def test_a_link_to_a_visit_whose_name_begins_alike_leads_out(visit: Path, tmp_path: Path) -> None:
    put(tmp_path / "cm28212-10/movie.tiff")
    (visit / "raw/movie.tiff").symlink_to(tmp_path / "cm28212-10/movie.tiff")

    assert raw(visit, "*.tiff").outside == visit / "raw/movie.tiff"


def test_what_lies_outside_is_not_read(visit: Path, tmp_path: Path, scanned: list[str]) -> None:
    (tmp_path / "secret").mkdir()
    (visit / "link").symlink_to(tmp_path / "secret")

    found = look(visit / "link", "*.tiff", within=[visit])

    assert found.outside == visit / "link"
    assert scanned == []


def test_one_of_several_folders_is_enough(visit: Path, tmp_path: Path) -> None:
    movie = put(visit / "raw/movie.tiff")

    found = look(visit / "raw", "*.tiff", within=[tmp_path / "other", visit])

    assert found == MovieLook(movie=movie)


def test_no_folder_is_never_enough(visit: Path) -> None:
    put(visit / "raw/movie.tiff")

    assert look(visit / "raw", "*.tiff", within=[]).outside == visit / "raw"


@pytest.mark.parametrize(
    "make",
    [
        lambda raw: (raw / "movie.tiff").symlink_to("nowhere.tiff"),
        lambda raw: (raw / "movie.tiff").symlink_to("movie.tiff"),
        lambda raw: os.mkfifo(raw / "movie.tiff"),
    ],
    ids=["dangling link", "link to itself", "pipe"],
)
def test_what_is_no_file_in_the_end_is_no_movie(visit: Path, make: Callable[[Path], None]) -> None:
    make(visit / "raw")

    found = raw(visit, "*.tiff")

    assert found.movie is None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("visit", True),
        ("visit/a", True),
        ("visit/a/../b", True),
        ("visit/nothing/there", True),
        ("visit/..", False),
        ("visit/../other", False),
        ("visitor", False),
        ("", False),
    ],
)
def test_is_below(tmp_path: Path, path: str, expected: bool) -> None:
    (tmp_path / "visit/a").mkdir(parents=True)

    assert is_below(tmp_path / path, [tmp_path / "visit"]) is expected


# Directories that cannot be read.


def deny(monkeypatch: pytest.MonkeyPatch, name: str, error: OSError) -> None:
    """Make reading a directory of this name fail, for root too."""
    real = os.scandir

    def scandir(path: Any) -> Any:
        if Path(path).name == name:
            raise error
        return real(path)

    monkeypatch.setattr("os.scandir", scandir)


ERRORS = [PermissionError(13, "Permission denied"), OSError(5, "Input/output error"), OSError(116, "Stale file handle")]


@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_without_reading_a_directory_nothing_is_known(
    visit: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    put(visit / "raw/movie.tiff")
    deny(monkeypatch, "raw", error)

    found = raw(visit, "*.tiff")

    assert found == MovieLook(unreadable=visit / "raw")
    assert found.exists is None


@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_one_unreadable_folder_does_not_hide_the_movies_of_another(
    visit: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    put(visit / "raw/GridSquare_1/movie.tiff")
    movie = put(visit / "raw/GridSquare_2/movie.tiff")
    deny(monkeypatch, "GridSquare_1", error)

    found = raw(visit, "GridSquare_*/*.tiff")

    assert found.movie == movie
    assert found.exists is True


def test_one_unreadable_folder_among_empty_ones_leaves_it_unknown(visit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        (visit / f"raw/GridSquare_{number}").mkdir()
    deny(monkeypatch, "GridSquare_1", ERRORS[0])

    found = raw(visit, "GridSquare_*/*.tiff")

    assert found == MovieLook(unreadable=visit / "raw/GridSquare_1")
    assert found.exists is None


def test_a_folder_that_vanishes_meanwhile_has_no_movies(visit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (visit / "raw/GridSquare_1").mkdir()
    deny(monkeypatch, "GridSquare_1", FileNotFoundError(2, "No such file or directory"))

    found = raw(visit, "GridSquare_*/*.tiff")

    assert found.exists is False


@pytest.mark.parametrize("template", ["Frames/*.tiff", "movie.tiff"])
def test_a_name_that_cannot_be_looked_at_leaves_it_unknown(
    visit: Path, monkeypatch: pytest.MonkeyPatch, template: str
) -> None:
    real = os.stat

    def stat(path: Any, *arguments: Any, **named: Any) -> Any:
        if Path(path).name in ("Frames", "movie.tiff"):
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments, **named)

    monkeypatch.setattr("os.stat", stat)

    found = raw(visit, template)
    monkeypatch.undo()

    assert found.exists is None
    assert found.unreadable == visit / "raw" / template.partition("/")[0]
