"""Queries about jobs: rows in, values out. Those that name a job are bounded by what the person may see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.access import policy
from app.access.identity import Person
from app.db import from_local, from_utc, local_now, to_utc, utc_now
from app.errors import FieldError, NotFound
from app.ispyb.tables import (
    AutoProcProgram,
    BLSession,
    DataCollection,
    DataCollectionGroup,
    MotionCorrection,
    Movie,
    ProcessingJob,
    ProcessingJobParameter,
    Proposal,
    inserted_id,
)
from app.processing_jobs.rules import Facts, Launch, Limits, Program, Stop
from app.processing_jobs.tables import launch, stop_request
from app.settings import Settings
from app.visits import repository as visits
from app.visits.rules import Visit
from app.zocalo import outbox
from app.zocalo.messages import START, STOP

# Statements are built once: to put one together costs more than MariaDB needs to answer it.
_VISIT_OF = (
    sa.select(ProcessingJob.c.dataCollectionId, *visits.COLUMNS)
    .select_from(ProcessingJob)
    .join(DataCollection, DataCollection.c.dataCollectionId == ProcessingJob.c.dataCollectionId)
    .join(DataCollectionGroup, DataCollectionGroup.c.dataCollectionGroupId == DataCollection.c.dataCollectionGroupId)
    .join(BLSession, BLSession.c.sessionId == DataCollectionGroup.c.sessionId)
    .join(Proposal, Proposal.c.proposalId == BLSession.c.proposalId)
    .where(ProcessingJob.c.processingJobId == sa.bindparam("job_id"))
)
_JOBS = (
    sa.select(
        ProcessingJob.c.processingJobId,
        ProcessingJob.c.dataCollectionId,
        ProcessingJob.c.displayName,
        ProcessingJob.c.comments,
        ProcessingJob.c.recipe,
        ProcessingJob.c.automatic,
        ProcessingJob.c.recordTimestamp,
        launch.c.guid,
        launch.c.results_directory,
        launch.c.launched_by,
        launch.c.launched_at,
        launch.c.face,
        launch.c.seen_running_at,
        stop_request.c.asked_by,
        stop_request.c.asked_at,
        stop_request.c.replaced_by,
        utc_now().label("now"),
    )
    .outerjoin(launch, launch.c.job_id == ProcessingJob.c.processingJobId)
    .outerjoin(stop_request, stop_request.c.job_id == ProcessingJob.c.processingJobId)
)
_IDS: sa.BindParameter[int] = sa.bindparam("job_ids", expanding=True)
_JOBS_BY_ID = _JOBS.where(ProcessingJob.c.processingJobId.in_(_IDS))
_JOBS_OF_COLLECTION = _JOBS.where(
    ProcessingJob.c.dataCollectionId == sa.bindparam("dcid"),
    ProcessingJob.c.recipe.in_(sa.bindparam("recipes", expanding=True)),
)
_PROGRAMS = sa.select(
    AutoProcProgram.c.autoProcProgramId,
    AutoProcProgram.c.processingJobId,
    AutoProcProgram.c.parentAutoProcProgramId,
    AutoProcProgram.c.processingPrograms,
    AutoProcProgram.c.processingStatus,
    AutoProcProgram.c.processingMessage,
    AutoProcProgram.c.processingStartTime,
    AutoProcProgram.c.processingEndTime,
    AutoProcProgram.c.recordTimeStamp,
    AutoProcProgram.c.processingCommandLine,
).where(AutoProcProgram.c.processingJobId.in_(_IDS))
_REPLACED = sa.select(stop_request.c.job_id, stop_request.c.replaced_by).where(stop_request.c.replaced_by.in_(_IDS))
_GAIN_REFERENCES = sa.select(ProcessingJobParameter.c.processingJobId, ProcessingJobParameter.c.parameterValue).where(
    ProcessingJobParameter.c.processingJobId.in_(_IDS),
    ProcessingJobParameter.c.parameterKey == "motioncor_gainreference",
)
_LATEST_IDS = (
    sa.select(ProcessingJob.c.dataCollectionId, sa.func.max(ProcessingJob.c.processingJobId))
    .where(
        ProcessingJob.c.dataCollectionId.in_(sa.bindparam("dcids", expanding=True)),
        ProcessingJob.c.recipe.in_(sa.bindparam("recipes", expanding=True)),
    )
    .group_by(ProcessingJob.c.dataCollectionId)
)
_ADD_JOB = sa.insert(ProcessingJob).values(displayName="RELION", automatic=0, recordTimestamp=local_now())
_ADD_PARAMETER = sa.insert(ProcessingJobParameter)
_ADD_LAUNCH = sa.insert(launch).values(launched_at=utc_now())


class JobNotFound(NotFound):
    """There is no such job on a microscope here, or it is not this person's."""


