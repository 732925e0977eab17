"""Stopping jobs: a stop is a wish that lasts until the job has ended.

A start that was never claimed by a relay is cancelled in place and nothing is sent. Otherwise stop messages follow,
repeated with pauses that double: at most ``EM_STOP__MESSAGES`` of them, one more for each program that registers after
the last, and one more when a launch replaces a job that was asked to stop before.

Where the facility's recipe stops the newest run instead of the job's (``EM_STOP__BY_JOB=false``), nothing is sent once
a later job of the data collection was launched: it would stop that one.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from app import metrics, slots
from app.access.identity import Person
from app.data_collections.rules import stop_file
from app.errors import Conflict, FieldError
from app.processing_jobs import idempotency, repository
from app.processing_jobs.repository import Job
from app.processing_jobs.rules import Facts, status
from app.resources import Resources
from app.settings import Settings, StopSettings
from app.zocalo import outbox
from app.zocalo.messages import StopJob

log = logging.getLogger(__name__)

RECHECK = timedelta(minutes=5)  # when all messages were sent: does a program register late?
AT_ONCE = 50  # stops handled in one sweep


class JobEnded(Conflict):
    """There is nothing left to stop."""


class LaterJob(Conflict):
    """The facility's recipe would stop a later job instead."""


class NoStopFile(Conflict):
    """The data collection's directory is in no visit, so there is no place for a stop file."""


class NotRelion(Conflict):
    """Stopping is for RELION's jobs; other recipes have their own ways."""


def stop(resources: Resources, person: Person, job_id: int) -> None:
    """Ask that a job stops. To ask again changes nothing.

    Raises:
        JobNotFound: there is no such job that this person may see.
        JobEnded: it has ended already.
        NotRelion: it has another recipe.
        LaterJob: the message would stop another job.
        NoStopFile: there is no place for its stop file.
    """
    settings = resources.settings
    with resources.database.read() as session:
        dcid, _ = repository.get_visit_of(session, settings, person, job_id)

    def work(session: Session) -> str:
        slots.take(session, "dc", dcid)
        (job,) = repository.list_jobs(session, settings, [job_id])
        _require_stoppable(job, settings.broker.recipes)
        if job.facts.stop is not None:
            return "asked before"  # also where it was given up: that is no end, and new signs of life revive it
        how = ask(session, job, person.login, settings, replaced_by=None)
        if how == "later job":
            raise LaterJob(
                f"Job {job_id} cannot be stopped any more: a later job of data collection {dcid} was launched, and "
                "Zocalo's recipe here stops the newest. Tell the facility's staff if it still runs.",
                errors=[FieldError("jobId", "is not the newest of its data collection")],
                processingJobId=job_id,
                dataCollectionId=dcid,
            )
        return how

    how = resources.database.write(work)
    metrics.stops.labels(how).inc()
    log.info("stop of job %d by %s: %s", job_id, person.login, how)
    resources.wake()


def ask(session: Session, job: Job, login: str, settings: Settings, *, replaced_by: int | None) -> str:
    """Write down that a job is to stop, and cancel its start or enqueue a stop message.

    The data collection's slot must be held.

    Returns:
        ``cancelled``, ``message``, or ``later job`` where a message would stop another job, so that none is sent.
    """
    facts = job.facts
    if outbox.cancel_start(session, facts.job_id):
        why = f"replaced by job {replaced_by}" if replaced_by else f"stopped by {login}"
        repository.add_cancelled_program(session, facts.job_id, f"Cancelled before it was sent: {why}"[:80])
        repository.upsert_stop(session, facts, login, replaced_by=replaced_by, due_at=None)
        return "cancelled"
    if _hits_another(session, facts, settings, besides=replaced_by):
        repository.upsert_stop(session, facts, login, replaced_by=replaced_by, due_at=None)
        return "later job"
    outbox.enqueue(session, facts.dcid, _message(session, facts, settings.stop), login)
    due_at = facts.now + timedelta(seconds=settings.stop.repeat_seconds)
    repository.upsert_stop(session, facts, login, replaced_by=replaced_by, due_at=due_at)
    return "message"


