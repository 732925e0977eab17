"""RELION's parameters: what is accepted, what follows from them, what is written and what is read back."""

from __future__ import annotations

import json
import math
import random
import re
from typing import Any

import pytest
from pydantic import ValidationError

from app.processing_jobs import relion
from app.processing_jobs.relion import (
    PIPELINES,
    ParametersInvalid,
    RelionParameters,
    complete,
    json_schema,
    plain,
    read,
)

VOLTAGES = (200, 300)
REQUIRED = {"pixelSize": 1.0, "dosePerFrame": 1.0}
DIAMETERS = {"minimumDiameter": 100, "maximumDiameter": 200}
DULL = REQUIRED | DIAMETERS
TUTORIAL = {
    "voltage": 200,
    "sphericalAberration": 1.4,
    "pixelSize": 0.885,
    "dosePerFrame": 1.277,
    "minimumDiameter": 150,
    "maximumDiameter": 180,
}

# What design.md §5 says of each parameter, in its order.
TABLE = {
    "voltage": ("voltage", "kV", 300),
    "sphericalAberration": ("Cs", "mm", 2.7),
    "phasePlateUsed": ("ctffind_do_phaseshift", None, False),
    "pixelSize": ("angpix", "Å/pixel", ...),
    "dosePerFrame": ("motioncor_doseperframe", "e⁻/Å²", ...),
    "motionCorrectionBinning": ("motioncor_binning", None, 1),
    "gainReferenceFile": ("motioncor_gainreference", None, "gain.mrc"),
    "eerGrouping": ("eer_grouping", "frames", 20),
    "stopAfterCtfEstimation": ("stop_after_ctf_estimation", None, False),
    "doClass2D": ("do_class2d", None, True),
    "doClass3D": ("do_class3d", None, True),
    "useFscCriterion": ("use_fsc_criterion", None, False),
    "useCryolo": ("autopick_do_cryolo", None, False),
    "minimumDiameter": ("autopick_LoG_diam_min", "Å", None),
    "maximumDiameter": ("autopick_LoG_diam_max", "Å", None),
    "maskDiameter": ("mask_diameter", "Å", None),
    "boxSize": ("extract_boxsize", "pixels", None),
    "downsampledBoxSize": ("extract_small_boxsize", "pixels", None),
    "doClass2DSecondPass": ("do_class2d_pass2", None, None),
    "doClass3DSecondPass": ("do_class3d_pass2", None, None),
}
NAMES = {relion.alias(name): name for name in PIPELINES}


def parse(**given: Any) -> RelionParameters:
    """Parameters as a client sends them, with all that is required."""
    return RelionParameters.model_validate(DULL | given)


def wrong_fields(given: dict[str, Any]) -> list[str]:
    """The fields that are refused."""
    try:
        RelionParameters.model_validate(given)
    except ValidationError as error:
        return [str(item["loc"][0]) for item in error.errors()]
    return []


def completed(**given: Any) -> RelionParameters:
    return complete(parse(**given), voltages=VOLTAGES)


def refused(**given: Any) -> dict[str, str]:
    """The fields that ``complete`` refuses, and why."""
    with pytest.raises(ParametersInvalid) as caught:
        completed(**given)
    return {error.field: error.message for error in caught.value.errors}


def write(parameters: RelionParameters, suffix: str = "tiff") -> dict[str, str]:
    return relion.rows(
        parameters,
        import_images=f"/dls/m12/data/2021/cm28212-1/raw/GridSquare_*/Data/*.{suffix}",
        suffix=suffix,
        software="EPU",
        gain_reference=f"/dls/m12/data/2021/cm28212-1/processing/{parameters.gain_reference_file}",
    )


# Each value on its own.


