"""Motion correction: how far the specimen moved while a movie was taken."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from app.access.identity import Person
from app.data_collections import repository as data_collections
from app.db import from_local
from app.errors import FieldError
from app.ispyb.tables import AutoProcProgram, MotionCorrection, Movie
from app.resources import Resources
from app.results import numbers, programs
from app.results.programs import ImageNotFound

mc = MotionCorrection.c


@dataclass(frozen=True)
class Motion:
    """The motion correction of one image. Å, and electrons per Å².

    Args:
        snapshot: the path of the corrected image; ``fft`` and ``fft_corrected`` are those of its Fourier transforms.
    """

    image_number: int
    created_time_stamp: datetime | None
    first_frame: int | None
    last_frame: int | None
    dose_per_frame: float | None
    dose_weight: float | None
    total_motion: float | None
    average_motion_per_frame: float | None
    patches_used_x: int | None
    patches_used_y: int | None
    comments: str | None
    snapshot: str | None
    fft: str | None
    fft_corrected: str | None


def _source_of(ident: Any) -> sa.FromClause:
    return programs.TO_VISIT.outerjoin(
        MotionCorrection,
        sa.and_(mc.motionCorrectionId == ident, mc.autoProcProgramId == AutoProcProgram.c.autoProcProgramId),
    ).outerjoin(Movie, Movie.c.movieId == mc.movieId)


_ROW = numbers.question(
    numbers.MOTION,
    (
        mc.motionCorrectionId,
        Movie.c.createdTimeStamp,
        mc.firstFrame,
        mc.lastFrame,
        mc.dosePerFrame,
        mc.doseWeight,
        mc.totalMotion,
        mc.averageMotionPerFrame,
        mc.patchesUsedX,
        mc.patchesUsedY,
        mc.comments,
        mc.micrographSnapshotFullPath,
        mc.fftFullPath,
        mc.fftCorrectedFullPath,
    ),
    _source_of,
)


def get_motion(resources: Resources, person: Person, program_id: int, image_number: int) -> Motion:
    """The motion correction of one image.

    Raises:
        ProgramNotFound: there is no such program that this person may see.
        ImageNotFound: it has no such image.
    """
    row = numbers.get_row(resources, person, _ROW, program_id, image_number)
    return Motion(
        image_number=image_number,
        created_time_stamp=from_local(row.createdTimeStamp, resources.settings.zone),
        first_frame=row.firstFrame,
        last_frame=row.lastFrame,
        dose_per_frame=row.dosePerFrame,
        dose_weight=row.doseWeight,
        total_motion=row.totalMotion,
        average_motion_per_frame=row.averageMotionPerFrame,
        patches_used_x=row.patchesUsedX,
        patches_used_y=row.patchesUsedY,
        comments=row.comments,
        snapshot=row.micrographSnapshotFullPath,
        fft=row.fftFullPath,
        fft_corrected=row.fftCorrectedFullPath,
    )


def find_snapshot(resources: Resources, person: Person, program_id: int, image_number: int) -> str | None:
    """The path of an image's snapshot, if ISPyB has one.

    Raises:
        ProgramNotFound, ImageNotFound: as ``get_motion``.
    """
    return get_motion(resources, person, program_id, image_number).snapshot


def find_fft(
    resources: Resources, person: Person, program_id: int, image_number: int, *, corrected: bool
) -> str | None:
    """The path of the Fourier transform of an image before or after motion correction, if ISPyB has one.

    Raises:
        ProgramNotFound, ImageNotFound: as ``get_motion``.
    """
    motion = get_motion(resources, person, program_id, image_number)
    return motion.fft_corrected if corrected else motion.fft


def find_fft_of_movie(
    resources: Resources, person: Person, dcid: int, movie_number: int, *, corrected: bool
) -> str | None:
    """The same of a data collection's movie, by the number of the movie; of several programs that of the first.

    Raises:
        DataCollectionNotFound: there is none that this person may see.
        ImageNotFound: it has no such movie, or none that was motion corrected.
    """
    source, key, of_collection = programs.rows_of(Movie, "dataCollectionId")
    movie = (
        sa.select(key)
        .select_from(source)
        .where(of_collection == dcid, Movie.c.movieNumber == movie_number)
        .order_by(key)
        .limit(1)
        .scalar_subquery()
    )
    path = mc.fftCorrectedFullPath if corrected else mc.fftFullPath
    statement = sa.select(path.label("path")).where(mc.movieId == movie).order_by(mc.motionCorrectionId).limit(1)
    with resources.database.read() as session:
        data_collections.get(session, resources.settings, person, dcid)
        row = session.execute(statement).first()
    if row is None:
        raise ImageNotFound(
            f"Data collection {dcid} has no motion corrected movie {movie_number}. It may not have come so far.",
            errors=[FieldError("imageNumber", "no such movie")],
            imageNumber=movie_number,
        )
    found: str | None = row.path
    return found