def _hits_another(session: Session, facts: Facts, settings: Settings, *, besides: int | None = None) -> bool:
    """Whether a stop message for this job would stop a later one: in the outbox it stands behind that one's start."""
    if settings.stop.by_job:
        return False
    return repository.find_later_job(session, facts, settings.broker.recipes, besides=besides) is not None


def _message(session: Session, facts: Facts, settings: StopSettings) -> StopJob:
    if settings.message == "job":
        return StopJob(facts.job_id)
    directory = repository.get_image_directory(session, facts.dcid)
    if (file := stop_file(directory, facts.job_id)) is None:
        raise NoStopFile(
            f"Job {facts.job_id} cannot be stopped: its data collection {facts.dcid} lies in no visit's directory, so "
            "there is no place for its stop file. Tell the facility's staff.",
            errors=[FieldError("jobId", "lies in no visit's directory")],
            processingJobId=facts.job_id,
            dataCollectionId=facts.dcid,
        )
    return StopJob(facts.job_id, str(file))


def sweep(resources: Resources) -> None:
    """Repeat the stops that are due. Several processes may do so at once: each stop is decided under its slot."""
    with resources.database.read() as session:
        due = repository.list_due_stops(session, AT_ONCE)
    for job_id, dcid in due:
        try:
            _sweep_one(resources, job_id, dcid)
        except Exception:
            # One that cannot be handled must not hold up the others, as the oldest it would be first again.
            log.exception("the stop of job %d cannot be repeated now", job_id)
            _look_again_later(resources, job_id)
    if due:
        resources.wake()


def _look_again_later(resources: Resources, job_id: int) -> None:
    due_at = datetime.now(UTC) + RECHECK
    resources.database.write(lambda session: repository.set_stop_due(session, job_id, due_at))


def forget_old_keys(resources: Resources) -> None:
    """Delete idempotency keys that were kept long enough."""
    resources.database.write(idempotency.forget_old)


def _sweep_one(resources: Resources, job_id: int, dcid: int) -> None:
    settings = resources.settings

    def work(session: Session) -> None:
        slots.take(session, "dc", dcid)
        due_at = None
        for job in repository.list_jobs(session, settings, [job_id]):
            due_at = _repeat(session, job.facts, settings)
        repository.set_stop_due(session, job_id, due_at)

    resources.database.write(work)


def _repeat(session: Session, facts: Facts, settings: Settings) -> datetime | None:
    """Send a stop again if it is due; when to look again, ``None`` for never."""
    send, due_at = next_step(facts, settings.stop)
    if facts.stop is None or _hits_another(session, facts, settings):
        return None
    if send:
        outbox.enqueue(session, facts.dcid, _message(session, facts, settings.stop), facts.stop.asked_by)
        log.info("repeating the stop of job %d", facts.job_id)
    return due_at


def next_step(facts: Facts, settings: StopSettings) -> tuple[bool, datetime | None]:
    """Whether to send another stop message now, and when to look again (``None``: never)."""
    stop = facts.stop
    if stop is None or facts.ended:
        return False, None
    pause = timedelta(seconds=settings.repeat_seconds)
    if stop.waiting or not stop.messages:
        return False, facts.now + pause
    sent = len(stop.messages)
    last = stop.messages[-1].queued_at
    if sent < settings.messages:
        due = last + pause * 2 ** (sent - 1)
        return (True, facts.now + pause * 2**sent) if facts.now >= due else (False, due)
    late = [program for program in facts.open if program.recorded is not None and program.recorded > last]
    if late and sent < settings.messages + len(facts.programs):
        return True, facts.now + RECHECK
    return (False, facts.now + RECHECK) if facts.now - stop.asked_at < facts.limits.pickup else (False, None)


def _require_stoppable(job: Job, recipes: tuple[str, ...]) -> None:
    facts = job.facts
    if facts.ended:
        state = status(facts).state
        detail = f"Job {facts.job_id} has ended already: it is {state}. There is nothing to stop."
        raise JobEnded(
            detail, errors=[FieldError("jobId", f"is {state}")], processingJobId=facts.job_id, state=str(state)
        )
    if facts.recipe not in recipes:
        raise NotRelion(
            f"Job {facts.job_id} has the recipe {facts.recipe!r}; only {', '.join(recipes)} can be stopped here.",
            errors=[FieldError("jobId", "is not a RELION job")],
            processingJobId=facts.job_id,
        )
