"""What a launch is for: a visit, its movies, and the data collection that they are, if there is one already.

Here are all looks at the file system that a launch needs. They come before the launch's transaction.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from app.data_collections import movies as movie_files
from app.data_collections import repository as data_collections
from app.data_collections.movies import Place, Sight
from app.data_collections.rules import DataCollection, Movies, MoviesInvalid, require_results_directory
from app.errors import FieldError, Invalid
from app.filesystem import gain_reference
from app.filesystem.gain_reference import GainLook
from app.filesystem.looks import NoAnswer
from app.filesystem.movies import MovieLook
from app.processing_jobs.rules import Warned
from app.resources import Resources
from app.visits.rules import Visit

ANY_GUID = "00000000-0000-0000-0000-000000000000"  # to find out early whether there is a results directory at all


class GainReferenceInvalid(Invalid):
    """The gain reference lies outside of the visit."""


@dataclass(frozen=True)
class Target:
    """The files of a launch.

    Args:
        collection: what they are in ISPyB; ``None`` if it is to be created.
    """

    visit: Visit
    collection: DataCollection | None
    movies: Movies
    place: Place

    @property
    def visit_directory(self) -> Path:
        """Where the visit's files live."""
        return self.place.visit_directory


def of_movies(session: Session, resources: Resources, visit: Visit, movies: Movies, prefix: str = "") -> Target:
    """The target of a launch by files, which must stay in the visit's directory."""
    collection = data_collections.find(session, resources.settings, visit, movies)
    if collection is not None:
        require_results_directory(collection, ANY_GUID)
    directory = movie_files.directory_of(resources, visit)
    return Target(visit, collection, movies, Place(directory, (directory,), prefix))


def of_collection(resources: Resources, visit: Visit, collection: DataCollection) -> Target:
    """The target of a launch by DCID. Its directory stands as it is stored, if it lies below the roots.

    Raises:
        NoMoviesDirectory: ISPyB does not say where its movies are.
    """
    require_results_directory(collection, ANY_GUID)
    assert collection.image_directory is not None
    assert collection.file_template is not None
    movies = Movies(collection.image_directory.rstrip("/"), collection.file_template)
    _require_below_roots(resources, collection.dcid, movies)
    place = Place(movie_files.directory_of(resources, visit), resources.settings.roots)
    return Target(visit, collection, movies, place)


def _require_below_roots(resources: Resources, dcid: int, movies: Movies) -> None:
    """By its text, before and whether or not the file system answers; links are looked at later."""
    roots = resources.settings.roots
    normal = Path(os.path.normpath(movies.directory))
    wrong = None
    if not any(normal.is_relative_to(root) for root in roots):
        wrong = FieldError("imageDirectory", f"does not lie below {', '.join(map(str, roots))}")
    elif movies.template.startswith("/") or ".." in movies.template.split("/"):
        wrong = FieldError("fileTemplate", "leads out of its directory")
    if wrong is not None:
        raise MoviesInvalid(
            f"Data collection {dcid} names movies in ISPyB where they must not lie. Nothing was launched; ask the "
            "facility's staff to correct it.",
            errors=[wrong],
            dataCollectionId=dcid,
        )


def look(resources: Resources, target: Target) -> tuple[bool | None, list[Warned]]:
    """Whether there is a movie (``None``: unknown), and what a person should know about that.

    Raises:
        MoviesInvalid: the movies lie where they must not.
    """
    sight = movie_files.look(resources, target.movies, target.place)
    return sight.exists, _warnings(sight)


def require_files(resources: Resources, target: Target, gain_reference_file: str) -> list[Warned]:
    """Look for the movies and for the gain reference before a launch; what a person should know about them.

    Both in one look, so that a launch waits for one deadline.

    Raises:
        MoviesInvalid, MoviesNotFound, GainReferenceInvalid: they lie where they must not, or there are none.
        FilesDoNotAnswer: a new data collection needs a movie, and whether there is one could not be seen.
    """
    path = gain_reference.path_of(target.visit_directory, gain_reference_file)
    movies: list[MovieLook] = []  # what was seen, also where the gain reference's folder then hangs

    def look_at_both() -> GainLook | OSError:
        movies.append(movie_files.look_now(target.movies, target.place))
        try:
            return gain_reference.look(path, within=target.visit_directory)
        except OSError as error:
            return error

    gain: GainLook | Exception
    try:
        gain = resources.looks.run(str(target.visit_directory), look_at_both)
        hung = None
    except NoAnswer as error:
        gain = hung = error
    if movies:
        sight = movie_files.sight_of(movies[0], target.movies, target.place)
    else:
        assert hung is not None, "whoever looked at the gain reference has looked for movies"
        sight = movie_files.no_sight(hung)
    if target.collection is None:
        movie_files.require(target.movies, sight, target.place.prefix)
    return _warnings(sight) + _warnings_of_gain(path, gain)


def _warnings(sight: Sight) -> list[Warned]:
    if sight.exists:
        return []
    return [Warned("files-unknown" if sight.exists is None else "no-movies", sight.remark)]


def _warnings_of_gain(path: Path, found: GainLook | Exception) -> list[Warned]:
    if isinstance(found, Exception):
        return [Warned("gain-reference-unknown", f"Whether the gain reference is there could not be seen: {found}.")]
    if found.outside:
        raise GainReferenceInvalid(
            "The gain reference must lie in the visit's processing folder, also as a link. Nothing was launched.",
            errors=[FieldError("parameters.gainReferenceFile", f"{path} leads out of the visit")],
        )
    if not found.exists:
        return [Warned("gain-reference-missing", f"The gain reference {path} is missing; RELION will run without it.")]
    return []
