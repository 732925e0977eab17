"""Progress on MariaDB: every answer is what all rows say, and a poll reads only what is new."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from app.access.identity import Person
from app.db import Database
from app.resources import Resources
from app.results import progress
from app.results.progress import Progress
from tests.api.conftest import MakeVisit
from tests.factories import make_ctf, make_picker
from tests.support.runs import MORNING, Run, make_run
from tests.support.services import ServiceThread
from tests.support.statements import Statement, recorded
from tests.unit.results.test_progress import NOBODY, STAFF, Clock, follow, make_member, remember

IMAGES = 300


@pytest.fixture
def resources(service: ServiceThread) -> Resources:
    """What use cases work with."""
    return service.resources


@pytest.fixture
def clock(database: Database, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """By which progress is remembered, with nothing remembered yet."""
    clock = Clock()
    remember(monkeypatch, database, clock)
    return clock


@pytest.fixture
def run(database: Database, new_visit: MakeVisit) -> Run:
    """A program that has found nothing yet."""
    return make_run(database, new_visit())


@pytest.mark.parametrize("seed", range(2))
def test_every_answer_is_what_all_rows_say(
    resources: Resources, run: Run, database: Database, new_visit: MakeVisit, clock: Clock, seed: int
) -> None:
    follow(resources, [run, make_run(database, new_visit())], clock, seed, steps=60)


def add(run: Run, first: int, last: int) -> None:
    for number in range(first, last + 1):
        image = run.image(number, created=MORNING + timedelta(minutes=number))
        make_ctf(run.database, run.program, image)
        make_picker(run.database, run.program, image)


def reads(database: Database, statement: Statement) -> int:
    """How many rows MariaDB looks at for this statement."""

    def so_far(connection: sa.Connection) -> int:
        rows = connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Handler_read%%'")
        return sum(int(count) for _, count in rows)

    with database.engine.connect() as connection:
        nothing = -so_far(connection) + so_far(connection)
        before = so_far(connection)
        connection.exec_driver_sql(statement.sql, statement.parameters).all()
        return so_far(connection) - before - nothing


def poll(resources: Resources, person: Person, program_ids: list[int]) -> tuple[dict[int, Progress], Statement]:
    with recorded(resources.database.engine) as sent:
        found = progress.find_progress(resources, person, program_ids)
    (statement,) = sent.statements
    return found, statement


def test_a_later_poll_reads_what_is_new_and_no_more(
    resources: Resources, run: Run, database: Database, clock: Clock
) -> None:
    others = [make_run(database, run.visit) for _ in range(3)]
    programs = [run.program, *(other.program for other in others)]
    add(run, 1, IMAGES)
    for other in others:
        add(other, 1, 10)
    member = make_member(database, run)
    read = []
    for seconds, person in ((0, STAFF), (60, STAFF), (61, member), (90, member)):
        clock.now = Clock.now + seconds
        read.append(reads(database, poll(resources, person, programs)[1]))
    add(run, IMAGES + 1, IMAGES + 2)

    found, statement = poll(resources, member, programs)

    end = IMAGES + 2
    assert found[run.program] == Progress(end, end, end, end, end, end)
    assert [found[other.program].ctf_max for other in others] == [10] * 3
    assert min(read[:2]) > 3 * IMAGES
    assert max(read[2:]) < 100
    assert reads(database, statement) < 150
    assert poll(resources, NOBODY, programs)[0] == {}


def test_five_hundred_programs_are_one_statement(resources: Resources, run: Run, clock: Clock) -> None:
    add(run, 1, 2)
    programs = [run.program, *range(2_000_000_000, 2_000_000_499)]

    answers = []
    for seconds in (0, 60, 61):
        clock.now = Clock.now + seconds
        answers.append(poll(resources, STAFF, programs)[0])

    assert answers == [{run.program: Progress(2, 2, 2, 2, 2, 2)}] * 3
    assert {type(program) for answer in answers for program in answer} == {int}
