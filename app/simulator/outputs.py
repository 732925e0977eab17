"""The files that belong to a movie's results, so that every path in ISPyB leads to something."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from app.simulator import pictures
from app.simulator.results import Motion, Result

FINISHED = "RELION_JOB_EXIT_SUCCESS"
SHOWN_PICKS = 12  # of some hundreds: the picture is small


def write(result: Result) -> None:
    """Write them all. Each appears whole, and may be there already from a run that was interrupted."""
    for path, content in files(result):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}")
        draft.write_bytes(content)
        draft.rename(path)


def files(result: Result) -> Iterator[tuple[Path, bytes]]:
    """Where, and what."""
    seed, motion = result.movie.name, result.motion
    yield motion.micrograph, bytes(1024)
    yield motion.snapshot, pictures.micrograph(seed)
    yield motion.drift_plot, _drift_plot(motion)
    yield motion.fft, pictures.power_spectrum(f"{seed} before")
    yield motion.corrected_fft, pictures.power_spectrum(f"{seed} after")
    yield result.ctf.snapshot, pictures.power_spectrum(seed)
    if result.particles is not None:
        yield result.particles.snapshot, pictures.micrograph(seed, picks=SHOWN_PICKS)
    for found in result.classifications:
        for each in found.classes:
            yield each.image, pictures.class_average(f"{found.type} {found.batch} {each.number}")
        yield found.classes[0].image.with_name(FINISHED), b""
    for attachment in result.attachments:
        yield attachment.path, attachment.content


def _drift_plot(motion: Motion) -> bytes:
    """As Plotly draws it."""
    figure = {
        "data": [
            {
                "type": "scatter",
                "mode": "lines+markers",
                "x": [across for across, _ in motion.drift],
                "y": [down for _, down in motion.drift],
            }
        ],
        "layout": {
            "title": {"text": "Drift"},
            "xaxis": {"title": {"text": "x (Å)"}},
            "yaxis": {"title": {"text": "y (Å)"}},
        },
    }
    return json.dumps(figure, ensure_ascii=False, separators=(",", ":")).encode()
