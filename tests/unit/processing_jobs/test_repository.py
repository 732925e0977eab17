"""ISPyB's local times become UTC before anything is judged by them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app.processing_jobs import repository
from app.settings import Settings

SETTINGS = Settings()  # Europe/London


@pytest.mark.parametrize(
    ("local", "utc"),
    [
        pytest.param(datetime(2021, 1, 5, 12, 0), datetime(2021, 1, 5, 12, 0, tzinfo=UTC), id="winter"),
        pytest.param(datetime(2021, 7, 5, 12, 0), datetime(2021, 7, 5, 11, 0, tzinfo=UTC), id="summer"),
        pytest.param(datetime(2021, 3, 28, 0, 58), datetime(2021, 3, 28, 0, 58, tzinfo=UTC), id="before the jump"),
        pytest.param(datetime(2021, 3, 28, 2, 2), datetime(2021, 3, 28, 1, 2, tzinfo=UTC), id="four minutes later"),
        pytest.param(datetime(2021, 10, 31, 1, 30), datetime(2021, 10, 31, 0, 30, tzinfo=UTC), id="twice: the earlier"),
        pytest.param(None, None, id="null"),
        pytest.param("0000-00-00 00:00:00", None, id="zero date"),
    ],
)
def test_local_times_are_read_in_the_facilitys_zone(local: datetime | None, utc: datetime | None) -> None:
    assert repository._utc(local, SETTINGS) == utc


@pytest.mark.parametrize(
    ("now", "read"),
    [
        pytest.param(datetime(2021, 10, 31, 1, 35, tzinfo=UTC), datetime(2021, 10, 31, 1, 30, tzinfo=UTC), id="later"),
        pytest.param(
            datetime(2021, 10, 31, 0, 35, tzinfo=UTC), datetime(2021, 10, 31, 0, 30, tzinfo=UTC), id="earlier"
        ),
    ],
)
def test_a_sign_of_life_in_the_hour_that_comes_twice_is_as_young_as_it_can_be(now: datetime, read: datetime) -> None:
    assert repository._sign_of_life(datetime(2021, 10, 31, 1, 30), SETTINGS, now) == read
