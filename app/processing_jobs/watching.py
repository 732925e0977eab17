"""What became of a job: facts from the database, evidence from the file system, and the rules that judge both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.access.identity import Person
from app.data_collections import repository as data_collections
from app.data_collections.rules import DataCollection
from app.processing_jobs import evidence, relion, repository
from app.processing_jobs.repository import Job
from app.processing_jobs.rules import Status, blocks, status
from app.resources import Resources
from app.visits import repository as visits
from app.visits.rules import Visit, VisitRef


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
        (job,) = evidence.list_jobs(session, resources, [job_id])
    (watched,) = _watch(resources, [job], visit, ended_too=True)
    return watched


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
        jobs = evidence.list_jobs(session, resources, ids)
    return Page(total, _watch(resources, jobs, visit, ended_too=False))


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
        jobs = evidence.list_jobs(session, resources, list(latest.values()))
    watched = {one.job.facts.dcid: one for one in _watch(resources, jobs, visit, ended_too=False)}
    return total, [(collection, watched.get(collection.dcid)) for collection in collections], visit


def get_collection(resources: Resources, person: Person, dcid: int) -> tuple[DataCollection, Watched | None, Visit]:
    """A data collection with its latest RELION job.

    Raises:
        DataCollectionNotFound: there is none that this person may see.
    """
    settings = resources.settings
    with resources.database.read() as session:
        collection, visit = data_collections.get(session, settings, person, dcid)
        latest = repository.find_latest_ids(session, [dcid], settings.broker.recipes)
        jobs = evidence.list_jobs(session, resources, list(latest.values()))
    return collection, next(iter(_watch(resources, jobs, visit, ended_too=False)), None), visit


def get_parameters(resources: Resources, person: Person, job_id: int) -> relion.StoredParameters:
    """What a job was launched with.

    Raises:
        JobNotFound: there is none that this person may see.
    """
    return relion.read(get_stored_parameters(resources, person, job_id))


def get_stored_parameters(resources: Resources, person: Person, job_id: int) -> dict[str, str | None]:
    """The same as it is stored, under the pipeline's keys.

    Raises:
        JobNotFound: there is none that this person may see.
    """
    with resources.database.read() as session:
        repository.get_visit_of(session, resources.settings, person, job_id)
        return repository.find_parameters(session, job_id)


def _watch(resources: Resources, jobs: Sequence[Job], visit: Visit, *, ended_too: bool) -> list[Watched]:
    """Look at the runs' directories and judge.

    Args:
        ended_too: whether to look at those of jobs that have ended, where a sentinel would be worth a warning.
    """
    seen = evidence.look(resources, [job for job in jobs if ended_too or not job.facts.ended], visit)
    out = []
    for known in jobs:
        job = evidence.with_seen(known, seen.get(known.facts.job_id))
        job = replace(job, facts=replace(job.facts, queue=resources.queue()))
        judged = status(job.facts)
        out.append(Watched(job, judged, blocks(job.facts, judged.state, resources.settings.broker.recipes), visit))
    return out
