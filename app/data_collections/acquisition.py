"""How a data collection was recorded: what acquisition wrote down about microscope, beam and detector."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from app.visits.rules import Visit


@dataclass(frozen=True)
class Acquisition:
    """A data collection as acquisition described it; each value is in ISPyB's own unit, ``None`` if it has none.

    Args:
        start, end: in the facility's local time, as ISPyB has them.
        pixel_size: Å per pixel.
        movies: how many there are to be; ISPyB's ``numberOfImages``.
        frames: in each movie; ISPyB's ``numberOfPasses``.
        exposure_time: of a movie, in seconds.
        total_dose: of a movie, in e⁻/Å².
        voltage: kV.
        c2_lens: %.
        c2_aperture, objective_aperture: µm.
        beam_size_x, beam_size_y: of the illuminated area.
        slit_width: of the energy filter, in eV.
        attachment_count: files that are attached.
        comment_count: ``DataCollectionComment`` rows, beside its own ``comments``.
    """

    dcid: int
    group_id: int | None
    visit: Visit
    start: datetime | None = None
    end: datetime | None = None
    image_directory: str | None = None
    image_suffix: str | None = None
    file_template: str | None = None
    image_size_x: int | None = None
    image_size_y: int | None = None
    pixel_size: float | None = None
    movies: int | None = None
    frames: int | None = None
    exposure_time: float | None = None
    total_dose: float | None = None
    voltage: float | None = None
    magnification: float | None = None
    phase_plate: int | None = None
    c2_lens: float | None = None
    c2_aperture: float | None = None
    objective_aperture: float | None = None
    beam_size_x: float | None = None
    beam_size_y: float | None = None
    slit_width: float | None = None
    detector_mode: str | None = None
    comments: str | None = None
    attachment_count: int = 0
    comment_count: int = 0