def test_the_parameters_are_those_of_the_design_with_their_keys_units_and_defaults() -> None:
    table = {
        relion.alias(name): (PIPELINES[name].key, PIPELINES[name].unit, ... if field.is_required() else field.default)
        for name, field in RelionParameters.model_fields.items()
    }

    assert table == TABLE


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("voltage", 200),
        ("voltage", 300),
        ("sphericalAberration", 10),
        ("sphericalAberration", 2.7),
        ("sphericalAberration", 5e-324),
        ("pixelSize", 0.02),
        ("pixelSize", 100),
        ("dosePerFrame", 0.003),
        ("dosePerFrame", 5),
        ("motionCorrectionBinning", 1),
        ("motionCorrectionBinning", 2),
        ("eerGrouping", 1),
        ("eerGrouping", 100_000),
        ("minimumDiameter", 0.02),
        ("minimumDiameter", 1024),
        ("maximumDiameter", 0.02),
        ("maximumDiameter", 4000),
        ("maskDiameter", 0.1),
        ("maskDiameter", 1024),
        ("boxSize", 2),
        ("boxSize", 1024),
        ("downsampledBoxSize", 2),
        ("downsampledBoxSize", 1024),
    ],
)
def test_a_value_at_its_limit_is_accepted(name: str, value: float) -> None:
    parameters = parse(**{name: value})

    assert getattr(parameters, NAMES[name]) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("voltage", 0),
        ("voltage", -300),
        ("sphericalAberration", 0),
        ("sphericalAberration", -2.7),
        ("sphericalAberration", math.nextafter(10, 11)),
        ("pixelSize", math.nextafter(0.02, 0)),
        ("pixelSize", math.nextafter(100, 101)),
        ("pixelSize", 0),
        ("pixelSize", -1),
        ("dosePerFrame", math.nextafter(0.003, 0)),
        ("dosePerFrame", math.nextafter(5, 6)),
        ("dosePerFrame", -1),
        ("motionCorrectionBinning", 0),
        ("motionCorrectionBinning", 3),
        ("motionCorrectionBinning", -1),
        ("eerGrouping", 0),
        ("eerGrouping", -20),
        ("minimumDiameter", math.nextafter(0.02, 0)),
        ("minimumDiameter", math.nextafter(1024, 1025)),
        ("minimumDiameter", -100),
        ("maximumDiameter", math.nextafter(0.02, 0)),
        ("maximumDiameter", math.nextafter(4000, 4001)),
        ("maximumDiameter", -100),
        ("maskDiameter", math.nextafter(0.1, 0)),
        ("maskDiameter", math.nextafter(1024, 1025)),
        ("boxSize", 0),
        ("boxSize", -2),
        ("boxSize", 1026),
        ("boxSize", 255),
        ("downsampledBoxSize", 0),
        ("downsampledBoxSize", -2),
        ("downsampledBoxSize", 1026),
        ("downsampledBoxSize", 63),
    ],
)
def test_a_value_beyond_its_limit_is_refused(name: str, value: float) -> None:
    assert wrong_fields(DULL | {name: value}) == [name]


NUMBERS = [
    "voltage", "sphericalAberration", "pixelSize", "dosePerFrame", "motionCorrectionBinning", "eerGrouping",
    "minimumDiameter", "maximumDiameter", "maskDiameter", "boxSize", "downsampledBoxSize",
]  # fmt: skip
WHOLE = ["voltage", "motionCorrectionBinning", "eerGrouping", "boxSize", "downsampledBoxSize"]
FLAGS = [
    "phasePlateUsed", "stopAfterCtfEstimation", "doClass2D", "doClass3D", "useFscCriterion", "useCryolo",
    "doClass2DSecondPass", "doClass3DSecondPass",
]  # fmt: skip
MAY_BE_NULL = {
    "minimumDiameter", "maximumDiameter", "maskDiameter", "boxSize", "downsampledBoxSize", "doClass2DSecondPass",
    "doClass3DSecondPass",
}  # fmt: skip


def test_every_parameter_is_a_number_a_flag_or_a_file_name() -> None:
    assert {*NUMBERS, *FLAGS, "gainReferenceFile"} == set(TABLE)


@pytest.mark.parametrize(
    "value",
    [True, False, "2", "", [2], [], {"value": 2}, math.nan, math.inf, -math.inf, 10**400, -(10**400), 1e308, -1, b"2"],
    ids=lambda value: f"{value!r:.12}",
)
@pytest.mark.parametrize("name", NUMBERS)
def test_what_is_no_number_in_range_is_refused_for_a_number(name: str, value: object) -> None:
    assert wrong_fields(DULL | {name: value}) == [name]


@pytest.mark.parametrize("value", [2.0, 2.5, 200.0])
@pytest.mark.parametrize("name", WHOLE)
def test_a_fraction_is_refused_for_a_whole_number(name: str, value: float) -> None:
    assert wrong_fields(DULL | {name: value}) == [name]


@pytest.mark.parametrize("value", [0, 1, 1.0, "true", "false", "", [True], {}], ids=repr)
@pytest.mark.parametrize("name", FLAGS)
def test_what_is_no_boolean_is_refused_for_a_flag(name: str, value: object) -> None:
    assert wrong_fields(DULL | {name: value}) == [name]


@pytest.mark.parametrize("name", TABLE)
def test_null_is_refused_where_nothing_is_left_to_compute(name: str) -> None:
    assert wrong_fields(DULL | {name: None}) == ([] if name in MAY_BE_NULL else [name])


