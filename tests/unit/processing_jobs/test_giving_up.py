"""Giving up a stop, and the last sign of life."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from app.processing_jobs.rules import (
    Facts,
    Limits,
    given_up,
    last_sign,
)
from tests.unit.processing_jobs.facts import (
    NOT_THERE,
    NOW,
    RUNNING_RELION_IT,
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
    unconfirmed,
    waiting,
)

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
