"""What blocks a data collection: jobs that wait or run, whoever launched them, unless a later launch replaces them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from sqlalchemy.orm import Session

from app.data_collections.rules import DataCollection
from app.errors import Conflict, FieldError
from app.processing_jobs import evidence
from app.processing_jobs.evidence import Seen
from app.processing_jobs.repository import Job
from app.processing_jobs.rules import State, blocks, since, status
from app.resources import Resources


class JobsBlock(Conflict):
    """Jobs of this data collection are waiting or running.

    Attributes:
        facts: which and since when, without the advice, which depends on what the client can do.
    """

    facts = ""


class OtherJobsBlock(Conflict):
    """Another job blocks by now than those whose stop was confirmed."""


def list_blocking(
    session: Session, resources: Resources, collection: DataCollection, seen: Mapping[int, Seen]
) -> list[tuple[Job, State]]:
    """The jobs that block a data collection, oldest first: by the database now, and by what was seen before."""
    return list_blocking_among(resources, evidence.list_jobs_of_collection(session, resources, collection.dcid), seen)


def list_blocking_among(resources: Resources, jobs: Sequence[Job], seen: Mapping[int, Seen]) -> list[tuple[Job, State]]:
    """Of a data collection's jobs those that block it, with what was seen of their files."""
    out = []
    for known in jobs:
        job = evidence.with_seen(known, seen.get(known.facts.job_id))
        state = status(job.facts).state
        if blocks(job.facts, state, resources.settings.broker.recipes):
            out.append((job, state))
    return out


def require_replaceable(
    resources: Resources,
    dcid: int,
    blocking: Sequence[tuple[Job, State]],
    *,
    if_blocked: Literal["refuse", "restart"],
    replaces: Collection[int] | None,
) -> None:
    """Refuse unless nothing blocks, or the client has confirmed to stop all that does.

    Raises:
        JobsBlock: something blocks and nothing may be stopped.
        OtherJobsBlock: something blocks that ``replaces`` does not name.
    """
    if not blocking:
        return
    context = {
        "dataCollectionId": dcid,
        "blockingJobs": [
            {
                "processingJobId": job.facts.job_id,
                "state": str(state),
                "since": since(job.facts, state).astimezone(resources.settings.zone).isoformat(),
            }
            for job, state in blocking
        ],
    }
    if if_blocked == "refuse":
        error = JobsBlock(
            f"{describe(blocking, dcid)} Use ifBlocked=restart to stop {'it' if len(blocking) == 1 else 'them'} "
            "and start again.",
            errors=[FieldError("ifBlocked", "is 'refuse', and there are jobs that block")],
            **context,
        )
        error.facts = describe(blocking, dcid)
        raise error
    unconfirmed = [job for job, _ in blocking if job.facts.job_id not in replaces] if replaces is not None else []
    if unconfirmed:
        others = ", ".join(str(job.facts.job_id) for job in unconfirmed)
        raise OtherJobsBlock(
            f"{describe(blocking, dcid)} You have not confirmed to stop {others}. Look again, and name every job that "
            "may be stopped in 'replaces'.",
            errors=[FieldError("replaces", f"does not name {others}")],
            **context,
        )


def describe(blocking: Sequence[tuple[Job, State]], dcid: int) -> str:
    """The jobs that block, in words: "Job 6611642 is already running on data collection 6018191 (since 14:02)."."""
    sentences = []
    for job, state in blocking:
        begun = since(job.facts, state).astimezone(job.facts.zone)
        same_day = begun.date() == job.facts.now.astimezone(job.facts.zone).date()
        when = f"{begun:%H:%M}" if same_day else f"{begun:%d %b %H:%M}"
        sentences.append(f"Job {job.facts.job_id} is already {state} on data collection {dcid} (since {when}).")
    return " ".join(sentences)
