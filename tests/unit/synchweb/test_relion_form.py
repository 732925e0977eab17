"""What the dialog posts: which fields are looked at, what is refused, and what RELION is launched with."""

from __future__ import annotations

import math
from typing import Any

import pytest

from app.errors import FieldError
from app.processing_jobs import relion
from app.processing_jobs.relion import ParametersInvalid, RelionParameters
from app.synchweb.forms import FormInvalid, check_relion_form, of_native, to_parameters
from tests.synchweb.replay import BOOLEANS, Case
from tests.unit.synchweb.recorded import DLS, cases, posted, row

VOLTAGES = (200, 300)
STARTS = cases("relion_start_")
DIALOG = posted(STARTS["relion_start_frontend_payload"])
REFUSED = {name: case for name, case in STARTS.items() if isinstance(_message := case["expect"]["json"], dict)
           and isinstance(_message.get("message"), dict) and 400 in case["expect"]["status"]}  # fmt: skip
STARTED = {name: case for name, case in STARTS.items() if case["expect"]["status"] == [200]}


def launch(form: dict[str, Any], suffix: str = "tiff") -> RelionParameters:
    """What RELION would be launched with."""
    return to_parameters(check_relion_form(form, suffix=suffix, voltages=VOLTAGES))


def wrong(form: dict[str, Any], suffix: str = "tiff") -> dict[str, str]:
    """The fields that are refused, with their messages."""
    try:
        launch(form, suffix)
    except FormInvalid as error:
        return {one.field: one.message for one in error.errors}
    return {}


def template_of(case: Case) -> tuple[str, str, str]:
    """Directory and template of the data collection that a case starts, and its suffix."""
    dcid = int(case["request"]["path"].rpartition("/")[2])
    collection = row("DataCollection", "dataCollectionId", dcid)
    template = collection["fileTemplate"]
    return collection["imageDirectory"], template, template.rpartition(".")[2]


# As recorded.
@pytest.mark.parametrize("name", REFUSED)
def test_what_was_refused_is_refused_on_the_same_fields(name: str) -> None:
    _, _, suffix = template_of(REFUSED[name])

    errors = wrong(posted(REFUSED[name]), suffix)

    assert list(errors) == list(REFUSED[name]["expect"]["json"]["message"])
    assert all(errors.values())


@pytest.mark.parametrize("name", STARTED)
def test_what_was_started_writes_the_recorded_parameters(name: str) -> None:
    case = STARTED[name]
    directory, template, suffix = template_of(case)
    recorded = {
        effect["values"]["parameterKey"]: effect["values"]["parameterValue"].replace("{dls}", DLS)
        for effect in case["rows"]
        if effect["table"] == "ProcessingJobParameter"
    }
    gain = recorded["motioncor_gainreference"].rpartition("/")

    parameters = relion.complete(launch(posted(case), suffix), voltages=VOLTAGES)
    rows = relion.rows(
        parameters,
        import_images=directory + template,
        suffix=suffix,
        software=recorded["acquisition_software"],
        gain_reference=f"{gain[0]}/{parameters.gain_reference_file}",
    )

    assert {key: BOOLEANS.get(value, value) for key, value in rows.items()} == {
        key: BOOLEANS.get(value, value) for key, value in recorded.items()
    }


# Which fields are looked at.
def test_all_bad_fields_are_named_at_once_in_the_order_on_the_screen() -> None:
    bad = {"mask_diameter": "x", "angpix": 0, "voltage": None, "do_class3d": "maybe"}

    assert list(wrong(DIALOG | bad)) == ["voltage", "angpix", "do_class3d", "mask_diameter"]


@pytest.mark.parametrize("nothing", [None, ""])
@pytest.mark.parametrize("key", ["wantGainReferenceFile", "Cs", "angpix", "wantCalculate", "extract_boxsize"])
def test_a_field_that_is_left_out_or_empty_is_required(key: str, nothing: str | None) -> None:
    missing = {name: value for name, value in DIALOG.items() if name != key}

    assert wrong(DIALOG | {key: nothing}) == wrong(missing) == {key: "is required"}


