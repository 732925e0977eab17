"""What MariaDB allows: the same SQL through the same driver, in as many processes as the service has workers."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import Self

import sqlalchemy as sa

from app.db import Database
from app.settings import Settings
from tests.bench.samples import Sample
from tests.bench.tape import Step, Transaction, play
from tests.support.environments import Environment

BEGIN = 0.3  # seconds from now, so that all processes begin together
POOL = 16  # connections of one process


@dataclass(frozen=True)
class Work:
    """What one process does.

    Args:
        begin: when, on the machine's clock.
        dcids: those of each thread, for a transaction; it ends with them.
    """

    database_url: str
    steps: tuple[Step, ...] | Transaction
    begin: float
    seconds: float
    threads: int
    dcids: tuple[tuple[int, ...], ...] = ()


class Limits:
    """Processes that send what a tape has, in place of the service's workers."""

    def __init__(self, environment: Environment, workers: int) -> None:
        self._url = environment.database_url
        self._workers = workers
        self._pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def alone(self, steps: Sequence[Step], seconds: float) -> Sample:
        """One after the other, on one connection."""
        return self._run(tuple(steps), seconds, workers=1, threads=1)

    def at_once(self, steps: Sequence[Step], seconds: float, connections: int) -> Sample:
        """On so many connections."""
        return self._run(tuple(steps), seconds, workers=self._workers, threads=connections // self._workers)

    def launches(self, launch: Transaction, dcids: Sequence[int], seconds: float, connections: int) -> Sample:
        """The launch's statements, each on a data collection of its own."""
        workers = min(self._workers, connections)
        return self._run(launch, seconds, workers=workers, threads=connections // workers, dcids=dcids)

    def _run(
        self,
        steps: tuple[Step, ...] | Transaction,
        seconds: float,
        *,
        workers: int,
        threads: int,
        dcids: Sequence[int] = (),
    ) -> Sample:
        list(self._pool.map(_connect, [self._url] * self._workers))
        begin, all_of_them = time.time() + BEGIN, workers * threads
        shares = [tuple(dcids[number::all_of_them]) for number in range(all_of_them)]
        works = [
            Work(self._url, steps, begin, seconds, threads, tuple(shares[number * threads : (number + 1) * threads]))
            for number in range(workers)
        ]
        found = list(self._pool.map(do, works))
        times = [one for times, _ in found for one in times]
        return Sample.of_times(times, max(took for _, took in found))


def do(work: Work) -> tuple[list[float], float]:
    """The milliseconds of each round, and the seconds of all; runs in a process of the pool."""
    engine = _engine(work.database_url)
    shares = work.dcids or ((),) * work.threads
    with ThreadPoolExecutor(work.threads) as pool:
        found = [future.result() for future in [pool.submit(_repeat, engine, work, share) for share in shares]]
    return [one for times in found for one in times], time.time() - work.begin


def _repeat(engine: sa.Engine, work: Work, dcids: Sequence[int]) -> list[float]:
    rounds = _rounds(engine, work.steps, dcids)
    times: list[float] = []
    time.sleep(max(0.0, work.begin - time.time()))
    while time.time() < work.begin + work.seconds:
        begun = time.perf_counter()
        if next(rounds, None) is None:
            break
        times.append((time.perf_counter() - begun) * 1000)
    return times


def _rounds(engine: sa.Engine, steps: tuple[Step, ...] | Transaction, dcids: Sequence[int]) -> Iterator[bool]:
    """Each time it is asked, one more."""
    if isinstance(steps, Transaction):
        for dcid in dcids:
            with engine.connect() as connection:
                steps.run(connection, dcid)
            yield True
        return
    while True:
        with engine.connect() as connection:
            for step in steps:
                play(connection, step)
        yield True


@cache
def _engine(database_url: str) -> sa.Engine:
    """As the service makes it."""
    return Database(Settings.model_validate({"database": {"url": database_url}}), pool_size=POOL).engine


def _connect(database_url: str) -> None:
    """Leave nothing of the beginning to be measured."""
    with _engine(database_url).connect() as connection:
        connection.exec_driver_sql("SELECT 1").fetchall()
