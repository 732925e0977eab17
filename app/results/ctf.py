"""CTF estimation: focus, astigmatism, and how far the signal reaches."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeAlias

import sqlalchemy as sa

from app.access.identity import Person
from app.db import from_local
from app.ispyb.tables import CTF, AutoProcProgram, MotionCorrection, Movie
from app.resources import Resources
from app.results import numbers, programs

ctf = CTF.c
NEVER = datetime.min.replace(tzinfo=UTC)
AT_ONCE = 2_000  # rows of a summary that are taken from the server together: no more of them need stay

# imageNumber, createdTimeStamp, astigmatism, estimatedResolution, estimatedDefocus
SummaryRow: TypeAlias = tuple[int | None, datetime | None, float | None, float | None, float | None]


@dataclass(frozen=True)
class Ctf:
    """The CTF estimation of one image. Å, degrees, and pixels for the box.

    Args:
        image: the path of the image of the fitted power spectrum.
    """

    ctf_id: int
    image_number: int
    created_time_stamp: datetime | None
    box_size_x: float | None
    box_size_y: float | None
    min_resolution: float | None
    max_resolution: float | None
    min_defocus: float | None
    max_defocus: float | None
    defocus_step_size: float | None
    astigmatism: float | None
    astigmatism_angle: float | None
    estimated_resolution: float | None
    estimated_defocus: float | None
    amplitude_contrast: float | None
    cc_value: float | None
    comments: str | None
    image: str | None


def _source_of(ident: Any) -> sa.FromClause:
    return (
        programs.TO_VISIT.outerjoin(
            CTF, sa.and_(ctf.ctfId == ident, ctf.autoProcProgramId == AutoProcProgram.c.autoProcProgramId)
        )
        .outerjoin(MotionCorrection, MotionCorrection.c.motionCorrectionId == ctf.motionCorrectionId)
        .outerjoin(Movie, Movie.c.movieId == MotionCorrection.c.movieId)
    )


_ROW = numbers.question(
    numbers.CTF_ESTIMATION,
    (
        ctf.ctfId,
        Movie.c.createdTimeStamp,
        ctf.boxSizeX,
        ctf.boxSizeY,
        ctf.minResolution,
        ctf.maxResolution,
        ctf.minDefocus,
        ctf.maxDefocus,
        ctf.defocusStepSize,
        ctf.astigmatism,
        ctf.astigmatismAngle,
        ctf.estimatedResolution,
        ctf.estimatedDefocus,
        ctf.amplitudeContrast,
        ctf.ccValue,
        ctf.comments,
        ctf.fftTheoreticalFullPath,
    ),
    _source_of,
)


def get_ctf(resources: Resources, person: Person, program_id: int, image_number: int) -> Ctf:
    """The CTF estimation of one image.

    Raises:
        ProgramNotFound: there is no such program that this person may see.
        ImageNotFound: it has no such image.
    """
    row = numbers.get_row(resources, person, _ROW, program_id, image_number)
    return Ctf(
        ctf_id=row.ctfId,
        image_number=image_number,
        created_time_stamp=from_local(row.createdTimeStamp, resources.settings.zone),
        box_size_x=row.boxSizeX,
        box_size_y=row.boxSizeY,
        min_resolution=row.minResolution,
        max_resolution=row.maxResolution,
        min_defocus=row.minDefocus,
        max_defocus=row.maxDefocus,
        defocus_step_size=row.defocusStepSize,
        astigmatism=row.astigmatism,
        astigmatism_angle=row.astigmatismAngle,
        estimated_resolution=row.estimatedResolution,
        estimated_defocus=row.estimatedDefocus,
        amplitude_contrast=row.amplitudeContrast,
        cc_value=row.ccValue,
        comments=row.comments,
        image=row.fftTheoreticalFullPath,
    )


def find_ctf_image(resources: Resources, person: Person, program_id: int, image_number: int) -> str | None:
    """The path of the image of an estimation, if ISPyB has one.

    Raises:
        ProgramNotFound, ImageNotFound: as ``get_ctf``.
    """
    return get_ctf(resources, person, program_id, image_number).image


def list_ctf_summary(resources: Resources, person: Person, program_id: int) -> list[SummaryRow]:
    """The estimations of all images, by the time of their movie, in short. There may be fifty thousand.

    Raises:
        ProgramNotFound: there is no such program that this person may see.
    """
    zone = resources.settings.zone
    with resources.database.read() as session:
        programs.get(session, resources.settings, person, program_id)
        rows: list[SummaryRow] = [
            (number, from_local(created, zone), astigmatism, resolution, defocus)
            for number, created, astigmatism, resolution, defocus in session.execute(
                _summary(), {"program_id": program_id}, execution_options={"yield_per": AT_ONCE}
            )
        ]
    # Sorted here: in the database it would be a sort of its own over all these rows.
    rows.sort(key=lambda row: (row[1] is not None, row[1] or NEVER, row[0] or 0))
    return rows


@cache
def _summary() -> sa.Select[Any]:
    source, _, program = programs.rows_of(CTF, "autoProcProgramId")
    return (
        sa.select(
            MotionCorrection.c.imageNumber,
            Movie.c.createdTimeStamp,
            ctf.astigmatism,
            ctf.estimatedResolution,
            ctf.estimatedDefocus,
        )
        .select_from(source)
        .outerjoin(MotionCorrection, MotionCorrection.c.motionCorrectionId == ctf.motionCorrectionId)
        .outerjoin(Movie, Movie.c.movieId == MotionCorrection.c.movieId)
        .where(program == sa.bindparam("program_id"))
    )
