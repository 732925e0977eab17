"""Figures of one measurement and of several."""

from __future__ import annotations

import pytest

from tests.bench.samples import Sample, percentile, together
from tests.unit.bench.made import sample


@pytest.mark.parametrize(
    ("times", "part", "expected"),
    [([], 50, 0), ([7], 99, 7), ([1, 2, 3, 4], 50, 2), (range(1, 101), 99, 99), (range(1, 1001), 99, 990)],
)
def test_a_percentile_is_a_value_that_was_measured(times: list[float], part: float, expected: float) -> None:
    assert percentile(times, part) == expected


def test_times_in_any_order_make_a_sample() -> None:
    made = Sample.of_times([3.0, 1.0, 2.0, 100.0], seconds=2)

    assert (made.rate, made.p50, made.p99, made.requests) == (2, 2, 100, 4)


def test_of_several_runs_the_median_counts_but_every_error() -> None:
    made = together([sample(100, p99=5), sample(300, p99=50, errors=2), sample(200, p99=6, errors=1)])

    assert (made.rate, made.p99, made.errors) == (200, 6, 3)
