"""Where Zocalo lets RELION run, and what a stored data collection must have."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from app.data_collections.rules import (
    DataCollection,
    NoMoviesDirectory,
    require_results_directory,
    results_directory,
    working_directory,
)

VISIT = Path("/dls/m12/data/2021/cm28212-1")


GUID = "6f0b0d5e-9a3c-4b6e-8d59-1f2e3d4c5b6a"


EPU = "GridSquare_*/Data/*.tiff"


# Where Zocalo lets RELION run.
def zocalos(below: tuple[str, ...], directory: str, prefix: str | None, number: int | None, guid: str) -> str:
    """What python-relion's filter computes (relion.zocalo.ispyb_recipe_tools, 0.13), written down here again."""
    match = re.compile(r"^(.*/([a-z][a-z][0-9]+-[0-9]+))/").search(directory)
    assert match is not None
    visit = match.group(1)
    collection_path: Any = prefix or ""
    if collection_path or number or "":
        collection_path = f"{collection_path}_{number or ''}"
    return os.path.join(visit, *below, directory[len(visit) + 1 :], collection_path, guid)


@pytest.mark.parametrize(
    ("directory", "prefix", "number", "below"),
    [
        pytest.param(f"{VISIT}/raw/", "GridSquare", 1, "raw/GridSquare_1", id="prefix and number"),
        pytest.param(f"{VISIT}/raw/", "GridSquare", 12, "raw/GridSquare_12", id="a later one"),
        pytest.param(f"{VISIT}/raw/", None, None, "raw", id="neither (EM.php's rows)"),
        pytest.param(f"{VISIT}/raw/", "", None, "raw", id="neither: empty prefix"),
        pytest.param(f"{VISIT}/raw/", "", 0, "raw", id="neither: number 0 is none"),
        pytest.param(f"{VISIT}/raw/", None, 1, "raw/_1", id="number only"),
        pytest.param(f"{VISIT}/raw/", "", 1, "raw/_1", id="number only: empty prefix"),
        pytest.param(f"{VISIT}/raw/", "GridSquare", None, "raw/GridSquare_", id="prefix only"),
        pytest.param(f"{VISIT}/raw/", "GridSquare", 0, "raw/GridSquare_", id="prefix only: number 0 is none"),
        pytest.param(f"{VISIT}/raw", "GridSquare", 1, "raw/GridSquare_1", id="no trailing slash"),
        pytest.param(f"{VISIT}/", "GridSquare", 1, "GridSquare_1", id="the visit's directory itself"),
        pytest.param(f"{VISIT}/raw/a/b/", "Frames", 1, "raw/a/b/Frames_1", id="deeper"),
        pytest.param(f"{VISIT}/raw//a/", "Frames", 1, "raw/a/Frames_1", id="double slash within"),
        pytest.param(f"{VISIT}/raw/../a/", "Frames", 1, "a/Frames_1", id="'..' that stays inside"),
        pytest.param(f"{VISIT}/raw/", "Grid Square", 1, "raw/Grid Square_1", id="a space"),
        pytest.param(f"{VISIT}/raw/", "a/b", 1, "raw/a/b_1", id="a slash in the prefix"),
    ],
)
def test_where_the_results_and_the_scratch_lie(
    directory: str, prefix: str | None, number: int | None, below: str
) -> None:
    results = results_directory(directory, prefix, number, GUID)
    working = working_directory(directory, prefix, number, GUID)

    assert results == VISIT / "processed" / below / GUID
    assert working == VISIT / "tmp" / "zocalo" / below / GUID
    assert str(results) == os.path.normpath(zocalos(("processed",), directory, prefix, number, GUID))
    assert str(working) == os.path.normpath(zocalos(("tmp", "zocalo"), directory, prefix, number, GUID))


