"""What became of a job: facts from the database, evidence from the file system, and the rules that judge both."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy.orm import Session

from app.access.identity import Person
from app.data_collections import repository as data_collections
from app.data_collections.rules import DataCollection
from app.errors import Unavailable
from app.filesystem import sentinel
from app.filesystem.looks import NoAnswer
from app.processing_jobs import relion, repository
from app.processing_jobs.repository import Job
from app.processing_jobs.rules import State, Status, blocks, status
from app.resources import Resources
from app.visits import repository as visits
from app.visits.rules import Visit, VisitRef

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Watched:
    """A job with its state, as of now."""

    job: Job
    status: Status
    blocking: bool
    visit: Visit


@dataclass(frozen=True)
class Page:
    """One page of a data collection's jobs."""

    total: int
    items: list[Watched]


def get_job(resources: Resources, person: Person, job_id: int) -> Watched:
    """The state of one job, with a look at its sentinels.

    Raises:
        JobNotFound: there is none that this person may see.
    """
    with resources.database.read() as session:
        _, visit = repository.get_visit_of(session, resources.settings, person, job_id)
        (job,) = repository.list_jobs(session, resources.settings, [job_id])
        job = _with_last_result(resources, session, job)
    return _watch(resources, job, visit)


def list_jobs_of_collection(resources: Resources, person: Person, dcid: int, *, limit: int, page: int) -> Page:
    """The RELION jobs of a data collection, newest first.

    Raises:
        DataCollectionNotFound: there is none that this person may see.
    """
    recipes = resources.settings.broker.recipes
    with resources.database.read() as session:
        _, visit = data_collections.get(session, resources.settings, person, dcid)
        total = repository.count_of_collection(session, dcid, recipes)
        ids = repository.list_ids_of_collection(session, dcid, recipes, limit=limit, page=page)
        jobs = repository.list_jobs(session, resources.settings, ids)
        jobs = [_with_last_result(resources, session, job) for job in jobs]
    return Page(total, [_watch(resources, job, visit) for job in jobs])


def list_collections_of_visit(
    resources: Resources, person: Person, ref: VisitRef, *, limit: int, page: int
) -> tuple[int, list[tuple[DataCollection, Watched | None]], Visit]:
    """A visit's data collections, newest first, each with its latest RELION job.

    Raises:
        VisitNotFound: there is none that this person may see.
    """
    settings = resources.settings
    with resources.database.read() as session:
        visit = visits.get_visit(session, settings, person, ref)
        total, collections = data_collections.list_of_visit(session, settings, visit, limit=limit, page=page)
        dcids = [collection.dcid for collection in collections]
        latest = repository.find_latest_ids(session, dcids, settings.broker.recipes) if dcids else {}
        jobs = repository.list_jobs(session, settings, list(latest.values()))
        by_dcid = {job.facts.dcid: _with_last_result(resources, session, job) for job in jobs}
    return (
        total,
        [
            (collection, _watch(resources, by_dcid[collection.dcid], visit) if collection.dcid in by_dcid else None)
            for collection in collections
        ],
        visit,
    )


def get_collection(resources: Resources, person: Person, dcid: int) -> tuple[DataCollection, Watched | None, Visit]:
    """A data collection with its latest RELION job.

    Raises:
        DataCollectionNotFound: there is none that this person may see.
    """
    settings = resources.settings
    with resources.database.read() as session:
        collection, visit = data_collections.get(session, settings, person, dcid)
        latest = repository.find_latest_ids(session, [dcid], settings.broker.recipes)
        jobs = repository.list_jobs(session, settings, list(latest.values()))
        jobs = [_with_last_result(resources, session, job) for job in jobs]
    return collection, (_watch(resources, jobs[0], visit) if jobs else None), visit


def get_parameters(resources: Resources, person: Person, job_id: int) -> relion.StoredParameters:
    """What a job was launched with.

    Raises:
        JobNotFound: there is none that this person may see.
    """
    with resources.database.read() as session:
        repository.get_visit_of(session, resources.settings, person, job_id)
        return relion.read(repository.find_parameters(session, job_id))


def _with_last_result(resources: Resources, session: Session, job: Job) -> Job:
    """Add when the newest result was written, where that decides: for runs that have begun and not ended."""
    programs = [program.program_id for program in job.facts.open]
    if not programs:
        return job
    last = repository.find_last_result(session, resources.settings, programs)
    return replace(job, facts=replace(job.facts, last_result=last))


def _watch(resources: Resources, job: Job, visit: Visit) -> Watched:
    """Look at the run's directory and judge."""
    launch = job.facts.launch
    if launch is not None and _worth_a_look(job):
        directory = Path(launch.results_directory)
        key = str(visit.directory(resources.settings.visit_directory) or visit.ref)
        try:
            look = resources.looks.run(key, lambda: sentinel.look(directory))
            job = replace(job, facts=replace(job.facts, look=look))
        except (NoAnswer, OSError) as error:
            job = replace(job, facts=replace(job.facts, unknown=str(error)))
        if job.facts.seen_now and launch.seen_running_at is None and not job.facts.ended:
            _keep_first_sight(resources, job)
    judged = status(job.facts)
    return Watched(job, judged, blocks(job.facts, judged.state, resources.settings.broker.recipes), visit)


def _worth_a_look(job: Job) -> bool:
    """Not where nothing was ever sent, nor where RELION has succeeded."""
    start = job.facts.start
    begun = start is None or start.attempted_at is not None or bool(job.facts.programs)
    return begun and status(job.facts).state is not State.SUCCEEDED


def _keep_first_sight(resources: Resources, job: Job) -> None:
    """A vanished file or a hung mount must not turn *running* into *submitted* later."""
    try:
        resources.database.write(lambda session: repository.set_seen_running(session, job.facts.job_id))
    except Unavailable as error:
        log.warning("cannot keep that job %d was seen running: %s", job.facts.job_id, error.detail)
