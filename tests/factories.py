"""Rows to test with: dull defaults, so that a test states only what matters to it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.db import Database
from app.ispyb import tables
from app.ispyb.tables import inserted_id

LOCAL = ZoneInfo("Europe/London")


@dataclass(frozen=True)
class MadeVisit:
    """A visit that was made for a test."""

    name: str
    session_id: int
    directory: Path


def local_now() -> datetime:
    """The facility's local time, as ISPyB keeps it."""
    return datetime.now(LOCAL).replace(tzinfo=None, microsecond=0)


def make_visit(
    database: Database,
    dls: Path,
    *,
    ended_hours_ago: float | None = None,
    beamline: str = "m12",
    archived: int = 0,
    movies: Sequence[str] = ("raw/GridSquare_1/Data/movie_1.tiff", "raw/Frames/frame_1.tiff"),
    gain: bool = True,
    members: Sequence[int] = (),
    **columns: Any,
) -> MadeVisit:
    """A visit of a proposal of its own that began yesterday, with these movies."""
    number = str(random.randint(10**8, 10**9 - 1))
    start = local_now() - timedelta(days=1)
    end = local_now() + timedelta(days=3)
    if ended_hours_ago is not None:
        end = local_now() - timedelta(hours=ended_hours_ago)
        start = end - timedelta(days=2)

    def work(session: Session) -> int:
        person = inserted_id(session.execute(sa.insert(tables.Person).values(login=f"p{number}")))
        proposal = inserted_id(
            session.execute(
                sa.insert(tables.Proposal).values(personId=person, proposalCode="cm", proposalNumber=number)
            )
        )
        values = {
            "proposalId": proposal,
            "visit_number": 1,
            "beamLineName": beamline,
            "startDate": start,
            "endDate": end,
            "archived": archived,
        }
        session_id = inserted_id(session.execute(sa.insert(tables.BLSession).values(values | columns)))
        for member in members:
            session.execute(sa.insert(tables.SessionHasPerson).values(sessionId=session_id, personId=member))
        return session_id

    session_id = database.write(work)
    year = (columns.get("startDate") or start).year
    directory = dls / beamline / "data" / str(year) / f"cm{number}-1"
    for movie in movies:
        make_file(directory / movie)
    (directory / "processing").mkdir(parents=True, exist_ok=True)
    if gain:
        make_file(directory / "processing" / "gain.mrc")
    return MadeVisit(f"cm{number}-1", session_id, directory)


def make_file(path: Path) -> Path:
    """A file with a byte in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def make_collection(database: Database, visit: MadeVisit, **columns: Any) -> int:
    """A data collection of a visit, as other software may have written it; its DCID."""

    def work(session: Session) -> int:
        group = inserted_id(
            session.execute(
                sa.insert(tables.DataCollectionGroup).values(sessionId=visit.session_id, experimentType="EM")
            )
        )
        values = {
            "SESSIONID": visit.session_id,
            "dataCollectionGroupId": group,
            "imageDirectory": f"{visit.directory}/raw/",
            "fileTemplate": "GridSquare_*/Data/*.tiff",
            "imageSuffix": "tiff",
            "startTime": local_now(),
        }
        return inserted_id(session.execute(sa.insert(tables.DataCollection).values(values | columns)))

    return database.write(work)


def make_job(database: Database, dcid: int, *, age_hours: float = 0, **columns: Any) -> int:
    """A job from elsewhere."""
    values = {
        "dataCollectionId": dcid,
        "recipe": "relion",
        "displayName": "RELION",
        "automatic": 0,
        "recordTimestamp": local_now() - timedelta(hours=age_hours),
    }
    return database.write(
        lambda session: inserted_id(session.execute(sa.insert(tables.ProcessingJob).values(values | columns)))
    )


def make_program(
    database: Database, job_id: int, *, status: int | None = None, started: bool = True, **columns: Any
) -> int:
    """A program of a job, running unless told otherwise."""
    values = {
        "processingJobId": job_id,
        "processingPrograms": "relion",
        "processingStatus": status,
        "processingStartTime": local_now() if started else None,
        "recordTimeStamp": local_now(),
    }
    return database.write(
        lambda session: inserted_id(session.execute(sa.insert(tables.AutoProcProgram).values(values | columns)))
    )


def end_program(database: Database, job_id: int, status: int) -> None:
    """Give all programs of a job an outcome."""
    database.write(
        lambda session: session.execute(
            sa.update(tables.AutoProcProgram)
            .where(tables.AutoProcProgram.c.processingJobId == job_id)
            .values(processingStatus=status, processingEndTime=local_now())
        )
    )


def parameters(**changes: Any) -> dict[str, Any]:
    """Parameters that RELION can run with, as the API takes them; ``None`` leaves one out."""
    values: dict[str, Any] = {
        "pixelSize": 0.885,
        "dosePerFrame": 1.277,
        "minimumDiameter": 150,
        "maximumDiameter": 180,
    }
    return {name: value for name, value in (values | changes).items() if value is not None}


def launch_body(directory: str = "raw", **changes: Any) -> dict[str, Any]:
    """A launch of EPU's movies in ``raw``."""
    movies = {"imageDirectory": directory, "acquisitionSoftware": "EPU", "imageSuffix": "tiff"}
    return {"movies": movies, "parameters": parameters()} | changes