@dataclass(frozen=True)
class Job:
    """A ``ProcessingJob`` with all that is known of its fate.

    Args:
        replaces: the jobs that its launch stopped.
    """

    facts: Facts
    display_name: str | None
    comments: str | None
    automatic: bool | None
    replaces: tuple[int, ...] = ()


def limits(settings: Settings) -> Limits:
    """The settings' times, as the rules want them."""
    return Limits(
        give_up=timedelta(minutes=settings.stop.give_up_minutes),
        pickup=timedelta(hours=settings.pickup_hours),
        warn_pickup=timedelta(minutes=settings.warn.pickup_minutes),
        warn_silence=timedelta(minutes=settings.warn.silence_minutes),
        warn_stop=timedelta(minutes=settings.warn.stop_minutes),
    )


def get_visit_of(session: Session, settings: Settings, person: Person, job_id: int) -> tuple[int, Visit]:
    """The data collection and the visit of a job.

    Raises:
        JobNotFound: there is none that this person may see.
    """
    missing = JobNotFound(
        f"There is no processing job {job_id} on an electron microscope that you may see. "
        "Check the number, or ask your local contact to add you to its visit.",
        errors=[FieldError("jobId", "no such processing job")],
        processingJobId=job_id,
    )
    row = policy.get_visible(session, settings, person, _VISIT_OF, missing, {"job_id": job_id})
    return row.dataCollectionId, visits.visit_of(row, settings)


def list_ids_of_collection(
    session: Session, dcid: int, recipes: Sequence[str], *, limit: int | None = None, page: int = 1
) -> list[int]:
    """The jobs of a data collection with one of these recipes, newest first."""
    statement = (
        sa.select(ProcessingJob.c.processingJobId)
        .where(ProcessingJob.c.dataCollectionId == dcid, ProcessingJob.c.recipe.in_(recipes))
        .order_by(ProcessingJob.c.processingJobId.desc())
    )
    if limit is not None:
        statement = statement.limit(limit).offset((page - 1) * limit)
    return list(session.execute(statement).scalars())


def count_of_collection(session: Session, dcid: int, recipes: Sequence[str]) -> int:
    """How many such jobs there are."""
    return session.execute(
        sa.select(sa.func.count())
        .select_from(ProcessingJob)
        .where(ProcessingJob.c.dataCollectionId == dcid, ProcessingJob.c.recipe.in_(recipes))
    ).scalar_one()


def find_latest_ids(session: Session, dcids: Sequence[int], recipes: Sequence[str]) -> dict[int, int]:
    """The newest such job of each data collection that has one."""
    rows = session.execute(_LATEST_IDS, {"dcids": dcids, "recipes": recipes})
    return {row[0]: row[1] for row in rows}


def list_jobs(session: Session, settings: Settings, job_ids: Sequence[int]) -> list[Job]:
    """These jobs, in this order, with every fact that the database has. Whose they are was checked before."""
    if not job_ids:
        return []
    found = _jobs(session, settings, _JOBS_BY_ID, {"job_ids": job_ids})
    replaced: dict[int, list[int]] = {}
    for job_id, by in session.execute(_REPLACED, {"job_ids": job_ids}):
        replaced.setdefault(by, []).append(job_id)
    jobs = {job.facts.job_id: replace(job, replaces=tuple(sorted(replaced.get(job.facts.job_id, ())))) for job in found}
    return [jobs[job_id] for job_id in job_ids if job_id in jobs]


def list_jobs_of_collection(session: Session, settings: Settings, dcid: int) -> list[Job]:
    """All jobs of a data collection that can block it, oldest first; without what they replaced."""
    mine = _jobs(session, settings, _JOBS_OF_COLLECTION, {"dcid": dcid, "recipes": settings.broker.recipes})
    return sorted(mine, key=lambda job: job.facts.job_id)


