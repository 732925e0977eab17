"""A data collection as SynchWeb's page shows it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from app.data_collections.acquisition import Acquisition
from app.results.rules import decimal_text, number_text


def row(acquisition: Acquisition) -> dict[str, str | float]:
    """``dc/:id``: texts, ``""`` for what is not known, numbers only for what is computed here.

    A ``null`` would break the page's toolbar, and with it the button.
    """
    one, visit = acquisition, acquisition.visit
    beam_x, beam_y = _thousandth(one.beam_size_x), _thousandth(one.beam_size_y)
    return {
        "imageDirectory": _text(one.image_directory),
        "imageSuffix": _text(one.image_suffix),
        "fileTemplate": _text(one.file_template),
        "pixelSizeOnImage": _text(one.pixel_size),
        "imageSizeX": _text(one.image_size_x),
        "imageSizeY": _text(one.image_size_y),
        "numberOfImages": _text(one.movies),
        "numberOfPasses": _text(one.frames),
        "exposureTime": _text(one.exposure_time),
        "phasePlate": str(one.phase_plate or 0),
        "c2lens": _text(one.c2_lens),
        "c2aperture": _text(one.c2_aperture),
        "objAperture": _text(one.objective_aperture),
        "magnification": _text(one.magnification),
        "voltage": _text(one.voltage),
        "beamSizeAtSampleX": _number(beam_x),
        "beamSizeAtSampleY": _number(beam_y),
        "totalExposedDose": _text(one.total_dose),
        "slitGapHorizontal": _text(one.slit_width),
        "detectorMode": _text(one.detector_mode),
        "comments": _text(one.comments),
        "dataCollectionId": str(one.dcid),
        "dataCollectionGroupId": _text(one.group_id),
        "startTime": _day(one.start),
        "endTime": _day(one.end),
        "visit_number": str(visit.ref.visit_number),
        "archived": str(int(visit.archived)),
        "beamLineName": visit.beamline,
        "proposal": visit.ref.proposal,
        "attachmentsCount": str(one.attachment_count),
        "commentsCount": str(one.comment_count),
        "acquisitionSoftware": _software(one.file_template or ""),
        "shortImageDirectory": (one.image_directory or "").rpartition(f"/{visit.ref}/")[2],
        "imageSize": f"{one.image_size_x or 0} x {one.image_size_y or 0}",
        "frameLength": _number(_per_frame(one.exposure_time, one.frames)),
        "beamSizeAtSample": f"{number_text(beam_x)} x {number_text(beam_y)}",
        "frameDose": _number(Decimal(decimal_text(_per_frame(one.total_dose, one.frames), 6))),
    }


def _software(template: str) -> str:
    """By the templates that SynchWeb's own form makes; other layouts it does not know."""
    if "GridSquare_*/Data/*" in template:
        return "EPU"
    return "SerialEM" if "Frames/*" in template else ""


def _text(value: str | float | None) -> str:
    return value if isinstance(value, str) else number_text(value) or ""


def _thousandth(value: float | None) -> Decimal:
    """SynchWeb's nm are a thousandth of what ISPyB has."""
    return Decimal(str(value or 0)) / 1000


def _per_frame(value: float | None, frames: int | None) -> Decimal:
    return Decimal(str(value or 0)) / frames if frames and frames > 0 else Decimal(0)


def _number(value: Decimal) -> float:
    return int(value) if value == value.to_integral_value() else float(value)


def _day(moment: datetime | None) -> str:
    """Day-month-year, the hour without leading zero."""
    return "" if moment is None else f"{moment:%d-%m-%Y} {moment.hour}:{moment:%M:%S}"
