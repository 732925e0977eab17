"""Knowing whether somebody listens: what is said of the queue, and what is remembered of it."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

import pytest

from app import metrics
from app.settings import BrokerSettings
from app.zocalo import watch as watch_module
from app.zocalo.queue import CannotLook, Queue, low, missing
from app.zocalo.watch import SECONDS, UNWATCHED, QueueWatch

THERE = Queue("processing_recipe", "zocalo", consumers=2, waiting=0, dead_letter_queue="dlq.x", dead_letters=0)
LONELY = Queue("processing_recipe", "zocalo", consumers=0, waiting=3)
MISSING = Queue("processing_recipe", "zocalo", missing("processing_recipe", "zocalo"), exists=False)
ALARM = Queue("processing_recipe", "zocalo", low("low on memory"), consumers=1)
BROKER = BrokerSettings(url="stomp://em:em@broker")


class Clock:
    """A clock that tests move."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(watch_module, "monotonic", clock)
    return clock


def watching(
    *answers: Queue | CannotLook | None, broker: BrokerSettings = BROKER
) -> tuple[QueueWatch, Callable[[], int]]:
    """A watch that sees these one after the other, and how many it has seen."""
    left = list(answers)

    def look(_: BrokerSettings) -> Queue | None:
        answer = left.pop(0)
        if isinstance(answer, CannotLook):
            raise answer
        return answer

    return QueueWatch(broker, look), lambda: len(answers) - len(left)


@pytest.mark.parametrize(
    ("queue", "trouble", "told"),
    [
        (THERE, None, "queue processing_recipe in vhost zocalo exists, 2 consumers, 0 messages waiting"),
        (
            Queue("processing_recipe", "zocalo", consumers=1, waiting=1),
            None,
            "queue processing_recipe in vhost zocalo exists, 1 consumer, 1 message waiting",
        ),
        # In the first seconds of a queue the management API has not counted yet: that is no trouble.
        (Queue("processing_recipe", "zocalo"), None, "queue processing_recipe in vhost zocalo exists"),
        (LONELY, "nobody listens to queue processing_recipe in vhost zocalo", "nobody listens"),
        (MISSING, "there is no queue processing_recipe in vhost zocalo", "there is no queue"),
        (
            Queue("q", "v", low("low on memory"), consumers=0),
            "the broker takes no messages at present: low on memory",
            "the broker takes no messages at present: low on memory",
        ),
    ],
    ids=["all is well", "one of each", "not counted yet", "nobody listens", "missing", "low on memory"],
)
def test_what_is_said_of_the_queue(queue: Queue, trouble: str | None, told: str) -> None:
    assert (queue.trouble or "").startswith(trouble or "")
    assert (queue.trouble is None) == (trouble is None)
    assert queue.told.startswith(told)


@pytest.mark.parametrize(
    ("count", "said"), [(None, None), (0, None), (1, "1 message in dlq.x"), (7, "7 messages in dlq.x")]
)
def test_rejected_messages_are_told_if_there_are_any(count: int | None, said: str | None) -> None:
    rejected = Queue("q", "v", dead_letter_queue="dlq.x", dead_letters=count).rejected

    assert (rejected is None) == (said is None)
    assert (rejected or "").startswith(said or "")


def test_the_queue_is_looked_at_every_ten_seconds_and_when_somebody_asks(clock: Clock) -> None:
    watch, looks = watching(THERE, THERE, THERE)

    watch.look()
    clock.now += SECONDS - 0.1
    watch.look()
    before = looks()
    clock.now += 0.1
    watch.look()
    after = looks()
    watch.look(now=True)

    assert (before, after, looks()) == (1, 2, 3)


def test_a_queue_in_trouble_is_looked_at_each_time(clock: Clock) -> None:
    watch, looks = watching(MISSING, MISSING, THERE)

    for _ in range(5):
        watch.look()

    assert looks() == 3
    assert watch.queue is THERE


def test_a_missing_queue_counts_as_missing_until_it_is_seen(clock: Clock) -> None:
    watch, _ = watching(MISSING, CannotLook("the management API does not answer"), THERE)

    seen = [watch.look(), watch.look()]
    unknown = watch.unknown
    last = watch.look()

    assert seen == [MISSING, MISSING]
    assert unknown == "the management API does not answer"
    assert (last, watch.unknown) == (THERE, None)


@pytest.mark.parametrize(
    ("seen", "url"),
    [(MISSING, "amqp://em:em@broker"), (ALARM, "stomp://em:em@broker")],
    ids=["over AMQP, where nothing is lost", "an alarm may be over"],
)
def test_no_other_obstacle_outlives_the_look_that_saw_it(clock: Clock, seen: Queue, url: str) -> None:
    watch, _ = watching(seen, CannotLook("no answer"), broker=BrokerSettings(url=url))

    looks = [watch.look(), watch.look()]

    assert looks == [seen, None]
    assert watch.unknown == "no answer"


def test_a_queue_that_was_there_is_unknown_when_it_cannot_be_seen(clock: Clock) -> None:
    watch, _ = watching(THERE, CannotLook("no answer"))
    watch.look()
    clock.now += SECONDS

    queue = watch.look()

    assert (queue, watch.unknown) == (None, "no answer")


def test_metrics_say_what_is_known_and_no_more(clock: Clock) -> None:
    watch, _ = watching(Queue("q", "v", consumers=2, waiting=3, dead_letters=4), MISSING, CannotLook("x"), THERE)

    def counted() -> list[float]:
        watch.look(now=True)
        return gauges()

    before = gauges()
    well, gone, still_gone, back = counted(), counted(), counted(), counted()

    assert all(math.isnan(value) for value in before)
    assert well == [1, 2, 3, 4]
    assert gone[0] == still_gone[0] == 0
    assert all(math.isnan(value) for value in gone[1:])
    assert back == [1, 2, 0, 0]


def gauges() -> list[float]:
    known = (metrics.queue_exists, metrics.queue_consumers, metrics.queue_waiting, metrics.queue_dead_letters)
    return [gauge._value.get() for gauge in known]


def test_where_nothing_can_be_looked_at_that_is_said_and_nothing_is_counted() -> None:
    watch = QueueWatch(BrokerSettings(url="stomp://em:em@broker"))

    watch.look()

    assert (watch.queue, watch.unknown) == (None, UNWATCHED)
    assert all(math.isnan(value) for value in gauges())


def test_before_the_first_look_nothing_is_said_about_stomp_to_who_speaks_amqp() -> None:
    assert QueueWatch(BrokerSettings(url="amqp://em:em@broker")).unknown == "not looked at yet"


def test_it_looks_by_itself_and_survives_what_nobody_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "SECONDS", 0.01)
    seen = threading.Event()
    failures = [RuntimeError("nobody expected this")]

    def look(_: BrokerSettings) -> Queue:
        if failures:
            raise failures.pop()
        seen.set()
        return THERE

    watch = QueueWatch(BROKER, look)
    watch.start()

    assert seen.wait(10)
    watch.stop()
    watch._thread.join(10)
    assert watch.queue is THERE
    assert not watch._thread.is_alive()


def test_the_demo_has_no_queue_to_look_at() -> None:
    watch = QueueWatch(BrokerSettings())

    watch.look()

    assert (watch.queue, watch.unknown) == (None, None)
