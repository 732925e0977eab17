"""Warnings, each exactly when it should be, and times told in the facility's zone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from app.filesystem.sentinel import SentinelLook
from app.processing_jobs.rules import (
    Facts,
    Limits,
    forgotten,
    given_up,
    last_sign,
    status,
)
from app.zocalo.queue import Queue
from tests.unit.processing_jobs.facts import (
    NOT_THERE,
    NOW,
    ONE_DAY,
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
    success,
    unconfirmed,
    waiting,
)

LONDON = ZoneInfo("Europe/London")

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
    known = facts(
        start=waiting(queued_at=NOW - span), recorded=NOW - span, limits=Limits(warn_pickup=timedelta(seconds=1))
    )

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


QUEUE = Queue("processing_recipe", "zocalo", consumers=1, waiting=0, dead_letter_queue="dlq.x", dead_letters=0)


@pytest.mark.parametrize(
    ("queue", "why"),
    [
        (None, "Zocalo may be down, or its queue long or missing."),
        (
            replace(QUEUE, obstacle="there is no queue q in vhost v"),
            "The likely reason: there is no queue q in vhost v.",
        ),
        (replace(QUEUE, consumers=0, waiting=3), "The likely reason: nobody listens to queue processing_recipe"),
        (replace(QUEUE, waiting=3), "Zocalo is behind: 3 of its messages wait in processing_recipe."),
        (replace(QUEUE, dead_letters=2), "Zocalo has rejected 2 that lie in dlq.x; this may be one of them."),
        (replace(QUEUE, waiting=None, consumers=None), "Somebody listens to Zocalo's queue; it may be long."),
        (QUEUE, "Its message has left the queue, yet no program was registered; it can be sent again."),
    ],
    ids=["nobody looks", "missing", "nobody listens", "behind", "rejected", "not counted", "vanished"],
)
def test_a_job_that_nobody_picked_up_says_the_likely_reason(queue: Queue | None, why: str) -> None:
    known = facts(recorded=ago(minutes=9), start=delivery(queued_at=ago(minutes=7)), queue=queue)

    (warned,) = status(known).warnings

    assert warned.code == "not-picked-up"
    assert warned.message.startswith("Nobody has picked this job up for 7 minutes. ")
    assert why in warned.message


def test_a_start_that_waits_to_be_sent_again_waits_since_then() -> None:
    known = facts(recorded=ago(hours=1), start=waiting(queued_at=ago(minutes=1)))

    assert status(known).warnings == ()


def test_a_start_that_the_broker_does_not_take_says_why_and_whom_to_tell() -> None:
    known = facts(recorded=ago(minutes=9), start=unconfirmed(queued_at=ago(minutes=7)))

    (warned,) = status(known).warnings

    assert "for 7 minutes. The last try failed: no receipt within 5 s." in warned.message
    assert "Tell the facility's staff" in warned.message


def test_a_stop_of_a_job_that_nobody_picked_up_says_that_nobody_listens() -> None:
    lonely = replace(QUEUE, consumers=0)

    assert "has not ended yet, and nobody listens to queue" in status(facts(stop=stop(), queue=lonely)).reason
    assert "nobody listens" not in status(facts(stop=stop(), queue=lonely, programs=[running()])).reason


def test_a_job_that_is_replaced_was_asked_to_stop_by_somebody() -> None:
    reason = status(facts(programs=[running()], stop=stop(replaced_by=6611643))).reason

    assert reason.startswith("A stop was asked by xyz98765 at ")
    assert ", and job 6611643 replaces it; it has not ended yet." in reason
