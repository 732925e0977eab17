"""The state of a job, row by row of design.md §4, and every tie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from app.filesystem.sentinel import SentinelLook
from app.processing_jobs.rules import (
    ENDED,
    Facts,
    Limits,
    State,
    blocks,
    forgotten,
    given_up,
    last_sign,
    since,
    status,
)
from tests.unit.processing_jobs.facts import (
    LAUNCHED,
    NOT_THERE,
    NOW,
    ago,
    cancelled,
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
RUNNING_RELION_IT = "RUNNING_RELION_IT"
LONDON = ZoneInfo("Europe/London")


@pytest.mark.parametrize(
    ("known", "state"),
    [
        # Without a program: what became of the start message.
        pytest.param(facts(start=waiting()), State.PENDING, id="pending: no relay has claimed the start"),
        pytest.param(facts(start=unconfirmed()), State.PENDING, id="pending: tried, but the broker did not confirm"),
        pytest.param(
            facts(start=unconfirmed(), recorded=ago(days=3)), State.PENDING, id="pending: however long ago it was saved"
        ),
        pytest.param(facts(), State.SUBMITTED, id="submitted: the broker confirmed the start"),
        pytest.param(from_elsewhere(), State.SUBMITTED, id="submitted: from elsewhere, nobody knows its message"),
        pytest.param(
            facts(start=delivery(queued_at=ago(days=3)), recorded=ago(days=3)),
            State.SUBMITTED,
            id="submitted: forgotten, it stays submitted",
        ),
        pytest.param(facts(look=NOT_THERE), State.SUBMITTED, id="submitted: its directory is not there"),
        pytest.param(facts(unknown="no answer"), State.SUBMITTED, id="submitted: its directory is unknown"),
        # A program without start time.
        pytest.param(facts(programs=[program()]), State.QUEUED, id="queued: a program without start time"),
        pytest.param(facts(programs=[program()], look=NOT_THERE), State.QUEUED, id="queued: and no directory"),
        pytest.param(facts(programs=[program()], unknown="no answer"), State.QUEUED, id="queued: directory unknown"),
        pytest.param(from_elsewhere(programs=[program()]), State.QUEUED, id="queued: from elsewhere"),
        pytest.param(
            facts(programs=[program()], start=unconfirmed()),
            State.QUEUED,
            id="queued: a program proves that an unconfirmed start arrived",
        ),
        pytest.param(
            facts(programs=[program(end=ago(seconds=10))]),
            State.QUEUED,
            id="queued: an end time without start time is neither a start nor an outcome",
        ),
        # It runs.
        pytest.param(facts(programs=[running()]), State.RUNNING, id="running: a program with start time"),
        pytest.param(from_elsewhere(programs=[running()]), State.RUNNING, id="running: from elsewhere"),
        pytest.param(
            facts(programs=[running(end=ago(seconds=10))]),
            State.RUNNING,
            id="running: an end time is a heart-beat, not an outcome",
        ),
        pytest.param(
            facts(programs=[running()], look=NOT_THERE), State.RUNNING, id="running: ISPyB outranks the files"
        ),
        pytest.param(facts(programs=[program()], look=seen()), State.RUNNING, id="running: directory seen, queued"),
        pytest.param(facts(look=seen(RUNNING_RELION_IT)), State.RUNNING, id="running: sentinel seen, no program yet"),
        pytest.param(facts(look=seen()), State.RUNNING, id="running: directory seen without sentinel, no program yet"),
        pytest.param(
            facts(look=seen(), start=unconfirmed()),
            State.RUNNING,
            id="running: directory seen although the start is unconfirmed",
        ),
        pytest.param(
            facts(launch=launch(seen_running_at=ago(minutes=1)), look=NOT_THERE),
            State.RUNNING,
            id="running: was seen once, its directory has gone",
        ),
        pytest.param(
            facts(launch=launch(seen_running_at=ago(minutes=1)), unknown="no answer"),
            State.RUNNING,
            id="running: was seen once, now the files do not answer",
        ),
        pytest.param(
            facts(launch=launch(seen_running_at=ago(minutes=1)), programs=[program()]),
            State.RUNNING,
            id="running: was seen once, and no look was made now",
        ),
        pytest.param(
            from_elsewhere(look=seen(RUNNING_RELION_IT)),
            State.SUBMITTED,
            id="submitted: a directory that is not known to be this job's proves nothing",
        ),
        # One program with an outcome.
        pytest.param(facts(programs=[success()]), State.SUCCEEDED, id="succeeded: the outcome in ISPyB"),
        pytest.param(facts(programs=[failure()]), State.FAILED, id="failed: the outcome in ISPyB"),
        pytest.param(
            facts(programs=[success(start=None, end=None)]), State.SUCCEEDED, id="succeeded: without start time"
        ),
        pytest.param(facts(programs=[failure(start=None, end=None)]), State.FAILED, id="failed: without start time"),
        pytest.param(
            facts(programs=[success()], look=seen(RUNNING_RELION_IT)),
            State.SUCCEEDED,
            id="succeeded: a sentinel moves nothing back",
        ),
        pytest.param(
            facts(programs=[failure()], look=seen(RUNNING_RELION_IT)),
            State.FAILED,
            id="failed: a sentinel moves nothing back",
        ),
        pytest.param(
            facts(programs=[success()], start=unconfirmed()),
            State.SUCCEEDED,
            id="succeeded: although the start is unconfirmed",
        ),
        # Several primary programs.
        pytest.param(
            facts(programs=[running(), success(program_id=2)]), State.RUNNING, id="several: running, success: running"
        ),
        pytest.param(
            facts(programs=[success(), running(program_id=2)]), State.RUNNING, id="several: success, running: running"
        ),
        pytest.param(
            facts(programs=[running(), failure(program_id=2)]), State.RUNNING, id="several: running, failure: running"
        ),
        pytest.param(
            facts(programs=[failure(), running(program_id=2)]), State.RUNNING, id="several: failure, running: running"
        ),
        pytest.param(
            facts(programs=[program(), failure(program_id=2)]), State.QUEUED, id="several: queued, failure: queued"
        ),
        pytest.param(
            facts(programs=[success(), program(program_id=2)]), State.QUEUED, id="several: success, queued: queued"
        ),
        pytest.param(
            facts(programs=[program(), running(program_id=2)]), State.RUNNING, id="several: queued, running: running"
        ),
        pytest.param(
            facts(programs=[success(), failure(program_id=2)]),
            State.SUCCEEDED,
            id="several: success, then failure (a duplicated start): succeeded",
        ),
        pytest.param(
            facts(programs=[failure(), success(program_id=2)]),
            State.SUCCEEDED,
            id="several: failure, then success: succeeded",
        ),
        pytest.param(
            facts(programs=[failure(), failure(program_id=2)]), State.FAILED, id="several: all failed: failed"
        ),
        pytest.param(
            facts(programs=[success(), success(program_id=2)]), State.SUCCEEDED, id="several: all succeeded: succeeded"
        ),
        # Children.
        pytest.param(
            facts(programs=[success(), failure(program_id=2, parent_id=1)]),
            State.SUCCEEDED,
            id="children: a failed one spoils nothing",
        ),
        pytest.param(
            facts(programs=[success(), running(program_id=2, parent_id=1)]),
            State.SUCCEEDED,
            id="children: an open one keeps nothing open",
        ),
        pytest.param(
            facts(programs=[failure(), success(program_id=2, parent_id=1)]),
            State.FAILED,
            id="children: a good one saves nothing",
        ),
        pytest.param(
            facts(programs=[program(), running(program_id=2, parent_id=1)]),
            State.QUEUED,
            id="children: a running one starts nothing",
        ),
        pytest.param(
            facts(programs=[program(program_id=2, parent_id=1)]), State.QUEUED, id="only children: one that waits"
        ),
        pytest.param(
            facts(programs=[running(program_id=2, parent_id=1)]), State.RUNNING, id="only children: one that runs"
        ),
        pytest.param(
            facts(programs=[success(program_id=2, parent_id=1)]), State.SUCCEEDED, id="only children: all succeeded"
        ),
        pytest.param(
            facts(programs=[failure(program_id=2, parent_id=1)]), State.FAILED, id="only children: all failed"
        ),
        # A stop was asked.
        pytest.param(
            facts(start=waiting(), stop=stop(messages=[waiting()])), State.STOPPING, id="stop: of a pending job"
        ),
        pytest.param(
            facts(start=unconfirmed(cancelled_at=ago(seconds=30)), stop=stop()),
            State.STOPPING,
            id="stop: of a job whose start may have been sent, and is not sent again",
        ),
        pytest.param(facts(stop=stop()), State.STOPPING, id="stop: of a submitted job"),
        pytest.param(facts(programs=[program()], stop=stop()), State.STOPPING, id="stop: of a queued job"),
        pytest.param(facts(programs=[running()], stop=stop()), State.STOPPING, id="stop: of a running job"),
        pytest.param(facts(look=seen(RUNNING_RELION_IT), stop=stop()), State.STOPPING, id="stop: of a job seen to run"),
        pytest.param(
            from_elsewhere(programs=[running()], stop=stop()), State.STOPPING, id="stop: of a job from elsewhere"
        ),
        pytest.param(
            facts(programs=[failure(), running(program_id=2)], stop=stop()),
            State.STOPPING,
            id="stop: of a job of which one program has failed",
        ),
        pytest.param(
            facts(programs=[running()], stop=stop(replaced_by=6611643)), State.STOPPING, id="stop: of a replaced job"
        ),
        pytest.param(
            facts(programs=[failure()], stop=stop()), State.STOPPED, id="stopped: ended without success after a stop"
        ),
        pytest.param(
            facts(programs=[failure(), failure(program_id=2)], stop=stop()),
            State.STOPPED,
            id="stopped: all programs ended without success after a stop",
        ),
        pytest.param(
            facts(programs=[success()], stop=stop()), State.SUCCEEDED, id="succeeded: it was faster than its stop"
        ),
        pytest.param(
            facts(programs=[success(), failure(program_id=2)], stop=stop()),
            State.SUCCEEDED,
            id="succeeded: one program did, though a stop was asked",
        ),
        pytest.param(
            facts(
                start=cancelled(),
                programs=[failure(start=None, end=None, message="Cancelled before it was sent: stopped by abc12345")],
                stop=stop(messages=()),
            ),
            State.STOPPED,
            id="stopped: cancelled in place",
        ),
        pytest.param(
            facts(stop=stop(asked_at=ago(minutes=16))), State.STOPPED, id="stopped: given up, never seen to run"
        ),
        pytest.param(
            facts(
                programs=[running(start=ago(hours=3), recorded=ago(hours=3))],
                stop=stop(asked_at=ago(minutes=16)),
            ),
            State.STOPPED,
            id="stopped: given up, though ISPyB has no outcome",
        ),
    ],
)
def test_state(known: Facts, state: State) -> None:
    judged = status(known)

    assert judged.state is state
    assert judged.reason


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        pytest.param(
            facts(start=waiting()), "Saved; the broker has not confirmed its start message yet.", id="pending"
        ),
        pytest.param(facts(start=unconfirmed()), "no receipt within 5 s", id="pending: what the last try said"),
        pytest.param(facts(), "nothing has picked it up yet", id="submitted"),
        pytest.param(facts(programs=[program()]), "waits for a place on the cluster", id="queued"),
        pytest.param(facts(programs=[running(start=ago(hours=1))]), "08 Jun at 11:00", id="running: since when"),
        pytest.param(
            facts(programs=[running(start=ago(hours=1)), running(start=ago(hours=2))]),
            "08 Jun at 10:00",
            id="running: since the first of several started",
        ),
        pytest.param(facts(look=seen()), "results directory is there", id="running: the directory is there"),
        pytest.param(
            facts(launch=launch(seen_running_at=ago(hours=1)), look=NOT_THERE),
            "first seen on 08 Jun at 11:00",
            id="running: the directory was there",
        ),
        pytest.param(facts(programs=[success()]), "RELION has finished.", id="succeeded"),
        pytest.param(facts(programs=[failure(message="no gain")]), "It said: no gain", id="failed: in its own words"),
        pytest.param(
            facts(programs=[failure(message="older"), failure(program_id=2, message="newer")]),
            "It said: newer",
            id="failed: in the newest program's words",
        ),
        pytest.param(
            facts(programs=[failure(message="older"), failure(program_id=2, message=None)]),
            "It said: older",
            id="failed: the newest has no words",
        ),
        pytest.param(facts(programs=[failure(message=None)]), "RELION has failed.", id="failed: nothing was said"),
        pytest.param(facts(stop=stop()), "by xyz98765 at 11:59", id="stopping: by whom and when"),
        pytest.param(facts(stop=stop(replaced_by=6611643)), "for job 6611643", id="stopping: for which job"),
        pytest.param(facts(programs=[failure()], stop=stop()), "Stopped by xyz98765", id="stopped: by whom"),
        pytest.param(
            facts(
                programs=[failure(message="Cancelled before it was sent: stopped by abc12345")],
                start=cancelled(),
                stop=stop(messages=()),
            ),
            "Cancelled before it was sent",
            id="stopped: cancelled in place",
        ),
        pytest.param(facts(stop=stop(asked_at=ago(hours=1))), "not seen to end", id="stopped: given up"),
    ],
)
def test_the_reason_says_why(known: Facts, reason: str) -> None:
    judged = status(known)

    assert reason in judged.reason


def test_a_given_up_job_that_shows_life_again_is_stopping_again() -> None:
    silent = facts(programs=[running(recorded=ago(hours=2), start=ago(hours=2))], stop=stop(asked_at=ago(hours=1)))

    alive = replace(silent, last_result=ago(minutes=1))

    assert status(silent).state is State.STOPPED
    assert status(alive).state is State.STOPPING


# Giving up: 15 minutes without any sign of life after the last stop message.

SILENT = {"start": ago(hours=3), "recorded": ago(hours=3)}
LONG_AGO = stop(asked_at=ago(minutes=20))


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        pytest.param(facts(), False, id="no stop was asked"),
        pytest.param(facts(programs=[running(**SILENT)]), False, id="no stop was asked of a silent job"),
        pytest.param(facts(stop=LONG_AGO), True, id="nothing was ever seen of it"),
        pytest.param(facts(programs=[running(**SILENT)], stop=LONG_AGO), True, id="silent since before the stop"),
        pytest.param(
            from_elsewhere(programs=[running(**SILENT)], stop=LONG_AGO), True, id="silent, and from elsewhere"
        ),
        pytest.param(facts(stop=stop(asked_at=ago(minutes=15))), True, id="exactly 15 minutes"),
        pytest.param(facts(stop=stop(asked_at=ago(minutes=14, seconds=59))), False, id="a second before 15 minutes"),
        pytest.param(
            facts(stop=stop(asked_at=ago(hours=2), messages=[delivery(queued_at=ago(hours=2)), waiting()])),
            False,
            id="a stop message still waits for the broker",
        ),
        pytest.param(
            facts(stop=stop(asked_at=ago(hours=2), messages=[unconfirmed(queued_at=ago(hours=2))])),
            False,
            id="the stop message is not confirmed",
        ),
        pytest.param(
            facts(
                stop=stop(
                    asked_at=ago(hours=2),
                    messages=[delivery(queued_at=ago(hours=2)), delivery(queued_at=ago(minutes=9))],
                )
            ),
            False,
            id="the last stop message is fresh",
        ),
        pytest.param(
            facts(
                stop=stop(asked_at=ago(hours=2), messages=[delivery(queued_at=ago(hours=2), sent_at=ago(minutes=9))])
            ),
            False,
            id="the stop message was queued long ago but sent just now",
        ),
        pytest.param(facts(stop=stop(asked_at=ago(minutes=20), messages=())), True, id="no stop message was written"),
        pytest.param(facts(stop=stop(asked_at=ago(minutes=9), messages=())), False, id="asked just now, no message"),
        pytest.param(
            facts(stop=LONG_AGO, programs=[running(**SILENT | {"end": ago(minutes=9)})]),
            False,
            id="alive: a program's end time moves",
        ),
        pytest.param(
            facts(stop=LONG_AGO, programs=[running(**SILENT | {"start": ago(minutes=9)})]),
            False,
            id="alive: a program's start time moves",
        ),
        pytest.param(
            facts(stop=LONG_AGO, programs=[running(**SILENT), program(program_id=2, recorded=ago(minutes=9))]),
            False,
            id="alive: a program has registered late",
        ),
        pytest.param(
            facts(
                stop=LONG_AGO,
                programs=[running(**SILENT), running(program_id=2, parent_id=1, **SILENT | {"end": ago(minutes=9)})],
            ),
            False,
            id="alive: a child's end time moves",
        ),
        pytest.param(facts(stop=LONG_AGO, last_result=ago(minutes=9)), False, id="alive: a result was written"),
        pytest.param(
            facts(stop=LONG_AGO, look=seen(RUNNING_RELION_IT, since=ago(hours=3), newest=ago(minutes=9))),
            False,
            id="alive: its files change",
        ),
        pytest.param(
            facts(stop=LONG_AGO, launch=launch(seen_running_at=ago(minutes=9))), False, id="alive: first seen just now"
        ),
        pytest.param(
            facts(
                stop=LONG_AGO,
                programs=[running(**SILENT)],
                last_result=ago(hours=1),
                look=seen(RUNNING_RELION_IT, since=ago(hours=3), newest=ago(hours=1)),
                launch=launch(seen_running_at=ago(hours=3)),
            ),
            True,
            id="every sign is old, and a sentinel that was left behind is none",
        ),
        pytest.param(
            facts(stop=LONG_AGO, programs=[running(**SILENT)], unknown="no answer"),
            False,
            id="its files do not answer: they may be changing",
        ),
        pytest.param(
            facts(stop=stop(asked_at=ago(hours=23, minutes=59)), unknown="no answer"),
            False,
            id="its files do not answer for nearly a day",
        ),
        pytest.param(
            facts(stop=stop(asked_at=ago(hours=24)), unknown="no answer"), True, id="its files do not answer for a day"
        ),
        pytest.param(
            facts(stop=stop(asked_at=ago(hours=30)), unknown="no answer", last_result=ago(hours=23)),
            False,
            id="its files do not answer, but a result was written within the day",
        ),
        pytest.param(
            facts(
                stop=stop(asked_at=ago(minutes=9)),
                unknown="no answer",
                limits=Limits(pickup=timedelta(minutes=1), give_up=timedelta(minutes=10)),
            ),
            False,
            id="no answer of its files never shortens the time",
        ),
        pytest.param(
            facts(stop=LONG_AGO, programs=[running(**SILENT | {"end": ago(minutes=-3)})]),
            False,
            id="alive: by a clock that is ahead of ours",
        ),
        pytest.param(
            facts(stop=LONG_AGO, programs=[failure(**SILENT, end=ago(hours=2))]),
            False,
            id="it has ended: nothing to give up",
        ),
        pytest.param(
            facts(stop=stop(asked_at=ago(minutes=5)), limits=Limits(give_up=timedelta(minutes=5))),
            True,
            id="the limit is a setting",
        ),
    ],
)
def test_giving_up(known: Facts, expected: bool) -> None:
    result = given_up(known)

    assert result is expected


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        pytest.param(facts(), None, id="nothing was seen"),
        pytest.param(facts(look=NOT_THERE), None, id="a directory that is not there"),
        pytest.param(facts(programs=[program(recorded=None)]), None, id="a program without any time"),
        pytest.param(facts(programs=[program(recorded=ago(minutes=4))]), ago(minutes=4), id="registered"),
        pytest.param(facts(programs=[running(start=ago(seconds=9))]), ago(seconds=9), id="started"),
        pytest.param(facts(programs=[running(end=ago(seconds=8))]), ago(seconds=8), id="heart-beat"),
        pytest.param(
            facts(programs=[program(recorded=None), running(parent_id=1, end=ago(seconds=8))]),
            ago(seconds=8),
            id="heart-beat of a child",
        ),
        pytest.param(facts(last_result=ago(seconds=7)), ago(seconds=7), id="result"),
        pytest.param(facts(look=seen(newest=ago(seconds=6))), ago(seconds=6), id="file"),
        pytest.param(
            facts(launch=launch(seen_running_at=ago(seconds=5))), ago(seconds=5), id="first sight of the directory"
        ),
        pytest.param(
            facts(
                programs=[running(recorded=ago(minutes=9), start=ago(minutes=8), end=ago(minutes=3))],
                last_result=ago(minutes=5),
            ),
            ago(minutes=3),
            id="the latest of all",
        ),
        pytest.param(facts(last_result=ago(hours=-1)), NOW, id="never later than now"),
        pytest.param(
            facts(programs=[running(end=ago(days=-365))], last_result=ago(minutes=5)), NOW, id="a planned end is now"
        ),
    ],
)
def test_last_sign_of_life(known: Facts, expected: datetime | None) -> None:
    sign = last_sign(known)

    assert sign == expected


# Blocking: the first five states, of RELION's recipes, whoever launched them.

ONE_DAY = {"recorded": ago(hours=24), "start": delivery(queued_at=ago(hours=24))}
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


# Warnings: each exactly when it should be.

QUIET = {"start": ago(hours=3), "recorded": ago(hours=3)}
NO_GAIN = {"gain_reference": "/dls/gain.mrc", "gain_reference_missing": True}


@pytest.mark.parametrize(
    ("known", "codes"),
    [
        pytest.param(facts(start=waiting()), [], id="none: pending"),
        pytest.param(facts(), [], id="none: submitted"),
        pytest.param(facts(programs=[program()]), [], id="none: queued"),
        pytest.param(facts(programs=[running()]), [], id="none: running"),
        pytest.param(facts(programs=[running()], stop=stop()), [], id="none: stopping"),
        pytest.param(facts(programs=[success()]), [], id="none: succeeded"),
        pytest.param(facts(programs=[failure()]), [], id="none: failed"),
        pytest.param(facts(programs=[failure()], stop=stop()), [], id="none: stopped"),
        # The start message.
        pytest.param(
            facts(recorded=ago(minutes=5), start=waiting(queued_at=ago(minutes=5))), ["not-sent"], id="not sent: 5 min"
        ),
        pytest.param(
            facts(recorded=ago(minutes=4, seconds=59), start=waiting(queued_at=ago(minutes=4, seconds=59))),
            [],
            id="not sent: a second before",
        ),
        pytest.param(
            facts(recorded=ago(days=2), start=unconfirmed(queued_at=ago(days=2))),
            ["not-sent"],
            id="not sent: for days, and never forgotten",
        ),
        pytest.param(
            facts(recorded=ago(minutes=9), start=delivery(queued_at=ago(minutes=5))),
            ["not-picked-up"],
            id="not picked up: 5 min",
        ),
        pytest.param(
            facts(recorded=ago(minutes=9), start=delivery(queued_at=ago(minutes=4, seconds=59))),
            [],
            id="not picked up: a second before, counted from the confirmation",
        ),
        pytest.param(from_elsewhere(recorded=ago(minutes=5)), ["not-picked-up"], id="not picked up: from elsewhere"),
        pytest.param(facts(**ONE_DAY), ["not-picked-up"], id="not picked up: once, also when it is forgotten"),
        pytest.param(facts(**ONE_DAY, programs=[program()]), [], id="not picked up: never with a program"),
        # The stop.
        pytest.param(
            facts(programs=[running()], stop=stop(asked_at=ago(minutes=5))), ["stop-overdue"], id="stop overdue: 5 min"
        ),
        pytest.param(
            facts(programs=[running()], stop=stop(asked_at=ago(minutes=4, seconds=59))),
            [],
            id="stop overdue: a second before",
        ),
        pytest.param(
            facts(start=unconfirmed(queued_at=ago(days=2)), stop=stop(asked_at=ago(hours=1), messages=[waiting()])),
            ["stop-overdue"],
            id="stop overdue: the broker does not take its message",
        ),
        pytest.param(facts(stop=stop(asked_at=ago(hours=1))), [], id="stop overdue: not when it is given up"),
        pytest.param(
            facts(programs=[failure()], stop=stop(asked_at=ago(hours=1))), [], id="stop overdue: not when it has ended"
        ),
        pytest.param(facts(programs=[running(**QUIET)], stop=stop()), [], id="silence is no news while it is stopping"),
        # Signs of life.
        pytest.param(
            facts(programs=[running(start=ago(minutes=30), recorded=ago(minutes=30))]),
            ["no-sign-of-life"],
            id="no sign of life: 30 min",
        ),
        pytest.param(
            facts(programs=[running(start=ago(minutes=29, seconds=59), recorded=ago(minutes=30))]),
            [],
            id="no sign of life: a second before",
        ),
        pytest.param(
            facts(programs=[running(**QUIET)], last_result=ago(minutes=1)), [], id="a result is a sign of life"
        ),
        pytest.param(
            facts(programs=[running(**QUIET)], look=seen(since=ago(hours=3), newest=ago(minutes=1))),
            [],
            id="a file is a sign of life",
        ),
        pytest.param(
            facts(programs=[program(recorded=ago(hours=3))]), [], id="a queue may be silent: the cluster may be full"
        ),
        pytest.param(facts(programs=[success(**QUIET)]), [], id="a job that has ended may be silent"),
        pytest.param(facts(look=SentinelLook(True)), [], id="nothing to count the silence from"),
        # The files.
        pytest.param(facts(unknown="did not answer"), ["files-unknown"], id="files unknown: submitted"),
        pytest.param(facts(programs=[running()], unknown="no answer"), ["files-unknown"], id="files unknown: running"),
        pytest.param(facts(programs=[failure()], unknown="no answer"), ["files-unknown"], id="files unknown: failed"),
        pytest.param(
            facts(programs=[running()], launch=launch(seen_running_at=ago(minutes=1)), look=NOT_THERE),
            ["sentinel-gone"],
            id="sentinel gone: it was there, and ISPyB has no outcome",
        ),
        pytest.param(
            facts(launch=launch(seen_running_at=ago(minutes=1)), look=NOT_THERE),
            ["sentinel-gone"],
            id="sentinel gone: without any program",
        ),
        pytest.param(facts(programs=[running()], look=NOT_THERE), [], id="sentinel gone: not if it was never there"),
        pytest.param(
            facts(programs=[running()], launch=launch(seen_running_at=ago(minutes=1)), unknown="no answer"),
            ["files-unknown"],
            id="sentinel gone: not if the files do not answer",
        ),
        pytest.param(
            facts(programs=[running()], launch=launch(seen_running_at=ago(minutes=1)), look=seen(RUNNING_RELION_IT)),
            [],
            id="sentinel gone: not while it is there",
        ),
        pytest.param(
            facts(programs=[success()], launch=launch(seen_running_at=ago(minutes=1)), look=NOT_THERE),
            [],
            id="sentinel gone: as it should, after the end",
        ),
        pytest.param(
            facts(programs=[failure()], look=seen(RUNNING_RELION_IT)),
            ["sentinel-after-end"],
            id="sentinel after end: failed",
        ),
        pytest.param(
            facts(programs=[failure()], stop=stop(), look=seen(RUNNING_RELION_IT)),
            ["sentinel-after-end"],
            id="sentinel after end: stopped",
        ),
        pytest.param(facts(programs=[failure()], look=seen()), [], id="sentinel after end: not by the directory alone"),
        pytest.param(
            facts(programs=[success()], look=seen(RUNNING_RELION_IT)), [], id="sentinel after end: not after success"
        ),
        pytest.param(
            facts(stop=stop(asked_at=ago(hours=1)), look=seen(RUNNING_RELION_IT, since=ago(hours=1))),
            [],
            id="sentinel after end: not when it is given up, which says so itself",
        ),
        # The gain reference.
        pytest.param(facts(**NO_GAIN), ["gain-reference-missing"], id="gain reference missing: submitted"),
        pytest.param(
            facts(**NO_GAIN, programs=[running()]), ["gain-reference-missing"], id="gain reference missing: running"
        ),
        pytest.param(
            facts(**NO_GAIN, programs=[running()], stop=stop()),
            ["gain-reference-missing"],
            id="gain reference missing: stopping",
        ),
        pytest.param(facts(**NO_GAIN, programs=[success()]), [], id="gain reference missing: too late, succeeded"),
        pytest.param(facts(**NO_GAIN, programs=[failure()]), [], id="gain reference missing: too late, failed"),
        pytest.param(facts(gain_reference="/dls/gain.mrc"), [], id="gain reference missing: not if it is there"),
        # Several.
        pytest.param(
            facts(
                programs=[running(**QUIET)],
                launch=launch(seen_running_at=ago(hours=3)),
                look=NOT_THERE,
            ),
            ["no-sign-of-life", "sentinel-gone"],
            id="several at once",
        ),
    ],
)
def test_warnings(known: Facts, codes: list[str]) -> None:
    judged = status(known)

    assert [warned.code for warned in judged.warnings] == codes
    assert all(warned.message.endswith((".", "answer")) for warned in judged.warnings)


@pytest.mark.parametrize(
    ("limits", "known", "code"),
    [
        (Limits(warn_pickup=timedelta(minutes=1)), facts(), "not-picked-up"),
        (Limits(warn_pickup=timedelta(minutes=1)), facts(start=waiting()), "not-sent"),
        (Limits(warn_stop=timedelta(seconds=20)), facts(programs=[running()], stop=stop()), "stop-overdue"),
        (Limits(warn_silence=timedelta(seconds=50)), facts(programs=[running()]), "no-sign-of-life"),
    ],
    ids=["pickup", "sending", "stop", "silence"],
)
def test_when_to_warn_is_a_setting(limits: Limits, known: Facts, code: str) -> None:
    judged = status(replace(known, limits=limits))

    assert [warned.code for warned in judged.warnings] == [code]


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(seconds=20), "20 seconds"),
        (timedelta(seconds=59), "59 seconds"),
        (timedelta(seconds=60), "1 minute"),
        (timedelta(seconds=119), "1 minute"),
        (timedelta(minutes=2), "2 minutes"),
        (timedelta(minutes=119, seconds=59), "119 minutes"),
        (timedelta(minutes=120), "2 hours"),
        (timedelta(hours=50), "50 hours"),
    ],
    ids=str,
)
def test_warnings_say_how_long_in_words(span: timedelta, words: str) -> None:
    known = facts(start=waiting(), recorded=NOW - span, limits=Limits(warn_pickup=timedelta(seconds=1)))

    (warned,) = status(known).warnings

    assert f" for {words}." in warned.message


# Times are kept in UTC and told in the facility's zone: in June London is an hour ahead.


@pytest.mark.parametrize(
    ("known", "told"),
    [
        pytest.param(facts(programs=[running(start=ago(hours=1))]), "08 Jun at 12:00", id="running"),
        pytest.param(
            facts(launch=launch(seen_running_at=ago(hours=12, minutes=30))), "08 Jun at 00:30", id="seen: the next day"
        ),
        pytest.param(facts(stop=stop(asked_at=ago(minutes=5))), "at 12:55", id="stopping"),
    ],
)
def test_people_are_told_times_in_the_facilitys_zone(known: Facts, told: str) -> None:
    judged = status(replace(known, zone=LONDON))

    assert told in judged.reason
    assert judged.state is status(known).state


@pytest.mark.parametrize("judge", [status, given_up, last_sign, forgotten], ids=lambda judge: judge.__name__)
def test_judging_changes_nothing_and_gives_the_same_twice(judge: Callable[[Facts], object]) -> None:
    known = facts(programs=[running()], stop=stop(), look=seen(RUNNING_RELION_IT))
    before = repr(known)

    first, second = judge(known), judge(known)

    assert first == second
    assert repr(known) == before
