"""``relion/parameters``: every stored key, and what the form has besides."""

from __future__ import annotations

import pytest

from app.synchweb.forms import parameters_for_synchweb
from tests.synchweb.replay import differences
from tests.unit.synchweb.recorded import DLS, cases, expected, rows

RECORDED = [name for name, case in cases("relion_parameters_").items() if case["expect"]["status"] == [200]]


@pytest.mark.parametrize("name", RECORDED)
def test_the_answer_is_as_recorded_also_in_its_order(name: str) -> None:
    job_id = int(cases(name)[name]["request"]["path"].rpartition("/")[2])
    stored = {
        row["parameterKey"]: row.get("parameterValue")
        for row in rows("ProcessingJobParameter")
        if row["processingJobId"] == job_id
    }

    answer = parameters_for_synchweb(stored)

    assert differences(expected(name), answer, DLS) == []
    assert list(answer) == list(expected(name))


@pytest.mark.parametrize(
    ("images", "extension"),
    [
        ("/dls/raw/GridSquare_*/Data/*.tiff", "tiff"),
        ("/dls/a.b/Frames/*.eer", "eer"),
        ("/dls/raw/movie.", ""),
        ("/dls/a.b/no", None),
        ("/dls/raw/*.é", None),
        ("", None),
        (None, None),
    ],
)
def test_the_extension_is_that_of_the_movies(images: str | None, extension: str | None) -> None:
    assert parameters_for_synchweb({"import_images": images})["import_images_ext"] == extension


@pytest.mark.parametrize(
    ("stored", "wanted", "name"),
    [
        ("/dls/processing/gain.mrc", False, "gain.mrc"),
        ("gain.mrc", False, "gain.mrc"),
        ("/dls/processing/Gain.mrc", True, "Gain.mrc"),
        ("/dls/processing/my.tiff", True, "my.tiff"),
        ("", True, ""),
        (None, True, ""),
    ],
)
def test_the_gain_reference_is_told_by_its_name(stored: str | None, wanted: bool, name: str) -> None:
    answer = parameters_for_synchweb({"motioncor_gainreference": stored})

    assert (answer["wantGainReferenceFile"], answer["motioncor_gainreference"]) == (wanted, name)


def test_every_value_is_a_text() -> None:
    answer = parameters_for_synchweb({"voltage": "300", "do_class2d": "true", "use_fsc_criterion": "0", "empty": None})

    stored = {key: answer[key] for key in ("voltage", "do_class2d", "use_fsc_criterion", "empty")}
    assert stored == {"voltage": "300", "do_class2d": "true", "use_fsc_criterion": "0", "empty": ""}
