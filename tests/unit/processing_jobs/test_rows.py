"""Rows of parameters, written and read back, and their JSON Schema."""

from __future__ import annotations

import json
import random
import re

import pytest

from app.processing_jobs import relion
from app.processing_jobs.relion import (
    PIPELINES,
    RelionParameters,
    json_schema,
    plain,
    read,
)
from tests.unit.processing_jobs.given import (
    FLAGS,
    NAMES,
    TABLE,
    TUTORIAL,
    VOLTAGES,
    completed,
    random_parameters,
)


def write(parameters: RelionParameters, suffix: str = "tiff") -> dict[str, str]:
    return relion.rows(
        parameters,
        import_images=f"/dls/m12/data/2021/cm28212-1/raw/GridSquare_*/Data/*.{suffix}",
        suffix=suffix,
        software="EPU",
        gain_reference=f"/dls/m12/data/2021/cm28212-1/processing/{parameters.gain_reference_file}",
    )


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