@pytest.mark.parametrize("name", ["pixelSize", "dosePerFrame"])
def test_what_is_required_must_be_there(name: str) -> None:
    given = {key: value for key, value in DULL.items() if key != name}

    assert wrong_fields(given) == [name]


@pytest.mark.parametrize(
    "name",
    [
        "pixelsize", "pixel_size", "angpix", "Cs", "do_class_2d", "doClass2d", "do_class2d", "useFSCCriterion",
        "extract_box_size", "extract_downscale", "gainReference", "dosePerframe", "import_images", "", " voltage",
        "__class__", "vol\x00tage", "ключ",
    ],
)  # fmt: skip
def test_an_unknown_name_is_refused(name: str) -> None:
    # RELION's own options object would only print a line and run with the default.
    assert wrong_fields(DULL | {name: 1}) == [name]


@pytest.mark.parametrize("body", [None, [], "text", 1, True, [DULL]], ids=repr)
def test_what_is_no_object_is_refused(body: object) -> None:
    with pytest.raises(ValidationError):
        RelionParameters.model_validate(body)


@pytest.mark.parametrize(
    "name",
    [
        "gain.mrc",
        "gain",
        "Gain 2021.tif",
        "x" * 255,
        "é" * 127,
        "gén_50€.mrc",
        "a..b",
        "gain.mrc~",
        "%2e%2e",
        "~",
        "$HOME",
        "C:",
    ],
    ids=lambda name: name[:20],
)
def test_a_file_name_is_accepted_for_the_gain_reference(name: str) -> None:
    parameters = parse(gainReferenceFile=name)

    assert parameters.gain_reference_file == name


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("", id="empty"),
        pytest.param("x" * 256, id="too long"),
        pytest.param("x" * 1_000_000, id="far too long"),
        pytest.param("é" * 128, id="too long for a file system, which counts bytes"),
        pytest.param("a/gain.mrc", id="slash"),
        pytest.param("/etc/passwd", id="absolute"),
        pytest.param("../../etc/passwd", id="climbing"),
        pytest.param("..", id="parent"),
        pytest.param(".", id="itself"),
        pytest.param("../", id="parent with slash"),
        pytest.param("a\\gain.mrc", id="backslash"),
        pytest.param("..\\gain.mrc", id="climbing with a backslash"),
        pytest.param(".hidden", id="hidden"),
        pytest.param("-rf", id="an option"),
        pytest.param(" gain.mrc", id="space before"),
        pytest.param("gain.mrc ", id="space behind"),
        pytest.param(" ", id="only a space"),
        pytest.param("gain\x00.mrc", id="NUL"),
        pytest.param("gain.mrc\x00", id="NUL at its end"),
        pytest.param("gain.mrc\n", id="newline"),
        pytest.param("gain\t.mrc", id="tab"),
        pytest.param("gain\x7f.mrc", id="delete"),
        pytest.param("gain\x85.mrc", id="C1 control"),
        pytest.param("gain\x81.mrc", id="hole in cp1252"),
        pytest.param("усиление.mrc", id="Cyrillic"),
        pytest.param("増幅.mrc", id="Japanese"),
        pytest.param("gain\u2028.mrc", id="line separator"),
        pytest.param("gain\u202e.mrc", id="right to left"),
        pytest.param("gain\U0001f600.mrc", id="beyond the basic plane"),
        pytest.param("\ud800.mrc", id="lone surrogate"),
        pytest.param("gain.mrc\udcff", id="lone low surrogate"),
        pytest.param(b"gain.mrc", id="bytes"),
        pytest.param(1, id="number"),
        pytest.param(True, id="boolean"),
        pytest.param(["gain.mrc"], id="list"),
        pytest.param({}, id="object"),
    ],
)
def test_what_is_no_file_name_is_refused_for_the_gain_reference(name: object) -> None:
    assert wrong_fields(DULL | {"gainReferenceFile": name}) == ["gainReferenceFile"]


def test_all_wrong_fields_are_named_at_once() -> None:
    given = {"pixelSize": -1, "voltage": "300", "boxSize": 3, "gainReferenceFile": "../x", "nonsense": 1}

    assert sorted(wrong_fields(given)) == [
        "boxSize", "dosePerFrame", "gainReferenceFile", "nonsense", "pixelSize", "voltage",
    ]  # fmt: skip


# What one field alone cannot tell.


@pytest.mark.parametrize("voltage", [1, 80, 100, 120, 250, 301, 10_000])
def test_a_voltage_that_the_facility_does_not_have_is_refused(voltage: int) -> None:
    assert refused(voltage=voltage) == {"parameters.voltage": "must be one of 200, 300 (kV)"}


def test_the_voltages_are_a_setting() -> None:
    parameters = complete(parse(voltage=120), voltages=(120,))

    assert parameters.voltage == 120


