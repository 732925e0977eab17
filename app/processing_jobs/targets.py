"""What a launch is for: a visit, its movies, and the data collection that they are, if there is one already.

Here are all looks at the file system that a launch needs. They come before the launch's transaction.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from app.data_collections import repository as data_collections
from app.data_collections.rules import DataCollection, Movies, MoviesInvalid, parse_movies, require_results_directory
from app.errors import FieldError, Invalid, Unavailable
from app.filesystem import gain_reference
from app.filesystem import movies as movie_files
from app.filesystem.looks import NoAnswer
from app.processing_jobs.rules import Warned
from app.resources import Resources
from app.visits.rules import Visit

ANY_GUID = "00000000-0000-0000-0000-000000000000"  # to find out early whether there is a results directory at all


class MoviesNotFound(Invalid):
    """There are no such files (yet)."""


class FilesDoNotAnswer(Unavailable):
    """The visit's file system did not answer in time."""


class GainReferenceInvalid(Invalid):
    """The gain reference lies outside of the visit."""


@dataclass(frozen=True)
class MoviesRequest:
    """Which movies, as the client said it."""

    image_directory: str
    software: str | None = None
    suffix: str | None = None
    template: str | None = None


@dataclass(frozen=True)
class Target:
    """The files of a launch.

    Args:
        collection: what they are in ISPyB; ``None`` if it is to be created.
        within: folders that the movies must not leave, also not through links.
        prefix: what stands before ``imageDirectory`` in the client's request.
    """

    visit: Visit
    visit_directory: Path
    collection: DataCollection | None
    movies: Movies
    within: tuple[Path, ...]
    prefix: str = ""

    @property
    def name(self) -> str:
        """What the looks at these files have in common."""
        return str(self.visit_directory)


def parse(resources: Resources, visit: Visit, request: MoviesRequest, prefix: str = "") -> Movies:
    """Read what a client says about its movies.

    Raises:
        MoviesInvalid: naming every field that is wrong.
    """
    return parse_movies(
        _directory(resources, visit),
        request.image_directory,
        software=request.software,
        suffix=request.suffix,
        template=request.template,
        prefix=prefix,
    )


def of_movies(session: Session, resources: Resources, visit: Visit, movies: Movies, prefix: str = "") -> Target:
    """The target of a launch by files, which must stay in the visit's directory."""
    collection = data_collections.find(session, resources.settings, visit, movies)
    if collection is not None:
        require_results_directory(collection, ANY_GUID)
    directory = _directory(resources, visit)
    return Target(visit, directory, collection, movies, (directory,), prefix)


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
    return Target(visit, _directory(resources, visit), collection, movies, resources.settings.roots)


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
    try:
        found = resources.looks.run(
            target.name,
            lambda: movie_files.look(Path(target.movies.directory), target.movies.template, within=target.within),
        )
    except NoAnswer as error:
        return None, [Warned("files-unknown", f"Whether there are movies could not be seen: {error}.")]
    if found.outside is not None:
        field = "imageDirectory" if str(found.outside) == target.movies.directory else "fileTemplate"
        allowed = ", ".join(map(str, target.within))
        raise MoviesInvalid(
            "These movies lie where they must not, directly or through a link. Nothing was launched.",
            errors=[FieldError(target.prefix + field, f"{found.outside} leads out of {allowed}")],
        )
    if found.unreadable is not None and found.movie is None:
        return None, [
            Warned("files-unknown", f"The service may not read {found.unreadable}; ask the facility's staff.")
        ]
    if found.exists:
        return True, []
    return False, [
        Warned("no-movies", f"No file matches {target.movies.import_images} yet; the transfer may be behind.")
    ]


def require_files(resources: Resources, target: Target, gain_reference_file: str) -> list[Warned]:
    """Look for the movies and for the gain reference before a launch; what a person should know about them.

    Raises:
        MoviesInvalid, MoviesNotFound, GainReferenceInvalid: they lie where they must not, or there are none.
        FilesDoNotAnswer: a new data collection needs a movie, and whether there is one could not be seen.
    """
    exists, warnings = look(resources, target)
    if target.collection is None and exists is None:
        raise FilesDoNotAnswer(f"{warnings[0].message} Nothing was launched; try again in a moment.")
    if target.collection is None and exists is False:
        raise MoviesNotFound(
            f"There is no movie {target.movies.import_images} yet. Check the directory and the suffix, or wait until "
            "the first movie has been written.",
            errors=[
                FieldError(target.prefix + "imageDirectory", f"no file matches {target.movies.template} below it"),
            ],
        )
    return warnings + _look_for_gain_reference(resources, target, gain_reference_file)


def _look_for_gain_reference(resources: Resources, target: Target, file_name: str) -> list[Warned]:
    path = gain_reference.path_of(target.visit_directory, file_name)
    try:
        found = resources.looks.run(target.name, lambda: gain_reference.look(path, within=target.visit_directory))
    except (NoAnswer, OSError) as error:
        return [Warned("gain-reference-unknown", f"Whether the gain reference is there could not be seen: {error}.")]
    if found.outside:
        raise GainReferenceInvalid(
            "The gain reference must lie in the visit's processing folder, also as a link. Nothing was launched.",
            errors=[FieldError("parameters.gainReferenceFile", f"{path} leads out of the visit")],
        )
    if not found.exists:
        return [Warned("gain-reference-missing", f"The gain reference {path} is missing; RELION will run without it.")]
    return []


def _directory(resources: Resources, visit: Visit) -> Path:
    directory = visit.directory(resources.settings.visit_directory)
    assert directory is not None, "whether the visit has a start date was checked before"
    return directory
