"""What RELION finds in a movie: invented, but plausible, and always the same for the same movie."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from app.simulator.project import CTF, MOTION, PICK, Project, Task

FRAMES = 24


@dataclass(frozen=True)
class Motion:
    """Motion correction. Å, and electrons per Å²."""

    micrograph: Path
    snapshot: Path
    frames: int
    dose_per_frame: float
    total: float
    average: float


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
    """All that was found in one movie.

    Args:
        number: the movie's place in the order of this run, from 1.
        particles: ``None`` if the run stops after CTF estimation.
    """

    number: int
    movie: Path
    motion: Motion
    ctf: Ctf
    particles: Particles | None


def measure(task: Task, project: Project, movie: str, number: int) -> Result:
    """The result for a movie whose path is relative to the image directory."""
    chance = random.Random(movie)
    total = round(chance.uniform(4, 22), 2)
    defocus = round(chance.uniform(8_000, 22_000), 1)
    motion = Motion(
        micrograph=project.output(MOTION, movie, ".mrc"),
        snapshot=project.output(MOTION, movie, ".png"),
        frames=FRAMES,
        dose_per_frame=task.number("motioncor_doseperframe", 1.0),
        total=total,
        average=round(total / FRAMES, 3),
    )
    ctf = Ctf(
        snapshot=project.output(CTF, movie, ".png"),
        defocus=defocus,
        astigmatism=round(chance.uniform(30, 600), 1),
        astigmatism_angle=round(chance.uniform(-90, 90), 1),
        resolution=round(chance.uniform(2.9, 5.5), 2),
        correlation=round(chance.uniform(0.08, 0.22), 3),
    )
    particles = None
    if not task.stop_after_ctf:
        particles = Particles(
            snapshot=project.output(PICK, movie, ".png"),
            count=chance.randint(140, 420),
            diameter=round(task.number("autopick_LoG_diam_max", 180.0) / 10, 3),
        )
    return Result(number, task.image_directory / movie, motion, ctf, particles)
