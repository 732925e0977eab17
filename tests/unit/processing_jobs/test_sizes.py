"""What one parameter alone cannot tell, and the sizes that follow from the particle's diameter."""

from __future__ import annotations

import math
import random
import re
from typing import Any

import pytest

from app.processing_jobs.relion import (
    ParametersInvalid,
    RelionParameters,
    complete,
    plain,
)
from tests.unit.processing_jobs.given import (
    DIAMETERS,
    DULL,
    REQUIRED,
    TUTORIAL,
    VOLTAGES,
    completed,
    parse,
    random_parameters,
)


def refused(**given: Any) -> dict[str, str]:
    """The fields that ``complete`` refuses, and why."""
    with pytest.raises(ParametersInvalid) as caught:
        completed(**given)
    return {error.field: error.message for error in caught.value.errors}


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