@pytest.mark.parametrize("missing", [["minimumDiameter"], ["maximumDiameter"], ["minimumDiameter", "maximumDiameter"]])
@pytest.mark.parametrize("how", ["left out", "null"])
def test_the_diameters_are_required(missing: list[str], how: str) -> None:
    given: dict[str, object] = {key: value for key, value in DULL.items() if key not in missing}
    given |= dict.fromkeys(missing) if how == "null" else {}

    with pytest.raises(ParametersInvalid) as caught:
        complete(RelionParameters.model_validate(given), voltages=VOLTAGES)

    assert [error.field for error in caught.value.errors] == [f"parameters.{name}" for name in missing]


@pytest.mark.parametrize(("low", "high"), [(200, 200), (200.5, 200), (200, math.nextafter(200, 0)), (1024, 0.02)])
def test_the_minimum_must_be_below_the_maximum(low: float, high: float) -> None:
    messages = refused(minimumDiameter=low, maximumDiameter=high)

    assert messages["parameters.minimumDiameter"] == f"must be below maximumDiameter ({plain(high)} Å)"


def test_the_minimum_may_be_just_below_the_maximum() -> None:
    parameters = completed(minimumDiameter=math.nextafter(200, 0), maximumDiameter=200)

    assert parameters.maximum_diameter == 200


@pytest.mark.parametrize("given", [{}, DIAMETERS, {"minimumDiameter": 300, "maximumDiameter": 200}], ids=repr)
def test_after_ctf_estimation_diameters_do_not_matter(given: dict[str, int]) -> None:
    parameters = RelionParameters.model_validate(REQUIRED | given | {"stopAfterCtfEstimation": True})

    assert complete(parameters, voltages=VOLTAGES) == parameters


def test_nothing_is_derived_after_ctf_estimation() -> None:
    parameters = completed(stopAfterCtfEstimation=True)

    assert (parameters.mask_diameter, parameters.box_size, parameters.downsampled_box_size) == (None, None, None)


# Sizes that follow from the particle's diameter, computed by hand:
# mask = 1.1 × diameter, rounded; box = ⌈1.2 × diameter / pixel⌉, made even; downsampled = the first good size at
# which a pixel is below 4.25 Å.


@pytest.mark.parametrize(
    ("diameter", "pixel", "mask", "box", "small"),
    [
        pytest.param(180, 0.885, 198, 246, 64, id="tutorial: 216 / 0.885 = 244.07, 245, 246"),
        pytest.param(100, 1, 110, 120, 48, id="whole numbers"),
        pytest.param(92.5, 1, 102, 112, 48, id="111 pixels are made even"),
        pytest.param(92.51, 1, 102, 112, 48, id="111.012 pixels are rounded up, which is even"),
        pytest.param(90.001, 1, 99, 110, 48, id="108.0012 pixels are rounded up and made even"),
        # Exact in decimals, a hair above in binary floating point, which would be rounded up.
        pytest.param(200, 0.8, 220, 300, 64, id="1.2 × 200 / 0.8 is 300"),
        pytest.param(50, 0.6, 55, 100, 48, id="1.2 × 50 / 0.6 is 100"),
        pytest.param(60, 0.72, 66, 100, 48, id="1.2 × 60 / 0.72 is 100"),
        pytest.param(30, 0.72, 33, 50, 48, id="1.2 × 30 / 0.72 is 50"),
        pytest.param(50, 1.2, 55, 50, 48, id="1.2 × 50 / 1.2 is 50"),
        pytest.param(70, 0.7, 77, 120, 48, id="1.2 × 70 / 0.7 is 120"),
        pytest.param(170, 0.85, 187, 240, 64, id="0.85 × 240 / 48 is 4.25, which is not below 4.25"),
        pytest.param(169, 0.845, 186, 240, 48, id="0.845 × 240 / 48 is 4.225"),
        # Rounding the mask: halves go up, as a person rounds, and as SynchWeb's form does.
        pytest.param(15, 1, 17, 18, 18, id="mask 16.5 is rounded to 17"),
        pytest.param(35, 1, 39, 42, 42, id="mask 38.5 is rounded to 39"),
        pytest.param(55, 1, 61, 66, 48, id="mask 60.5 is rounded to 61"),
        pytest.param(45, 1, 50, 54, 48, id="mask 49.5 is rounded to 50"),
        pytest.param(14.9, 1, 16, 18, 18, id="mask 16.39 is rounded to 16"),
        # The downsampled box.
        pytest.param(30, 1, 33, 36, 36, id="never larger than the box"),
        pytest.param(40, 1, 44, 48, 48, id="the box is the first good size"),
        pytest.param(300, 5, 330, 72, 72, id="no size is good enough below the box"),
        pytest.param(300, 0.5, 330, 720, 96, id="360 Å: 96 pixels of 3.75 Å"),
        pytest.param(768, 0.9, 845, 1024, 256, id="921.6 Å: 256 pixels of 3.6 Å; the largest box"),
        pytest.param(900, 1.06, 990, 1020, 256, id="1081.2 Å: 256 pixels of 4.22 Å"),
        pytest.param(930, 3, 1023, 372, 288, id="1116 Å: 288 pixels of 3.875 Å"),
        pytest.param(930, 4.3, 1023, 260, 260, id="pixels are too large already: 256 is not enough, so the box itself"),
        # The limits.
        pytest.param(0.5, 100, 1, 2, 2, id="the smallest mask, and a box of less than a pixel"),
        pytest.param(931.3, 2, 1024, 560, 288, id="the largest mask: 1024.43"),
    ],
)
def test_sizes_that_were_left_out(diameter: float, pixel: float, mask: int, box: int, small: int) -> None:
    parameters = completed(minimumDiameter=0.02, maximumDiameter=diameter, pixelSize=pixel)

    assert (parameters.mask_diameter, parameters.box_size, parameters.downsampled_box_size) == (mask, box, small)


