"""Drift: where the specimen was at each frame of a movie.

ISPyB had a table of it until October 2023. Since then the numbers are in the file of the plot; both are read.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
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
from app.results import numbers, programs
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

ASK_AGAIN = 600.0  # seconds after which a server without the table is asked once more: it may have been granted

_asked: WeakKeyDictionary[object, tuple[bool, float]] = WeakKeyDictionary()  # by server: whether, and when


@dataclass(frozen=True)
class Drift:
    """Positions in Å, frame by frame."""

    x: list[float | None]
    y: list[float | None]


def has_table(session: Session) -> bool:
    """Whether the server still has ISPyB's table of drift, as far as this process knows."""
    bind = session.get_bind()
    there, when = _asked.get(bind, (False, -ASK_AGAIN))
    if not there and time.monotonic() - when >= ASK_AGAIN:
        # Shows only what we have rights on: a table that was not granted counts as gone.
        show = "SHOW TABLES LIKE :name"
        if bind.dialect.name == "sqlite":
            show = "SELECT name FROM sqlite_master WHERE name = :name"
        there = session.execute(sa.text(show), {"name": NAME}).first() is not None
        _asked[bind] = (there, time.monotonic())
    return there


def forget_table(session: Session) -> None:
    """Ask anew at the next occasion."""
    _asked.pop(session.get_bind(), None)


def ask_table(session: Session, statement: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
    """The rows of a statement on that table; none where the server does not have it, or not any more."""
    if not has_table(session):
        return []
    try:
        return session.execute(statement).all()
    except DBAPIError as error:
        if error_code(error) != NO_SUCH_TABLE:
            raise
        forget_table(session)  # the facility has just brought its ISPyB up to date
        return []


def _source_of(ident: Any) -> sa.FromClause:
    mc = MotionCorrection.c
    return programs.TO_VISIT.outerjoin(
        MotionCorrection,
        sa.and_(mc.motionCorrectionId == ident, mc.autoProcProgramId == AutoProcProgram.c.autoProcProgramId),
    )


_ROW = numbers.question(
    numbers.MOTION, (MotionCorrection.c.motionCorrectionId, MotionCorrection.c.driftPlotFullPath), _source_of
)


def get_drift(resources: Resources, person: Person, program_id: int, image_number: int) -> Drift:
    """The drift in one image; nothing if that is not known, or if there is no such image.

    Raises:
        ProgramNotFound: there is no such program that this person may see.
    """
    try:
        row = numbers.get_row(resources, person, _ROW, program_id, image_number)
    except programs.ImageNotFound:
        return Drift([], [])
    with resources.database.read() as session:
        drift = _of_table(session, row.motionCorrectionId)
    if drift is not None or row.driftPlotFullPath is None:
        return drift or Drift([], [])
    return _of_plot(resources, row.driftPlotFullPath, f"drift of image {image_number} of program {program_id}")


def _of_table(session: Session, motion_correction_id: int) -> Drift | None:
    table = MotionCorrectionDrift.c
    statement = sa.select(table.frameNumber, table.deltaX, table.deltaY)
    rows = ask_table(session, statement.where(table.motionCorrectionId == motion_correction_id))
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
