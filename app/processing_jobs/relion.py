"""RELION's parameters, each in one place: its names in API, pipeline and SynchWeb's form, unit, limits, default.

From here come the native validation, the JSON Schema, SynchWeb's form, the rows in ``ProcessingJobParameter`` and the
typed answer of ``GET …/parameters``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from pathlib import PurePosixPath
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from app.errors import FieldError, Invalid
from app.ispyb.text import misfit
from app.processing_jobs.parameters import SUFFIX, Form, Pipeline

# Sizes that Fourier transforms are fast for; python-relion picks the downsampled box from this list.
BOX_SIZES = (
    48, 64, 96, 128, 160, 192, 256, 288, 300, 320, 360, 384, 400, 420, 450, 480, 512, 640, 768, 896, 1024
)  # fmt: skip
LARGEST_BOX = 1024  # pixels
LARGEST_MASK = 1024  # Å
SMALL_PIXEL = 4.25  # Å: half of the 8.5 Å that a first classification needs

T = TypeVar("T")


class ParametersInvalid(Invalid):
    """RELION cannot run with these parameters."""


AFTER_CTF: dict[str, Any] = {"only_if": {"stop_after_ctf_estimation": False}, "when": "unless stopAfterCtfEstimation"}


def _file_name(value: str) -> str:
    if "/" in value or "\\" in value:
        raise ValueError("must be a file name without a directory; the file lies in the visit's processing folder")
    if value in (".", "..") or value.startswith((".", "-")) or value != value.strip():
        raise ValueError("must not begin with a dot or a dash, nor begin or end with a space")
    if reason := misfit(value, 255):
        raise ValueError(reason)
    if len(value.encode()) > 255:
        raise ValueError("is longer than a file name can be (255 bytes)")
    return value


def _even(value: int | None) -> int | None:
    if value is not None and value % 2:
        raise ValueError("must be even")
    return value


Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Whole = Annotated[int, Field(strict=True)]
YesNo = Annotated[bool, Field(strict=True)]


class RelionParameters(BaseModel):
    """What RELION is to do with the movies. An unknown name is refused: RELION would run with its default instead."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=False)

    voltage: Annotated[Whole, Pipeline("voltage", "kV"), Form("Voltage")] = Field(
        300, gt=0, le=10_000, description="Acceleration voltage in kV, one of those that the facility has."
    )
    spherical_aberration: Annotated[
        Number,
        Pipeline("Cs", "mm"),
        Form("Spherical Aberration", "real", options=("2.7",), display_options=("2.7 (Talos/Krios)",)),
    ] = Field(2.7, gt=0, le=10, description="Spherical aberration in mm.")
    phase_plate_used: Annotated[YesNo, Pipeline("ctffind_do_phaseshift"), Form("Phase Plate Used", "boolean")] = Field(
        False, description="Whether a phase plate was used."
    )
    pixel_size: Annotated[Number, Pipeline("angpix", "Å/pixel"), Form("Pixel Size", "real")] = Field(
        ge=0.02, le=100, description="Pixel size of the movies in Å per pixel."
    )
    dose_per_frame: Annotated[
        Number, Pipeline("motioncor_doseperframe", "e⁻/Å²"), Form("Dose per frame", "real", lacks="default")
    ] = Field(ge=0.003, le=5, description="Dose per frame in electrons per Å².")
    motion_correction_binning: Annotated[
        Whole, Pipeline("motioncor_binning"), Form("Motion Correction Binning", "integer", options=("1", "2"))
    ] = Field(1, ge=1, le=2, description="Binning by motion correction, 1 or 2.")
    gain_reference_file: Annotated[
        str,
        AfterValidator(_file_name),
        Pipeline("motioncor_gainreference"),
        Form("Gain Reference File Name", pattern="filename", only_if={"wantGainReferenceFile": True}),
    ] = Field(
        "gain.mrc",
        strict=True,
        min_length=1,
        max_length=255,
        description="Name of the gain reference in the visit's processing folder. If it is missing, that is a warning.",
    )
    eer_grouping: Annotated[
        Whole,
        Pipeline("eer_grouping", "frames", {SUFFIX: "eer"}, "for eer movies"),
        Form(
            "EER fractionation",
            "integer",
            limits=(1, None),
            lacks="unit",
            description=("How many frames are summed into one fraction.", "Frames left over at the end are not used."),
        ),
    ] = Field(20, ge=1, le=100_000, description="Frames of an EER movie to sum into one fraction.")
    stop_after_ctf_estimation: Annotated[
        YesNo, Pipeline("stop_after_ctf_estimation"), Form("Stop after CTF estimation", "boolean")
    ] = Field(False, description="Stop after CTF estimation: no picking, no classification.")
    do_class_2d: Annotated[YesNo, Pipeline("do_class2d", **AFTER_CTF), Form("Do 2D Classification", "boolean")] = Field(
        True, alias="doClass2D", description="Do 2D classification."
    )
    do_class_3d: Annotated[YesNo, Pipeline("do_class3d", **AFTER_CTF), Form("Do 3D Classification", "boolean")] = Field(
        True, alias="doClass3D", description="Do 3D classification."
    )
    use_fsc_criterion: Annotated[
        YesNo,
        Pipeline(
            "use_fsc_criterion",
            only_if={"stop_after_ctf_estimation": False, "do_class_3d": True},
            when="unless stopAfterCtfEstimation, with doClass3D",
        ),
        Form("Best initial model from FSC", "boolean"),
    ] = Field(False, description="Take the best initial model by Fourier shell correlation.")
    use_cryolo: Annotated[
        YesNo,
        Pipeline("autopick_do_cryolo", **AFTER_CTF),
        Form("Use crYOLO", "boolean", description=("For academic users.", "Its licence does not cover industry.")),
    ] = Field(False, description="Pick with crYOLO (academic licence only).")
    minimum_diameter: Annotated[
        Number | None,
        Pipeline("autopick_LoG_diam_min", "Å", **AFTER_CTF),
        Form("Minimum Diameter (Å)", "real", below="maximum_diameter", lacks="unit"),
    ] = Field(None, ge=0.02, le=1024, description="Smallest particle diameter in Å; below the maximum. Required.")
    maximum_diameter: Annotated[
        Number | None,
        Pipeline("autopick_LoG_diam_max", "Å", **AFTER_CTF),
        Form("Maximum Diameter", "real", above="minimum_diameter"),
    ] = Field(None, ge=0.02, le=4000, description="Largest particle diameter in Å. Required.")
    mask_diameter: Annotated[
        Number | None, Pipeline("mask_diameter", "Å", **AFTER_CTF), Form("Mask Diameter", "real")
    ] = Field(
        None, ge=0.1, le=LARGEST_MASK, description="Mask diameter in Å; left out: 1.1 × maximum diameter, rounded."
    )
    box_size: Annotated[
        Whole | None,
        AfterValidator(_even),
        Pipeline("extract_boxsize", "pixels", **AFTER_CTF),
        Form(
            "Box Size",
            "real",
            limits=(0.1, LARGEST_BOX),
            description=("An even number.", "About 1.2 times the maximum diameter, in pixels."),
        ),
    ] = Field(
        None,
        ge=2,
        le=LARGEST_BOX,
        description="Box size in pixels, even; left out: 1.2 × maximum diameter / pixel size, up to even.",
    )
    downsampled_box_size: Annotated[
        Whole | None,
        AfterValidator(_even),
        Pipeline("extract_small_boxsize", "pixels", **AFTER_CTF),
        Form(
            "Downsample Box Size",
            "real",
            limits=(0.1, LARGEST_BOX),
            description=("An even number.", "Its pixels should stay smaller than 4.25 Å."),
        ),
    ] = Field(
        None,
        ge=2,
        le=LARGEST_BOX,
        description="Downsampled box size in pixels, even; left out: the smallest good size with pixels below 4.25 Å.",
    )
    do_class_2d_second_pass: Annotated[
        YesNo | None,
        Pipeline("do_class2d_pass2", **AFTER_CTF),
        Form("Do 2D Classification", "boolean", default=True, only_if={"want2ndPass": True}),
    ] = Field(None, alias="doClass2DSecondPass", description="Do 2D classification again in a second pass.")
    do_class_3d_second_pass: Annotated[
        YesNo | None,
        Pipeline("do_class3d_pass2", **AFTER_CTF),
        Form("Do 3D Classification", "boolean", default=False, only_if={"want2ndPass": True}),
    ] = Field(None, alias="doClass3DSecondPass", description="Do 3D classification again in a second pass.")


