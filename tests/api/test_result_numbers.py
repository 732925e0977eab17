"""One image of a program, found by its number: what was remembered is a hint, and what ISPyB has now is the answer."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
import sqlalchemy as sa

from app.access.identity import Person
from app.db import Database
from app.ispyb import tables
from app.resources import Resources
from app.results import ctf, motion, numbers, picking
from app.results.programs import ImageNotFound, ProgramNotFound
from tests.factories import MadeVisit, make_ctf, make_picker
from tests.support.runs import Run, make_run
from tests.support.services import ServiceThread
from tests.support.statements import recorded

STAFF = Person("staff", staff=True)
NOBODY = Person("nobody", person_id=0)
GETS: dict[str, Callable[..., Any]] = {
    "motion": motion.get_motion,
    "ctf": ctf.get_ctf,
    "picking": picking.get_picking,
}
VALUES: dict[str, Callable[[Any], Any]] = {
    "motion": lambda found: found.comments,
    "ctf": lambda found: found.comments,
    "picking": lambda found: str(found.summary_image),
}


@pytest.fixture
def resources(service: ServiceThread) -> Resources:
    return service.resources


@pytest.fixture
def run(database: Database, visit: MadeVisit) -> Run:
    return make_run(database, visit)


@pytest.fixture(params=GETS)
def step(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def add(run: Run, number: int | None, name: str) -> int:
    """An image with all three steps, each of which says its name."""
    ident = run.image(number, comments=name)
    make_ctf(run.database, run.program, ident, comments=name)
    make_picker(run.database, run.program, ident, summaryImageFullPath=name)
    return ident


def found(resources: Resources, step: str, run: Run, number: int, person: Person = STAFF) -> Any:
    return VALUES[step](GETS[step](resources, person, run.program, number))


def test_it_is_the_same_from_memory(resources: Resources, run: Run, step: str) -> None:
    for number in (1, 3, 2, 300):
        add(run, number, f"image {number}")

    answers = [[found(resources, step, run, number) for number in (1, 2, 3, 300)] for _ in range(2)]

    assert answers == [["image 1", "image 2", "image 3", "image 300"]] * 2


def test_from_memory_it_is_one_statement(resources: Resources, run: Run, step: str) -> None:
    add(run, 1, "image 1")
    found(resources, step, run, 1)

    with recorded(resources.database.engine) as sent:
        found(resources, step, run, 1)

    assert len(sent.take()) == 1


def test_of_those_who_ask_at_once_one_reads_what_is_new(resources: Resources, run: Run, step: str) -> None:
    for number in range(1, 9):
        add(run, number, f"image {number}")

    with recorded(resources.database.engine) as sent, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: found(resources, step, run, number), range(1, 9)))

    assert answers == [f"image {number}" for number in range(1, 9)]
    assert [one.where for one in sent.take()].count("results/numbers.py:_learn") == 1


def test_who_reads_for_others_and_does_not_end_is_not_waited_for(
    resources: Resources, run: Run, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbers, "PATIENCE", 0.1)
    for number in (1, 2):
        add(run, number, f"image {number}")
    found(resources, step, run, 1)
    add(run, 3, "image 3")
    known = numbers._numbers[resources.database]

    with ExitStack() as others:
        for lock in known._reading:
            others.enter_context(lock)
        answer = found(resources, step, run, 3)

    assert answer == "image 3"


def test_what_has_come_since_is_found(resources: Resources, run: Run, step: str) -> None:
    add(run, 1, "image 1")
    found(resources, step, run, 1)
    add(run, 2, "image 2")

    assert [found(resources, step, run, number) for number in (2, 1, 2)] == ["image 2", "image 1", "image 2"]


def test_of_several_it_is_the_first(resources: Resources, run: Run, step: str) -> None:
    add(run, 7, "the first")
    add(run, 7, "the second")

    assert [found(resources, step, run, 7) for _ in range(2)] == ["the first"] * 2


def test_what_has_another_number_now_is_not_told_by_the_old(resources: Resources, run: Run, step: str) -> None:
    ident = add(run, 1, "image 1")
    found(resources, step, run, 1)
    table = tables.MotionCorrection
    statement = sa.update(table).where(table.c.motionCorrectionId == ident).values(imageNumber=2)
    run.database.write(lambda session: session.execute(statement))

    with pytest.raises(ImageNotFound):
        found(resources, step, run, 1)
    assert found(resources, step, run, 2) == "image 1"


@pytest.mark.parametrize("number", [0, -1, 2, 65_536, 10**9])
def test_a_number_that_is_not_there_is_not_found(resources: Resources, run: Run, step: str, number: int) -> None:
    add(run, 1, "image 1")
    add(run, None, "no number")

    for _ in range(2):
        with pytest.raises(ImageNotFound):
            found(resources, step, run, number)


def test_what_others_have_asked_for_is_not_shown_to_who_may_not_see_it(
    resources: Resources, run: Run, step: str
) -> None:
    add(run, 1, "image 1")
    found(resources, step, run, 1)

    with pytest.raises(ProgramNotFound):
        found(resources, step, run, 1, NOBODY)
