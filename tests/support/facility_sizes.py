"""How large a facility is, and how its rows are written down. See ``facility``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

VISIT_COLLECTIONS = 60  # data collections of the visit that tests ask about
LISTED_JOBS = 14  # of one of them, besides the job that each has
SMALL_PROGRAM = 300  # movies of each program but the biggest
CLASSES, CLASSES_3D = 50, 4  # of one classification


@dataclass(frozen=True)
class Sizes:
    """How many rows, and which are whose. Ids begin with 1; those of the visit that tests ask about come last."""

    data_collections: int
    jobs: int
    movies: int
    programs: int
    launches: int

    @property
    def visits(self) -> int:
        # A small copy has as many visits and persons as it takes for MariaDB to look them up, not read them all.
        return max(2000, self.data_collections // 100 * 4)  # four for each proposal

    @property
    def proposals(self) -> int:
        return self.visits // 4

    @property
    def persons(self) -> int:
        return max(1500, self.visits // 2)

    @property
    def other_collections(self) -> int:
        """The data collections of all other visits."""
        return self.data_collections - VISIT_COLLECTIONS

    @property
    def other_jobs(self) -> int:
        """The jobs of all other visits."""
        return self.jobs - VISIT_COLLECTIONS - LISTED_JOBS

    @property
    def listed_jobs(self) -> range:
        """The jobs of the data collection that has many."""
        return range(self.other_jobs + 1, self.other_jobs + LISTED_JOBS + 1)

    @property
    def small_movies(self) -> int:
        """The movies of all programs but the biggest."""
        return self.programs * SMALL_PROGRAM

    @property
    def groups(self) -> int:
        """Classifications: four of each program, and many of the biggest."""
        return 4 * (self.programs + max(2, self.movies // 2000))

    def small_program(self, index: str) -> str:
        """An expression for the programs with a few movies each, evenly among all; each is its job's first."""
        step = self.other_jobs // 10 // self.programs
        return f"(1 + 10 * {step} * ({index}))"

    def persons_of(self, visit: str) -> str:
        """An expression for five persons of a visit, by ``k``; the last person of all is on none of these."""
        return f"(1 + MOD({visit} * 7 + k * 131, {self.persons - 2}))"


@dataclass(frozen=True)
class Rows:
    """Rows for one table: an expression for each column, and what comes behind ``FROM``."""

    table: str
    source: str
    columns: Mapping[str, object]

    @property
    def sql(self) -> str:
        names = ", ".join(f"`{name}`" for name in self.columns)
        values = ", ".join(str(value) for value in self.columns.values())
        # Straight: from the sequence to what is joined to it, so that the rows come in the order of their ids.
        return f"INSERT INTO `{self.table}` ({names}) SELECT STRAIGHT_JOIN {values} FROM {self.source}"


def count(number: int, name: str = "n") -> str:
    """A source of the numbers from 1."""
    return f"(SELECT CAST(seq AS SIGNED) AS {name} FROM seq_1_to_{number}) AS count_{name}"


def one_of(number: str, *values: str) -> str:
    texts = ", ".join(f"'{value}'" for value in values)
    return f"ELT(1 + MOD({number}, {len(values)}), {texts})"
