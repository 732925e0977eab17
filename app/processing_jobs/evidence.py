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
from app.processing_jobs.rules import State, status
from app.resources import Resources
from app.visits.rules import Visit

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Seen:
    """What a look at a job's files saw, or why it saw nothing."""

    look: SentinelLook | None = None
    unknown: str | None = None
    gain_reference_missing: str | None = None


def list_jobs(session: Session, resources: Resources, job_ids: Sequence[int]) -> list[Job]:
    """These jobs with every fact that the database has; of runs that have not ended also their newest result."""
    out = []
    for job in repository.list_jobs(session, resources.settings, job_ids):
        facts = job.facts
        if programs := [program.program_id for program in facts.open]:
            last = repository.find_last_result(session, resources.settings, programs, facts.now)
            facts = replace(facts, last_result=last)
        if facts.launch is not None and not facts.ended:
            facts = replace(facts, gain_reference=repository.find_gain_reference(session, facts.job_id))
        out.append(replace(job, facts=facts))
    return out


def look(resources: Resources, job: Job, visit: Visit) -> Seen | None:
    """Look at the run's directory, if there can be something to see, and keep its first sight.

    No transaction may be open meanwhile: the file system may take as long as ``EM_FILES__DEADLINE``.
    """
    launch = job.facts.launch
    if launch is None or not _worth_a_look(job):
        return None
    directory, gain = Path(launch.results_directory), job.facts.gain_reference

    def work() -> Seen:
        missing = gain is not None and not Path(gain).exists()
        return Seen(look=sentinel.look(directory), gain_reference_missing=gain if missing else None)

    key = str(visit.directory(resources.settings.visit_directory) or visit.ref)
    try:
        seen = resources.looks.run(key, work)
    except (NoAnswer, OSError) as error:
        return Seen(unknown=str(error))
    if seen.look is not None and seen.look.directory and launch.seen_running_at is None and not job.facts.ended:
        _keep_first_sight(resources, job.facts.job_id)
    return seen


def with_seen(job: Job, seen: Seen | None) -> Job:
    """The job with what was seen."""
    if seen is None:
        return job
    facts = replace(
        job.facts,
        look=seen.look,
        unknown=seen.unknown,
        gain_reference_missing=seen.gain_reference_missing is not None,
    )
    if facts.launch is not None and facts.launch.seen_running_at is None and facts.seen_now and not facts.ended:
        facts = replace(facts, launch=replace(facts.launch, seen_running_at=facts.now))  # as it was just kept
    return replace(job, facts=facts)


def _worth_a_look(job: Job) -> bool:
    """Not where nothing was ever sent, nor where RELION has succeeded."""
    start = job.facts.start
    begun = start is None or start.attempted_at is not None or bool(job.facts.programs)
    return begun and status(job.facts).state is not State.SUCCEEDED


def _keep_first_sight(resources: Resources, job_id: int) -> None:
    """A vanished file or a hung mount must not turn *running* into *submitted* later."""
    try:
        resources.database.write(lambda session: repository.set_seen_running(session, job_id))
    except Unavailable as error:
        log.warning("cannot keep that job %d was seen running: %s", job_id, error.detail)
