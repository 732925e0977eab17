"""A job's state and its reason: every row and every tie."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.processing_jobs.rules import (
    Facts,
    Program,
    State,
    status,
)
from tests.unit.processing_jobs.facts import (
    NOT_THERE,
    RUNNING_RELION_IT,
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
        pytest.param(
            facts(stop=stop(replaced_by=6611643)), "and job 6611643 replaces it", id="stopping: for which job"
        ),
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


COMMAND = "zocalo.wrap --wrap relion --recipe-id 6f0b0d5e-0000-4000-8000-000000000000"  # with the dull launch's guid


@pytest.mark.parametrize(
    ("programs", "state"),
    [
        ([program(command=COMMAND), success(program_id=2, command=COMMAND)], State.SUCCEEDED),
        ([success(command=COMMAND), program(program_id=2, command=COMMAND)], State.SUCCEEDED),
        ([program(command=COMMAND), failure(program_id=2, command=COMMAND)], State.FAILED),
        ([program(command=COMMAND), running(program_id=2, command=COMMAND)], State.RUNNING),
        ([success(command=COMMAND), failure(program_id=2, command=COMMAND)], State.SUCCEEDED),
        # Not a shadow: neither has begun; it has begun; another command; no guid of ours in it.
        ([program(command=COMMAND), program(program_id=2, command=COMMAND)], State.QUEUED),
        ([running(command=COMMAND), success(program_id=2, command=COMMAND)], State.RUNNING),
        ([program(command=f"{COMMAND} --again"), success(program_id=2, command=COMMAND)], State.QUEUED),
        ([program(command="zocalo.wrap"), success(program_id=2, command="zocalo.wrap")], State.QUEUED),
        ([program(), success(program_id=2)], State.QUEUED),
    ],
    ids=[
        "ended by the second", "ended by the first", "failed", "runs", "the other has left", "neither has begun",
        "both have begun", "another command", "not our guid", "no command",
    ],
)  # fmt: skip
def test_a_start_that_came_twice_does_not_keep_a_job_from_ending(programs: list[Program], state: State) -> None:
    assert status(facts(programs=programs)).state is state


def test_of_a_job_from_elsewhere_no_program_is_a_shadow() -> None:
    programs = [program(command=COMMAND), success(program_id=2, command=COMMAND)]

    assert status(from_elsewhere(programs=programs)).state is State.QUEUED


def test_a_stop_that_could_not_be_sent_says_so() -> None:
    judged = status(facts(programs=[running()], stop=stop(messages=())))

    assert judged.state is State.STOPPING
    assert "nothing was sent" in judged.reason
    assert "a later job" in judged.reason


EARLY = stop(asked_at=ago(minutes=5))


@pytest.mark.parametrize(
    ("known", "state"),
    [
        (facts(stop=EARLY, programs=[success(start=ago(minutes=1))]), State.STOPPED),
        (facts(stop=EARLY, programs=[failure(start=ago(minutes=1))]), State.STOPPED),
        (facts(stop=EARLY, programs=[success(start=ago(minutes=1))], last_result=ago(minutes=1)), State.SUCCEEDED),
        (facts(stop=EARLY, programs=[success(start=ago(minutes=9))]), State.SUCCEEDED),
        (facts(programs=[success(start=ago(minutes=1))]), State.SUCCEEDED),
    ],
    ids=["it found nothing", "it failed", "it found something", "it had begun before", "nobody asked"],
)
def test_a_run_that_found_its_stop_file_at_once_has_not_succeeded(known: Facts, state: State) -> None:
    """RELION's wrapper then leaves and reports success."""
    assert status(known).state is state
