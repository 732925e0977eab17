"""The runs of a data collection as ISPyB has them: one for each job and program, as SynchWeb lists them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.access.identity import Person
from app.data_collections import repository as data_collections
from app.db import local_now
from app.ispyb.tables import AutoProcProgram, ProcessingJob
from app.processing_jobs import evidence
from app.processing_jobs.rules import State, status
from app.processing_jobs.tables import stop_request
from app.resources import Resources


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
        data_collections.get(session, resources.settings, person, dcid)
        rows = _rows(session, dcid)
        asked = [row.processingJobId for row in rows if row.autoProcProgramId is None and row.job_id is not None]
        over = _stopped(session, resources, asked)
    runs = [
        Run(
            job_id=row.processingJobId,
            dcid=dcid,
            recorded=row.recordTimestamp,
            program_id=row.autoProcProgramId,
            program_status=row.processingStatus,
            start=row.processingStartTime,
            end=row.processingEndTime,
            now=row.now,
        )
        for row in rows
    ]
    return [replace(run, stopped=run.program_id is None and run.job_id in over) for run in runs]


def _rows(session: Session, dcid: int) -> list[sa.Row[tuple[object, ...]]]:
    program = AutoProcProgram.c
    rows = session.execute(
        sa.select(
            ProcessingJob.c.processingJobId,
            ProcessingJob.c.recordTimestamp,
            program.autoProcProgramId,
            program.processingStatus,
            program.processingStartTime,
            program.processingEndTime,
            stop_request.c.job_id,
            local_now().label("now"),
        )
        .select_from(ProcessingJob)
        .outerjoin(AutoProcProgram, program.processingJobId == ProcessingJob.c.processingJobId)
        .outerjoin(stop_request, stop_request.c.job_id == ProcessingJob.c.processingJobId)
        .where(ProcessingJob.c.dataCollectionId == dcid)
    )
    # A data collection has tens of runs: to sort them here spares the database a sort of joined rows.
    return sorted(rows, key=lambda row: (row.processingJobId, row.autoProcProgramId or 0))


def _stopped(session: Session, resources: Resources, job_ids: list[int]) -> set[int]:
    """Of jobs without program that were asked to stop, those whose stop was given up."""
    jobs = evidence.list_jobs(session, resources, job_ids)
    return {job.facts.job_id for job in jobs if status(job.facts).state is State.STOPPED}
