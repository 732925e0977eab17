"""How results are written, divided and ordered."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest

from app.results.rules import (
    DEFAULT_BINS,
    Bins,
    ClassSort,
    CtfKind,
    Sortable,
    bins_between,
    decimal_text,
    finite_numbers,
    number_text,
    sort_classes,
)


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [
        (12.3457, 1, "12.3"),
        (1234.05, 1, "1234.1"),
        (0.05, 1, "0.1"),
        (0.005, 2, "0.01"),
        (-0.05, 1, "-0.1"),
        (-0.001, 2, "0.00"),
        (-0.04, 1, "0.0"),
        (0.0, 2, "0.00"),
        (None, 2, "0.00"),
        (83.17, 1, "83.2"),
        (1.005, 2, "1.01"),
        (2.5, 0, "3"),
        (5, 2, "5.00"),
        (Decimal("1.18371"), 5, "1.18371"),
        (1e-7, 4, "0.0000"),
        (1e300, 1, "1" + "0" * 300 + ".0"),
        (math.nan, 1, "0.0"),
        (math.inf, 1, "0.0"),
    ],
)
def test_decimals_are_rounded_as_people_round_them(value: float | None, places: int, text: str) -> None:
    assert decimal_text(value, places) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        (512.0, "512"),
        (512, "512"),
        (0.0, "0"),
        (-0.0, "0"),
        (9.53, "9.53"),
        (1.234e-05, "0.00001234"),
        (1e16, "10000000000000000"),
        (-1.5e-7, "-0.00000015"),
        (100, "100"),
        (Decimal("12.500"), "12.5"),
    ],
)
def test_numbers_are_written_plainly(value: float | None, text: str | None) -> None:
    assert number_text(value) == text


def test_the_default_bins_are_those_that_synchweb_shows() -> None:
    defocus, astigmatism, resolution = (DEFAULT_BINS[kind].texts for kind in CtfKind)

    assert (defocus[0], defocus[1], defocus[-1], len(defocus)) == ("0", "1000", "60000", 61)
    assert (astigmatism[0], astigmatism[1], astigmatism[-1], len(astigmatism)) == ("0.500", "0.505", "1.500", 201)
    assert (resolution[0], resolution[1], resolution[-1], len(resolution)) == ("0", "1", "30", 31)


@pytest.mark.parametrize(
    ("lowest", "highest", "first", "second", "last", "count"),
    [
        ("11837.1", "20000", "11808", "11972", "20008", 51),
        ("100", "247.02", "99", "102", "249", 51),
        ("4.12", "5", "4.104", "4.122", "5.004", 51),
        ("4", "4.0001", "4.000", "4.001", "4.001", 2),
        ("0", "5", "0.0", "0.1", "5.1", 52),
        ("0", "49.99", "0", "1", "50", 51),
        ("-100", "900", "-100", "-80", "920", 52),
        ("-7", "43", "-7", "-6", "44", 52),
        ("-7.5", "92.5", "-8", "-6", "94", 52),
        ("0", "999999999999999999.999999", "0", "20000000000000000", "1000000000000000000", 51),
    ],
)
def test_about_fifty_bins_hold_all_values(
    lowest: str, highest: str, first: str, second: str, last: str, count: int
) -> None:
    bins = bins_between(Decimal(lowest), Decimal(highest))

    texts = bins.texts
    assert (texts[0], texts[1], texts[-1], len(texts)) == (first, second, last, count)
    assert bins.number_of(Decimal(lowest)) == 0
    assert bins.number_of(Decimal(highest)) == count - 2


def test_a_value_falls_into_the_bin_that_begins_at_it_or_into_none() -> None:
    bins = Bins(Decimal("0.5"), Decimal("0.005"), 3)

    assert [bins.number_of(Decimal(value)) for value in ("0.4999", "0.5", "0.505", "0.5149", "0.515")] == [
        None,
        0,
        1,
        2,
        None,
    ]


CLASSES = [
    Sortable(1, 3000, 9.53),
    Sortable(2, 9000, 0.0),
    Sortable(3, None, 12.125),
    Sortable(4, 4000, None),
    Sortable(None, None, None),
    Sortable(5, 4000, 9.53),
]


def test_the_largest_classes_come_first_and_those_without_a_number_last() -> None:
    ordered = sort_classes(CLASSES, ClassSort.PARTICLES)

    assert [one.particle_classification_id for one in ordered] == [2, 4, 5, 1, None, 3]


def test_by_resolution_the_best_comes_first_after_what_has_none_and_zero_last() -> None:
    ordered = sort_classes(CLASSES, ClassSort.RESOLUTION)

    assert [one.particle_classification_id for one in ordered] == [None, 4, 1, 5, 3, 2]


def test_only_finite_numbers_are_taken_out_of_a_file() -> None:
    values = [0, -1.5, math.nan, math.inf, True, "3", None, [1], 10**400]

    assert finite_numbers(values) == [0.0, -1.5, None, None, None, None, None, None, None]
    assert finite_numbers({"bdata": "AAAA"}) == []