def _make(database: Database, table: sa.Table, values: dict[str, Any]) -> int:
    return database.write(lambda session: inserted_id(session.execute(sa.insert(table).values(values))))


def make_movie(database: Database, dcid: int, number: int | None = 1, **columns: Any) -> int:
    """A movie of a data collection."""
    values = {"dataCollectionId": dcid, "movieNumber": number, "createdTimeStamp": local_now()}
    return _make(database, tables.Movie, values | columns)


def make_motion(
    database: Database, program_id: int, movie_id: int | None, number: int | None = 1, **columns: Any
) -> int:
    """The motion correction of a movie by a program."""
    values = {"autoProcProgramId": program_id, "movieId": movie_id, "imageNumber": number, "totalMotion": 12.5}
    return _make(database, tables.MotionCorrection, values | columns)


def make_ctf(database: Database, program_id: int, motion_id: int | None, **columns: Any) -> int:
    """The CTF estimation of a motion corrected image."""
    values = {"autoProcProgramId": program_id, "motionCorrectionId": motion_id, "estimatedDefocus": 12000.0}
    return _make(database, tables.CTF, values | columns)


def make_picker(database: Database, program_id: int, motion_id: int | None, **columns: Any) -> int:
    """The particles of a motion corrected image."""
    values = {"programId": program_id, "firstMotionCorrectionId": motion_id, "numberOfParticles": 300}
    return _make(database, tables.ParticlePicker, values | columns)


def make_class_group(database: Database, program_id: int, kind: str = "2D", **columns: Any) -> int:
    """A batch of particles that were classified together."""
    values = {"programId": program_id, "type": kind, "batchNumber": 1}
    return _make(database, tables.ParticleClassificationGroup, values | columns)


def make_class(database: Database, group_id: int, **columns: Any) -> int:
    """A class of a batch."""
    values = {"particleClassificationGroupId": group_id, "classNumber": 1, "particlesPerClass": 1000}
    return _make(database, tables.ParticleClassification, values | columns)


def make_initial_model(database: Database, class_id: int, **columns: Any) -> int:
    """A model that a 3D class was refined from."""
    model = _make(database, tables.CryoemInitialModel, {"resolution": 15.0, "numberOfParticles": 5000} | columns)
    link = {"particleClassificationId": class_id, "cryoemInitialModelId": model}
    table = tables.ParticleClassificationHasCryoemInitialModel
    database.write(lambda session: session.execute(sa.insert(table).values(link)))
    return model


def make_attachment(database: Database, program_id: int, path: Path, **columns: Any) -> int:
    """A file that a program has left; the row only."""
    values = {
        "autoProcProgramId": program_id,
        "filePath": str(path.parent),
        "fileName": path.name,
        "fileType": "Graph",
        "deleted": 0,
    }
    return _make(database, tables.AutoProcProgramAttachment, values | columns)
