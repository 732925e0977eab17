"""Which stops to repeat, and when."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from app.processing_jobs.rules import Facts, Limits, Program
from app.processing_jobs.stopping import RECHECK, next_step
from app.settings import StopSettings
from app.zocalo.outbox import Delivery
from tests.unit.processing_jobs.facts import (
    NOT_THERE,
    NOW,
    ago,
    delivery,
    facts,
    failure,
    from_elsewhere,
    program,
    running,
    seen,
    stop,
    success,
    unconfirmed,
    waiting,
)

PAUSE = 30  # seconds
SETTINGS = StopSettings(repeat_seconds=PAUSE, messages=3)
AGAIN = NOW + RECHECK
OLD = running(start=ago(hours=30), recorded=ago(hours=30))


def sent(*ages: float) -> list[Delivery]:
    """Stop messages that were queued and confirmed so many seconds ago, oldest first."""
    return [delivery(queued_at=ago(seconds=age)) for age in ages]


def stopping(*messages: Delivery, **overrides: Any) -> Facts:
    """A running job that was asked to stop ten minutes ago, by these messages."""
    asked_at = overrides.pop("asked_at", ago(minutes=10))
    return facts(**({"stop": stop(asked_at=asked_at, messages=messages), "programs": [OLD]} | overrides))


def late(seconds: float, **overrides: Any) -> list[Program]:
    """The job's old program, and one that registered so many seconds ago."""
    return [OLD, program(**({"program_id": 2, "recorded": ago(seconds=seconds)} | overrides))]


@pytest.mark.parametrize(
    ("known", "step"),
    [
        # Nothing to do.
        pytest.param(facts(programs=[running()]), (False, None), id="no stop was asked"),
        pytest.param(stopping(*sent(600), programs=[failure()]), (False, None), id="ended without success"),
        pytest.param(stopping(*sent(600), programs=[success()]), (False, None), id="ended with success"),
        pytest.param(
            stopping(waiting(), programs=[failure()]), (False, None), id="ended while its stop message still waited"
        ),
        pytest.param(stopping(programs=[failure()]), (False, None), id="cancelled in place"),
        # Its last message has not left yet: another one would say the same.
        pytest.param(stopping(waiting(queued_at=ago(seconds=600))), (False, ago(seconds=-30)), id="waiting: unclaimed"),
        pytest.param(
            stopping(unconfirmed(queued_at=ago(seconds=600))), (False, ago(seconds=-30)), id="waiting: unconfirmed"
        ),
        pytest.param(
            stopping(*sent(900), waiting(queued_at=ago(seconds=600))),
            (False, ago(seconds=-30)),
            id="waiting: the second",
        ),
        pytest.param(stopping(), (False, ago(seconds=-30)), id="waiting: no message at all"),
        # Pauses that double: 30 s after the first, 60 s after the second.
        pytest.param(stopping(*sent(0)), (False, ago(seconds=-30)), id="first: just sent"),
        pytest.param(stopping(*sent(29)), (False, ago(seconds=-1)), id="first: a second too early"),
        pytest.param(stopping(*sent(30)), (True, ago(seconds=-60)), id="second: after 30 s"),
        pytest.param(stopping(*sent(500)), (True, ago(seconds=-60)), id="second: overdue, sent now, then as usual"),
        pytest.param(stopping(*sent(89, 59)), (False, ago(seconds=-1)), id="second: a second too early for the third"),
        pytest.param(stopping(*sent(90, 60)), (True, ago(seconds=-120)), id="third: after another 60 s"),
        # The bound.
        pytest.param(stopping(*sent(9000, 8000, 7000)), (False, AGAIN), id="bound: no fourth, but look again"),
        pytest.param(stopping(*sent(90, 60, 0)), (False, AGAIN), id="bound: reached just now"),
        pytest.param(stopping(*sent(900, 600, 300), programs=[]), (False, AGAIN), id="bound: without any program"),
        # A program that registers after the last message has not been told to stop.
        pytest.param(stopping(*sent(900, 600, 300), programs=late(299)), (True, AGAIN), id="late: one more"),
        pytest.param(stopping(*sent(900, 600, 300), programs=late(300)), (False, AGAIN), id="late: not after the last"),
        pytest.param(stopping(*sent(900, 600, 300), programs=late(500)), (False, AGAIN), id="late: before the last"),
        pytest.param(
            stopping(*sent(900, 600, 300), programs=late(200, start=ago(seconds=100))),
            (True, AGAIN),
            id="late: it runs",
        ),
        pytest.param(
            stopping(*sent(900, 600, 300), programs=late(200, status=0)),
            (False, AGAIN),
            id="late: it has ended already",
        ),
        pytest.param(
            stopping(*sent(900, 600, 300), programs=late(200, parent_id=1)), (False, AGAIN), id="late: only a child"
        ),
        pytest.param(
            stopping(*sent(900, 600, 300), programs=late(200, recorded=None)), (False, AGAIN), id="late: time unknown"
        ),
        pytest.param(
            stopping(*sent(900, 600, 300), programs=[program(recorded=ago(seconds=200))]),
            (True, AGAIN),
            id="late: the first program of a job that nobody had picked up",
        ),
        pytest.param(
            stopping(*sent(900, 600, 300, 100), programs=late(200)), (False, AGAIN), id="late: it has been told by now"
        ),
        pytest.param(
            stopping(*sent(900, 600, 300, 100), programs=[*late(200), program(program_id=3, recorded=ago(seconds=50))]),
            (True, AGAIN),
            id="late: one more for each",
        ),
        pytest.param(
            stopping(*sent(900, 600, 300, 100, 90), programs=late(50)),
            (False, AGAIN),
            id="late: never more than one for each program",
        ),
        pytest.param(
            stopping(*sent(25 * 3600, 25 * 3600, 25 * 3600), asked_at=ago(hours=25), programs=late(50)),
            (True, AGAIN),
            id="late: after a day in the cluster's queue",
        ),
        # Until when.
        pytest.param(
            stopping(*sent(9000, 8000, 7000), asked_at=ago(hours=23, minutes=59, seconds=59)),
            (False, AGAIN),
            id="look again: for a day",
        ),
        pytest.param(
            stopping(*sent(9000, 8000, 7000), asked_at=ago(hours=24)),
            (False, None),
            id="look again: no longer than a day",
        ),
        pytest.param(
            stopping(*sent(9000, 8000, 7000), asked_at=ago(hours=2), limits=Limits(pickup=timedelta(hours=2))),
            (False, None),
            id="look again: the hours are a setting",
        ),
        # What does not matter.
        pytest.param(stopping(*sent(30), look=NOT_THERE), (True, ago(seconds=-60)), id="whatever its directory says"),
        pytest.param(stopping(*sent(30), look=seen()), (True, ago(seconds=-60)), id="whatever its sentinels say"),
        pytest.param(
            from_elsewhere(stop=stop(messages=sent(30)), programs=[running()]),
            (True, ago(seconds=-60)),
            id="whoever launched it",
        ),
        pytest.param(
            facts(stop=stop(messages=sent(30), replaced_by=6611643)),
            (True, ago(seconds=-60)),
            id="whoever asked for it",
        ),
    ],
)
def test_next_step(known: Facts, step: tuple[bool, datetime | None]) -> None:
    assert next_step(known, SETTINGS) == step


