"""Use cases about data collections: make one, read how it was recorded, change its comments."""

from __future__ import annotations

import logging

from sqlalchemy.orm import Session

from app import slots
from app.access.identity import Person
from app.data_collections import movies, repository
from app.data_collections.acquisition import Acquisition
from app.data_collections.movies import MoviesRequest, Place
from app.data_collections.rules import DataCollection, comments_misfit
from app.errors import Conflict, FieldError, Invalid
from app.resources import Resources
from app.visits import repository as visits
from app.visits.rules import VisitRef, require_processing

log = logging.getLogger(__name__)


class DataCollectionExists(Conflict):
    """These movies are a data collection already."""


class CommentsInvalid(Invalid):
    """ISPyB cannot store these comments."""


def create_collection(
    resources: Resources,
    person: Person,
    ref: VisitRef,
    request: MoviesRequest,
    origin: str,
    comments: str | None = None,
) -> DataCollection:
    """Make the data collection of these movies, of which at least one must be there.

    Args:
        origin: how it came to be, for those who look at its group in ISPyB.

    Raises:
        VisitNotFound, ProcessingNotAllowed: it is not for this person, or not any more.
        MoviesInvalid, MoviesNotFound, CommentsInvalid: bad input.
        DataCollectionExists: somebody was there before.
        FilesDoNotAnswer: whether there are files could not be seen in time.
    """
    settings = resources.settings
    with resources.database.read() as session:
        visit = visits.get_visit(session, settings, person, ref)
        require_processing(visit, visit.as_of, settings.grace_hours)
    _require_fit(comments)
    files = movies.parse(resources, visit, request)
    directory = movies.directory_of(resources, visit)
    movies.require(files, movies.look(resources, files, Place(directory, (directory,))))

    def work(session: Session) -> DataCollection:
        slots.take(session, "visit", visit.session_id)  # two at once make one
        if (existing := repository.find(session, settings, visit, files)) is not None:
            raise DataCollectionExists(
                f"These movies are data collection {existing.dcid} already.",
                errors=[FieldError("imageDirectory", "is a data collection already")],
                dataCollectionId=existing.dcid,
            )
        return repository.create(session, settings, visit, files, origin, comments)

    collection = resources.database.write(work)
    log.info("data collection %d of visit %s by %s", collection.dcid, ref, person.login)
    return collection


def get_acquisition(resources: Resources, person: Person, dcid: int) -> Acquisition:
    """How a data collection was recorded.

    Raises:
        DataCollectionNotFound: there is none that this person may see.
    """
    with resources.database.read() as session:
        return repository.get_acquisition(session, resources.settings, person, dcid)


def set_comments(resources: Resources, person: Person, dcid: int, comments: str | None) -> None:
    """Replace a data collection's comments, or clear them.

    Raises:
        DataCollectionNotFound: there is none that this person may see.
        CommentsInvalid: ISPyB cannot store them.
    """
    with resources.database.read() as session:
        repository.get(session, resources.settings, person, dcid)
    _require_fit(comments)
    resources.database.write(lambda session: repository.set_comments(session, dcid, comments))
    log.info("comments of data collection %d by %s", dcid, person.login)


def _require_fit(comments: str | None) -> None:
    if comments is not None and (reason := comments_misfit(comments)):
        raise CommentsInvalid(
            f"The comments cannot be stored: this text {reason}.", errors=[FieldError("comments", reason)]
        )
