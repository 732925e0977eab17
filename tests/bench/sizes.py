"""How much is loaded, and how long is measured."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tests.support.facility_sizes import SMALL_PROGRAM

LAUNCHES = 100_000  # of the past
MIXED_LAUNCHES = 100  # at most, in one sample of a mixed day, and one more on each connection
AT_ONCE = 8  # launches, and the connections at which all operations are compared


@dataclass(frozen=True)
class Sizes:
    """Of the ISPyB that is asked.

    Args:
        movies: of the one big program.
        other_movies: of all others together.
    """

    data_collections: int = 1_000_000
    jobs: int = 2_000_000
    movies: int = 50_000
    other_movies: int = 500_000

    @property
    def programs(self) -> int:
        """The others that have movies."""
        return max(4, self.other_movies // SMALL_PROGRAM)

    def part(self, fraction: float) -> Sizes:
        """A smaller facility with as large a program."""
        return replace(
            self,
            data_collections=int(self.data_collections * fraction),
            jobs=int(self.jobs * fraction),
            other_movies=int(self.other_movies * fraction),
        )


@dataclass(frozen=True)
class Plan:
    """What is measured, and for how long.

    Args:
        runs: of everything at the whole size; figures are their medians.
        seconds: of one sample.
        patient_seconds: of one sample of answers that take long.
        connections: of quick answers, and of those that take long.
        launches: at most in one sample.
        parameter_seconds: for loading parameters of as many jobs as that is enough for.
        growth: fractions of the size at which everything is measured, the whole comes last.
    """

    runs: int
    seconds: float
    patient_seconds: float
    connections: tuple[int, ...]
    patient_connections: tuple[int, ...]
    launches: int
    parameter_seconds: float
    growth: tuple[float, ...]

    def at(self, fraction: float) -> Plan:
        """For a part of the size: that only shows what grows, which needs one run and one number of connections."""
        if fraction == 1:
            return self
        return replace(self, runs=1, connections=(AT_ONCE,), patient_connections=(AT_ONCE,))

    @property
    def fresh(self) -> int:
        """Data collections to launch on: one to record, two samples and two limits in each run, and its mixed days."""
        mixed = sum(number + MIXED_LAUNCHES for number in self.connections)
        return 1 + self.runs * (4 * self.launches + mixed)


SHORT = Plan(
    runs=1,
    seconds=2,
    patient_seconds=3,
    connections=(1, AT_ONCE, 64, 256),
    patient_connections=(1, AT_ONCE),
    launches=600,
    parameter_seconds=40,
    growth=(1,),
)
FULL = Plan(
    runs=3,
    seconds=2,
    patient_seconds=5,
    connections=(1, AT_ONCE, 64, 256),
    patient_connections=(1, AT_ONCE),
    launches=1000,
    parameter_seconds=180,
    growth=(0.01, 0.1, 1),
)