def test_sizes_that_were_given_stand() -> None:
    parameters = completed(maskDiameter=123.5, boxSize=400, downsampledBoxSize=100)

    assert (parameters.mask_diameter, parameters.box_size, parameters.downsampled_box_size) == (123.5, 400, 100)


@pytest.mark.parametrize(
    "size",
    [48, 64, 96, 128, 160, 192, 256, 288, 300, 320, 360, 384, 400, 420, 450, 480, 512, 640, 768, 896, 1024],
)
def test_the_downsampled_box_is_the_first_good_size_whose_pixels_are_small_enough(size: int) -> None:
    parameters = completed(boxSize=1024, pixelSize=4.24 * size / 1024)

    assert parameters.downsampled_box_size == size


def test_the_downsampled_box_follows_from_a_box_that_was_given() -> None:
    parameters = completed(pixelSize=1, boxSize=512)

    assert parameters.downsampled_box_size == 128  # 512 Å: 128 pixels of 4 Å


@pytest.mark.parametrize("name", ["maskDiameter", "boxSize", "downsampledBoxSize"])
def test_a_size_that_is_null_is_a_size_that_was_left_out(name: str) -> None:
    assert completed(**{name: None}) == completed()


@pytest.mark.parametrize(
    ("given", "field", "value"),
    [
        pytest.param({"maximumDiameter": 0.4, "minimumDiameter": 0.1}, "maskDiameter", "0", id="mask: 0.44 is 0"),
        pytest.param({"maximumDiameter": 932, "pixelSize": 2}, "maskDiameter", "1025", id="mask: 1025.2"),
        pytest.param({"maximumDiameter": 4000, "pixelSize": 10}, "maskDiameter", "4400", id="mask: far too large"),
        pytest.param({"maximumDiameter": 854, "pixelSize": 1}, "boxSize", "1026", id="box: 1024.8, 1025, 1026"),
        pytest.param({"maximumDiameter": 860, "pixelSize": 1}, "boxSize", "1032", id="box: 1032"),
        pytest.param({"maximumDiameter": 900, "pixelSize": 0.02}, "boxSize", "54000", id="box: far too large"),
        pytest.param(
            {"maximumDiameter": 900, "pixelSize": 0.5, "downsampledBoxSize": 256},
            "boxSize",
            "2160",
            id="box: small given",
        ),
    ],
)
def test_a_derived_size_beyond_its_limit_is_named_with_the_value_computed(
    given: dict[str, float], field: str, value: str
) -> None:
    messages = refused(**given)

    assert list(messages) == [f"parameters.{field}"]
    assert re.search(rf"computed from .*\bis {value}, allowed is ", messages[f"parameters.{field}"])


def test_two_derived_sizes_beyond_their_limits_are_both_named() -> None:
    messages = refused(maximumDiameter=4000, pixelSize=0.1)

    assert "is 4400," in messages["parameters.maskDiameter"]
    assert "is 48000," in messages["parameters.boxSize"]


@pytest.mark.parametrize(
    "given",
    [
        {"maximumDiameter": 4000, "pixelSize": 10, "maskDiameter": 1024},
        {"maximumDiameter": 900, "pixelSize": 0.5, "boxSize": 1024},
    ],
    ids=["mask", "box"],
)
def test_a_size_that_is_given_helps_where_the_derived_one_is_beyond_its_limit(given: dict[str, float]) -> None:
    parameters = completed(**given)

    assert parameters.downsampled_box_size is not None


