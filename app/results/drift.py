"""Drift: where the specimen was at each frame of a movie.

ISPyB had a table of it until October 2023. Since then the numbers are in the file of the plot; both are read.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.access.identity import Person
from app.db import error_code
from app.filesystem import served
from app.filesystem.looks import NoAnswer
from app.ispyb.tables import AutoProcProgram, MotionCorrection
from app.resources import Resources
from app.results import programs
from app.results.rules import finite_numbers

log = logging.getLogger(__name__)

NAME = "MotionCorrectionDrift"
NO_SUCH_TABLE = 1146  # MariaDB's number
LARGEST_PLOT = 5_000_000  # bytes

# Not in ispyb.sqlalchemy any more.
MotionCorrectionDrift = sa.table(
    NAME,
    sa.column("motionCorrectionId", sa.Integer()),
    sa.column("frameNumber", sa.Integer()),
    sa.column("deltaX", sa.Float()),
    sa.column("deltaY", sa.Float()),
)

_servers_with_table: WeakKeyDictionary[object, bool] = WeakKeyDictionary()


@dataclass(frozen=True)
class Drift:
    """Positions in Å, frame by frame."""

    x: list[float | None]
    y: list[float | None]


def has_table(session: Session) -> bool:
    """Whether the server still has ISPyB's table of drift. It is asked once by each process."""
    bind = session.get_bind()
    if bind not in _servers_with_table:
        # Shows only what we have rights on: a table that was not granted counts as gone.
        show = "SHOW TABLES LIKE :name"
        if bind.dialect.name == "sqlite":
            show = "SELECT name FROM sqlite_master WHERE name = :name"
        _servers_with_table[bind] = session.execute(sa.text(show), {"name": NAME}).first() is not None
    return _servers_with_table[bind]


def forget_table(session: Session) -> None:
    """Ask anew at the next occasion."""
    _servers_with_table.pop(session.get_bind(), None)


def get_drift(resources: Resources, person: Person, program_id: int, image_number: int) -> Drift:
    """The drift in one image; nothing if that is not known, or if there is no such image.

    Raises:
        ProgramNotFound: there is no such program that this person may see.
    """
    mc = MotionCorrection.c
    first = programs.first_motion(program_id, image_number)
    source = programs.TO_VISIT.outerjoin(
        MotionCorrection,
        sa.and_(mc.motionCorrectionId == first, mc.autoProcProgramId == AutoProcProgram.c.autoProcProgramId),
    )
    columns = (mc.motionCorrectionId, mc.driftPlotFullPath)
    with resources.database.read() as session:
        row = programs.get(session, resources.settings, person, program_id, columns, source=source)
        drift = None if row.motionCorrectionId is None else _of_table(session, row.motionCorrectionId)
    if drift is not None or row.driftPlotFullPath is None:
        return drift or Drift([], [])
    return _of_plot(resources, row.driftPlotFullPath, f"drift of image {image_number} of program {program_id}")


def _of_table(session: Session, motion_correction_id: int) -> Drift | None:
    if not has_table(session):
        return None
    table = MotionCorrectionDrift.c
    try:
        rows = session.execute(
            sa.select(table.frameNumber, table.deltaX, table.deltaY).where(
                table.motionCorrectionId == motion_correction_id
            )
        ).all()
    except DBAPIError as error:
        if error_code(error) != NO_SUCH_TABLE:
            raise
        forget_table(session)  # the facility has just brought its ISPyB up to date
        return None
    frames = sorted(rows, key=lambda row: row.frameNumber or 0)
    return Drift([row.deltaX for row in frames], [row.deltaY for row in frames]) if frames else None


def _of_plot(resources: Resources, path: str, what: str) -> Drift:
    try:
        found = served.find(resources.looks, resources.settings.roots, path, what, most=LARGEST_PLOT)
    except NoAnswer as error:
        log.warning("%s: %s", what, error)
        return Drift([], [])
    if not isinstance(found, served.File):
        return Drift([], [])
    try:
        if found.content is None:
            raise ValueError(f"is larger than {LARGEST_PLOT:,} bytes")
        trace = json.loads(found.content)["data"][0]
        return Drift(finite_numbers(trace["x"]), finite_numbers(trace["y"]))
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        log.warning("%s: %r is no plot that can be read: %r", what, path, error)
        return Drift([], [])
