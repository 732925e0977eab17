"""Results as columns for plotting: one page after another along a program's index, never counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from app.access.identity import Person
from app.db import from_local
from app.ispyb.tables import CTF, MotionCorrection, Movie, ParticlePicker
from app.resources import Resources
from app.results import programs


@dataclass(frozen=True)
class Series:
    """A page of rows, column by column.

    Args:
        columns: by ISPyB's names; all are equally long.
        next: where the next page begins; ``None`` after the last row.
    """

    columns: dict[str, list[Any]]
    next: int | None


def list_motion(resources: Resources, person: Person, program_id: int, *, after: int, limit: int) -> Series:
    """The motion correction of a program's images, in the order in which they came.

    Raises:
        ProgramNotFound: there is no such program that this person may see.
    """
    mc = MotionCorrection.c
    columns = (mc.totalMotion, mc.averageMotionPerFrame, mc.dosePerFrame, mc.doseWeight)
    return _page(resources, person, program_id, MotionCorrection, "autoProcProgramId", columns, after, limit)


def list_ctf(resources: Resources, person: Person, program_id: int, *, after: int, limit: int) -> Series:
    """The CTF estimations of a program's images, in the order in which they came.

    Raises:
        ProgramNotFound: there is no such program that this person may see.
    """
    ctf = CTF.c
    columns = (
        ctf.astigmatism,
        ctf.astigmatismAngle,
        ctf.estimatedResolution,
        ctf.estimatedDefocus,
        ctf.ccValue,
    )
    return _page(resources, person, program_id, CTF, "autoProcProgramId", columns, after, limit, ctf.motionCorrectionId)


def list_particles(resources: Resources, person: Person, program_id: int, *, after: int, limit: int) -> Series:
    """How many particles were found in a program's images, in the order in which they came.

    Raises:
        ProgramNotFound: there is no such program that this person may see.
    """
    picker = ParticlePicker.c
    columns = (picker.numberOfParticles, picker.particleDiameter)
    motion = picker.firstMotionCorrectionId
    return _page(resources, person, program_id, ParticlePicker, "programId", columns, after, limit, motion)


def _page(
    resources: Resources,
    person: Person,
    program_id: int,
    table: sa.Table,
    program: str,
    columns: Sequence[sa.Column[Any]],
    after: int,
    limit: int,
    motion: sa.Column[Any] | None = None,
) -> Series:
    """One page of a table's rows.

    Args:
        program: the table's column with the program.
        motion: its column with the motion correction, unless that is what the table has.
    """
    source, key, of_program = programs.rows_of(table, program)
    if motion is not None:
        source = source.outerjoin(MotionCorrection, MotionCorrection.c.motionCorrectionId == motion)
    shown = (MotionCorrection.c.imageNumber, Movie.c.createdTimeStamp, *columns)
    statement = (
        sa.select(key, *shown)
        .select_from(source.outerjoin(Movie, Movie.c.movieId == MotionCorrection.c.movieId))
        .where(of_program == program_id, key > after)
        .order_by(key)
        .limit(limit + 1)
    )
    with resources.database.read() as session:
        programs.get(session, resources.settings, person, program_id)
        rows = session.execute(statement).all()
    more, rows = len(rows) > limit, rows[:limit]
    by_name = {column.name: [row[place] for row in rows] for place, column in enumerate(shown, start=1)}
    zone = resources.settings.zone
    by_name["createdTimeStamp"] = [from_local(moment, zone) for moment in by_name["createdTimeStamp"]]
    return Series(by_name, rows[-1][0] if more else None)
