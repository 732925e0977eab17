"""What blocks a launch, and since when a job is as it is."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from app.processing_jobs.rules import (
    ENDED,
    Facts,
    Limits,
    State,
    blocks,
    forgotten,
    since,
    status,
)
from tests.unit.processing_jobs.facts import (
    LAUNCHED,
    ONE_DAY,
    ago,
    delivery,
    facts,
    failure,
    from_elsewhere,
    launch,
    program,
    running,
    seen,
    stop,
    success,
    unconfirmed,
    waiting,
)

RECIPES = ("relion",)


NEARLY_ONE_DAY = {"recorded": ago(hours=23, minutes=59), "start": delivery(queued_at=ago(hours=23, minutes=59))}


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        pytest.param(facts(start=waiting()), True, id="pending"),
        pytest.param(facts(start=unconfirmed()), True, id="pending, tried"),
        pytest.param(facts(), True, id="submitted"),
        pytest.param(facts(programs=[program()]), True, id="queued"),
        pytest.param(facts(programs=[running()]), True, id="running"),
        pytest.param(facts(look=seen()), True, id="running by its directory"),
        pytest.param(facts(programs=[running()], stop=stop()), True, id="stopping"),
        pytest.param(facts(stop=stop()), True, id="stopping, not picked up yet"),
        pytest.param(facts(programs=[success()]), False, id="succeeded"),
        pytest.param(facts(programs=[failure()]), False, id="failed"),
        pytest.param(facts(programs=[failure()], stop=stop()), False, id="stopped"),
        pytest.param(facts(stop=stop(asked_at=ago(hours=1))), False, id="stopped: given up"),
        pytest.param(from_elsewhere(), True, id="from elsewhere: submitted"),
        pytest.param(from_elsewhere(programs=[running()]), True, id="from elsewhere: running"),
        pytest.param(facts(recipe="em-spa-preprocess", programs=[running()]), False, id="another recipe"),
        pytest.param(facts(recipe="RELION", programs=[running()]), False, id="another recipe: case counts"),
        pytest.param(facts(recipe=None, programs=[running()]), False, id="no recipe"),
        pytest.param(facts(recipe=None, start=waiting()), False, id="no recipe, though pending"),
        pytest.param(
            facts(programs=[running()], stop=stop(replaced_by=6611643)), False, id="replaced: it is still stopping"
        ),
        pytest.param(facts(stop=stop(replaced_by=6611643)), False, id="replaced before it was picked up"),
        pytest.param(
            facts(start=unconfirmed(), stop=stop(replaced_by=6611643, messages=[waiting()])),
            False,
            id="replaced while the broker is down",
        ),
        pytest.param(facts(**NEARLY_ONE_DAY), True, id="nobody picked it up for a minute less than a day"),
        pytest.param(facts(**ONE_DAY), False, id="nobody picked it up for a day"),
        pytest.param(from_elsewhere(recorded=ago(hours=24)), False, id="from elsewhere, not picked up for a day"),
        pytest.param(
            from_elsewhere(recorded=ago(hours=23, minutes=59)),
            True,
            id="from elsewhere, not picked up for nearly a day",
        ),
        pytest.param(
            facts(recorded=ago(hours=30), start=delivery(queued_at=ago(hours=30), sent_at=ago(hours=1))),
            True,
            id="the broker was down for a day: the day counts from the confirmation",
        ),
        pytest.param(
            facts(recorded=ago(hours=30), start=waiting(queued_at=ago(hours=30))),
            True,
            id="pending for more than a day: it will still be sent",
        ),
        pytest.param(
            facts(recorded=ago(hours=30), start=unconfirmed(queued_at=ago(hours=30))),
            True,
            id="unconfirmed for more than a day: it will be sent again",
        ),
        pytest.param(facts(**ONE_DAY, programs=[program()]), True, id="a day in the queue of the cluster"),
        pytest.param(facts(**ONE_DAY, programs=[running()]), True, id="it runs for a day"),
        pytest.param(
            facts(**ONE_DAY, programs=[program(parent_id=1)]), True, id="a day old, with a program that is a child"
        ),
        pytest.param(
            facts(
                **ONE_DAY,
                stop=stop(asked_at=ago(minutes=1), messages=[waiting(queued_at=ago(minutes=1))]),
            ),
            False,
            id="stopping, and nobody picked it up for a day",
        ),
        pytest.param(
            facts(
                recorded=ago(hours=2), start=delivery(queued_at=ago(hours=2)), limits=Limits(pickup=timedelta(hours=2))
            ),
            False,
            id="the hours are a setting",
        ),
    ],
)
def test_blocking(known: Facts, expected: bool) -> None:
    result = blocks(known, status(known).state, RECIPES)

    assert result is expected


def test_the_recipes_that_block_are_a_setting() -> None:
    job = facts(recipe="relion4", programs=[running()])

    assert blocks(job, State.RUNNING, ("relion", "relion4"))
    assert not blocks(job, State.RUNNING, ("relion",))


def test_a_forgotten_job_stays_submitted_with_a_warning() -> None:
    job = facts(**ONE_DAY)

    judged = status(job)

    assert forgotten(job)
    assert judged.state is State.SUBMITTED
    assert [warned.code for warned in judged.warnings] == ["not-picked-up"]
    assert "no longer blocks" in judged.warnings[0].message


def test_the_three_last_states_are_ends() -> None:
    assert {State.SUCCEEDED, State.FAILED, State.STOPPED} == ENDED


# Since when.
@pytest.mark.parametrize(
    ("known", "expected"),
    [
        pytest.param(facts(start=waiting()), LAUNCHED, id="pending: since the launch"),
        pytest.param(facts(), LAUNCHED, id="submitted: since the launch"),
        pytest.param(facts(programs=[program()]), LAUNCHED, id="queued: since the launch"),
        pytest.param(facts(programs=[running(start=ago(seconds=50))]), ago(seconds=50), id="running: since its start"),
        pytest.param(
            facts(programs=[running(start=ago(seconds=50)), running(start=ago(seconds=70))]),
            ago(seconds=70),
            id="running: since the first start",
        ),
        pytest.param(
            facts(programs=[failure(start=ago(seconds=90)), running(start=ago(seconds=50))]),
            ago(seconds=50),
            id="running: not since the start of one that has failed",
        ),
        pytest.param(
            facts(programs=[program()], launch=launch(seen_running_at=ago(seconds=40))),
            ago(seconds=40),
            id="running: since it was first seen",
        ),
        pytest.param(
            facts(programs=[running(start=ago(seconds=50))], launch=launch(seen_running_at=ago(seconds=40))),
            ago(seconds=50),
            id="running: ISPyB's time before ours",
        ),
        pytest.param(facts(look=seen()), LAUNCHED, id="running: seen this moment for the first time"),
        pytest.param(
            facts(programs=[running()], stop=stop(asked_at=ago(seconds=20))),
            ago(seconds=20),
            id="stopping: since asked",
        ),
        pytest.param(facts(programs=[success(end=ago(seconds=20))]), ago(seconds=20), id="succeeded: since its end"),
        pytest.param(facts(programs=[failure(end=ago(seconds=20))]), ago(seconds=20), id="failed: since its end"),
        pytest.param(
            facts(programs=[failure(end=ago(seconds=20))], stop=stop(asked_at=ago(seconds=25))),
            ago(seconds=20),
            id="stopped: since its end",
        ),
        pytest.param(
            facts(programs=[failure(end=ago(seconds=20)), success(end=ago(seconds=10)), failure(end=None)]),
            ago(seconds=10),
            id="ended: since the last end",
        ),
        pytest.param(facts(programs=[success(end=None)]), LAUNCHED, id="ended: nobody knows when"),
    ],
)
def test_since_when(known: Facts, expected: datetime) -> None:
    moment = since(known, status(known).state)

    assert moment == expected
