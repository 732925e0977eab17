"""Evidence that a run is alive, beside what its programs say: new results in ISPyB, and the run's own directory."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy.orm import Session

from app.errors import Unavailable
from app.filesystem import sentinel
from app.filesystem.looks import NoAnswer
from app.filesystem.sentinel import SentinelLook
from app.processing_jobs import repository
from app.processing_jobs.repository import Job
from app.processing_jobs.rules import Facts, Program, State, status, stopped_before_it_began
from app.resources import Resources
from app.visits.rules import Visit

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Seen:
    """What a look at a run's files saw, or why it saw nothing."""

    look: SentinelLook | None = None
    unknown: str | None = None
    gain_reference_missing: bool = False


def list_jobs(session: Session, resources: Resources, job_ids: Sequence[int]) -> list[Job]:
    """These jobs with every fact that the database has.

    Of runs that have not ended also their newest result, and the gain reference that they need.
    """
    jobs = _with_results(session, resources, repository.list_jobs(session, resources.settings, job_ids))
    launched = [job.facts.job_id for job in jobs if job.facts.launch is not None and not job.facts.ended]
    gains = repository.find_gain_references(session, launched)
    return [replace(job, facts=replace(job.facts, gain_reference=gains.get(job.facts.job_id))) for job in jobs]


def list_jobs_of_collection(session: Session, resources: Resources, dcid: int) -> list[Job]:
    """All jobs of a data collection that can block it, oldest first, with what decides whether they do."""
    return _with_results(session, resources, repository.list_jobs_of_collection(session, resources.settings, dcid))


def _with_results(session: Session, resources: Resources, jobs: Sequence[Job]) -> list[Job]:
    open_programs = {job.facts.job_id: [program.program_id for program in _worth_reading(job.facts)] for job in jobs}
    wanted = [program_id for found in open_programs.values() for program_id in found]
    now = jobs[0].facts.now if jobs else None
    newest = {} if now is None else repository.find_last_results(session, resources.settings, wanted, now)
    out = []
    for job in jobs:
        times = [newest[program_id] for program_id in open_programs[job.facts.job_id] if program_id in newest]
        out.append(replace(job, facts=replace(job.facts, last_result=max(times, default=None))))
    return out


def _worth_reading(facts: Facts) -> Sequence[Program]:
    """The programs whose newest result says something about the job's state."""
    return facts.primary if stopped_before_it_began(facts) else facts.open


def look(resources: Resources, jobs: Sequence[Job], visit: Visit) -> dict[int, Seen]:
    """Look at the directories of a visit's runs, where there can be something to see, and keep their first sight.

    All in one look, so that a request waits for one deadline however many jobs it asks for. No transaction may be open
    meanwhile.
    """
    wanted = [job for job in jobs if _worth_a_look(job)]
    if not wanted:
        return {}
    key = str(visit.directory(resources.settings.visit_directory) or visit.ref)
    try:
        seen = resources.looks.run(key, lambda: {job.facts.job_id: _look_at(job.facts) for job in wanted})
    except NoAnswer as error:
        return {job.facts.job_id: Seen(unknown=str(error)) for job in wanted}
    for job in wanted:
        found, launch = seen[job.facts.job_id].look, job.facts.launch
        first = launch is not None and launch.seen_running_at is None and not job.facts.ended
        if first and found is not None and found.directory:
            _keep_first_sight(resources, job.facts.job_id)
    return seen


def _look_at(facts: Facts) -> Seen:
    assert facts.launch is not None
    try:
        found = sentinel.look(Path(facts.launch.results_directory))
    except OSError as error:
        return Seen(unknown=str(error))
    try:
        missing = facts.gain_reference is not None and not Path(facts.gain_reference).exists()
    except OSError:
        missing = False  # it cannot be seen, which says nothing about the run
    return Seen(look=found, gain_reference_missing=missing)


def with_seen(job: Job, seen: Seen | None) -> Job:
    """The job with what was seen."""
    if seen is None:
        return job
    facts = replace(
        job.facts,
        look=seen.look,
        unknown=seen.unknown,
        gain_reference_missing=seen.gain_reference_missing,
    )
    if facts.launch is not None and facts.launch.seen_running_at is None and facts.seen_now and not facts.ended:
        facts = replace(facts, launch=replace(facts.launch, seen_running_at=facts.now))  # as it was just kept
    return replace(job, facts=facts)


def _worth_a_look(job: Job) -> bool:
    """Runs of ours, but not where nothing was ever sent, nor where RELION has succeeded."""
    facts = job.facts
    begun = facts.start is None or facts.start.attempted_at is not None or bool(facts.programs)
    return facts.launch is not None and begun and status(facts).state is not State.SUCCEEDED


def _keep_first_sight(resources: Resources, job_id: int) -> None:
    """A vanished file or a hung mount must not turn *running* into *submitted* later."""
    try:
        resources.database.write(lambda session: repository.set_seen_running(session, job_id))
    except Unavailable as error:
        log.warning("cannot keep that job %d was seen running: %s", job_id, error.detail)
