"""``dc/:id``: a data collection as SynchWeb's page shows it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from app.data_collections.acquisition import Acquisition
from app.data_collections.repository import ACQUISITION
from app.synchweb import data_collection
from app.visits.rules import Visit, VisitRef
from tests.synchweb.replay import differences
from tests.unit.synchweb.recorded import DLS, cases, expected, row, rows

NOW = datetime(2021, 6, 8, 9, 0, tzinfo=UTC)
VISIT = Visit(900007, VisitRef("cm", "31111", 7), "m12", None, None, archived=False, as_of=NOW)
ONE = Acquisition(dcid=5, group_id=6, visit=VISIT)
SHOWN = [
    name
    for name, case in cases("dc_").items()
    if case["expect"]["status"] == [200] and "imageSize" in case["expect"]["json"] and name != "dc_schema"
]


def recorded(dcid: int) -> Acquisition:
    """What the recorded rows say of a data collection."""
    stored = row("DataCollection", "dataCollectionId", dcid)
    group = row("DataCollectionGroup", "dataCollectionGroupId", stored["dataCollectionGroupId"])
    visit = row("BLSession", "sessionId", group["sessionId"])
    values: dict[str, Any] = {name: stored.get(column.name) for name, column in ACQUISITION.items()}
    for name in ("start", "end"):
        values[name] = values[name] and datetime.fromisoformat(values[name])
    of = [
        sum(one["dataCollectionId"] == dcid for one in rows(f"DataCollection{kind}"))
        for kind in ("FileAttachment", "Comment")
    ]
    ref = VisitRef("cm", "31111", visit["visit_number"])
    return Acquisition(
        visit=Visit(
            visit["sessionId"], ref, visit["beamLineName"], None, None, archived=bool(visit["archived"]), as_of=NOW
        ),
        attachment_count=of[0],
        comment_count=of[1],
        **values,
    )


def test_the_recorded_cases_are_found() -> None:
    assert {"dc_ok", "dc_all_null", "dc_mostly_null", "dc_serialem_eer"} <= set(SHOWN)


@pytest.mark.parametrize("name", SHOWN)
def test_the_answer_is_as_recorded_also_in_its_order(name: str) -> None:
    dcid = int(expected(name)["dataCollectionId"])

    answer = data_collection.row(recorded(dcid))

    assert differences(expected(name), answer, DLS) == []
    assert list(answer) == list(expected(name))


def test_nothing_is_null_and_only_what_is_computed_is_a_number() -> None:
    answer = data_collection.row(ONE)

    numbers = {key for key, value in answer.items() if not isinstance(value, str)}
    assert numbers == {"beamSizeAtSampleX", "beamSizeAtSampleY", "frameLength", "frameDose"}


@pytest.mark.parametrize(
    ("template", "software"),
    [
        ("GridSquare_*/Data/*.tiff", "EPU"),
        ("Supervisor_*/GridSquare_*/Data/*.mrc", "EPU"),
        ("Frames/*.tif", "SerialEM"),
        ("*/Data/*.tiff", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_the_acquisition_software_is_told_by_the_template(template: str | None, software: str) -> None:
    assert data_collection.row(replace(ONE, file_template=template))["acquisitionSoftware"] == software


@pytest.mark.parametrize(
    ("directory", "short"),
    [
        ("/dls/m12/data/2026/cm31111-7/raw/", "raw/"),
        ("/dls/m12/data/2026/cm31111-7/raw/deep/er", "raw/deep/er"),
        ("/dls/m12/data/2026/cm31111-9/raw/", "/dls/m12/data/2026/cm31111-9/raw/"),
        ("/dls/m12/data/2026/cm31111-77/raw/", "/dls/m12/data/2026/cm31111-77/raw/"),
    ],
)
def test_the_short_directory_is_what_comes_after_the_visit(directory: str, short: str) -> None:
    assert data_collection.row(replace(ONE, image_directory=directory))["shortImageDirectory"] == short


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 11, 1, 9, 5, 7), "01-11-2026 9:05:07"),
        (datetime(2026, 1, 31, 0, 0, 0), "31-01-2026 0:00:00"),
        (datetime(2026, 12, 3, 23, 59, 1), "03-12-2026 23:59:01"),
    ],
)
def test_times_are_day_month_year_with_a_plain_hour(moment: datetime, text: str) -> None:
    answer = data_collection.row(replace(ONE, start=moment, end=moment))

    assert (answer["startTime"], answer["endTime"]) == (text, text)


@pytest.mark.parametrize(
    ("dose", "frames", "per_frame"),
    [
        (41.3, 40, 1.0325),
        (50, 30, 1.666667),
        (2, 3, 0.666667),
        (0.0000005, 1, 0.000001),
        (3e38, 1, 3e38),
        (50, 0, 0),
        (50, None, 0),
        (50, -1, 0),
    ],
)
def test_the_dose_of_a_frame_has_six_decimals(dose: float, frames: int | None, per_frame: float) -> None:
    answer = data_collection.row(replace(ONE, total_dose=dose, frames=frames))

    assert answer["frameDose"] == pytest.approx(per_frame, rel=1e-12)


def test_the_illuminated_area_is_a_thousandth_of_what_is_stored() -> None:
    answer = data_collection.row(replace(ONE, beam_size_x=615.5, beam_size_y=2000.0))

    shown = [answer[key] for key in ("beamSizeAtSampleX", "beamSizeAtSampleY", "beamSizeAtSample")]
    assert shown == [0.6155, 2, "0.6155 x 2"]


def test_an_archived_visit_is_marked() -> None:
    answer = data_collection.row(replace(ONE, visit=replace(VISIT, archived=True)))

    assert answer["archived"] == "1"
