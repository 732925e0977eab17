"""Classification: what the particles look like, in 2D and in 3D."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from app.access import policy
from app.access.identity import Person
from app.errors import FieldError, NotFound
from app.ispyb import tables
from app.ispyb.tables import AutoProcProgram, CryoemInitialModel, ParticleClassification
from app.resources import Resources
from app.results import programs
from app.results.rules import ClassSort, Sortable, sort_classes

group = tables.ParticleClassificationGroup.c
one = ParticleClassification.c
has_model = tables.ParticleClassificationHasCryoemInitialModel.c


class ClassNotFound(NotFound):
    """There is no such class of particles, or it is not this person's."""


@dataclass(frozen=True)
class Class(Sortable):
    """A class with its group (a batch of particles that were sorted together); all but the group may be missing.

    Args:
        initial_resolution: of the initial model that the class was refined from, and ``initial_particles`` how many
            particles that was made of.
        image: the path of its image.
    """

    type: str | None
    batch_number: int | None
    number_of_particles_per_batch: int | None
    number_of_classes_per_batch: int | None
    symmetry: str | None
    class_number: int | None
    class_distribution: float | None
    rotation_accuracy: float | None
    translation_accuracy: float | None
    overall_fourier_completeness: float | None
    initial_resolution: float | None
    initial_particles: int | None
    image: str | None


@dataclass(frozen=True)
class Classes:
    """One page, and how many classes there are on all pages together."""

    total: int
    rows: list[Class]


def list_classes(
    resources: Resources,
    person: Person,
    program_id: int,
    kind: Literal["2D", "3D"],
    sort: ClassSort,
    *,
    page: int,
    per_page: int,
    empty_groups: bool = False,
) -> Classes:
    """The classes of a program, sorted, one page of them.

    Args:
        empty_groups: whether a group without classes has a row of its own. It is never counted.

    Raises:
        ProgramNotFound: there is no such program that this person may see.
    """
    source, _, program = programs.rows_of(tables.ParticleClassificationGroup, "programId")
    statement = (
        sa.select(
            group.type,
            group.batchNumber,
            group.numberOfParticlesPerBatch,
            group.numberOfClassesPerBatch,
            group.symmetry,
            one.particleClassificationId,
            one.classNumber,
            one.classDistribution,
            one.particlesPerClass,
            one.rotationAccuracy,
            one.translationAccuracy,
            one.estimatedResolution,
            one.overallFourierCompleteness,
            one.classImageFullPath,
            CryoemInitialModel.c.cryoemInitialModelId,
            CryoemInitialModel.c.resolution,
            CryoemInitialModel.c.numberOfParticles,
        )
        .select_from(source)
        .outerjoin(ParticleClassification, one.particleClassificationGroupId == group.particleClassificationGroupId)
        .outerjoin(
            tables.ParticleClassificationHasCryoemInitialModel,
            has_model.particleClassificationId == one.particleClassificationId,
        )
        .outerjoin(CryoemInitialModel, CryoemInitialModel.c.cryoemInitialModelId == has_model.cryoemInitialModelId)
        .where(program == program_id, group.type == kind)
    )
    with resources.database.read() as session:
        programs.get(session, resources.settings, person, program_id)
        rows = session.execute(statement).all()
    # Of several initial models of a class, which ISPyB allows, the first.
    rows = sorted(rows, key=lambda row: row.cryoemInitialModelId or 0)
    classes: dict[int, Class] = {}
    empty: list[Class] = []
    for row in rows:
        if row.particleClassificationId is None:
            empty.append(_class(row))
        else:
            classes.setdefault(row.particleClassificationId, _class(row))
    ordered = sort_classes([*classes.values(), *(empty if empty_groups else ())], sort)
    return Classes(len(classes), ordered[(page - 1) * per_page : page * per_page])


def _class(row: sa.Row[*tuple[object, ...]]) -> Class:
    return Class(
        particle_classification_id=row.particleClassificationId,
        particles_per_class=row.particlesPerClass,
        estimated_resolution=row.estimatedResolution,
        type=row.type,
        batch_number=row.batchNumber,
        number_of_particles_per_batch=row.numberOfParticlesPerBatch,
        number_of_classes_per_batch=row.numberOfClassesPerBatch,
        symmetry=row.symmetry,
        class_number=row.classNumber,
        class_distribution=row.classDistribution,
        rotation_accuracy=row.rotationAccuracy,
        translation_accuracy=row.translationAccuracy,
        overall_fourier_completeness=row.overallFourierCompleteness,
        initial_resolution=row.resolution,
        initial_particles=row.numberOfParticles,
        image=row.classImageFullPath,
    )


def find_class_image(
    resources: Resources, person: Person, classification_id: int, *, program_id: int | None = None
) -> str | None:
    """The path of a class's image, if ISPyB has one.

    Args:
        program_id: the program that the class must be of.

    Raises:
        ClassNotFound: there is none that this person may see.
    """
    missing = ClassNotFound(
        f"There is no class {classification_id} of particles here that you may see. "
        "Check the number, or ask your local contact to add you to its visit.",
        errors=[FieldError("classificationId", "no such class")],
        particleClassificationId=classification_id,
    )
    statement = (
        sa.select(*programs.PROPOSAL, one.classImageFullPath)
        .select_from(
            programs.TO_VISIT.join(
                tables.ParticleClassificationGroup, group.programId == AutoProcProgram.c.autoProcProgramId
            ).join(ParticleClassification, one.particleClassificationGroupId == group.particleClassificationGroupId)
        )
        .where(one.particleClassificationId == classification_id)
    )
    if program_id is not None:
        statement = statement.where(AutoProcProgram.c.autoProcProgramId == program_id)
    with resources.database.read() as session:
        path: str | None = policy.get_visible(
            session, resources.settings, person, statement, missing
        ).classImageFullPath
    return path