def _jobs(session: Session, settings: Settings, statement: sa.Select[Any], values: Mapping[str, Any]) -> list[Job]:
    rows = session.execute(statement, values).all()
    if not rows:
        return []
    times = limits(settings)
    now = rows[0].now.replace(tzinfo=UTC)
    job_ids = [row.processingJobId for row in rows]
    programs = _programs(session, settings, job_ids, now)
    messages = outbox.find_deliveries(session, job_ids)
    jobs = []
    for row in rows:
        job_id = row.processingJobId
        starts = messages.get((job_id, START), [])
        # MariaDB's NOW() and our UTC clock are one clock: of the two times of a launch ours has the finer grain.
        recorded = from_utc(row.launched_at) or _utc(row.recordTimestamp, settings) or now
        facts = Facts(
            now=now,
            job_id=job_id,
            dcid=row.dataCollectionId,
            recipe=row.recipe,
            recorded=recorded,
            launch=None
            if row.guid is None
            else Launch(
                guid=row.guid,
                results_directory=row.results_directory,
                launched_by=row.launched_by,
                launched_at=recorded,
                face=row.face,
                seen_running_at=from_utc(row.seen_running_at),
            ),
            # Once any was tried, one may have arrived.
            start=replace(starts[-1], attempted_at=starts[0].attempted_at) if starts else None,
            resends=starts[1:],
            programs=programs.get(job_id, ()),
            stop=None
            if row.asked_at is None
            else Stop(
                asked_by=row.asked_by,
                asked_at=from_utc(row.asked_at) or now,
                replaced_by=row.replaced_by,
                messages=messages.get((job_id, STOP), ()),
            ),
            limits=times,
            zone=settings.zone,
        )
        automatic = None if row.automatic is None else bool(row.automatic)
        jobs.append(Job(facts, row.displayName, row.comments, automatic))
    return jobs


def find_last_results(
    session: Session, settings: Settings, program_ids: Sequence[int], now: datetime
) -> dict[int, datetime]:
    """When the newest motion-corrected movie of each of these programs was recorded.

    Each costs a look at the end of the program's part of an index. "ORDER BY … LIMIT 1" may be answered by walking back
    over the rows of all programs until one of this comes.
    """
    if not program_ids:
        return {}
    values = {f"program_{place}": program_id for place, program_id in enumerate(program_ids)}
    rows = session.execute(_last_results(len(program_ids)), values)
    signs = {program_id: _sign_of_life(time, settings, now) for program_id, time in rows}
    return {program_id: sign for program_id, sign in signs.items() if sign is not None}


@lru_cache(maxsize=64)
def _last_results(count: int) -> sa.CompoundSelect[Any]:
    newest = []
    for place in range(count):
        mc, of_program = MotionCorrection.alias(), MotionCorrection.alias()
        last = sa.select(sa.func.max(of_program.c.motionCorrectionId)).where(
            of_program.c.autoProcProgramId == sa.bindparam(f"program_{place}")
        )
        newest.append(
            sa.select(mc.c.autoProcProgramId, Movie.c.createdTimeStamp)
            .select_from(mc)
            .join(Movie, Movie.c.movieId == mc.c.movieId)
            .where(mc.c.motionCorrectionId == last.scalar_subquery())
        )
    return sa.union_all(*newest)


def _sign_of_life(local: datetime | None, settings: Settings, now: datetime) -> datetime | None:
    """A time of ISPyB that shows life, in UTC.

    Of an hour that came twice the later is meant, unless that is still to come: a run that is alive would look an
    hour silent otherwise.
    """
    moment = from_local(local, settings.zone)
    if moment is None:
        return None
    later = moment.replace(fold=1).astimezone(UTC)
    return later if later <= now else moment.astimezone(UTC)


def _utc(local: datetime | None, settings: Settings) -> datetime | None:
    """A time of ISPyB in UTC."""
    moment = from_local(local, settings.zone)
    return None if moment is None else moment.astimezone(UTC)


def _programs(
    session: Session, settings: Settings, job_ids: Sequence[int], now: datetime
) -> Mapping[int, list[Program]]:
    rows = session.execute(_PROGRAMS, {"job_ids": job_ids})
    out: dict[int, list[Program]] = {}
    for row in sorted(rows, key=lambda row: int(row.autoProcProgramId)):
        out.setdefault(row.processingJobId, []).append(
            Program(
                program_id=row.autoProcProgramId,
                parent_id=row.parentAutoProcProgramId,
                programs=row.processingPrograms,
                status=row.processingStatus,
                message=row.processingMessage,
                start=_utc(row.processingStartTime, settings),
                end=_sign_of_life(row.processingEndTime, settings, now),
                recorded=_sign_of_life(row.recordTimeStamp, settings, now),
                command=row.processingCommandLine,
            )
        )
    return out


def find_parameters(session: Session, job_id: int) -> dict[str, str | None]:
    """A job's parameters as they are stored; of a key that stands twice, the later."""
    rows = session.execute(
        sa.select(ProcessingJobParameter.c.parameterKey, ProcessingJobParameter.c.parameterValue)
        .where(ProcessingJobParameter.c.processingJobId == job_id)
        .order_by(ProcessingJobParameter.c.processingJobParameterId)
    )
    return {row.parameterKey: row.parameterValue for row in rows if row.parameterKey is not None}


