"""The runs of a data collection as ISPyB has them: one for each job and program, as SynchWeb lists them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.access import policy
from app.access.identity import Person
from app.data_collections import repository as data_collections
from app.db import from_utc, local_now, utc_now
from app.ispyb.tables import AutoProcProgram, DataCollection, ProcessingJob, Proposal
from app.processing_jobs import repository
from app.processing_jobs.rules import Stop, is_silent
from app.processing_jobs.tables import launch, stop_request
from app.resources import Resources
from app.zocalo import outbox
from app.zocalo.messages import STOP

_RUNS = (
    sa.select(
        Proposal.c.proposalCode,
        Proposal.c.proposalNumber,
        ProcessingJob.c.processingJobId,
        ProcessingJob.c.recordTimestamp,
        AutoProcProgram.c.autoProcProgramId,
        AutoProcProgram.c.processingStatus,
        AutoProcProgram.c.processingStartTime,
        AutoProcProgram.c.processingEndTime,
        stop_request.c.asked_by,
        stop_request.c.asked_at,
        launch.c.seen_running_at,
        local_now().label("now"),
        utc_now().label("utc"),
    )
    .select_from(
        data_collections.WITH_VISIT.outerjoin(
            ProcessingJob, ProcessingJob.c.dataCollectionId == DataCollection.c.dataCollectionId
        )
        .outerjoin(AutoProcProgram, AutoProcProgram.c.processingJobId == ProcessingJob.c.processingJobId)
        .outerjoin(stop_request, stop_request.c.job_id == ProcessingJob.c.processingJobId)
        .outerjoin(launch, launch.c.job_id == ProcessingJob.c.processingJobId)
    )
    .where(DataCollection.c.dataCollectionId == sa.bindparam("dcid"))
)


@dataclass(frozen=True)
class Run:
    """A job with one of its programs, or without any. Times are the facility's, as ISPyB keeps them.

    Args:
        program_status: ISPyB's ``processingStatus``: 1, 0, or ``None`` while it is open.
        stopped: the job never had a program, and never will: it was stopped before.
        now: when this was read.
    """

    job_id: int
    dcid: int
    recorded: datetime | None
    program_id: int | None
    program_status: int | None
    start: datetime | None
    end: datetime | None
    now: datetime
    stopped: bool = False


def list_runs(resources: Resources, person: Person, dcid: int) -> list[Run]:
    """Every run of a data collection whatever its recipe, oldest job first.

    Raises:
        DataCollectionNotFound: there is none that this person may see.
    """
    with resources.database.read() as session:
        rows = _rows(session, resources, person, dcid)
        over = _given_up(session, resources, [row for row in rows if row.autoProcProgramId is None and row.asked_at])
    return [
        Run(
            job_id=row.processingJobId,
            dcid=dcid,
            recorded=row.recordTimestamp,
            program_id=row.autoProcProgramId,
            program_status=row.processingStatus,
            start=row.processingStartTime,
            end=row.processingEndTime,
            now=row.now,
            stopped=row.processingJobId in over,
        )
        for row in rows
    ]


def _rows(session: Session, resources: Resources, person: Person, dcid: int) -> list[sa.Row[Any]]:
    missing = data_collections.missing(dcid)
    rows = policy.list_visible(session, resources.settings, person, _RUNS, missing, {"dcid": dcid})
    # A data collection has tens of runs: to sort them here spares the database a sort of joined rows.
    runs = [row for row in rows if row.processingJobId is not None]
    return sorted(runs, key=lambda row: (row.processingJobId, row.autoProcProgramId or 0))


def _given_up(session: Session, resources: Resources, rows: Sequence[sa.Row[Any]]) -> set[int]:
    """Of jobs without program that were asked to stop, those whose stop was given up."""
    if not rows:
        return set()
    sent = outbox.find_deliveries(session, [row.processingJobId for row in rows])
    wait = repository.limits(resources.settings).give_up
    return {
        row.processingJobId
        for row in rows
        if is_silent(
            Stop(row.asked_by, row.asked_at.replace(tzinfo=UTC), None, sent.get((row.processingJobId, STOP), ())),
            from_utc(row.seen_running_at),
            row.utc.replace(tzinfo=UTC),
            wait,
        )
    }
