"""Writes down the SQL that a request sends, so that it can be sent again without the request."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx
import sqlalchemy as sa
from sqlalchemy import event

from tests.bench.serving import KEY
from tests.bench.wrk import Ask
from tests.support.environments import Environment
from tests.support.services import ServiceThread
from tests.support.statements import Statement, recorded

LOOK_SECONDS = 1.2  # after which no answer may come from a look that was shared with an earlier request
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Step:
    """One statement with its parameters, those of several rows if there are ``many``; without any it is a commit."""

    sql: str
    parameters: Any = None
    many: bool = False

    def given(self, values: Mapping[str, str], numbers: Mapping[int, int]) -> Step:
        """The same about something else: texts and numbers replaced wherever they stand among the parameters."""
        return Step(self.sql, _replaced(self.parameters, values, numbers), self.many)


COMMIT = Step("")


@dataclass(frozen=True)
class Transaction:
    """What a launch sends, to be sent again about another data collection.

    Args:
        dcid: of the data collection that it was about; ``job_id`` is that of the job it made.
    """

    steps: tuple[Step, ...]
    dcid: int
    job_id: int

    def run(self, connection: sa.Connection, dcid: int) -> None:
        """Once more, with ids of its own."""
        texts = {found: str(uuid.uuid4()) for found in self._uuids()}
        numbers = {self.dcid: dcid}
        # A body that is text has the job's number in it too.
        for step in self.steps:
            if step == COMMIT:
                connection.commit()
                continue
            result = play(connection, step.given(texts, numbers))
            if "INTO `ProcessingJob` " in step.sql or "INTO ProcessingJob " in step.sql:
                job_id = result.lastrowid
                numbers[self.job_id] = job_id
                texts[str(self.job_id)] = str(job_id)

    def _uuids(self) -> set[str]:
        return {found for step in self.steps for found in UUID.findall(str(step.parameters))}


def play(connection: sa.Connection, step: Step) -> Any:
    """Send a statement and take all its rows, as SQLAlchemy's Core does for the service."""
    result = connection.exec_driver_sql(step.sql, step.parameters)
    if result.returns_rows:
        result.fetchall()
    return result


class Tape:
    """The service in this process, with nobody else asking: what it sends is what one request sends."""

    def __init__(self, environment: Environment) -> None:
        settings = environment.settings(relay={"enabled": False}, auth={"modes": ["synchweb"], "jwt_key": KEY})
        self._service = ServiceThread(settings)

    @property
    def engine(self) -> sa.Engine:
        """The one that it uses."""
        return self._service.resources.database.engine

    def __enter__(self) -> Self:
        self._service.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._service.__exit__(kind, error, traceback)

    def reads(self, ask: Ask) -> list[Step]:
        """What a request sends that others like it went before."""
        for _ in range(2):
            self._send(ask)
        time.sleep(LOOK_SECONDS)
        with _stepping(self.engine) as steps:
            self._send(ask)
        return [step for step in steps if step != COMMIT]

    def launch(self, ask: Ask, dcid: int) -> Transaction:
        """What a launch on this data collection sends."""
        with _stepping(self.engine) as steps:
            answer = self._send(ask, dcid)
        return Transaction(tuple(steps), dcid, answer.json()["processingJobId"])

    def selects(self, asks: Sequence[Ask]) -> list[Statement]:
        """Every different question that these requests put to the database, with who puts it."""
        with recorded(self.engine) as recorder:
            for ask in asks:
                self._send(ask)
        selects = [statement for statement in recorder.take() if statement.verb == "SELECT"]
        return list({shape(statement.sql): statement for statement in selects}.values())

    def _send(self, ask: Ask, *ids: int) -> httpx.Response:
        url = f"http://127.0.0.1:{self._service.port}{ask.path % ids if ids else ask.path}"
        with self._service.client() as client:
            answer = client.request(ask.method, url, headers=dict(ask.headers), content=ask.body)
        if answer.status_code >= 400:
            raise RuntimeError(f"{ask.method} {ask.path}: {answer.status_code} {answer.text[:300]}")
        return answer


@contextmanager
def _stepping(engine: sa.Engine) -> Iterator[list[Step]]:
    """Statements with all their rows, and commits."""
    steps: list[Step] = []

    def sent(_connection: Any, _cursor: Any, sql: str, parameters: Any, _context: Any, many: bool) -> None:
        steps.append(Step(sql, parameters, many))

    def committed(_connection: Any) -> None:
        steps.append(COMMIT)

    event.listen(engine, "before_cursor_execute", sent)
    event.listen(engine, "commit", committed)
    try:
        yield steps
    finally:
        event.remove(engine, "before_cursor_execute", sent)
        event.remove(engine, "commit", committed)


def shape(sql: str) -> str:
    """The same for statements that differ in how many ids they name, or in numbers written into them."""
    return re.sub(r"\b\d+\b", "0", re.sub(r"%(\(\w+\))?s(, %(\(\w+\))?s)*", "?", sql))


def _replaced(value: Any, texts: Mapping[str, str], numbers: Mapping[int, int]) -> Any:
    if isinstance(value, Mapping):
        return {name: _replaced(one, texts, numbers) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_replaced(one, texts, numbers) for one in value)
    if isinstance(value, int) and not isinstance(value, bool):
        return numbers.get(value, value)
    if isinstance(value, str):
        for old, new in texts.items():
            value = value.replace(old, new)
    return value
