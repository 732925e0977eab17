"""Particle picking: how many particles were found in an image."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from app.access.identity import Person
from app.db import from_local
from app.filesystem import served
from app.filesystem.looks import NoAnswer
from app.ispyb.tables import AutoProcProgram, MotionCorrection, Movie, ParticlePicker
from app.resources import Resources
from app.results import numbers, programs

log = logging.getLogger(__name__)
picker = ParticlePicker.c


@dataclass(frozen=True)
class Picking:
    """The particles of one image.

    Args:
        particle_diameter: nm, as ISPyB has it.
        summary_image: the path of the image with the particles marked.
    """

    image_number: int
    created_time_stamp: datetime | None
    particle_diameter: float | None
    number_of_particles: int | None
    summary_image: str | None


def _source_of(ident: Any) -> sa.FromClause:
    return (
        programs.TO_VISIT.outerjoin(
            ParticlePicker,
            sa.and_(picker.particlePickerId == ident, picker.programId == AutoProcProgram.c.autoProcProgramId),
        )
        .outerjoin(MotionCorrection, MotionCorrection.c.motionCorrectionId == picker.firstMotionCorrectionId)
        .outerjoin(Movie, Movie.c.movieId == MotionCorrection.c.movieId)
    )


_ROW = numbers.question(
    numbers.PICKING,
    (
        picker.particlePickerId,
        Movie.c.createdTimeStamp,
        picker.particleDiameter,
        picker.numberOfParticles,
        picker.summaryImageFullPath,
    ),
    _source_of,
)


def get_picking(resources: Resources, person: Person, program_id: int, image_number: int) -> Picking:
    """The particles of one image.

    Raises:
        ProgramNotFound: there is no such program that this person may see.
        ImageNotFound: it has no such image.
    """
    row = numbers.get_row(resources, person, _ROW, program_id, image_number)
    return Picking(
        image_number=image_number,
        created_time_stamp=from_local(row.createdTimeStamp, resources.settings.zone),
        particle_diameter=row.particleDiameter,
        number_of_particles=row.numberOfParticles,
        summary_image=row.summaryImageFullPath,
    )


def has_summary_image(resources: Resources, picking: Picking) -> bool | None:
    """Whether the image with the particles marked is there; ``None`` if the file system does not answer."""
    if picking.summary_image is None:
        return False
    what = f"particles of image {picking.image_number}"
    try:
        found = served.find(resources.looks, resources.settings.roots, picking.summary_image, what, most=0)
    except NoAnswer:
        return None
    return isinstance(found, served.File)


def find_picking_image(resources: Resources, person: Person, program_id: int, image_number: int) -> str | None:
    """The path of the image with the particles marked, if ISPyB has one.

    Raises:
        ProgramNotFound, ImageNotFound: as ``get_picking``.
    """
    return get_picking(resources, person, program_id, image_number).summary_image
