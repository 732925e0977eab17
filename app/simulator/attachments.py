"""What the ice-breaker leaves for people: how thick the ice is around the particles, as a graph, a page and a log."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.simulator.project import Project

JOB = "External/Icebreaker_group_batch_001"
TITLE = "Histogram of Icebreaker estimated ice thickness"
QUANTITY = "Relative estimated ice thickness"
THINNEST, THICKEST, BIN = 9_000, 13_000, 200


@dataclass(frozen=True)
class Attachment:
    """A file that is shown beside a program's results.

    Args:
        type: ISPyB's word: ``Graph``, ``Result`` or ``Log``.
        rank: the higher, the more important.
    """

    type: str
    path: Path
    content: bytes
    rank: int


def ice_breaker(project: Project, particles: int) -> tuple[Attachment, ...]:
    """The attachments for so many particles; always the same for the same number."""
    chance = random.Random(f"ice {particles}")
    thickness = [min(THICKEST - 1, max(THINNEST, int(chance.gauss(10_900, 650)))) for _ in range(particles)]
    job = project.directory / JOB
    return (
        Attachment("Graph", job / "ice_hist.json", _graph(thickness), rank=3),
        Attachment("Result", job / "ice_hist.pdf", _page(thickness), rank=2),
        Attachment("Log", job / "run.out", _log(thickness), rank=1),
    )


def _graph(thickness: Sequence[int]) -> bytes:
    """As Plotly draws it."""
    figure = {
        "data": [{"type": "histogram", "x": list(thickness), "name": "", "hovertemplate": "%{x}: %{y}"}],
        "layout": {
            "title": {"text": f"{TITLE} <br>Total number of particles = {len(thickness)}"},
            "xaxis": {"title": {"text": QUANTITY}},
            "yaxis": {"title": {"text": "Number of particles"}},
            "barmode": "relative",
        },
    }
    return json.dumps(figure, separators=(",", ":")).encode()


def _page(thickness: Sequence[int]) -> bytes:
    """The same as a PDF of one page: a bar for each range of thickness."""
    counts = [0] * ((THICKEST - THINNEST) // BIN)
    for value in thickness:
        counts[(value - THINNEST) // BIN] += 1
    width, scale = 400 / len(counts), 250 / max(counts)
    bars = "".join(
        f"{50 + number * width:.1f} 60 {width * 0.9:.1f} {count * scale:.1f} re f\n"
        for number, count in enumerate(counts)
    )
    words = f"BT /F1 12 Tf 50 340 Td ({TITLE}) Tj 0 -305 Td ({QUANTITY}, {THINNEST} to {THICKEST}) Tj ET\n"
    drawing = f"0.2 0.4 0.7 rg\n{bars}0 g\n{words}"
    objects = (
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 500 370] /Contents 4 0 R"
        " /Resources << /Font << /F1 5 0 R >> >> >>",
        f"<< /Length {len(drawing)} >>\nstream\n{drawing}endstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    text, offsets = "%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(text))
        text += f"{number} 0 obj\n{body}\nendobj\n"
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    trailer = f"trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{len(text)}\n%%EOF\n"
    return f"{text}xref\n0 {size}\n0000000000 65535 f \n{table}{trailer}".encode("ascii")


def _log(thickness: Sequence[int]) -> bytes:
    ordered = sorted(thickness)
    middle = ordered[len(ordered) // 2]
    return (
        f"Grouping {len(ordered)} particles by the ice around them\n"
        f"{QUANTITY}: {ordered[0]} to {ordered[-1]}, median {middle}\nDone\n"
    ).encode()
