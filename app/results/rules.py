"""Decisions about results: how numbers are written, how a histogram is divided, in which order classes come."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal
from enum import StrEnum
from typing import Any, TypeVar

R = TypeVar("R", bound="Sortable")

WANTED_BINS = 50
_exact = Context(prec=400)  # enough for every digit of a double, before and after the point


def decimal_text(value: float | Decimal | None, places: int) -> str:
    """A number with this many decimals, half away from zero as people round; nothing is zero, and zero has no sign.

    What is rounded is the number as it is shown, its shortest decimal: 0.05 is half of 0.1, though no double is.
    """
    shown = _decimal(value or 0).quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP, context=_exact)
    return f"{shown.copy_abs() if shown.is_zero() else shown:f}"


def number_text(value: float | Decimal | None) -> str | None:
    """A number as people write it: 512, 0.00001234; ``None`` stays ``None``."""
    if value is None:
        return None
    text = str(value)
    if text.lower() != text.upper():  # a letter: an exponent, or no finite number
        text = f"{_decimal(value):f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def _decimal(value: float | Decimal) -> Decimal:
    number = value if isinstance(value, Decimal) else Decimal(repr(value))
    return number if number.is_finite() else Decimal(0)


class CtfKind(StrEnum):
    """What a histogram of CTF estimations counts."""

    DEFOCUS = "defocus"
    ASTIGMATISM = "astigmatism"
    RESOLUTION = "resolution"

    @property
    def unit(self) -> str:
        """As SynchWeb labels it."""
        return "Number" if self is CtfKind.ASTIGMATISM else "A"


@dataclass(frozen=True)
class Bins:
    """Equal steps from ``start``; bin n holds what is at least ``start + n * step`` and below the next."""

    start: Decimal
    step: Decimal
    count: int

    @property
    def texts(self) -> list[str]:
        """The beginning of each bin, with as many decimals as the step has."""
        places = _places(self.step)
        return [decimal_text(self.start + number * self.step, places) for number in range(self.count)]

    def number_of(self, value: Decimal) -> int | None:
        """The bin that a value falls into, if it does into one."""
        number = _floor(value - self.start, self.step)
        return number if 0 <= number < self.count else None


DEFAULT_BINS = {
    CtfKind.DEFOCUS: Bins(Decimal(0), Decimal(1000), 61),
    CtfKind.ASTIGMATISM: Bins(Decimal("0.5"), Decimal("0.005"), 201),
    CtfKind.RESOLUTION: Bins(Decimal(0), Decimal(1), 31),
}


def bins_between(lowest: Decimal, highest: Decimal) -> Bins:
    """About fifty bins that hold all values from ``lowest`` to ``highest``, and an empty one after them.

    The step is a whole number, or below 1 has three decimals.
    """
    step = (highest - lowest) / WANTED_BINS
    if step < 1:
        step = max(step.quantize(Decimal("0.001"), rounding=ROUND_HALF_UP), Decimal("0.001"))
    else:
        step = step.to_integral_value(rounding=ROUND_CEILING)
    first, last = _floor(lowest, step), _floor(highest, step)
    return Bins(first * step, step, last - first + 2)


def _floor(value: Decimal, step: Decimal) -> int:
    return int(_exact.divide(value, step).to_integral_value(rounding=ROUND_FLOOR))


def _places(step: Decimal) -> int:
    exponent = step.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


class ClassSort(StrEnum):
    """In which order classes are shown."""

    PARTICLES = "particles"
    RESOLUTION = "resolution"


@dataclass(frozen=True)
class Sortable:
    """What the order of classes depends on. A group without classes has one of nothing but nulls."""

    particle_classification_id: int | None
    particles_per_class: int | None
    estimated_resolution: float | None


def sort_classes(classes: Sequence[R], order: ClassSort) -> list[R]:
    """The largest classes first; or the best resolution first, before it what has none and after it what has zero."""

    def key(one: R) -> tuple[Any, ...]:
        ident = one.particle_classification_id
        age = (ident is not None, ident or 0)
        if order is ClassSort.PARTICLES:
            number = one.particles_per_class
            return (number is None, -(number or 0), age)
        resolution = one.estimated_resolution
        return (resolution is not None, resolution == 0, resolution or 0.0, age)

    return sorted(classes, key=key)


def finite_numbers(values: object) -> list[float | None]:
    """The numbers of a list out of a file; whatever is no number is ``None``, and what is no list is empty."""
    if not isinstance(values, list):
        return []
    return [_finite(value) for value in values]


def _finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
