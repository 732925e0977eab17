"""What each question to the database costs, to be compared between sizes of the facility."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import sqlalchemy as sa

from tests.bench.loading import Loaded
from tests.bench.operations import Requests
from tests.bench.tape import Tape
from tests.bench.wrk import Ask
from tests.support.statements import Statement
from tests.support.walk import Walk, operations

SECONDS, ROUNDS = 0.3, 200  # for one statement, whichever ends first
WARM = 3


@dataclass(frozen=True)
class Cost:
    """One statement's.

    Args:
        name: who sends it, and which of its statements it is.
        milliseconds: half of the answers took less.
    """

    name: str
    rows: int
    milliseconds: float


def costs(tape: Tape, loaded: Loaded) -> list[Cost]:
    """Of every question that the service's operations ask."""
    statements = tape.selects(_asks(loaded))
    names = _names(statements)
    out = []
    with tape.engine.connect() as connection:
        for name, statement in zip(names, statements, strict=True):
            rows, milliseconds = _time(connection, statement)
            out.append(Cost(name, rows, milliseconds))
    return out


def _asks(loaded: Loaded) -> list[Ask]:
    """One request for each of the service's operations that changes nothing."""
    headers = Requests.about(loaded).headers
    walk = Walk(loaded.facility)
    out = []
    for operation in operations():
        if operation.changes or "/once" in operation.path:
            continue
        for ask in walk.requests(operation):
            query = "&".join(f"{name}={value}" for name, value in ask.params.items())
            out.append(Ask(f"{ask.url}?{query}" if query else ask.url, headers={**headers, **ask.headers}))
    return out


def _names(statements: Sequence[Statement]) -> list[str]:
    """A function that sends several is named with their numbers."""
    several = Counter(statement.where for statement in statements)
    seen: Counter[str] = Counter()
    names = []
    for statement in statements:
        seen[statement.where] += 1
        number = f" ({seen[statement.where]})" if several[statement.where] > 1 else ""
        names.append(statement.where + number)
    return names


def _time(connection: sa.Connection, statement: Statement) -> tuple[int, float]:
    rows, begun = 0, time.monotonic()
    times: list[float] = []
    while len(times) < WARM + ROUNDS and (len(times) <= WARM or time.monotonic() - begun < SECONDS):
        counter = time.perf_counter()
        rows = len(connection.exec_driver_sql(statement.sql, statement.parameters).fetchall())
        times.append((time.perf_counter() - counter) * 1000)
    return rows, median(times[WARM:])