def _said(kind: type[T]) -> dict[str, T]:
    """What is said about each parameter, by its name in the model."""
    return {
        name: next(item for item in field.metadata if isinstance(item, kind))
        for name, field in RelionParameters.model_fields.items()
    }


PIPELINES: Mapping[str, Pipeline] = _said(Pipeline)
FORMS: Mapping[str, Form] = _said(Form)


def limits(name: str) -> tuple[float | None, float | None]:
    """The lowest and the highest value that a parameter can have."""
    metadata = RelionParameters.model_fields[name].metadata
    lowest = next((item.ge for item in metadata if hasattr(item, "ge")), None)
    highest = next((item.le for item in metadata if hasattr(item, "le")), None)
    return lowest, highest


def json_schema(voltages: tuple[int, ...]) -> dict[str, Any]:
    """JSON Schema of the parameters, with units, pipeline keys and conditions."""
    schema = RelionParameters.model_json_schema(by_alias=True)
    for name, pipeline in PIPELINES.items():
        entry = schema["properties"][alias(name)]
        entry["pipelineKey"] = pipeline.key
        if pipeline.unit:
            entry["unit"] = pipeline.unit
        if pipeline.when:
            entry["appliesWhen"] = pipeline.when
    schema["properties"]["voltage"]["enum"] = list(voltages)
    schema["if"] = {"properties": {"stopAfterCtfEstimation": {"const": True}}, "required": ["stopAfterCtfEstimation"]}
    schema["else"] = {"required": ["minimumDiameter", "maximumDiameter"]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def alias(name: str) -> str:
    """The name that clients use."""
    return RelionParameters.model_fields[name].alias or name


def complete(parameters: RelionParameters, *, voltages: tuple[int, ...]) -> RelionParameters:
    """Check what one field alone cannot tell, and fill in the sizes that follow from the particle's diameter.

    Raises:
        ParametersInvalid: naming every field that is wrong.
    """
    errors = []
    if parameters.voltage not in voltages:
        errors.append(_error("voltage", f"must be one of {', '.join(map(str, voltages))} (kV)"))
    derived: dict[str, float] = {}
    if not parameters.stop_after_ctf_estimation:
        low, high = parameters.minimum_diameter, parameters.maximum_diameter
        for name, value in (("minimum_diameter", low), ("maximum_diameter", high)):
            if value is None:
                errors.append(_error(name, "is required unless stopAfterCtfEstimation is true"))
        if low is not None and high is not None and low >= high:
            errors.append(_error("minimum_diameter", f"must be below maximumDiameter ({plain(high)} Å)"))
        if high is not None:
            derived = _derive(parameters, high, errors)
    if errors:
        raise ParametersInvalid(
            "Some parameters are not valid. Nothing was launched; correct them and send again.", errors=errors
        )
    return parameters.model_copy(update=derived)


def _derive(parameters: RelionParameters, maximum_diameter: float, errors: list[FieldError]) -> dict[str, float]:
    """The sizes that were left out, as python-relion's options compute them."""
    mask = parameters.mask_diameter
    if mask is None:
        mask = float((Decimal(str(maximum_diameter)) * Decimal("1.1")).to_integral_value(ROUND_HALF_UP))
        if not 0.1 <= mask <= LARGEST_MASK:
            errors.append(_beyond("mask_diameter", mask, f"0.1 to {LARGEST_MASK} Å", "maximumDiameter"))
    box = parameters.box_size
    if box is None:
        # In decimals, so that 1.2 × 200 / 0.8 is 300 and not a hair above, which would be rounded up.
        box = math.ceil(Decimal("1.2") * Decimal(str(maximum_diameter)) / Decimal(str(parameters.pixel_size)))
        box += box % 2
        if box > LARGEST_BOX:
            errors.append(_beyond("box_size", box, f"at most {LARGEST_BOX} pixels", "maximumDiameter and pixelSize"))
            return {}
    small = parameters.downsampled_box_size
    if small is None:
        small = next(
            (min(size, box) for size in BOX_SIZES if size > box or parameters.pixel_size * box / size < SMALL_PIXEL),
            box,
        )
    return {"mask_diameter": mask, "box_size": box, "downsampled_box_size": small}


def _beyond(name: str, value: float, limit: str, cause: str) -> FieldError:
    return _error(
        name, f"was left out; the value computed from {cause} is {plain(value)}, allowed is {limit}. Give one"
    )


def _error(name: str, message: str) -> FieldError:
    return FieldError(f"parameters.{alias(name)}", message)


def plain(value: float) -> str:
    """A number as a plain decimal, without exponent or trailing zeros."""
    text = format(Decimal(str(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def rows(
    parameters: RelionParameters, *, import_images: str, suffix: str, software: str, gain_reference: str
) -> dict[str, str]:
    """Key and value of every ``ProcessingJobParameter`` of a job. What does not apply is not written."""
    out = {"import_images": import_images, "acquisition_software": software}
    for name, pipeline in PIPELINES.items():
        value = getattr(parameters, name)
        if value is None or not _applies(pipeline, parameters, suffix):
            continue
        if name == "gain_reference_file":
            out[pipeline.key] = gain_reference
        elif isinstance(value, bool):
            out[pipeline.key] = "true" if value else "false"
        else:
            out[pipeline.key] = plain(value)
    return out


def _applies(pipeline: Pipeline, parameters: RelionParameters, suffix: str) -> bool:
    return all(
        (suffix if other == SUFFIX else getattr(parameters, other)) == value
        for other, value in pipeline.only_if.items()
    )


@dataclass(frozen=True)
class StoredParameters:
    """What a job was launched with.

    Args:
        parameters: those that we know, by their names in the API and typed.
        import_images: the movies.
        acquisition_software: EPU or SerialEM.
        other: keys that we do not know or whose value does not read as it should, as they are stored.
    """

    parameters: dict[str, bool | int | float | str]
    import_images: str | None
    acquisition_software: str | None
    other: dict[str, str | None]


def read(stored: Mapping[str, str | None]) -> StoredParameters:
    """The rows of ``ProcessingJobParameter``, typed."""
    names = {pipeline.key: name for name, pipeline in PIPELINES.items()}
    parameters: dict[str, bool | int | float | str] = {}
    other: dict[str, str | None] = {}
    for key, text in stored.items():
        if key in ("import_images", "acquisition_software"):
            continue
        value = None if text is None or key not in names else _typed(names[key], text)
        if value is None:
            other[key] = text
        else:
            parameters[alias(names[key])] = value
    return StoredParameters(parameters, stored.get("import_images"), stored.get("acquisition_software"), other)


def _typed(name: str, text: str) -> bool | int | float | str | None:
    if name == "gain_reference_file":
        return PurePosixPath(text).name or None
    annotation = str(RelionParameters.model_fields[name].annotation)
    if "bool" in annotation:
        return {"true": True, "1": True, "false": False, "0": False}.get(text.lower())
    if not re.fullmatch(r"[+-]?\d{1,20}(\.\d{1,400})?(e[+-]?\d{1,2})?", text, re.IGNORECASE):
        return None
    number = float(text)
    whole = "float" not in annotation
    if whole and not number.is_integer():
        return None
    return int(number) if number.is_integer() and (whole or "." not in text) else number