@pytest.mark.parametrize(
    ("directory", "results"),
    [
        pytest.param(f"{VISIT}/raw/ab1-2/x/", f"{VISIT}/raw/ab1-2/processed/x/p_1/{GUID}", id="greedy: another visit"),
        pytest.param(f"{VISIT}/raw/ab1-2/", f"{VISIT}/raw/ab1-2/processed/p_1/{GUID}", id="greedy: it ends there"),
        pytest.param(f"{VISIT}/raw/ab1-2", f"{VISIT}/processed/raw/ab1-2/p_1/{GUID}", id="greedy, but no slash behind"),
        pytest.param(f"{VISIT}/raw/AB1-2/", f"{VISIT}/processed/raw/AB1-2/p_1/{GUID}", id="capitals are no visit"),
        pytest.param(f"{VISIT}/raw/abc1-2/", f"{VISIT}/processed/raw/abc1-2/p_1/{GUID}", id="three letters are none"),
        pytest.param("/ab1-2/", f"/ab1-2/processed/p_1/{GUID}", id="a visit at the root"),
        pytest.param("/a/b/c/ab1-2/raw/", f"/a/b/c/ab1-2/processed/raw/p_1/{GUID}", id="a visit anywhere"),
    ],
)
def test_the_visit_is_what_zocalo_finds_in_the_path(directory: str, results: str) -> None:
    found = results_directory(directory, "p", 1, GUID)

    assert str(found) == results == zocalos(("processed",), directory, "p", 1, GUID)


@pytest.mark.parametrize(
    ("directory", "prefix"),
    [
        pytest.param("", "p", id="nothing"),
        pytest.param("/", "p", id="root"),
        pytest.param("raw/", "p", id="relative"),
        pytest.param("cm28212-1/raw/", "p", id="relative, beginning with a visit"),
        pytest.param("/dls/m12/data/2021/cm28212-1", "p", id="the visit without a slash behind"),
        pytest.param("/dls/m12/data/2021/CM28212-1/raw/", "p", id="the visit in capitals"),
        pytest.param("/dls/m12/data/2021/cm28212/raw/", "p", id="a proposal"),
        pytest.param("/dls/m12/data/2021/cm-1/raw/", "p", id="no number"),
        pytest.param("None/", "p", id="what PATo made of a NULL"),
        # os.path.join in Zocalo's filter would let these leave the visit.
        pytest.param(f"{VISIT}//raw/", "p", id="double slash behind the visit: an absolute rest"),
        pytest.param(f"{VISIT}/raw/", "/etc", id="an absolute prefix"),
        pytest.param(f"{VISIT}/raw/", "../../..", id="a prefix that climbs"),
        pytest.param(f"{VISIT}/raw/../../x/", "p", id="'..' that leaves the results"),
        pytest.param(f"{VISIT}/../cm28212-2x/raw/", "p", id="'..' that leaves the visit"),
    ],
)
def test_no_directory_where_zocalo_finds_none_or_would_leave_the_visit(directory: str, prefix: str) -> None:
    assert results_directory(directory, prefix, 1, GUID) is None
    assert working_directory(directory, prefix, 1, GUID) is None


# Of a stored data collection.
def collection(**overrides: Any) -> DataCollection:
    values: dict[str, Any] = {
        "dcid": 6018191,
        "session_id": 1,
        "image_directory": f"{VISIT}/raw/",
        "file_template": EPU,
        "image_prefix": "GridSquare",
        "image_suffix": "tiff",
        "number": 1,
        "start": None,
        "end": None,
        "run_status": None,
        "comments": None,
    }
    return DataCollection(**(values | overrides))


def test_the_results_of_a_stored_data_collection() -> None:
    directory = require_results_directory(collection(), GUID)

    assert directory == VISIT / "processed" / "raw" / "GridSquare_1" / GUID


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        ({"image_directory": None}, "imageDirectory"),
        ({"image_directory": ""}, "imageDirectory"),
        ({"image_directory": "/data/somewhere/"}, "imageDirectory"),
        ({"file_template": None}, "fileTemplate"),
        ({"file_template": ""}, "fileTemplate"),
        ({"image_directory": None, "file_template": None}, "imageDirectory"),
        ({"image_prefix": "../../.."}, "imageDirectory"),
    ],
    ids=repr,
)
def test_a_data_collection_without_a_usable_directory_is_refused(overrides: dict[str, Any], field: str) -> None:
    with pytest.raises(NoMoviesDirectory) as caught:
        require_results_directory(collection(**overrides), GUID)

    assert [error.field for error in caught.value.errors] == [field]
    assert caught.value.context == {"dataCollectionId": 6018191}
