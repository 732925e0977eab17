"""What a run of the bench found, as it is kept for the next run to compare with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from pydantic import TypeAdapter

from tests.bench.growth import Cost
from tests.bench.samples import Sample, together
from tests.bench.serving import Memory

MIXED = "a mixed day"


@dataclass(frozen=True)
class Measured:
    """One operation.

    Args:
        samples: by the number of connections.
        sql: the same SQL without HTTP on as many connections as are compared, ``sql_alone`` on one.
        frame: FastAPI answering the same bytes, where the operation's answers have any.
        nginx: the same file sent by nginx.
        first_byte: milliseconds until the first byte of the body, one request after the other.
        fresh: by the number of connections, where no look is shared; ``fresh_first_byte`` likewise.
    """

    name: str
    samples: dict[int, Sample]
    sql: Sample | None = None
    sql_alone: Sample | None = None
    frame: Sample | None = None
    nginx: Sample | None = None
    first_byte: float | None = None
    patient: bool = False
    fresh: dict[int, Sample] = field(default_factory=dict)
    fresh_first_byte: float | None = None


@dataclass(frozen=True)
class Launches:
    """One after the other, and several at once; each beside the bare transaction, and beside its way to the broker."""

    alone: Sample
    at_once: Sample
    bare_alone: Sample
    bare_at_once: Sample
    arrival_alone: Sample
    arrival_at_once: Sample


@dataclass(frozen=True)
class Found:
    """Everything about one size.

    Args:
        fraction: of the size that was asked for.
        start_seconds: from the command to the first answer to a question about a job.
        idle: of each worker before the first request; ``loaded`` after the last, ``fresh`` after those without sharing.
    """

    fraction: float
    rows: dict[str, int]
    load_seconds: float
    operations: list[Measured]
    launches: Launches
    start_seconds: float
    idle: list[Memory]
    loaded: list[Memory]
    fresh: list[Memory] = field(default_factory=list)
    costs: list[Cost] = field(default_factory=list)

    def find(self, name: str) -> Measured | None:
        """The operation of this name, or the first whose name begins so."""
        exact = (one for one in self.operations if one.name == name)
        return next(exact, next((one for one in self.operations if one.name.startswith(name)), None))


@dataclass(frozen=True)
class Results:
    """A whole run; the full size is its last."""

    command: str
    machine: dict[str, str]
    runs: int
    sizes: list[Found]
    when: str

    @property
    def whole(self) -> Found:
        return self.sizes[-1]


RESULTS = TypeAdapter(Results)


def keep(path: Path, results: Results) -> None:
    """For the next run; each command compares with itself."""
    kept = _kept(path)
    kept[results.command] = asdict(results)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(kept, indent=1) + "\n")


def find_before(path: Path, command: str) -> Results | None:
    """Those of the last run of this command; none of a version that kept other things."""
    try:
        return RESULTS.validate_python(_kept(path)[command])
    except (KeyError, ValueError):
        return None


def _kept(path: Path) -> dict[str, object]:
    try:
        kept = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def medians(runs: Sequence[Found]) -> Found:
    """Of several runs at one size."""
    first = runs[0]
    return Found(
        fraction=first.fraction,
        rows=first.rows,
        load_seconds=first.load_seconds,
        operations=[_measured(same) for same in zip(*(run.operations for run in runs), strict=True)],
        launches=Launches(
            **{name: together([getattr(run.launches, name) for run in runs]) for name in Launches.__dataclass_fields__}
        ),
        start_seconds=median(run.start_seconds for run in runs),
        idle=first.idle,
        loaded=max((run.loaded for run in runs), key=_peak),
        fresh=max((run.fresh for run in runs), key=_peak),
        costs=first.costs,
    )


def _peak(workers: Sequence[Memory]) -> float:
    return max((one.peak for one in workers), default=0.0)


def _measured(same: Sequence[Measured]) -> Measured:
    def middle(samples: Sequence[Sample | None]) -> Sample | None:
        there = [sample for sample in samples if sample is not None]
        return together(there) if there else None

    def half(times: Sequence[float | None]) -> float | None:
        there = [time for time in times if time is not None]
        return median(there) if there else None

    first = same[0]
    return Measured(
        name=first.name,
        samples={number: together([one.samples[number] for one in same]) for number in first.samples},
        sql=middle([one.sql for one in same]),
        sql_alone=middle([one.sql_alone for one in same]),
        frame=middle([one.frame for one in same]),
        nginx=middle([one.nginx for one in same]),
        first_byte=half([one.first_byte for one in same]),
        patient=first.patient,
        fresh={number: together([one.fresh[number] for one in same]) for number in first.fresh},
        fresh_first_byte=half([one.fresh_first_byte for one in same]),
    )