@pytest.mark.parametrize("stop", [True, "true", "1", 1])
def test_when_it_stops_after_ctf_nothing_that_comes_later_is_looked_at(stop: object) -> None:
    later = dict.fromkeys(
        ("do_class2d", "use_fsc_criterion", "autopick_LoG_diam_min", "mask_diameter", "extract_boxsize", "want2ndPass"),
        "rubbish",
    )

    parameters = launch(DIALOG | later | {"stop_after_ctf_estimation": stop, "wantCalculate": "rubbish"})

    assert parameters.stop_after_ctf_estimation
    assert (parameters.minimum_diameter, parameters.box_size, parameters.do_class_2d_second_pass) == (None, None, None)


def test_a_condition_that_cannot_be_read_counts_as_false() -> None:
    errors = wrong(DIALOG | {"stop_after_ctf_estimation": "yes", "want2ndPass": [], "mask_diameter": ""})

    assert set(errors) == {"stop_after_ctf_estimation", "want2ndPass", "mask_diameter"}


@pytest.mark.parametrize("told", ["eer", "tiff", "", None])
def test_the_suffix_is_the_data_collections_whatever_the_client_says(told: str | None) -> None:
    form = DIALOG | {"import_images_ext": told, "eer_grouping": "0"}

    assert wrong(form, "tiff") == {}
    assert wrong(form, "eer") == {"eer_grouping": "must be at least 1"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("session_path", "/evil"),
        ("import_images", "/evil"),
        ("extract_downscale", []),
        ("no_such_field", {}),
        ("prop", 1),
    ],
)
def test_what_is_never_taken_from_a_client_is_ignored(key: str, value: object) -> None:
    assert launch(DIALOG | {key: value}) == launch(DIALOG)


# Booleans.
@pytest.mark.parametrize(
    ("value", "meant"),
    [(True, True), ("true", True), ("1", True), (1, True), (False, False), ("false", False), ("0", False), (0, False)],
)
def test_a_boolean(value: object, meant: bool) -> None:
    assert launch(DIALOG | {"autopick_do_cryolo": value}).use_cryolo is meant


@pytest.mark.parametrize("value", ["maybe", "yes", "x", "2", "True", " 1", "1.0", "on", 2, -1, 1.0, [], [True], {}])
def test_no_boolean(value: object) -> None:
    assert wrong(DIALOG | {"autopick_do_cryolo": value}) == {"autopick_do_cryolo": "must be true or false"}


# Numbers.
@pytest.mark.parametrize(
    ("value", "meant"),
    [
        (0.831, 0.831), ("0.831", 0.831), (1, 1.0), ("1", 1.0), ("1.0", 1.0), (" 1.0 ", 1.0), ("+1", 1.0), (".5", 0.5),
        ("5.", 5.0), ("0001", 1.0), (0.02, 0.02), ("0.02", 0.02), (100, 100.0), ("100.000", 100.0), (1e2, 100.0),
    ],
)  # fmt: skip
def test_a_number(value: object, meant: float) -> None:
    assert launch(DIALOG | {"angpix": value}).pixel_size == meant