def test_a_derived_size_is_named_beside_other_errors() -> None:
    # "naming every field that is wrong": else a person corrects one field and is told of the next.
    messages = refused(voltage=100, maximumDiameter=860, pixelSize=1)

    assert set(messages) == {"parameters.voltage", "parameters.boxSize"}


def test_completing_is_a_function() -> None:
    parameters = parse(**TUTORIAL)
    before = parameters.model_copy()

    once = complete(parameters, voltages=VOLTAGES)

    assert parameters == before
    assert complete(once, voltages=VOLTAGES) == once


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_accepted_has_sizes_within_their_limits(seed: int) -> None:
    parameters = random_parameters(random.Random(seed), digits=17)

    sizes = RelionParameters.model_validate(parameters.model_dump(by_alias=True))

    assert sizes == parameters


# Rows.


def test_rows_of_the_tutorial() -> None:
    rows = write(completed(**TUTORIAL))

    assert rows == {
        "import_images": "/dls/m12/data/2021/cm28212-1/raw/GridSquare_*/Data/*.tiff",
        "acquisition_software": "EPU",
        "voltage": "200",
        "Cs": "1.4",
        "ctffind_do_phaseshift": "false",
        "angpix": "0.885",
        "motioncor_doseperframe": "1.277",
        "motioncor_binning": "1",
        "motioncor_gainreference": "/dls/m12/data/2021/cm28212-1/processing/gain.mrc",
        "stop_after_ctf_estimation": "false",
        "do_class2d": "true",
        "do_class3d": "true",
        "use_fsc_criterion": "false",
        "autopick_do_cryolo": "false",
        "autopick_LoG_diam_min": "150",
        "autopick_LoG_diam_max": "180",
        "mask_diameter": "198",
        "extract_boxsize": "246",
        "extract_small_boxsize": "64",
    }


def test_rows_of_everything_that_can_be_asked_for() -> None:
    given = dict.fromkeys(FLAGS, True) | {"stopAfterCtfEstimation": False}

    rows = write(completed(**given, maskDiameter=150.5, eerGrouping=40), suffix="eer")

    assert rows["eer_grouping"] == "40"
    assert rows["mask_diameter"] == "150.5"
    assert {key for key, value in rows.items() if value == "true"} == {
        "ctffind_do_phaseshift", "do_class2d", "do_class3d", "use_fsc_criterion", "autopick_do_cryolo",
        "do_class2d_pass2", "do_class3d_pass2",
    }  # fmt: skip


def test_after_ctf_estimation_all_that_follows_is_dropped() -> None:
    rows = write(completed(stopAfterCtfEstimation=True, boxSize=256, useFscCriterion=True, doClass2DSecondPass=True))

    assert set(rows) == {
        "import_images", "acquisition_software", "voltage", "Cs", "ctffind_do_phaseshift", "angpix",
        "motioncor_doseperframe", "motioncor_binning", "motioncor_gainreference", "stop_after_ctf_estimation",
    }  # fmt: skip
    assert rows["stop_after_ctf_estimation"] == "true"


@pytest.mark.parametrize(("suffix", "written"), [("eer", True), ("tiff", False), ("tif", False), ("mrc", False)])
def test_eer_grouping_is_written_for_eer_movies_only(suffix: str, written: bool) -> None:
    rows = write(completed(eerGrouping=30), suffix)

    assert ("eer_grouping" in rows) is written


@pytest.mark.parametrize("use", [True, False])
@pytest.mark.parametrize("classify", [True, False])
def test_the_fsc_criterion_is_written_with_3d_classification_only(classify: bool, use: bool) -> None:
    rows = write(completed(doClass3D=classify, useFscCriterion=use))

    assert rows.get("use_fsc_criterion") == (str(use).lower() if classify else None)


@pytest.mark.parametrize(("asked", "written"), [(None, None), (True, "true"), (False, "false")])
def test_a_second_pass_is_absent_unless_it_is_asked_for(asked: bool | None, written: str | None) -> None:
    rows = write(completed(doClass2DSecondPass=asked, doClass3DSecondPass=asked))

    assert (rows.get("do_class2d_pass2"), rows.get("do_class3d_pass2")) == (written, written)


def test_downscaling_is_never_written() -> None:
    # RELION's wrapper sets it itself when it sees the downsampled box.
    assert "extract_downscale" not in write(completed())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (10, "10"),
        (100, "100"),
        (1.0, "1"),
        (100.0, "100"),
        (0.885, "0.885"),
        (1.10, "1.1"),
        (2.70, "2.7"),
        (0.003, "0.003"),
        (1e-05, "0.00001"),
        (5e-324, "0." + "0" * 323 + "5"),
        (1e16, "10000000000000000"),
        (1e22, "10000000000000000000000"),
        (0.1 + 0.2, "0.30000000000000004"),
        (-0.5, "-0.5"),
        (0, "0"),
    ],
)
def test_numbers_are_plain_decimals(value: float, text: str) -> None:
    assert plain(value) == text


