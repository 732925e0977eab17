"""What classification finds in the particles picked so far: invented, but plausible, and always the same.

Particles are classified in batches, as soon as enough are picked. In two dimensions each batch stays as it is; in
three there is one batch, of all particles, whose classes become better with each that is added.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from app.simulator.project import Project, Task

PARTICLES_PER_BATCH = 2_000  # the real pipeline waits for 50,000, more than the tutorial has in all
CLASSES_2D, CLASSES_3D = 20, 4
SYMMETRY = "C1"


@dataclass(frozen=True)
class ParticleClass:
    """One class. Degrees for rotation, Å for translation and resolution.

    Args:
        number: from 1, in its batch.
        distribution: its share of the batch's particles; all shares together are 1.
        selected: whether RELION goes on with its particles.
    """

    number: int
    image: Path
    particles: int
    distribution: float
    rotation_accuracy: float
    translation_accuracy: float
    resolution: float
    completeness: float
    selected: bool


@dataclass(frozen=True)
class InitialModel:
    """The model that classification in three dimensions began with. Å."""

    resolution: float
    particles: int


@dataclass(frozen=True)
class Classification:
    """One batch, classified.

    Args:
        type: ``2D`` or ``3D``, as ISPyB has it.
        model: for ``3D`` only.
    """

    type: str
    batch: int
    particles: int
    classes: tuple[ParticleClass, ...]
    model: InitialModel | None = None


def batches(picked: int) -> int:
    """How many batches so many particles fill."""
    return picked // PARTICLES_PER_BATCH


def classify(task: Task, project: Project, batch: int) -> tuple[Classification, ...]:
    """What is found when this batch, counted from 1, is full."""
    found = []
    if task.flag("do_class2d"):
        found.append(_two_dimensions(project, batch))
    if task.flag("do_class3d"):
        found.append(_three_dimensions(project, batch))
    return tuple(found)


def _two_dimensions(project: Project, batch: int) -> Classification:
    chance = random.Random(f"2D {batch}")
    # Each batch is a job of its own, among others that the simulator leaves out.
    job = project.directory / f"Class2D/job{10 + 3 * batch:03d}"
    images = [job / f"run_it020_classes_{number}.png" for number in range(1, CLASSES_2D + 1)]
    classes = _classes(chance, images, PARTICLES_PER_BATCH, best=6.0, worst=20.0)
    return Classification("2D", batch, PARTICLES_PER_BATCH, classes)


def _three_dimensions(project: Project, batches: int) -> Classification:
    chance = random.Random("3D")  # so the classes stay what they are while particles are added
    job = project.directory / "Class3D/job015"
    images = [job / f"run_it025_class{number:03d}.png" for number in range(1, CLASSES_3D + 1)]
    best: float = 3.0 + 5.0 / batches
    classes = _classes(chance, images, batches * PARTICLES_PER_BATCH, best=best, worst=best + 6.0)
    return Classification("3D", 1, batches * PARTICLES_PER_BATCH, classes, InitialModel(14.7, PARTICLES_PER_BATCH))


def _classes(
    chance: random.Random, images: list[Path], particles: int, *, best: float, worst: float
) -> tuple[ParticleClass, ...]:
    """Share the particles out: the larger a class, the better its resolution, more or less."""
    weights = [chance.uniform(0.2, 1) ** 2 for _ in images]
    counts = [int(particles * weight / sum(weights)) for weight in weights]
    counts[counts.index(max(counts))] += particles - sum(counts)  # what rounding left over
    out = []
    for number, (image, count) in enumerate(zip(images, counts, strict=True), 1):
        quality = min(1.0, 0.9 * count / max(counts) + chance.uniform(0, 0.1))
        out.append(
            ParticleClass(
                number=number,
                image=image,
                particles=count,
                distribution=count / particles,
                rotation_accuracy=round(4 - 3 * quality + chance.uniform(0, 0.3), 3),
                translation_accuracy=round(3 - 2 * quality + chance.uniform(0, 0.3), 3),
                resolution=round(worst - (worst - best) * quality, 2),
                completeness=round(0.7 + 0.3 * quality, 3),
                selected=quality > 0.5,
            )
        )
    return tuple(out)
