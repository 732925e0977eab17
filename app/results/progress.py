"""How far programs have come: the latest image and the highest number that each step has reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction

from app.access import policy
from app.access.identity import Person
from app.ispyb.tables import CTF, AutoProcProgram, MotionCorrection, Movie, ParticlePicker
from app.resources import Resources
from app.results import programs

MOST_PROGRAMS = 500
NUMBERS = 2**24  # more than any imageNumber


class unix_seconds(GenericFunction[int]):  # noqa: N801 - a SQL function
    """A time of ISPyB as a whole number that grows."""

    type = sa.Integer()
    inherit_cache = True


@compiles(unix_seconds, "mysql")
@compiles(unix_seconds, "mariadb")
def _unix_seconds_mysql(element: Any, compiler: Any, **kw: Any) -> str:
    return f"UNIX_TIMESTAMP({compiler.process(element.clauses, **kw)})"


@compiles(unix_seconds, "sqlite")
def _unix_seconds_sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    return f"CAST(strftime('%s', {compiler.process(element.clauses, **kw)}) AS INTEGER)"


@dataclass(frozen=True)
class Progress:
    """Image numbers; ``None`` where there is nothing yet.

    Args:
        mc_latest: the image of the newest movie that was motion corrected, and ``mc_max`` the highest number.
    """

    mc_latest: int | None = None
    mc_max: int | None = None
    ctf_latest: int | None = None
    ctf_max: int | None = None
    pick_latest: int | None = None
    pick_max: int | None = None


def find_progress(resources: Resources, person: Person, program_ids: Sequence[int]) -> dict[int, Progress]:
    """How far these programs (at most ``MOST_PROGRAMS``) have come, in one statement.

    A program that this person may not see is not in the answer, nor is one that has found nothing yet.
    """
    if not program_ids:
        return {}
    assert len(program_ids) <= MOST_PROGRAMS
    may_see = policy.visible(person, resources.settings)
    mine = AutoProcProgram.c.autoProcProgramId.in_(program_ids)
    steps = [
        _step(kind, table, program, motion).where(mine, may_see)
        for kind, table, program, motion in (
            ("mc", MotionCorrection, "autoProcProgramId", "motionCorrectionId"),
            ("ctf", CTF, "autoProcProgramId", "motionCorrectionId"),
            ("pick", ParticlePicker, "programId", "firstMotionCorrectionId"),
        )
    ]
    numbers: dict[int, dict[str, int | None]] = {}
    with resources.database.read() as session:
        for program_id, kind, highest, newest in session.execute(sa.union_all(*steps)):
            known = numbers.setdefault(program_id, {})
            known[f"{kind}_max"] = highest
            known[f"{kind}_latest"] = None if newest is None else int(newest) % NUMBERS
    assert all(name in {field.name for field in fields(Progress)} for known in numbers.values() for name in known)
    return {program_id: Progress(**known) for program_id, known in numbers.items()}


def _step(kind: str, table: sa.Table, program: str, motion: str) -> sa.Select[Any]:
    """For each program the highest number, and time and number of the newest movie in one number.

    That number saves a sort: the largest of them is the newest movie's, with its image number in the lower digits.
    """
    rows, _, of_program = programs.rows_of(table, program)
    if table is not MotionCorrection:
        rows = rows.join(MotionCorrection, MotionCorrection.c.motionCorrectionId == table.c[motion])
    source = programs.TO_VISIT.join(rows, of_program == AutoProcProgram.c.autoProcProgramId)
    source = source.outerjoin(Movie, Movie.c.movieId == MotionCorrection.c.movieId)
    image = MotionCorrection.c.imageNumber
    time = sa.func.coalesce(unix_seconds(Movie.c.createdTimeStamp), 0)
    return programs.in_this_order(
        sa.select(
            AutoProcProgram.c.autoProcProgramId,
            sa.literal_column(f"'{kind}'").label("kind"),
            sa.func.max(image).label("highest"),
            sa.func.max(time * sa.literal_column(str(NUMBERS)) + image).label("newest"),
        )
        .select_from(source)
        .group_by(AutoProcProgram.c.autoProcProgramId)
    )
