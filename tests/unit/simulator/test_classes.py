"""Classes appear when a batch of particles is full: what is invented, and the rows and files of it."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.db import Database
from app.ispyb.tables import (
    AutoProcProgramAttachment,
    CryoemInitialModel,
    Movie,
    ParticleClassification,
    ParticleClassificationGroup,
    ParticleClassificationHasCryoemInitialModel,
    ParticlePicker,
)
from app.settings import Settings
from app.simulator import classes
from app.simulator.classes import CLASSES_2D, CLASSES_3D, PARTICLES_PER_BATCH, Classification
from app.simulator.project import Project, Task
from app.zocalo.messages import StopJob
from tests.support.png import read_png
from tests.unit.simulator.jobs import StartZocalo, count, make_job, send, wait_for_end, wait_until

BOTH = {"do_class2d": "true", "do_class3d": "true"}


def classified(folder: Path, batch: int, parameters: dict[str, str]) -> tuple[Classification, ...]:
    task = Task(1, 1, "guid", folder / "raw", "*.tiff", folder / "results", folder, folder / "stop", parameters)
    return classes.classify(task, Project(task), batch)


def groups(database: Database) -> list[Any]:
    """The batches of particles in ISPyB, each with the sums over its classes."""
    group, each = ParticleClassificationGroup.c, ParticleClassification.c
    statement = (
        sa.select(
            group.type,
            group.batchNumber,
            group.numberOfParticlesPerBatch,
            group.numberOfClassesPerBatch,
            group.symmetry,
            sa.func.count().label("classes"),
            sa.func.sum(each.particlesPerClass).label("particles"),
            sa.func.sum(each.classDistribution).label("distribution"),
            sa.func.sum(each.selected).label("selected"),
            sa.func.min(each.estimatedResolution).label("best"),
        )
        .join(ParticleClassification, each.particleClassificationGroupId == group.particleClassificationGroupId)
        .group_by(*group)
        .order_by(group.type, group.batchNumber)
    )
    with database.read() as session:
        return list(session.execute(statement).all())


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_classes_share_all_particles_out(tmp_path: Path, batch: int) -> None:
    flat, solid = classified(tmp_path, batch, BOTH)

    assert (flat.type, flat.batch, flat.particles, flat.model) == ("2D", batch, PARTICLES_PER_BATCH, None)
    assert (solid.type, solid.batch, solid.particles) == ("3D", 1, batch * PARTICLES_PER_BATCH)
    assert (len(flat.classes), len(solid.classes)) == (CLASSES_2D, CLASSES_3D)
    assert solid.model is not None
    for found in (flat, solid):
        assert [each.number for each in found.classes] == list(range(1, len(found.classes) + 1))
        assert sum(each.particles for each in found.classes) == found.particles
        assert sum(each.distribution for each in found.classes) == pytest.approx(1)
        assert all(0 < each.completeness <= 1 and each.resolution > 0 for each in found.classes)
        assert 0 < sum(each.selected for each in found.classes) < len(found.classes)


def test_what_is_found_in_a_batch_is_always_the_same(tmp_path: Path) -> None:
    assert classified(tmp_path, 2, BOTH) == classified(tmp_path, 2, BOTH)
    assert classified(tmp_path, 2, BOTH) != classified(tmp_path, 3, BOTH)


def test_every_class_has_an_image_of_its_own_but_those_of_three_dimensions_stay(tmp_path: Path) -> None:
    batches = [classified(tmp_path, batch, BOTH) for batch in range(1, 30)]

    flat = [each.image for batch in batches for each in batch[0].classes]
    solid = {each.image for batch in batches for each in batch[1].classes}

    assert len(set(flat)) == len(flat)
    assert len(solid) == CLASSES_3D
    assert not solid & set(flat)


def test_classes_in_three_dimensions_become_better(tmp_path: Path) -> None:
    resolutions = [classified(tmp_path, batch, BOTH)[1].classes[3].resolution for batch in range(1, 5)]

    assert resolutions == sorted(resolutions, reverse=True)
    assert len(set(resolutions)) == 4


@pytest.mark.parametrize(
    ("parameters", "types"),
    [
        ({}, []),
        ({"do_class2d": "true"}, ["2D"]),
        ({"do_class2d": "1", "do_class3d": "0"}, ["2D"]),
        ({"do_class2d": "False", "do_class3d": "True"}, ["3D"]),
        (BOTH, ["2D", "3D"]),
    ],
)
def test_only_what_was_asked_for_is_classified(tmp_path: Path, parameters: dict[str, str], types: list[str]) -> None:
    assert [found.type for found in classified(tmp_path, 1, parameters)] == types


def test_a_run_leaves_rows_for_every_full_batch(database: Database, settings: Settings, zocalo: StartZocalo) -> None:
    job = make_job(database, settings, parameters=BOTH)
    send(settings, job.start)

    zocalo()
    wait_for_end(database, job)

    with database.read() as session:
        picked = session.execute(sa.select(sa.func.sum(ParticlePicker.c.numberOfParticles))).scalar_one()
    full = picked // PARTICLES_PER_BATCH
    found = groups(database)
    assert full >= 2
    assert [(row.type, row.batchNumber) for row in found] == [*(("2D", n + 1) for n in range(full)), ("3D", 1)]
    assert [row.particles for row in found] == [*(PARTICLES_PER_BATCH for _ in range(full)), full * PARTICLES_PER_BATCH]
    for row in found:
        assert row.particles == row.numberOfParticlesPerBatch
        assert row.classes == row.numberOfClassesPerBatch
        assert row.distribution == pytest.approx(1, abs=1e-5)
        assert row.symmetry == "C1"


def test_a_batch_belongs_to_the_picking_that_filled_it(
    database: Database, settings: Settings, zocalo: StartZocalo
) -> None:
    job = make_job(database, settings, parameters=BOTH)
    send(settings, job.start)

    zocalo()
    program = wait_for_end(database, job).program_id

    group, picker = ParticleClassificationGroup.c, ParticlePicker.c
    with database.read() as session:
        pickings = session.execute(
            sa.select(picker.particlePickerId, picker.numberOfParticles).order_by(picker.particlePickerId)
        ).all()
        rows = session.execute(sa.select(group.programId, group.type, group.batchNumber, group.particlePickerId)).all()
    totals = list(itertools.accumulate(number for _, number in pickings))
    for row in rows:
        index = [number for number, _ in pickings].index(row.particlePickerId)
        batch = row.batchNumber if row.type == "2D" else totals[-1] // PARTICLES_PER_BATCH
        assert row.programId == program
        assert totals[index] // PARTICLES_PER_BATCH == batch
        assert totals[index - 1] // PARTICLES_PER_BATCH == batch - 1


def test_classes_of_three_dimensions_have_their_initial_model(
    database: Database, settings: Settings, zocalo: StartZocalo
) -> None:
    job = make_job(database, settings, parameters=BOTH)
    send(settings, job.start)

    zocalo()
    wait_for_end(database, job)

    link, group, each = (
        ParticleClassificationHasCryoemInitialModel.c,
        ParticleClassificationGroup.c,
        ParticleClassification.c,
    )
    with database.read() as session:
        linked = session.execute(
            sa.select(group.type, CryoemInitialModel.c.resolution, CryoemInitialModel.c.numberOfParticles)
            .join(ParticleClassification, each.particleClassificationGroupId == group.particleClassificationGroupId)
            .join(
                ParticleClassificationHasCryoemInitialModel,
                link.particleClassificationId == each.particleClassificationId,
            )
            .join(CryoemInitialModel, CryoemInitialModel.c.cryoemInitialModelId == link.cryoemInitialModelId)
        ).all()
    assert linked == [("3D", 14.7, PARTICLES_PER_BATCH)] * CLASSES_3D
    assert count(database, CryoemInitialModel) == 1


def test_images_of_classes_are_pictures_among_the_results(
    database: Database, settings: Settings, zocalo: StartZocalo
) -> None:
    job = make_job(database, settings, parameters=BOTH)
    send(settings, job.start)

    zocalo()
    wait_for_end(database, job)

    with database.read() as session:
        paths = session.execute(sa.select(ParticleClassification.c.classImageFullPath)).scalars().all()
    assert len(set(paths)) == len(paths) >= 2 * CLASSES_2D + CLASSES_3D
    assert all(Path(path).is_relative_to(job.results_directory) for path in paths)
    assert {read_png(path) for path in paths} == {(64, 64)}
    assert (job.results_directory / "Class2D/job013/RELION_JOB_EXIT_SUCCESS").is_file()
    assert len({Path(path).read_bytes() for path in paths}) == len(paths)


@pytest.mark.parametrize("parameters", [{}, BOTH | {"stop_after_ctf_estimation": "1"}], ids=["not asked", "ctf only"])
def test_nothing_is_classified_unless_asked(
    database: Database, settings: Settings, zocalo: StartZocalo, parameters: dict[str, str]
) -> None:
    job = make_job(database, settings, parameters=parameters)
    send(settings, job.start)

    zocalo()
    wait_for_end(database, job)

    assert count(database, Movie) == 24
    assert count(database, ParticleClassificationGroup) == 0
    assert count(database, AutoProcProgramAttachment) == 0


def test_a_run_stopped_in_the_middle_leaves_whole_batches(
    database: Database, settings: Settings, zocalo: StartZocalo
) -> None:
    job = make_job(database, settings, parameters=BOTH)
    send(settings, job.start)
    zocalo(0.2)
    wait_until(lambda: count(database, ParticleClassificationGroup) > 0)

    send(settings, StopJob(job.job_id))
    seen = wait_for_end(database, job)

    assert seen.status == 0
    assert count(database, Movie) < 24
    with database.read() as session:
        picked = session.execute(sa.select(sa.func.sum(ParticlePicker.c.numberOfParticles))).scalar_one()
        paths = session.execute(sa.select(ParticleClassification.c.classImageFullPath)).scalars().all()
    full = picked // PARTICLES_PER_BATCH
    assert [row.particles for row in groups(database)] == [
        *(PARTICLES_PER_BATCH for _ in range(full)),
        full * PARTICLES_PER_BATCH,
    ]
    assert all(Path(path).is_file() for path in paths)


def test_a_run_taken_up_again_counts_the_particles_it_had(
    database: Database, settings: Settings, zocalo: StartZocalo
) -> None:
    whole, parts = (make_job(database, settings, parameters=BOTH) for _ in range(2))
    send(settings, whole.start)
    first = zocalo(0.02)
    wait_for_end(database, whole)
    expected = groups(database)
    send(settings, parts.start)
    wait_until(lambda: count(database, Movie) >= 24 + 10)
    first.stop()
    assert count(database, Movie) < 48

    zocalo()
    wait_for_end(database, parts)

    assert sorted(groups(database)) == sorted(expected * 2)