@pytest.mark.parametrize("seed", range(20))
def test_rows_are_plain_text_that_fits_its_columns(seed: int) -> None:
    rows = write(random_parameters(random.Random(seed), digits=17), "eer")

    for key, text in rows.items():
        assert len(key) <= 80
        assert len(text) <= 1024
        if key not in ("import_images", "acquisition_software", "motioncor_gainreference"):
            assert re.fullmatch(r"true|false|\d+(\.\d*[1-9])?", text), (key, text)


# Reading rows.

CHARACTERS = "".join(
    chr(code)
    for code in range(33, 0x180)
    if chr(code).encode("cp1252", "ignore") and chr(code).isprintable() and chr(code) not in "/\\.-"
)


def random_parameters(chance: random.Random, *, digits: int) -> RelionParameters:
    """Any valid parameters, with numbers of so many digits behind the point."""

    def number(low: float, high: float) -> float:
        return min(max(low, round(chance.uniform(low, high), digits)), high)

    flags = {name: chance.choice([True, False]) for name in FLAGS}
    maximum = number(20, 900)
    given = flags | {
        "voltage": chance.choice(VOLTAGES),
        "sphericalAberration": number(0.01, 10),
        "pixelSize": number(1.1, 100),
        "dosePerFrame": number(0.01, 5),
        "motionCorrectionBinning": chance.choice([1, 2]),
        "gainReferenceFile": "".join(chance.choices(CHARACTERS, k=chance.randint(1, 85))),
        "eerGrouping": chance.randint(1, 100_000),
        "minimumDiameter": number(0.1, maximum - 1),
        "maximumDiameter": maximum,
    }
    if chance.random() < 0.5:
        given |= {"maskDiameter": number(0.1, 1024), "boxSize": 2 * chance.randint(1, 512)}
    if chance.random() < 0.5:
        given |= {"downsampledBoxSize": 2 * chance.randint(1, 512)}
    return complete(RelionParameters.model_validate(given), voltages=VOLTAGES)


@pytest.mark.parametrize("digits", [0, 3, 17])
@pytest.mark.parametrize("suffix", ["tiff", "eer"])
def test_what_was_written_is_read_back(digits: int, suffix: str) -> None:
    chance = random.Random(f"{digits} {suffix}")
    for _ in range(200):
        parameters = random_parameters(chance, digits=digits)
        rows = write(parameters, suffix)

        stored = read(rows)

        applied = [name for name, pipeline in PIPELINES.items() if pipeline.key in rows]
        assert stored.other == {}
        assert stored.parameters == {relion.alias(name): getattr(parameters, name) for name in applied}
        assert {name for name, value in stored.parameters.items() if isinstance(value, bool)} <= set(FLAGS)
        assert stored.import_images == rows["import_images"]
        assert stored.acquisition_software == "EPU"


def test_what_other_software_wrote_is_kept_as_it_is() -> None:
    rows: dict[str, str | None] = {
        "angpix": "1.1",
        "extract_downscale": "True",
        "some_new_key": "7",
        "nothing": None,
        "ANGPIX": "1.2",
    }

    stored = read(rows)

    assert stored.parameters == {"pixelSize": 1.1}
    assert stored.other == {"extract_downscale": "True", "some_new_key": "7", "nothing": None, "ANGPIX": "1.2"}
    assert (stored.import_images, stored.acquisition_software) == (None, None)