def find_gain_references(session: Session, job_ids: Sequence[int]) -> dict[int, str | None]:
    """The paths of the gain references that these jobs were launched with."""
    if not job_ids:
        return {}
    rows = session.execute(_GAIN_REFERENCES, {"job_ids": job_ids})
    return {row.processingJobId: row.parameterValue for row in rows}


def add_job(session: Session, dcid: int, recipe: str, comments: str, parameters: Mapping[str, str]) -> int:
    """Write a job with its parameters."""
    job_id = inserted_id(session.execute(_ADD_JOB, {"dataCollectionId": dcid, "comments": comments, "recipe": recipe}))
    session.execute(
        _ADD_PARAMETER,
        [
            {"processingJobId": job_id, "parameterKey": key, "parameterValue": value}
            for key, value in parameters.items()
        ],
    )
    return job_id


def add_launch(session: Session, job_id: int, dcid: int, guid: str, directory: str, login: str, face: str) -> None:
    """Write down what we know of a launch before anything runs."""
    session.execute(
        _ADD_LAUNCH,
        {
            "job_id": job_id,
            "dcid": dcid,
            "guid": guid,
            "results_directory": directory,
            "launched_by": login,
            "face": face,
        },
    )


def set_seen_running(session: Session, job_id: int) -> None:
    """Keep the first sight of a run's directory or sentinel."""
    session.execute(
        sa.update(launch)
        .where(launch.c.job_id == job_id, launch.c.seen_running_at.is_(None))
        .values(seen_running_at=utc_now())
    )


def add_cancelled_program(session: Session, job_id: int, message: str) -> None:
    """Say in ISPyB that a job is over which no program ever ran for, so that all its readers agree."""
    session.execute(
        sa.insert(AutoProcProgram).values(
            processingJobId=job_id,
            processingPrograms="relion",
            processingStatus=0,
            processingMessage=message,
            # SynchWeb shows a status only beside a start time.
            processingStartTime=local_now(),
            processingEndTime=local_now(),
            recordTimeStamp=local_now(),
        )
    )


def upsert_stop(
    session: Session, facts: Facts, login: str, *, replaced_by: int | None, due_at: datetime | None
) -> None:
    """Write down that a job is to stop. The data collection's slot must be held."""
    if facts.stop is None:
        session.execute(
            sa.insert(stop_request).values(
                job_id=facts.job_id,
                dcid=facts.dcid,
                asked_by=login,
                asked_at=utc_now(),
                replaced_by=replaced_by,
                due_at=None if due_at is None else to_utc(due_at),
            )
        )
        return
    values: dict[str, object] = {"due_at": None if due_at is None else to_utc(due_at)}
    if replaced_by is not None:
        values["replaced_by"] = replaced_by
    session.execute(sa.update(stop_request).where(stop_request.c.job_id == facts.job_id).values(values))


def find_later_job(session: Session, job: Facts, recipes: Sequence[str], *, besides: int | None) -> int | None:
    """The newest job of the same data collection that came after this one, and whose start has left or will.

    Of ours that is known; others' starts left when they were made.

    Args:
        besides: a job that does not count, for it is only being launched.
    """
    statement = sa.select(sa.func.max(ProcessingJob.c.processingJobId)).where(
        ProcessingJob.c.dataCollectionId == job.dcid,
        ProcessingJob.c.processingJobId > job.job_id,
        ProcessingJob.c.recipe.in_(recipes),
        sa.or_(
            ~sa.exists().where(launch.c.job_id == ProcessingJob.c.processingJobId),
            outbox.may_have_left(ProcessingJob.c.processingJobId),
        ),
    )
    if besides is not None:
        statement = statement.where(ProcessingJob.c.processingJobId != besides)
    found: int | None = session.execute(statement).scalar_one()
    return found


def get_image_directory(session: Session, dcid: int) -> str | None:
    """Where the movies of a data collection lie, as ISPyB has it."""
    statement = sa.select(DataCollection.c.imageDirectory).where(DataCollection.c.dataCollectionId == dcid)
    directory: str | None = session.execute(statement).scalar_one()
    return directory


def list_due_stops(session: Session, limit: int) -> list[tuple[int, int]]:
    """Stops to look at again: job and data collection."""
    rows = session.execute(
        sa.select(stop_request.c.job_id, stop_request.c.dcid)
        .where(stop_request.c.due_at <= utc_now())
        .order_by(stop_request.c.due_at)
        .limit(limit)
    )
    return [(row.job_id, row.dcid) for row in rows]


def set_stop_due(session: Session, job_id: int, due_at: datetime | None) -> None:
    """When to look at a stop again; ``None`` for never."""
    utc = None if due_at is None else to_utc(due_at)
    session.execute(sa.update(stop_request).where(stop_request.c.job_id == job_id).values(due_at=utc))
