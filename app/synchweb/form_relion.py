"""The form that starts RELION: its fields, what a client posted, and what a job was started with.

What is said of a parameter stands beside it in ``processing_jobs/relion.py``. Here are the order on the screen and the
fields that only the form has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

from pydantic import ValidationError

from app.errors import FieldError, Invalid
from app.processing_jobs import relion
from app.processing_jobs.parameters import SUFFIX
from app.processing_jobs.relion import FORMS, PIPELINES, RelionParameters, plain
from app.synchweb import form_fields
from app.synchweb.form_fields import Field, FormInvalid, Value

AFTER_CTF = {"stop_after_ctf_estimation": False}
EXTENSION = "import_images_ext"  # in conditions: always the data collection's own suffix

# The fields in the order on the screen: parameters by their names in the model, and what only the form has.
FIELDS: tuple[str | Field, ...] = (
    Field("acquisition_software", "Acquisition Software"),
    Field(EXTENSION, display=False),
    Field("import_images", "Import Images"),
    Field("wantGainReferenceFile", "Gain Reference File", required=True, default=False, display=False, type="boolean"),
    "gain_reference_file",
    Field("session_path", display=False),
    "voltage",
    "spherical_aberration",
    "phase_plate_used",
    "pixel_size",
    "eer_grouping",
    "motion_correction_binning",
    "dose_per_frame",
    "stop_after_ctf_estimation",
    "do_class_2d",
    "do_class_3d",
    "use_fsc_criterion",
    "use_cryolo",
    "minimum_diameter",
    "maximum_diameter",
    "mask_diameter",
    Field("extract_downscale", "Extract Downscale"),
    "box_size",
    "downsampled_box_size",
    Field("wantCalculate", "Calculate For Me", required=AFTER_CTF, default=True, type="boolean"),
    Field("want2ndPass", "Do Second Pass", required=AFTER_CTF, default=False, type="boolean"),
    "do_class_2d_second_pass",
    "do_class_3d_second_pass",
)
KEYS = {relion.alias(name): pipeline.key for name, pipeline in PIPELINES.items()}


@dataclass(frozen=True)
class RelionForm:
    """A form that was checked: the values of the fields that apply, by their keys."""

    values: Mapping[str, Value]


def relion_schema(voltages: tuple[int, ...]) -> dict[str, dict[str, Any]]:
    """The form's fields, in the order on the screen."""
    return form_fields.schema(fields(voltages))


def check_relion_form(posted: Mapping[str, object], *, suffix: str, voltages: tuple[int, ...]) -> RelionForm:
    """Read what a client posted.

    Args:
        suffix: of the data collection's movies.

    Raises:
        FormInvalid: naming every field that is wrong.
    """
    return RelionForm(form_fields.check(fields(voltages), posted, {EXTENSION: suffix}))


def fields(voltages: tuple[int, ...]) -> tuple[Field, ...]:
    """The form's fields where microscopes have these voltages (kV)."""
    return tuple(field if isinstance(field, Field) else _of_parameter(field, voltages) for field in FIELDS)


def _of_parameter(name: str, voltages: tuple[int, ...]) -> Field:
    form, pipeline = FORMS[name], PIPELINES[name]
    options = tuple(str(voltage) for voltage in voltages) if name == "voltage" else form.options
    default = _default(name)
    if options and default not in options:
        default = options[-1]
    conditions = {EXTENSION if other == SUFFIX else _key(other): value for other, value in pipeline.only_if.items()}
    minimum, maximum = form.limits or relion.limits(name)
    checked = form.type is not None and options is None
    return Field(
        key=pipeline.key,
        label=form.label,
        unit=None if form.lacks == "unit" else pipeline.unit,
        required={**conditions, **form.only_if} or True,
        description=form.description,
        default=None if form.lacks == "default" else default,
        options=options,
        display_options=form.display_options,
        pattern=form.pattern,
        type=form.type,
        minimum=minimum if checked else None,
        maximum=maximum if checked else None,
        less_than=form.below and _key(form.below),
        greater_than=form.above and _key(form.above),
    )


def _key(name: str) -> str:
    return PIPELINES[name].key


def _default(name: str) -> bool | str:
    """As the form has it: what is not a switch is a text, empty where the user has to fill it in."""
    if (own := FORMS[name].default) is not None:
        return own
    default = _own_default(name)
    if isinstance(default, bool | str):
        return default
    return "" if default is None else plain(default)


def _own_default(name: str) -> bool | float | str | None:
    field = RelionParameters.model_fields[name]
    default: bool | float | str | None = None if field.is_required() else field.default
    return default


def to_parameters(form: RelionForm) -> RelionParameters:
    """The parameters of a launch. What the form does not ask for has the parameter's own default.

    Raises:
        FormInvalid: RELION cannot run with what the form allows, such as a box of 240.5 pixels.
    """
    given = {
        relion.alias(name): _native(name, form.values[pipeline.key])
        for name, pipeline in PIPELINES.items()
        if pipeline.key in form.values
    }
    try:
        return RelionParameters.model_validate(given)
    except ValidationError as error:
        errors = [FieldError(_field(str(item["loc"][0])), _message(dict(item))) for item in error.errors()]
        raise FormInvalid("RELION cannot run with these values. Nothing was launched.", errors=errors) from error


def _native(name: str, value: Value) -> bool | int | float | str:
    if isinstance(value, bool):
        return value
    if isinstance(_own_default(name), str):
        return str(value)
    number = Decimal(value)  # the text of an option as well
    return int(number) if number == number.to_integral_value() else float(number)


def _message(item: dict[str, Any]) -> str:
    context = item.get("ctx", {})
    name = next(name for name in PIPELINES if relion.alias(name) == item["loc"][0])
    unit = f" {PIPELINES[name].unit}" if PIPELINES[name].unit else ""
    if item["type"] == "greater_than_equal":
        return f"must be at least {context['ge']}{unit}"
    if item["type"] == "less_than_equal":
        return f"must be at most {context['le']}{unit}"
    if item["type"] == "int_type":
        return "must be a whole number"
    return str(context.get("error", item["msg"]))


def of_native(error: Invalid) -> FormInvalid:
    """The same refusal, told on the form's fields: ``parameters.pixelSize`` is ``angpix``."""
    errors = [FieldError(_field(one.field.removeprefix("parameters.")), one.message) for one in error.errors]
    return FormInvalid(error.detail, errors=errors, **error.context)


def _field(alias: str) -> str:
    return KEYS.get(alias, alias)


def parameters_for_synchweb(stored: Mapping[str, str | None]) -> dict[str, str | bool | None]:
    """What a job was started with, each value as the text that is stored, and what the form has besides."""
    gain = stored.get(_key("gain_reference_file")) or ""
    name = PurePosixPath(gain).name
    extension = re.search(r"\.(\w*)\Z", stored.get("import_images") or "", re.ASCII)
    out: dict[str, str | bool | None] = {key: value or "" for key, value in stored.items()}
    out[EXTENSION] = extension and extension[1]
    out["wantGainReferenceFile"] = name != _own_default("gain_reference_file")
    out[_key("gain_reference_file")] = name
    return out