@pytest.mark.parametrize(
    "value",
    [
        "abc", "1,0", "1e", "1e100", "0x10", "1 0", "1.0\n", "\t1", "--1", ".", "NaN", "Infinity", "١", "1_0", "9" * 41,
        "9" * 5000, True, False, math.nan, math.inf, -math.inf, [1], {"a": 1},
    ],
    ids=lambda value: repr(value)[:12],
)  # fmt: skip
def test_no_number(value: object) -> None:
    assert wrong(DIALOG | {"angpix": value}) == {"angpix": "must be a number, such as 0.831"}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("angpix", "0.0199999999999999999999", "must be at least 0.02 Å/pixel"),
        ("angpix", "100.0000000000000000001", "must be at most 100 Å/pixel"),
        ("angpix", -1, "must be at least 0.02 Å/pixel"),
        ("angpix", 10**400, "must be at most 100 Å/pixel"),
        ("angpix", 1e308, "must be at most 100 Å/pixel"),
        ("motioncor_doseperframe", "0.0029", "must be at least 0.003 e⁻/Å²"),
        ("motioncor_doseperframe", 5.1, "must be at most 5 e⁻/Å²"),
        ("autopick_LoG_diam_min", 0, "must be at least 0.02"),
        ("autopick_LoG_diam_max", "4001", "must be at most 4000 Å"),
        ("mask_diameter", "0.01", "must be at least 0.1 Å"),
        ("extract_boxsize", "2000", "must be at most 1024 pixels"),
        ("extract_small_boxsize", "0.05", "must be at least 0.1 pixels"),
    ],
    ids=lambda value: str(value)[:25],
)
def test_a_number_beyond_its_limit(key: str, value: object, message: str) -> None:
    assert wrong(DIALOG | {key: value}) == {key: message}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("20.5", "must be a whole number"),
        (20.5, "must be a whole number"),
        ("0", "must be at least 1"),
        ("1e-3", "must be a whole number"),
        ("100001", "must be at most 100000 frames"),  # RELION's limit, where the form has none
        (10**400, "must be at most 100000 frames"),
    ],
    ids=lambda value: str(value)[:25],
)
def test_no_whole_number(value: object, message: str) -> None:
    assert wrong(DIALOG | {"eer_grouping": value}, "eer") == {"eer_grouping": message}


@pytest.mark.parametrize("value", [30, "30", 30.0, "30.0"])
def test_a_whole_number(value: object) -> None:
    assert launch(DIALOG | {"eer_grouping": value}, "eer").eer_grouping == 30


@pytest.mark.parametrize(("low", "high"), [(100, 100), ("100", "100.0"), (300, 200), ("200.01", 200)])
def test_diameters_that_are_equal_or_crossed_are_both_wrong(low: object, high: object) -> None:
    assert wrong(DIALOG | {"autopick_LoG_diam_min": low, "autopick_LoG_diam_max": high}) == {
        "autopick_LoG_diam_min": "must be less than Maximum Diameter",
        "autopick_LoG_diam_max": "must be greater than Minimum Diameter (Å)",
    }


@pytest.mark.parametrize("nothing", ["", None, "abc"])
def test_a_diameter_that_cannot_be_read_counts_as_zero_beside_the_other(nothing: object) -> None:
    assert set(wrong(DIALOG | {"autopick_LoG_diam_min": nothing})) == {"autopick_LoG_diam_min"}
    assert set(wrong(DIALOG | {"autopick_LoG_diam_max": nothing})) == {"autopick_LoG_diam_min", "autopick_LoG_diam_max"}


# Options.
@pytest.mark.parametrize(
    ("key", "value", "name", "meant"),
    [
        ("voltage", 300, "voltage", 300),
        ("voltage", 300.0, "voltage", 300),
        ("voltage", "200", "voltage", 200),
        ("Cs", 2.7, "spherical_aberration", 2.7),
        ("Cs", "2.7", "spherical_aberration", 2.7),
        ("motioncor_binning", 2, "motion_correction_binning", 2),
        ("motioncor_binning", "1", "motion_correction_binning", 1),
    ],
)
def test_an_option_may_be_a_number_or_its_text(key: str, value: object, name: str, meant: float) -> None:
    assert getattr(launch(DIALOG | {key: value}), name) == meant


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("voltage", "must be one of 200, 300 kV"),
        ("Cs", "must be 2.7 mm"),
        ("motioncor_binning", "must be one of 1, 2"),
    ],
)
@pytest.mark.parametrize("value", ["100", 4, "1.4", "2.70", "300 ", True, math.nan, [], {"300": 1}])
def test_no_option(key: str, message: str, value: object) -> None:
    assert wrong(DIALOG | {key: value}) == {key: message}


