"""The form that makes a data collection. Most of its fields are only shown, with the values of ``dc/:id``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.data_collections.movies import MoviesRequest
from app.data_collections.rules import SUFFIXES, TEMPLATES
from app.synchweb import form_fields
from app.synchweb.form_fields import Field

MOVIE_FIELDS = ("acquisitionSoftware", "imageDirectory", "imageSuffix")  # together they say which movies are meant

# In the order on the screen.
FIELDS = (
    Field("acquisitionSoftware", "Acquisition Software", required=True, default="EPU", options=tuple(TEMPLATES)),
    Field("imageDirectory", "Movie File Directory", required=True, default="raw", pattern="directory", display=False),
    Field("shortImageDirectory", display=False),
    Field(
        "imageSuffix",
        "Movie File Name Extension",
        required=True,
        default="tiff",
        options=SUFFIXES,
        display_options=tuple(f".{suffix}" for suffix in SUFFIXES),
        display=False,
    ),
    Field("fileTemplate", display=False),
    Field("pixelSizeOnImage", "Pixel Size", "Å/pixel"),
    Field("imageSizeX", "Image Size X", "Pixels", display=False),
    Field("imageSizeY", "Image Size Y", "Pixels", display=False),
    Field("imageSize", "Image Size", "Pixels"),
    Field("numberOfImages", "Number of Movies"),
    Field("numberOfPasses", "Frames Per Movie", display="notBlank"),
    Field("exposureTime", "Total Exposure Time", "seconds"),
    Field("frameLength", "Frame Length", "seconds"),
    Field("phasePlate", "Phase Plate Used"),
    Field("c2lens", "C2 Lens", "%"),
    Field("c2aperture", "C2 Aperture", "μm"),
    Field("objAperture", "Objective Aperture", "μm", display="notBlank"),
    Field("magnification", "Magnification"),
    Field("voltage", "Voltage", "kV"),
    Field("beamSizeAtSampleX", "Illuminated Area X", "nm", display=False),
    Field("beamSizeAtSampleY", "Illuminated Area Y", "nm", display=False),
    Field("beamSizeAtSample", "Illuminated Area", "nm"),
    Field("totalExposedDose", "Total Dose", "e⁻/Å²"),
    Field("frameDose", "Frame Dose", "e⁻/Å²"),
    Field("slitGapHorizontal", "Energy Filter / Slit Width", "eV"),
    Field("detectorManufacturer", "Detector Manufacturer"),
    Field("detectorModel", "Detector Model"),
    Field("detectorMode", "Detector Mode"),
    Field("comments", "Comments", required="optional", comment=True),
    Field("dataCollectionId", display=False),
    Field("dataCollectionGroupId", display=False),
    Field("startTime", display=False),
    Field("endTime", display=False),
    Field("visit_number", display=False),
    Field("archived", display=False),
    Field("beamLineName", display=False),
    Field("proposal", display=False),
    Field("attachmentsCount", display=False),
    Field("commentsCount", display=False),
)


@dataclass(frozen=True)
class CollectionForm:
    """A form that was checked: which movies, and comments if some were given."""

    movies: MoviesRequest
    comments: str | None


def dc_schema() -> dict[str, dict[str, Any]]:
    """The form's fields, in the order on the screen."""
    return form_fields.schema(FIELDS)


def check_dc_form(posted: Mapping[str, object]) -> CollectionForm:
    """Read what a client posted.

    Raises:
        FormInvalid: naming every field that is wrong.
    """
    values = {key: str(value) for key, value in form_fields.check(FIELDS, posted, {}).items()}
    movies = MoviesRequest(
        values["imageDirectory"], software=values["acquisitionSoftware"], suffix=values["imageSuffix"]
    )
    return CollectionForm(movies, values.get("comments"))