@pytest.mark.parametrize(
    ("key", "text", "name", "value"),
    [
        ("voltage", "300", "voltage", 300),
        ("voltage", "300.0", "voltage", 300),
        ("Cs", "2.7", "sphericalAberration", 2.7),
        ("Cs", "+2.7", "sphericalAberration", 2.7),
        ("angpix", "1", "pixelSize", 1),
        ("angpix", "1.0", "pixelSize", 1.0),
        ("angpix", "1e-1", "pixelSize", 0.1),
        ("angpix", "8.85E-01", "pixelSize", 0.885),
        ("do_class2d", "true", "doClass2D", True),
        ("do_class2d", "True", "doClass2D", True),
        ("do_class2d", "1", "doClass2D", True),
        ("do_class2d", "false", "doClass2D", False),
        ("do_class2d", "0", "doClass2D", False),
        ("motioncor_gainreference", "/dls/m12/data/2021/cm1-1/processing/gain.mrc", "gainReferenceFile", "gain.mrc"),
        ("motioncor_gainreference", "gain.mrc", "gainReferenceFile", "gain.mrc"),
        ("extract_boxsize", "256", "boxSize", 256),
        ("motioncor_binning", "2", "motionCorrectionBinning", 2),
    ],
)
def test_values_are_typed(key: str, text: str, name: str, value: object) -> None:
    stored = read({key: text})

    assert stored.parameters == {name: value}
    assert isinstance(stored.parameters[name], bool) is isinstance(value, bool)
    assert stored.other == {}


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("angpix", None),
        ("angpix", ""),
        ("angpix", "about 1"),
        ("angpix", "nan"),
        ("angpix", "inf"),
        ("angpix", "-Infinity"),
        ("angpix", "1_000"),
        ("angpix", "0x10"),
        ("angpix", "1,5"),
        ("angpix", " 1"),
        ("angpix", "1e999"),
        ("angpix", "9" * 400),
        ("angpix", "true"),
        ("voltage", "300.5"),
        ("voltage", "9" * 5000),
        ("do_class2d", "yes"),
        ("do_class2d", "2"),
        ("do_class2d", ""),
        ("motioncor_gainreference", None),
        ("motioncor_gainreference", ""),
        ("motioncor_gainreference", "/"),
    ],
    ids=lambda value: f"{value!r:.20}",
)
def test_what_does_not_read_as_it_should_is_kept_as_it_is(key: str, text: str | None) -> None:
    stored = read({key: text})

    assert stored.parameters == {}
    assert stored.other == {key: text}


# JSON Schema.


def test_every_property_of_the_schema_is_described_with_unit_key_and_condition() -> None:
    properties = json_schema(VOLTAGES)["properties"]

    assert list(properties) == list(TABLE)
    for name, (key, unit, _) in TABLE.items():
        assert properties[name]["description"].endswith(".")
        assert properties[name]["pipelineKey"] == key
        assert properties[name].get("unit") == unit
        assert properties[name].get("appliesWhen") == PIPELINES[NAMES[name]].when


def test_the_schema_is_closed_and_says_what_is_required_and_what_is_the_default() -> None:
    schema = json_schema(VOLTAGES)

    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == {name for name, (_, _, default) in TABLE.items() if default is ...}
    for name, (_, _, default) in TABLE.items():
        assert schema["properties"][name].get("default", ...) == default


def test_the_schema_requires_the_diameters_unless_it_stops_after_ctf_estimation() -> None:
    schema = json_schema(VOLTAGES)

    assert schema["if"] == {
        "properties": {"stopAfterCtfEstimation": {"const": True}},
        "required": ["stopAfterCtfEstimation"],
    }
    assert schema["else"] == {"required": ["minimumDiameter", "maximumDiameter"]}


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        ("sphericalAberration", {"exclusiveMinimum": 0, "maximum": 10}),
        ("pixelSize", {"minimum": 0.02, "maximum": 100}),
        ("dosePerFrame", {"minimum": 0.003, "maximum": 5}),
        ("eerGrouping", {"minimum": 1, "maximum": 100_000}),
        ("minimumDiameter", {"minimum": 0.02, "maximum": 1024}),
        ("maximumDiameter", {"minimum": 0.02, "maximum": 4000}),
        ("maskDiameter", {"minimum": 0.1, "maximum": 1024}),
        ("boxSize", {"minimum": 2, "maximum": 1024}),
        ("downsampledBoxSize", {"minimum": 2, "maximum": 1024}),
        ("gainReferenceFile", {"minLength": 1, "maxLength": 255}),
        ("motionCorrectionBinning", {"minimum": 1, "maximum": 2}),
    ],
)
def test_the_schema_has_the_limits(name: str, limits: dict[str, object]) -> None:
    entry = json_schema(VOLTAGES)["properties"][name]

    # A parameter that may be left out is "this or null".
    entry |= next((kind for kind in entry.get("anyOf", []) if kind["type"] != "null"), {})

    assert {key: entry.get(key) for key in limits} == limits


@pytest.mark.parametrize("voltages", [(200, 300), (120,), (80, 200, 300)], ids=repr)
def test_the_schema_has_the_facilitys_voltages(voltages: tuple[int, ...]) -> None:
    assert json_schema(voltages)["properties"]["voltage"]["enum"] == list(voltages)


def test_the_schema_is_json_and_no_call_changes_the_next() -> None:
    first = json.dumps(json_schema((120,)), allow_nan=False)
    json_schema((120,))["properties"].clear()

    assert json.dumps(json_schema((120,)), allow_nan=False) == first
