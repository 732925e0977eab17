"""What one measurement found, and what several found together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Sample:
    """Requests in a row, or at once.

    Args:
        rate: answers a second.
        p50: milliseconds within which half of them came; ``p99`` all but one of a hundred.
        errors: refusals, answers that never came, and connections that broke.
        size: bytes of one answer with its headers, on average.
    """

    rate: float
    p50: float
    p99: float
    requests: int
    errors: int = 0
    size: float = 0.0

    @classmethod
    def of_times(cls, milliseconds: Sequence[float], seconds: float) -> Sample:
        """From the time that each of them took, and that all of them took together."""
        times = sorted(milliseconds)
        return cls(rate=len(times) / seconds, p50=percentile(times, 50), p99=percentile(times, 99), requests=len(times))


def percentile(ordered: Sequence[float], part: float) -> float:
    """The value that so many of a hundred do not exceed; of none it is zero."""
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(len(ordered) * part / 100) - 1)]


def together(samples: Sequence[Sample]) -> Sample:
    """Medians of several runs; what went wrong in any of them is kept."""
    return Sample(
        rate=median(sample.rate for sample in samples),
        p50=median(sample.p50 for sample in samples),
        p99=median(sample.p99 for sample in samples),
        requests=sum(sample.requests for sample in samples),
        errors=sum(sample.errors for sample in samples),
        size=median(sample.size for sample in samples),
    )
