"""Sending a start again: for a job that nobody picked up, whose message a broker or a dispatcher must have lost.

With the same guid, so that both use one directory should the first turn up after all.
"""

from __future__ import annotations

import logging

from sqlalchemy.orm import Session

from app import metrics, slots
from app.access.identity import Person
from app.data_collections import repository as data_collections
from app.errors import Conflict, FieldError, Forbidden
from app.processing_jobs import blocking, evidence, repository
from app.processing_jobs.evidence import Seen
from app.processing_jobs.rules import Facts, State, status
from app.resources import Resources
from app.zocalo import outbox
from app.zocalo.messages import StartJob

log = logging.getLogger(__name__)


class StaffOnly(Forbidden):
    """Sending a start again is for the facility's staff, who know what became of the first."""


class NotResendable(Conflict):
    """The job was picked up, or may still be, so a second start would do harm or nothing."""


def resend(resources: Resources, person: Person, job_id: int, reason: str) -> None:
    """Send the start of a job again.

    Args:
        reason: is kept beside the message.

    Raises:
        JobNotFound: there is no such job that this person may see.
        StaffOnly: the person is no staff.
        NotResendable: it is not *submitted*, was sent a short while ago, was launched elsewhere, or others block.
    """
    settings = resources.settings
    with resources.database.read() as session:
        dcid, visit = repository.get_visit_of(session, settings, person, job_id)
        if not person.staff:
            raise StaffOnly(
                "Only the facility's staff may send a job again. Tell them if nobody has picked it up.",
                processingJobId=job_id,
            )
        jobs = evidence.list_jobs_of_collection(session, resources, dcid)
    # As before a launch: the looks at files come first, and all that could block is looked at.
    seen = evidence.look(resources, [job for job in jobs if not job.facts.ended], visit)

    def work(session: Session) -> None:
        slots.take(session, "dc", dcid)
        facts = _get_resendable(session, resources, job_id, seen.get(job_id))
        collection, _ = data_collections.get(session, settings, person, dcid)
        others = [
            job.facts.job_id
            for job, _ in blocking.list_blocking(session, resources, collection, seen)
            if job.facts.job_id != job_id
        ]
        if others:
            raise _refusal(facts, f"job {others[0]} waits or runs on its data collection {dcid}. Stop that first.")
        recipes = settings.broker.recipes
        if not settings.stop.by_job and repository.find_later_job(session, facts, recipes, besides=None) is not None:
            raise _refusal(facts, "a later job was launched, and Zocalo's recipe here stops whichever run is newest.")
        assert facts.launch is not None
        outbox.enqueue(session, dcid, StartJob(job_id, facts.launch.guid), person.login, reason=reason)

    resources.database.write(work)
    metrics.resends.inc()
    log.info("the start of job %d is sent again by %s: %s", job_id, person.login, reason)
    resources.wake()


def _get_resendable(session: Session, resources: Resources, job_id: int, seen: Seen | None) -> Facts:
    (known,) = repository.list_jobs(session, resources.settings, [job_id])
    facts = evidence.with_seen(known, seen).facts
    judged = status(facts)
    if facts.launch is None or facts.start is None:
        raise _refusal(facts, "it was launched elsewhere, and what was sent for it is not known here.")
    if judged.state is not State.SUBMITTED:
        raise _refusal(facts, f"it is {judged.state}, and only a job that nobody picked up can be. {judged.reason}")
    if facts.unknown is not None:
        raise _refusal(facts, f"whether it runs cannot be seen, for its files do not answer ({facts.unknown}).")
    queue = resources.queue()
    if queue is not None and queue.consumers == 0:
        raise _refusal(facts, f"{queue.trouble}, and its message is most likely one of them.")
    sent_at = facts.start.sent_at or facts.recorded
    if facts.now - sent_at < facts.limits.warn_pickup:
        seconds = (sent_at + facts.limits.warn_pickup - facts.now).total_seconds()
        raise _refusal(facts, f"its message was confirmed a short while ago. Wait another {seconds:.0f} seconds.")
    return facts


def _refusal(facts: Facts, why: str) -> NotResendable:
    return NotResendable(
        f"Job {facts.job_id} is not sent again: {why}",
        errors=[FieldError("jobId", "cannot be sent again now")],
        processingJobId=facts.job_id,
        dataCollectionId=facts.dcid,
    )
