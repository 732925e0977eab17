"""Jobs in ISPyB, messages in the broker's folder, and looks at what becomes of them."""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.access.identity import ANYBODY
from app.data_collections.rules import results_directory, working_directory
from app.db import Database, local_now
from app.ispyb import sandbox
from app.ispyb.tables import (
    AutoProcProgram,
    DataCollection,
    DataCollectionGroup,
    ProcessingJob,
    ProcessingJobParameter,
    inserted_id,
)
from app.settings import Settings
from app.simulator.zocalo import SimulatedZocalo
from app.visits import repository as visits
from app.visits.rules import VisitRef
from app.zocalo.messages import Message, StartJob, headers
from app.zocalo.transport import SpoolTransport

FAST, SLOW = 0.01, 0.4  # seconds per movie
StartZocalo = Callable[..., SimulatedZocalo]


@dataclass(frozen=True)
class Job:
    """A job as launching leaves it in ISPyB."""

    job_id: int
    dcid: int
    guid: str
    visit_directory: Path
    results_directory: Path
    working_directory: Path

    @property
    def start(self) -> StartJob:
        return StartJob(self.job_id, self.guid)

    @property
    def stop_file(self) -> Path:
        return self.visit_directory / "tmp" / f"relion-stop-{self.job_id}"


def make_job(
    database: Database,
    settings: Settings,
    *,
    visit: str = sandbox.TUTORIAL,
    template: str = "Frames/*.tiff",
    prefix: str | None = "Frames",
    recipe: str = "relion",
    parameters: dict[str, str] | None = None,
) -> Job:
    """Insert a data collection and a job by ISPyB's own tables."""
    with database.read() as session:
        found = visits.get_visit(session, settings, ANYBODY, VisitRef.parse(visit))
    directory = found.directory(settings.visit_directory)
    assert directory is not None
    images = f"{directory}/raw/"

    def work(session: Session) -> tuple[int, int]:
        group = inserted_id(
            session.execute(sa.insert(DataCollectionGroup).values(sessionId=found.session_id, experimentType="EM"))
        )
        dcid = inserted_id(
            session.execute(
                sa.insert(DataCollection).values(
                    dataCollectionGroupId=group,
                    SESSIONID=found.session_id,
                    imageDirectory=images,
                    fileTemplate=template,
                    imagePrefix=prefix,
                    dataCollectionNumber=1,
                )
            )
        )
        job_id = inserted_id(
            session.execute(
                sa.insert(ProcessingJob).values(dataCollectionId=dcid, recipe=recipe, recordTimestamp=local_now())
            )
        )
        for key, value in ({"import_images": f"{images}{template}"} | (parameters or {})).items():
            session.execute(
                sa.insert(ProcessingJobParameter).values(processingJobId=job_id, parameterKey=key, parameterValue=value)
            )
        return dcid, job_id

    dcid, job_id = database.write(work)
    guid = str(uuid.uuid4())
    results = results_directory(images, prefix, 1, guid)
    working = working_directory(images, prefix, 1, guid)
    assert results is not None
    assert working is not None
    return Job(job_id, dcid, guid, directory, results, working)


@dataclass(frozen=True)
class Seen:
    """What ISPyB has of a job's only program."""

    program_id: int
    status: int | None
    message: str | None
    start: datetime | None
    end: datetime | None


def look(database: Database, job: Job) -> Seen | None:
    """The job's program; there must never be two."""
    program = AutoProcProgram.c
    with database.read() as session:
        row = session.execute(
            sa.select(
                program.autoProcProgramId,
                program.processingStatus,
                program.processingMessage,
                program.processingStartTime,
                program.processingEndTime,
            ).where(program.processingJobId == job.job_id)
        ).one_or_none()
    return None if row is None else Seen(*row)


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


def wait_for_end(database: Database, job: Job) -> Seen:
    def ended() -> bool:
        seen = look(database, job)
        return seen is not None and seen.status is not None

    wait_until(ended)
    seen = look(database, job)
    assert seen is not None
    return seen


def count(database: Database, table: sa.Table) -> int:
    with database.read() as session:
        return session.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def send(settings: Settings, message: Message) -> None:
    transport = SpoolTransport(settings.broker.spool)
    transport.connect()
    transport.send(message.body(), headers("somebody", str(uuid.uuid4())))


def left(settings: Settings, folder: str = "") -> list[str]:
    """Names of the messages in the broker's folder, or in one below it."""
    return sorted(path.name for path in (settings.broker.spool / folder).glob("*.json"))
