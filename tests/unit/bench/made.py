"""Figures for tests of the tables: dull, so that a test states only what matters to it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.bench.growth import Cost
from tests.bench.results import Found, Launches, Measured, Results
from tests.bench.samples import Sample
from tests.bench.serving import Memory


def sample(rate: float = 2000.0, **changes: Any) -> Sample:
    """Good figures."""
    return replace(Sample(rate=rate, p50=4.0, p99=9.0, requests=4000, size=800.0), **changes)


def measured(name: str = "dc/:id", rate: float = 2000.0, **changes: Any) -> Measured:
    """An operation on eight connections."""
    return replace(Measured(name, {8: sample(rate)}), **changes)


def found(*operations: Measured, **changes: Any) -> Found:
    """All about one size."""
    launch = sample(200.0)
    made = Found(
        fraction=1,
        rows={"DataCollection": 1_000_000},
        load_seconds=100.0,
        operations=list(operations or [measured()]),
        launches=Launches(launch, launch, launch, launch, launch, launch),
        start_seconds=1.5,
        idle=[Memory(100.0, 100.0)],
        loaded=[Memory(120.0, 140.0), Memory(121.0, 150.0)],
        costs=[Cost("results/ctf.py:_rows", 3, 0.25)],
    )
    return replace(made, **changes)


def results(*sizes: Found, **changes: Any) -> Results:
    """A whole run."""
    machine = {"processor": "2 × Some Processor", "memory": "24 GB"}
    made = Results("bench", machine, 1, list(sizes or [found()]), "2026-11-22")
    return replace(made, **changes)
