"""The movies that somebody means, and whether they are there. These looks come before any transaction that writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.data_collections.rules import Movies, MoviesInvalid, parse_movies
from app.errors import FieldError, Invalid, Unavailable
from app.filesystem import movies as movie_files
from app.filesystem.looks import NoAnswer
from app.filesystem.movies import MovieLook
from app.resources import Resources
from app.visits.rules import Visit


class MoviesNotFound(Invalid):
    """There are no such files (yet)."""


class FilesDoNotAnswer(Unavailable):
    """The visit's file system did not answer in time."""


@dataclass(frozen=True)
class MoviesRequest:
    """Which movies, as the client said it."""

    image_directory: str
    software: str | None = None
    suffix: str | None = None
    template: str | None = None


@dataclass(frozen=True)
class Place:
    """Where movies of a visit may lie.

    Args:
        visit_directory: looks at it hang together.
        within: folders that the movies must not leave, also not through links.
        prefix: what stands before ``imageDirectory`` in the client's request.
    """

    visit_directory: Path
    within: tuple[Path, ...]
    prefix: str = ""


@dataclass(frozen=True)
class Sight:
    """Whether there is a movie, ``None`` if that could not be seen; and unless there is one, a sentence about it."""

    exists: bool | None
    remark: str = ""


def directory_of(resources: Resources, visit: Visit) -> Path:
    """The visit's directory. Whether it has the start date that the year comes from must have been asked before."""
    directory = visit.directory(resources.settings.visit_directory)
    assert directory is not None, "whether the visit has a start date was checked before"
    return directory


def parse(resources: Resources, visit: Visit, request: MoviesRequest, prefix: str = "") -> Movies:
    """Read what a client says about its movies.

    Raises:
        MoviesInvalid: naming every field that is wrong.
    """
    return parse_movies(
        directory_of(resources, visit),
        request.image_directory,
        software=request.software,
        suffix=request.suffix,
        template=request.template,
        prefix=prefix,
    )


def look(resources: Resources, movies: Movies, place: Place) -> Sight:
    """Whether there is a movie, as far as that can be seen in time.

    Raises:
        MoviesInvalid: the movies lie where they must not.
    """
    try:
        found = resources.looks.run(str(place.visit_directory), lambda: look_now(movies, place))
    except NoAnswer as error:
        return no_sight(error)
    return sight_of(found, movies, place)


def look_now(movies: Movies, place: Place) -> MovieLook:
    """Look for a movie in this thread, which the file system may keep waiting."""
    return movie_files.look(Path(movies.directory), movies.template, within=place.within)


def no_sight(error: NoAnswer) -> Sight:
    """What is known if the file system does not answer."""
    return Sight(None, f"Whether there are movies could not be seen: {error}.")


def sight_of(found: MovieLook, movies: Movies, place: Place) -> Sight:
    """What a look tells.

    Raises:
        MoviesInvalid: the movies lie where they must not.
    """
    if found.outside is not None:
        field = "imageDirectory" if str(found.outside) == movies.directory else "fileTemplate"
        allowed = ", ".join(map(str, place.within))
        raise MoviesInvalid(
            "These movies lie where they must not, directly or through a link. Nothing was changed.",
            errors=[FieldError(place.prefix + field, f"{found.outside} leads out of {allowed}")],
        )
    if found.exists:
        return Sight(True)
    if found.exists is None:
        return Sight(None, f"The service may not read {found.unreadable}; ask the facility's staff.")
    return Sight(False, f"No file matches {movies.import_images} yet; the transfer may be behind.")


def require(movies: Movies, sight: Sight, prefix: str = "") -> None:
    """Refuse to make a data collection of movies that were not seen.

    Raises:
        MoviesNotFound: there are none.
        FilesDoNotAnswer: whether there are could not be seen.
    """
    if sight.exists is None:
        raise FilesDoNotAnswer(f"{sight.remark} Nothing was changed; try again in a moment.")
    if not sight.exists:
        raise MoviesNotFound(
            f"There is no movie {movies.import_images} yet. Check the directory and the suffix, or wait until the "
            "first movie has been written.",
            errors=[FieldError(prefix + "imageDirectory", f"no file matches {movies.template} below it")],
        )