# The gain reference.
@pytest.mark.parametrize("name", ["gain.mrc", "my_gain-1.tiff", "a.b_1", "_-.dm4x", "12.1234"])
def test_a_gain_reference_of_ones_own(name: str) -> None:
    form = DIALOG | {"wantGainReferenceFile": True, "motioncor_gainreference": name}

    assert launch(form).gain_reference_file == name


@pytest.mark.parametrize(
    "name",
    [
        "../x.mrc", "/etc/passwd", "bad name.mrc", "gain.mrc\n", "gain", "gain.m", "gain.toolong", ".mrc", "a.b.mrc",
        "é.mrc", 5, True, [], {},
    ],
)  # fmt: skip
def test_no_gain_reference(name: object) -> None:
    form = DIALOG | {"wantGainReferenceFile": True, "motioncor_gainreference": name}

    assert set(wrong(form)) == {"motioncor_gainreference"}


def test_a_gain_reference_that_was_not_asked_for_is_not_taken() -> None:
    form = DIALOG | {"wantGainReferenceFile": "0", "motioncor_gainreference": "../x"}

    assert launch(form).gain_reference_file == "gain.mrc"


# What the form allows and RELION does not.
@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("extract_boxsize", 241, "must be even"),
        ("extract_boxsize", "240.5", "must be a whole number"),
        ("extract_boxsize", 0.1, "must be a whole number"),
        ("extract_boxsize", "1", "must be at least 2 pixels"),
        ("extract_small_boxsize", "127", "must be even"),
        ("extract_small_boxsize", 64.5, "must be a whole number"),
    ],
)
def test_what_relion_refuses_is_told_on_the_forms_field(key: str, value: object, message: str) -> None:
    assert wrong(DIALOG | {key: value}) == {key: message}


def test_a_file_name_that_the_pattern_allows_and_relion_does_not() -> None:
    form = DIALOG | {"wantGainReferenceFile": True, "motioncor_gainreference": "-gain.mrc"}

    assert set(wrong(form)) == {"motioncor_gainreference"}
    assert set(wrong(form | {"motioncor_gainreference": "x" * 300 + ".mrc"})) == {"motioncor_gainreference"}


def test_the_second_pass_is_told_only_if_it_is_wanted() -> None:
    two = {"do_class2d_pass2": "1", "do_class3d_pass2": False}

    wanted, not_wanted = launch(DIALOG | two | {"want2ndPass": True}), launch(DIALOG | two | {"want2ndPass": False})

    assert (wanted.do_class_2d_second_pass, wanted.do_class_3d_second_pass) == (True, False)
    assert (not_wanted.do_class_2d_second_pass, not_wanted.do_class_3d_second_pass) == (None, None)


# Errors of a launch.
def test_an_error_of_a_launch_is_told_on_the_forms_fields() -> None:
    error = ParametersInvalid(
        "No.",
        errors=[FieldError("parameters.pixelSize", "is odd"), FieldError("parameters.gainReferenceFile", "is away")],
        dataCollectionId=7,
    )

    form = of_native(error)

    assert [(one.field, one.message) for one in form.errors] == [
        ("angpix", "is odd"),
        ("motioncor_gainreference", "is away"),
    ]
    assert (form.detail, form.context) == ("No.", {"dataCollectionId": 7})


def test_every_parameter_has_a_field_for_its_errors() -> None:
    names = [relion.alias(name) for name in RelionParameters.model_fields]

    errors = of_native(
        ParametersInvalid("No.", errors=[FieldError(f"parameters.{name}", "is wrong") for name in names])
    )

    assert [error.field for error in errors.errors] == [pipeline.key for pipeline in relion.PIPELINES.values()]
