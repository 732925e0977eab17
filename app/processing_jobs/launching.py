"""The button: find or create the data collection of these files, refuse or replace what runs, launch RELION.

All looks at the file system come first; then one transaction writes data collection, job, parameters, launch record,
stops and messages, serialised with rivals by the slots of the visit and of the data collection.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Literal, TypeVar

from sqlalchemy.orm import Session

from app import metrics, slots
from app.access.identity import Person
from app.data_collections import movies as movie_files
from app.data_collections import repository as data_collections
from app.data_collections.movies import MoviesRequest
from app.data_collections.rules import DataCollection, Movies, require_results_directory
from app.errors import EMError, Invalid
from app.filesystem import gain_reference
from app.processing_jobs import blocking, evidence, idempotency, relion, repository, stopping, targets
from app.processing_jobs.evidence import Seen
from app.processing_jobs.idempotency import Attempt
from app.processing_jobs.relion import RelionParameters
from app.processing_jobs.repository import Job
from app.processing_jobs.rules import State, Warned, since
from app.processing_jobs.targets import Target
from app.resources import Resources
from app.settings import RECIPE
from app.visits import repository as visits
from app.visits.rules import VisitRef, require_processing, why_not
from app.zocalo import outbox
from app.zocalo.messages import StartJob

log = logging.getLogger(__name__)

COMMENTS = "Submitted via SynchWeb"  # what SynchWeb and its users know to look for
A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True)
class Order:
    """What a client wants to be launched, and how.

    Args:
        parameters: what RELION is to do; or what tells it once the movies are known, where a form depends on them.
        replaces: the jobs whose stop was confirmed; ``None`` confirms whatever blocks.
        face: through which of our two APIs it came.
        attempt: the idempotency key, if one was sent.
    """

    parameters: RelionParameters | Callable[[Movies], RelionParameters]
    if_blocked: Literal["refuse", "restart"] = "refuse"
    replaces: tuple[int, ...] | None = None
    face: Literal["native", "synchweb"] = "native"
    attempt: Attempt | None = None


@dataclass(frozen=True)
class Blocking:
    """A job that blocks, its state and since when."""

    job_id: int
    state: State
    since: datetime


@dataclass(frozen=True)
class Check:
    """What the button should say before it is pressed."""

    dcid: int | None
    files_exist: bool | None
    action: Literal["start", "stop-and-restart", "none"]
    reason: str
    blocking: tuple[Blocking, ...]
    warnings: tuple[Warned, ...]
    facts: str = ""  # which jobs block and since when, without the advice


@dataclass(frozen=True)
class Launched:
    """A job that was accepted. Plain values, since idempotency keeps it as JSON."""

    job_id: int
    dcid: int
    created: bool
    guid: str
    results_directory: str
    stopped_jobs: list[int]
    warnings: list[dict[str, str]]


def check_movies(resources: Resources, person: Person, ref: VisitRef, request: MoviesRequest) -> Check:
    """What would happen if RELION were launched for these movies now.

    Raises:
        VisitNotFound, MoviesInvalid: as a launch would.
    """
    with resources.database.read() as session:
        visit = visits.get_visit(session, resources.settings, person, ref)
        if (reason := why_not(visit, visit.as_of, resources.settings.grace_hours)) is not None:
            return Check(None, None, "none", reason, (), ())
        target = targets.of_movies(session, resources, visit, movie_files.parse(resources, visit, request))
        jobs = _list_known(session, resources, target.collection)
    return _check(resources, target, jobs)


def check_collection(resources: Resources, person: Person, dcid: int) -> Check:
    """The same for a known data collection.

    Raises:
        DataCollectionNotFound, NoMoviesDirectory: as a launch would.
    """
    with resources.database.read() as session:
        collection, visit = data_collections.get(session, resources.settings, person, dcid)
        if (reason := why_not(visit, visit.as_of, resources.settings.grace_hours)) is not None:
            return Check(dcid, None, "none", reason, (), ())
        target = targets.of_collection(resources, visit, collection)
        jobs = _list_known(session, resources, collection)
    return _check(resources, target, jobs)


def launch_movies(
    resources: Resources, person: Person, ref: VisitRef, request: MoviesRequest, order: Order
) -> Launched:
    """Launch RELION for these movies; their data collection is created if there is none.

    Raises:
        VisitNotFound, ProcessingNotAllowed, MoviesInvalid, MoviesNotFound, ParametersInvalid: bad input.
        JobsBlock, OtherJobsBlock: something runs already.
        FilesDoNotAnswer: whether there are files could not be seen in time.
    """
    with resources.database.read() as session:
        visit = visits.get_visit(session, resources.settings, person, ref)
        if (before := _answered(session, order)) is not None:
            return before
        require_processing(visit, visit.as_of, resources.settings.grace_hours)
    movies, known = _collect_errors(
        lambda: movie_files.parse(resources, visit, request, "movies."), lambda: _known(resources, order)
    )
    with resources.database.read() as session:
        target = targets.of_movies(session, resources, visit, movies, "movies.")
        jobs = _list_known(session, resources, target.collection)
    return _launch(resources, person, target, jobs, order, known or _told(resources, order, movies))


def launch_collection(resources: Resources, person: Person, dcid: int, order: Order) -> Launched:
    """Launch RELION on a known data collection.

    Raises:
        DataCollectionNotFound, NoMoviesDirectory: and as ``launch_movies``.
    """
    with resources.database.read() as session:
        collection, visit = data_collections.get(session, resources.settings, person, dcid)
        if (before := _answered(session, order)) is not None:
            return before
        require_processing(visit, visit.as_of, resources.settings.grace_hours)
        jobs = _list_known(session, resources, collection)
    target, known = _collect_errors(
        lambda: targets.of_collection(resources, visit, collection), lambda: _known(resources, order)
    )
    return _launch(resources, person, target, jobs, order, known or _told(resources, order, target.movies))


def _list_known(session: Session, resources: Resources, collection: DataCollection | None) -> list[Job]:
    """The jobs that may block, to be looked at. A launch judges by what the database says under the slot."""
    return [] if collection is None else evidence.list_jobs_of_collection(session, resources, collection.dcid)


def _collect_errors(first: Callable[[], A], second: Callable[[], B]) -> tuple[A, B]:
    """Both results; if either is refused, one refusal that names the fields of both."""
    try:
        one = first()
    except Invalid as error:
        try:
            second()
        except Invalid as other:
            error.errors += other.errors
        raise
    return one, second()


def _known(resources: Resources, order: Order) -> RelionParameters | None:
    """The parameters, if they do not wait for the movies."""
    return None if callable(order.parameters) else _complete(resources, order.parameters)


def _told(resources: Resources, order: Order, movies: Movies) -> RelionParameters:
    return _complete(resources, order.parameters(movies) if callable(order.parameters) else order.parameters)


def _complete(resources: Resources, parameters: RelionParameters) -> RelionParameters:
    return relion.complete(parameters, voltages=resources.settings.relion.voltages)


def _launch(
    resources: Resources,
    person: Person,
    target: Target,
    jobs: Sequence[Job],
    order: Order,
    parameters: RelionParameters,
) -> Launched:
    warnings = targets.require_files(resources, target, parameters.gain_reference_file)
    seen = evidence.look(resources, [job for job in jobs if not job.facts.ended], target.visit)
    guid = str(uuid.uuid4())
    try:
        launched = resources.database.write(
            lambda session: _write(session, resources, person, target, order, parameters, guid, warnings, seen)
        )
    except EMError as error:
        metrics.launches.labels(error.kind()).inc()
        raise
    metrics.launches.labels("launched").inc()
    log.info("job %d on data collection %d by %s", launched.job_id, launched.dcid, person.login)
    resources.wake()
    return launched


def _write(
    session: Session,
    resources: Resources,
    person: Person,
    target: Target,
    order: Order,
    parameters: RelionParameters,
    guid: str,
    warnings: list[Warned],
    seen: Mapping[int, Seen],
) -> Launched:
    """The one transaction. It may run again after a lock was lost."""
    settings = resources.settings
    if order.attempt is not None and (answer := idempotency.begin(session, order.attempt)) is not None:
        return Launched(**answer)
    created = False
    collection = target.collection
    if collection is None:
        slots.take(session, "visit", target.visit.session_id)
        collection = data_collections.find(session, settings, target.visit, target.movies)
        if collection is None:
            collection = data_collections.create(session, settings, target.visit, target.movies, COMMENTS)
            created = True
    slots.take(session, "dc", collection.dcid)
    found = blocking.list_blocking(session, resources, collection, seen)
    blocking.require_replaceable(
        resources, collection.dcid, found, if_blocked=order.if_blocked, replaces=order.replaces
    )
    directory = str(require_results_directory(collection, guid))
    rows = _rows(target, parameters)
    job_id = repository.add_job(session, collection.dcid, RECIPE, COMMENTS, rows)
    for job, _ in found:
        stopping.ask(session, job, person.login, settings, replaced_by=job_id)
    repository.add_launch(session, job_id, collection.dcid, guid, directory, person.login, order.face)
    outbox.enqueue(session, collection.dcid, StartJob(job_id, guid), person.login)
    launched = Launched(
        job_id=job_id,
        dcid=collection.dcid,
        created=created,
        guid=guid,
        results_directory=directory,
        stopped_jobs=[job.facts.job_id for job, _ in found],
        warnings=[asdict(warning) for warning in warnings],
    )
    if order.attempt is not None:
        idempotency.finish(session, order.attempt, asdict(launched))
    return launched


def _answered(session: Session, order: Order) -> Launched | None:
    """What the same request was answered before; nothing that changed since then matters."""
    answer = None if order.attempt is None else idempotency.find_answer(session, order.attempt)
    return None if answer is None else Launched(**answer)


def _check(resources: Resources, target: Target, known: Sequence[Job]) -> Check:
    look, warnings = targets.look(resources, target)
    seen = evidence.look(resources, [job for job in known if not job.facts.ended], target.visit)
    found = blocking.list_blocking_among(resources, known, seen)
    dcid = None if target.collection is None else target.collection.dcid
    jobs = tuple(Blocking(job.facts.job_id, state, since(job.facts, state)) for job, state in found)
    if dcid is None and not look:
        reason = "There are no such movies yet." if look is False else "The visit's files did not answer; try again."
        return Check(dcid, look, "none", reason, jobs, tuple(warnings))
    if jobs and dcid is not None:
        facts = blocking.describe(found, dcid)
        reason = f"{facts} Starting again stops {'it' if len(jobs) == 1 else 'them'} first."
        return Check(dcid, look, "stop-and-restart", reason, jobs, tuple(warnings), facts)
    reason = "Nothing is waiting or running for these movies."
    return Check(dcid, look, "start", reason, jobs, tuple(warnings))


def _rows(target: Target, parameters: RelionParameters) -> dict[str, str]:
    """The job's parameters under the pipeline's keys."""
    movies = target.movies
    gain = gain_reference.path_of(target.visit_directory, parameters.gain_reference_file)
    return relion.rows(
        parameters,
        import_images=movies.import_images,
        suffix=movies.suffix,
        software=movies.software,
        gain_reference=str(gain),
    )
