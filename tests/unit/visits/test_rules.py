"""How a visit is written, where its files lie, and whether it may still be processed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from app.visits.rules import (
    ProcessingNotAllowed,
    Visit,
    VisitRef,
    VisitUnreadable,
    require_processing,
    why_not,
)

START = datetime(2021, 6, 8, 9, 0, tzinfo=UTC)
END = datetime(2021, 6, 10, 9, 0, tzinfo=UTC)
PATTERN = "/dls/{beamline}/data/{year}/{visit}"
LONDON = ZoneInfo("Europe/London")


def visit(**overrides: Any) -> Visit:
    """A visit of two days on m12."""
    values: dict[str, Any] = {
        "session_id": 1,
        "ref": VisitRef("cm", "28212", 1),
        "beamline": "m12",
        "start": START,
        "end": END,
        "archived": False,
        "as_of": START,
    }
    return Visit(**(values | overrides))


# References.


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("cm28212-1", VisitRef("cm", "28212", 1)),
        ("bi1-0", VisitRef("bi", "1", 0)),
        ("zz9999999999-999999999", VisitRef("zz", "9999999999", 999999999)),
        ("cm00028-1", VisitRef("cm", "00028", 1)),
        ("cm28212-007", VisitRef("cm", "28212", 7)),
    ],
)
def test_a_visit_is_two_letters_a_number_a_dash_and_a_number(text: str, ref: VisitRef) -> None:
    assert VisitRef.parse(text) == ref


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("CM28212-1", id="capitals"),
        pytest.param("Cm28212-1", id="a capital"),
        pytest.param(" cm28212-1", id="space in front"),
        pytest.param("cm28212-1 ", id="space behind"),
        pytest.param("cm28212 -1", id="space within"),
        pytest.param("cm28212-1\n", id="newline behind"),
        pytest.param("cm28212-1\x00", id="NUL behind"),
        pytest.param("cm28212-١", id="Arabic digit"),
        pytest.param("cm２８２１２-1", id="full width digits"),
        pytest.param("cm28212-²", id="superscript"),
        pytest.param("сm28212-1", id="a Cyrillic letter that looks alike"),
        pytest.param("cm28212", id="no visit number"),
        pytest.param("cm28212-", id="no visit number behind the dash"),
        pytest.param("cm-1", id="no proposal number"),
        pytest.param("28212-1", id="no proposal code"),
        pytest.param("c28212-1", id="one letter"),
        pytest.param("cmx28212-1", id="three letters"),
        pytest.param("cm28212_1", id="underscore"),
        pytest.param("cm28212–1", id="en dash"),
        pytest.param("cm28212--1", id="two dashes"),
        pytest.param("cm28212-1-2", id="one number too many"),
        pytest.param("cm28212-1.0", id="a fraction"),
        pytest.param("cm28212-+1", id="a sign"),
        pytest.param("cm28212-1_0", id="digits with an underscore"),
        pytest.param("cm28212-0x1", id="hexadecimal"),
        pytest.param("cm28212-1/..", id="a path"),
        pytest.param("../cm28212-1", id="climbing"),
        pytest.param("cm28212-1%00", id="percent"),
        pytest.param("cm28212-1;--", id="SQL"),
        pytest.param("cm12345678901-1", id="proposal number too long"),
        pytest.param("cm28212-1234567890", id="visit number too large for its column"),
        pytest.param("cm28212-" + "9" * 5000, id="visit number too long for Python's int"),
        pytest.param("cm" + "1" * 1_000_000 + "-1", id="a megabyte"),
        pytest.param("cm28212-\ud800", id="lone surrogate"),
    ],
)
def test_anything_else_is_no_visit(text: str) -> None:
    with pytest.raises(VisitUnreadable) as caught:
        VisitRef.parse(text)

    assert [error.field for error in caught.value.errors] == ["visit"]
    assert len(caught.value.detail) < 200


def test_a_visit_is_written_as_it_was_read() -> None:
    ref = VisitRef.parse("cm28212-1")

    assert (str(ref), ref.proposal) == ("cm28212-1", "cm28212")


# Directories.


@pytest.mark.parametrize(
    ("pattern", "directory"),
    [
        (PATTERN, "/dls/m12/data/2021/cm28212-1"),
        ("/data/{visit}", "/data/cm28212-1"),
        ("/data/{proposal}/{visit}", "/data/cm28212/cm28212-1"),
        ("/{year}/{beamline}/{visit}/em", "/2021/m12/cm28212-1/em"),
    ],
)
def test_directory_of_a_visit(pattern: str, directory: str) -> None:
    assert visit().directory(pattern) == Path(directory)


@pytest.mark.parametrize(
    ("start", "year"),
    [
        (datetime(2021, 12, 31, 23, 59, tzinfo=UTC), "2021"),
        (datetime(2022, 1, 1, 0, 0, tzinfo=UTC), "2022"),
        (datetime(2022, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=1))), "2022"),
    ],
    ids=["the last minute of a year", "the first of the next", "the first by local time"],
)
def test_the_year_is_that_of_the_start_in_local_time(start: datetime, year: str) -> None:
    lasting = visit(start=start, end=start + timedelta(days=400))

    assert lasting.directory(PATTERN) == Path(f"/dls/m12/data/{year}/cm28212-1")


def test_without_a_start_there_is_no_directory() -> None:
    assert visit(start=None).directory(PATTERN) is None


# May it be processed?


@pytest.mark.parametrize(
    ("overrides", "now"),
    [
        pytest.param({}, START, id="at its start"),
        pytest.param({}, START - timedelta(days=30), id="before its start"),
        pytest.param({}, END, id="at its end"),
        pytest.param({}, END + timedelta(hours=24), id="exactly at the end of the grace period"),
        pytest.param({"end": None}, END + timedelta(days=3650), id="without end it is not over"),
        pytest.param({"end": END.astimezone(LONDON)}, END + timedelta(hours=24), id="whatever zone its end is in"),
    ],
)
def test_a_visit_may_be_processed(overrides: dict[str, Any], now: datetime) -> None:
    assert why_not(visit(**overrides), now, 24) is None
    require_processing(visit(**overrides), now, 24)


@pytest.mark.parametrize(
    ("overrides", "now", "reason"),
    [
        pytest.param({}, END + timedelta(hours=24, microseconds=1), "ended on 10 June 2021 at 09:00", id="just over"),
        pytest.param({}, END + timedelta(days=3650), "more than 24 hours ago", id="long over"),
        pytest.param({"archived": True}, START, "archived", id="archived, though it lasts"),
        pytest.param({"archived": True, "end": None}, START, "archived", id="archived, without end"),
        pytest.param({"archived": True, "start": None}, START, "archived", id="archived, without start"),
        pytest.param({"start": None}, START, "no start date", id="without start"),
        pytest.param({"start": None, "end": None}, START, "no start date", id="without any date"),
    ],
)
def test_a_visit_may_not_be_processed_and_the_reason_says_why(
    overrides: dict[str, Any], now: datetime, reason: str
) -> None:
    refused = visit(**overrides)

    with pytest.raises(ProcessingNotAllowed) as caught:
        require_processing(refused, now, 24)

    assert reason in caught.value.detail
    assert caught.value.detail == why_not(refused, now, 24)
    assert caught.value.context == {"visit": "cm28212-1"}
    assert [error.field for error in caught.value.errors] == ["visit"]


@pytest.mark.parametrize("hours", [0, 0.5, 48, 24 * 365])
def test_the_grace_period_is_a_setting(hours: float) -> None:
    limit = END + timedelta(hours=hours)

    assert why_not(visit(), limit, hours) is None
    assert why_not(visit(), limit + timedelta(seconds=1), hours) is not None


@pytest.mark.parametrize(
    ("end", "real_hours", "allowed"),
    [
        pytest.param(
            datetime(2021, 3, 27, 12, 0, tzinfo=LONDON), 24, True, id="spring: 24 hours, 25 by the wall clock"
        ),
        pytest.param(datetime(2021, 3, 27, 12, 0, tzinfo=LONDON), 24.1, False, id="spring: more than 24 hours"),
        pytest.param(
            datetime(2021, 10, 30, 12, 0, tzinfo=LONDON), 24, True, id="autumn: 24 hours, 23 by the wall clock"
        ),
        pytest.param(datetime(2021, 10, 30, 12, 0, tzinfo=LONDON), 24.1, False, id="autumn: more than 24 hours"),
    ],
)
@pytest.mark.parametrize("zone", [UTC, LONDON], ids=["now in UTC", "now in local time"])
def test_hours_of_grace_are_hours_when_the_clocks_change(
    end: datetime, real_hours: float, allowed: bool, zone: timezone | ZoneInfo
) -> None:
    now = (end.astimezone(UTC) + timedelta(hours=real_hours)).astimezone(zone)

    assert (why_not(visit(end=end), now, 24) is None) is allowed
