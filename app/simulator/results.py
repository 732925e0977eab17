"""What RELION finds in a movie: invented, but plausible, and always the same for the same movie."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from app.simulator import attachments, classes
from app.simulator.attachments import Attachment
from app.simulator.classes import Classification
from app.simulator.project import CTF, MOTION, PICK, Project, Task

FRAMES = 24


@dataclass(frozen=True)
class Motion:
    """Motion correction. Å, and electrons per Å².

    Args:
        drift: where each frame lies beside the first, across and down.
        fft: the power spectrum before correction.
        corrected_fft: and after it.
    """

    micrograph: Path
    snapshot: Path
    drift_plot: Path
    fft: Path
    corrected_fft: Path
    frames: int
    dose_per_frame: float
    total: float
    average: float
    drift: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Ctf:
    """CTF estimation. Å, and degrees."""

    snapshot: Path
    defocus: float
    astigmatism: float
    astigmatism_angle: float
    resolution: float
    correlation: float


@dataclass(frozen=True)
class Particles:
    """Particle picking. The diameter is in nm, as ISPyB has it."""

    snapshot: Path
    count: int
    diameter: float


@dataclass(frozen=True)
class Result:
    """All that was found in one movie, and in a batch of particles that it filled.

    Args:
        number: the movie's place in the order of this run, from 1.
        particles: ``None`` if the run stops after CTF estimation.
        attachments: files about the whole run, from its first batch.
    """

    number: int
    movie: Path
    motion: Motion
    ctf: Ctf
    particles: Particles | None
    classifications: tuple[Classification, ...] = ()
    attachments: tuple[Attachment, ...] = ()


def measure(task: Task, project: Project, movie: str, number: int, picked: int = 0) -> Result:
    """The result for a movie whose path is relative to the image directory.

    Args:
        picked: how many particles the movies before it gave.
    """
    chance = random.Random(movie)
    total = round(chance.uniform(4, 22), 2)
    defocus = round(chance.uniform(8_000, 22_000), 1)
    motion = Motion(
        micrograph=project.output(MOTION, movie, ".mrc"),
        snapshot=project.output(MOTION, movie, ".png"),
        drift_plot=project.output(MOTION, movie, "_drift.json"),
        fft=project.output(MOTION, movie, "_fft.png"),
        corrected_fft=project.output(MOTION, movie, "_fftc.png"),
        frames=FRAMES,
        dose_per_frame=task.number("motioncor_doseperframe", 1.0),
        total=total,
        average=round(total / FRAMES, 3),
        drift=_drift(movie, total),
    )
    ctf = Ctf(
        snapshot=project.output(CTF, movie, ".png"),
        defocus=defocus,
        astigmatism=round(chance.uniform(30, 600), 1),
        astigmatism_angle=round(chance.uniform(-90, 90), 1),
        resolution=round(chance.uniform(2.9, 5.5), 2),
        correlation=round(chance.uniform(0.08, 0.22), 3),
    )
    here = task.image_directory / movie
    if task.stop_after_ctf:
        return Result(number, here, motion, ctf, particles=None)
    particles = Particles(
        snapshot=project.output(PICK, movie, ".png"),
        count=chance.randint(140, 420),
        diameter=round(task.number("autopick_LoG_diam_max", 180.0) / 10, 3),
    )
    batch = classes.batches(picked + particles.count)
    if batch == classes.batches(picked):
        return Result(number, here, motion, ctf, particles)
    found = classes.classify(task, project, batch)
    # As in the real pipeline: about the first batch only, and not for a run that classifies nothing.
    ice = attachments.ice_breaker(project, classes.PARTICLES_PER_BATCH) if found and batch == 1 else ()
    return Result(number, here, motion, ctf, particles, found, ice)


def _drift(movie: str, total: float) -> tuple[tuple[float, float], ...]:
    """A walk of as many places as there are frames, as long as the total motion; fast at first, as beams do it."""
    chance = random.Random(f"drift of {movie}")
    steps = [(chance.gauss(0.6, 1) / frame, chance.gauss(0.3, 1) / frame) for frame in range(1, FRAMES)]
    scale = total / sum((across**2 + down**2) ** 0.5 for across, down in steps)
    places = [(0.0, 0.0)]
    for across, down in steps:
        places.append((places[-1][0] + across * scale, places[-1][1] + down * scale))
    return tuple((round(x, 4), round(y, 4)) for x, y in places)