@pytest.mark.parametrize(("messages", "pause"), [(1, 60), (2, 120), (3, 240), (4, 480), (5, 960)])
def test_the_pause_that_follows_is_twice_the_last(messages: int, pause: float) -> None:
    settings = StopSettings(repeat_seconds=PAUSE, messages=6)

    step = next_step(stopping(*sent(*[5000.0] * messages)), settings)

    assert step == (True, NOW + timedelta(seconds=pause))


def follow(known: Facts, settings: StopSettings, *, hours: float, tick: float = 10) -> list[float]:
    """When stop messages leave, in seconds after the first, if each is sent the moment it is queued."""
    assert known.stop is not None
    begin = known.now
    messages = [delivery(queued_at=begin)]
    due: datetime | None = begin
    for step in range(int(hours * 3600 / tick)):
        now = begin + timedelta(seconds=step * tick)
        if due is None or now < due:
            continue
        moment = replace(known, now=now, stop=replace(known.stop, messages=tuple(messages)))
        send, due = next_step(moment, settings)
        if send:
            messages.append(delivery(queued_at=now))
    return [(message.queued_at - begin).total_seconds() for message in messages]


@pytest.mark.parametrize(
    ("settings", "times"),
    [
        (StopSettings(repeat_seconds=30, messages=1), [0]),
        (StopSettings(repeat_seconds=30, messages=2), [0, 30]),
        (StopSettings(repeat_seconds=30, messages=6), [0, 30, 90, 210, 450, 930]),
        (StopSettings(repeat_seconds=60, messages=4), [0, 60, 180, 420]),
    ],
    ids=["one", "two", "the default: six within 16 minutes", "four, slower"],
)
def test_a_stop_that_nobody_obeys_is_repeated_with_doubling_pauses_and_then_no_more(
    settings: StopSettings, times: list[float]
) -> None:
    known = facts(programs=[running()], stop=stop(asked_at=NOW))

    assert follow(known, settings, hours=30) == times


def test_the_last_look_comes_when_the_pickup_hours_are_over() -> None:
    known = stopping(*sent(9000, 8000, 7000), asked_at=NOW)

    looks = [NOW]
    while (due := next_step(replace(known, now=looks[-1]), SETTINGS)[1]) is not None and len(looks) < 1000:
        looks.append(due)

    assert timedelta(hours=24) <= looks[-1] - NOW < timedelta(hours=24) + RECHECK
