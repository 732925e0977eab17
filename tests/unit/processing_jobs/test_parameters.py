"""RELION's parameters, each value on its own."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import ValidationError

from app.processing_jobs import relion
from app.processing_jobs.relion import (
    PIPELINES,
    RelionParameters,
)
from tests.unit.processing_jobs.given import (
    DULL,
    FLAGS,
    NAMES,
    TABLE,
    parse,
)


def wrong_fields(given: dict[str, Any]) -> list[str]:
    """The fields that are refused."""
    try:
        RelionParameters.model_validate(given)
    except ValidationError as error:
        return [str(item["loc"][0]) for item in error.errors()]
    return []


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
