"""Looks that end in time, whatever the file system does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

import pytest

from app.filesystem.looks import THREADS_PER_KEY, Looks, NoAnswer

DEADLINE = 0.1  # seconds
HUNG, OTHER = "/dls/m12/data/2021/cm28212-1", "/dls/m12/data/2021/cm28212-2"


class HungMount:
    """A file system that answers when it is told to."""

    def __init__(self) -> None:
        self._back = threading.Event()
        self._lock = threading.Lock()
        self.waiting = 0
        self.most = 0

    def look(self) -> str:
        with self._lock:
            self.waiting += 1
            self.most = max(self.most, self.waiting)
        self._back.wait(timeout=20)
        with self._lock:
            self.waiting -= 1
        return "late"

    def come_back(self) -> None:
        self._back.set()


@pytest.fixture
def mount() -> Iterator[HungMount]:
    """A mount that hangs until the test's end, or until it is told to come back."""
    hung = HungMount()
    yield hung
    hung.come_back()


def refused(run: Callable[[], object]) -> float:
    """How long it took to get no answer."""
    begun = time.monotonic()
    with pytest.raises(NoAnswer):
        run()
    return time.monotonic() - begun


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.005)


def answers(looks: Looks, key: str) -> bool:
    try:
        return looks.run(key, lambda: True)
    except NoAnswer:
        return False


# What a look returns or raises.


@pytest.mark.parametrize("answer", [True, None, 0, [], "text", NoAnswer("a value, not raised")], ids=repr)
def test_what_a_look_returns_is_the_answer(answer: object) -> None:
    looks = Looks(threads=4, deadline=5)

    assert looks.run(HUNG, lambda: answer) is answer


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError("gone"),
        PermissionError("not yours"),
        OSError(116, "Stale file handle"),
        TimeoutError("the look's own"),
        ValueError("embedded null byte"),
        RecursionError("too deep"),
        KeyError("unexpected"),
        NoAnswer("the look's own"),
        SystemExit(3),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_a_look_raises_comes_through(error: BaseException) -> None:
    looks = Looks(threads=4, deadline=5)

    def fail() -> NoReturn:
        raise error

    with pytest.raises(type(error)) as caught:
        looks.run(HUNG, fail)

    assert caught.value is error


def test_a_look_that_fails_costs_nothing() -> None:
    looks = Looks(threads=4, deadline=5)

    def fail() -> NoReturn:
        raise TimeoutError

    for _ in range(20):
        with pytest.raises(TimeoutError):
            looks.run(HUNG, fail)

    assert looks.run(HUNG, lambda: "an answer") == "an answer"
    assert looks.threads <= THREADS_PER_KEY


def test_threads_are_started_as_they_are_needed_and_used_again() -> None:
    looks = Looks(threads=32, deadline=5)

    assert looks.threads == 0
    for _ in range(50):
        looks.run(HUNG, lambda: None)

    # A thread that has just answered may not be free again when the next look comes.
    assert 1 <= looks.threads <= THREADS_PER_KEY


def test_threads_do_not_keep_the_process_alive(mount: HungMount) -> None:
    looks = Looks(threads=4, deadline=DEADLINE)

    refused(lambda: looks.run(HUNG, mount.look))

    ours = [thread for thread in threading.enumerate() if thread.name.startswith("look-")]
    assert ours
    assert all(thread.daemon for thread in ours)


# A mount that hangs.


def test_a_look_that_hangs_gives_no_answer_at_the_deadline(mount: HungMount) -> None:
    looks = Looks(threads=4, deadline=DEADLINE)

    seconds = refused(lambda: looks.run(HUNG, mount.look))

    assert DEADLINE <= seconds < DEADLINE + 1


def test_no_answer_names_what_did_not_answer(mount: HungMount) -> None:
    looks = Looks(threads=4, deadline=DEADLINE)

    with pytest.raises(NoAnswer, match=f"^{HUNG} did not answer within 0.1 s$"):
        looks.run(HUNG, mount.look)


def test_while_it_hangs_others_at_the_same_key_are_refused_at_once(mount: HungMount) -> None:
    looks = Looks(threads=4, deadline=DEADLINE)
    refused(lambda: looks.run(HUNG, mount.look))
    begun: list[str] = []

    times = [refused(lambda: looks.run(HUNG, lambda: begun.append("a look"))) for _ in range(20)]

    assert sum(times) < 20 * DEADLINE / 2  # nobody waited for a deadline
    assert begun == []  # each would have been another thread that hangs


def test_while_it_hangs_other_keys_are_served(mount: HungMount) -> None:
    looks = Looks(threads=THREADS_PER_KEY + 1, deadline=0.3)
    with ThreadPoolExecutor(20) as pool:
        hanging = [pool.submit(refused, lambda: looks.run(HUNG, mount.look)) for _ in range(20)]
        wait_until(lambda: mount.waiting == THREADS_PER_KEY)

        served = [looks.run(OTHER, lambda: "an answer") for _ in range(20)]

        assert served == ["an answer"] * 20
        assert all(future.result() < 5 for future in hanging)


def test_one_key_never_takes_more_than_its_share_of_the_threads(mount: HungMount) -> None:
    looks = Looks(threads=32, deadline=DEADLINE)

    with ThreadPoolExecutor(50) as pool:
        list(pool.map(lambda _: refused(lambda: looks.run(HUNG, mount.look)), range(50)))

    assert mount.most <= THREADS_PER_KEY
    assert looks.threads <= THREADS_PER_KEY


def test_who_waits_for_a_thread_is_refused_as_soon_as_the_key_turns_out_to_hang(mount: HungMount) -> None:
    looks = Looks(threads=32, deadline=0.2)

    with ThreadPoolExecutor(THREADS_PER_KEY) as pool:
        hanging = [pool.submit(refused, lambda: looks.run(HUNG, mount.look)) for _ in range(THREADS_PER_KEY)]
        wait_until(lambda: mount.waiting == THREADS_PER_KEY)
        time.sleep(0.15)
        seconds = refused(lambda: looks.run(HUNG, lambda: None))

        assert seconds < 0.2  # not a whole deadline of its own
        assert all(future.result() >= 0.2 for future in hanging)


def test_the_key_is_served_again_after_the_mount_came_back(mount: HungMount) -> None:
    looks = Looks(threads=4, deadline=DEADLINE)
    refused(lambda: looks.run(HUNG, mount.look))

    mount.come_back()

    wait_until(lambda: answers(looks, HUNG))


def test_the_key_is_served_again_after_the_hung_look_failed() -> None:
    looks = Looks(threads=4, deadline=DEADLINE)
    back = threading.Event()

    def fail_late() -> NoReturn:
        back.wait(timeout=20)
        raise OSError(5, "Input/output error")

    refused(lambda: looks.run(HUNG, fail_late))
    assert not answers(looks, HUNG)

    back.set()

    wait_until(lambda: answers(looks, HUNG))


def test_the_key_is_served_again_only_when_every_hung_look_ended() -> None:
    looks = Looks(threads=4, deadline=DEADLINE)
    mounts = [HungMount(), HungMount()]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda mount: refused(lambda: looks.run(HUNG, mount.look)), mounts))

    mounts[0].come_back()
    wait_until(lambda: mounts[0].waiting == 0)
    still_refused = not answers(looks, HUNG)
    mounts[1].come_back()

    assert still_refused
    wait_until(lambda: answers(looks, HUNG))


# Many mounts that hang.


def test_fifty_hung_keys_cost_a_bounded_number_of_threads(mount: HungMount) -> None:
    looks = Looks(threads=8, deadline=DEADLINE)
    before = threading.active_count()

    with ThreadPoolExecutor(50) as pool:
        times = list(pool.map(lambda n: refused(lambda: looks.run(f"/visit/{n}", mount.look)), range(50)))
    hung = threading.active_count() - before

    assert looks.threads == 8
    assert hung <= 8
    assert max(times) < DEADLINE + 2


def test_when_all_threads_hang_the_rest_is_refused_in_time_and_served_later(mount: HungMount) -> None:
    looks = Looks(threads=4, deadline=DEADLINE)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: refused(lambda: looks.run(f"/visit/{n}", mount.look)), range(4)))

    seconds = refused(lambda: looks.run(OTHER, lambda: None))
    mount.come_back()

    assert seconds < DEADLINE + 1
    wait_until(lambda: answers(looks, OTHER))
    assert looks.threads == 4


# Nothing hangs.


def test_a_hundred_quick_looks_at_one_key_all_get_their_answers() -> None:
    looks = Looks(threads=32, deadline=10)

    def look(number: int) -> int:
        time.sleep(0.001)
        return number

    with ThreadPoolExecutor(100) as pool:
        results = list(pool.map(lambda number: looks.run(HUNG, lambda: look(number)), range(100)))

    assert results == list(range(100))
    assert looks.threads <= THREADS_PER_KEY


def test_a_hundred_quick_looks_at_many_keys_all_get_their_own_answers() -> None:
    looks = Looks(threads=8, deadline=10)

    with ThreadPoolExecutor(100) as pool:
        results = list(pool.map(lambda number: looks.run(f"/visit/{number % 30}", lambda: number), range(100)))

    assert results == list(range(100))
    assert looks.threads <= 8


def test_a_slow_look_that_ends_in_time_is_no_reason_to_refuse_others() -> None:
    looks = Looks(threads=8, deadline=10)

    with ThreadPoolExecutor(8) as pool:
        slow = [pool.submit(looks.run, HUNG, lambda: time.sleep(0.1)) for _ in range(8)]

        assert looks.run(HUNG, lambda: "an answer") == "an answer"
        assert [future.result() for future in slow] == [None] * 8


def test_looks_that_end_about_the_deadline_get_an_answer_or_none_and_leave_nothing_behind() -> None:
    looks = Looks(threads=8, deadline=0.01)

    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            list(pool.map(lambda key: _try(looks, key), [f"/visit/{n}" for n in range(8)]))

    wait_until(lambda: all(answers(looks, f"/visit/{n}") for n in range(8)))
    assert looks.threads <= 8


def _try(looks: Looks, key: str) -> None:
    try:
        looks.run(key, lambda: time.sleep(0.0095))
    except NoAnswer:
        return


# A busy visit is not one that hangs.


def test_looks_that_come_late_to_their_turn_have_all_their_time() -> None:
    looks = Looks(threads=8, deadline=0.3)

    def slow() -> str:
        time.sleep(0.2)
        return "seen"

    with ThreadPoolExecutor(6) as pool:
        answers = [pool.submit(looks.run, HUNG, slow) for _ in range(6)]
        seen = [answer.result() for answer in answers]

    assert seen == ["seen"] * 6  # two at once: the last begin after 0.4 s, which is more than the deadline
    assert looks.run(HUNG, lambda: "not hung") == "not hung"


def test_more_looks_at_once_are_allowed_where_many_are_usual() -> None:
    looks = Looks(threads=64, deadline=0.4)

    def slow() -> bool:
        time.sleep(0.1)
        return True

    with ThreadPoolExecutor(50) as pool:
        answers = [pool.submit(looks.run, OTHER, slow, at_once=8) for _ in range(50)]

    assert all(answer.result() for answer in answers)
    assert THREADS_PER_KEY < looks.threads <= 8


def test_a_turn_that_does_not_come_is_no_answer() -> None:
    looks = Looks(threads=8, deadline=5)
    begun, end = threading.Event(), threading.Event()

    def long() -> None:
        begun.set()
        end.wait(10)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(looks.run, HUNG, long, at_once=1)
        begun.wait(5)
        seconds = refused(lambda: looks.run(HUNG, lambda: True, at_once=1, wait=0.1))
        end.set()

    assert 0.05 < seconds < 2


def test_who_waits_longest_is_next() -> None:
    looks, order = Looks(threads=8, deadline=10), list[int]()
    holding = [threading.Event() for _ in range(THREADS_PER_KEY)]
    with ThreadPoolExecutor(16) as pool:
        held = [pool.submit(looks.run, HUNG, lambda event=event: event.wait(10)) for event in holding]
        wait_until(lambda: looks._running[HUNG] == THREADS_PER_KEY)
        turns = []
        for number in range(6):
            turns.append(pool.submit(looks.run, HUNG, lambda number=number: order.append(number)))
            wait_until(lambda number=number: len(looks._waiting) == number + 1)  # type: ignore[misc]
        holding[0].set()  # one thread for all who wait
        for turn in turns:
            turn.result(10)
        holding[1].set()

    assert [one.result() for one in held] == [True] * THREADS_PER_KEY
    assert order == list(range(6))


def test_of_those_who_wait_only_the_next_is_woken(monkeypatch: pytest.MonkeyPatch) -> None:
    looks, woken = Looks(threads=8, deadline=10), list[str]()
    called = threading.Event.set
    release = threading.Event()
    with ThreadPoolExecutor(16) as pool:
        held = [pool.submit(looks.run, HUNG, lambda: release.wait(10)) for _ in range(THREADS_PER_KEY)]
        wait_until(lambda: looks._running[HUNG] == THREADS_PER_KEY)
        others = [pool.submit(looks.run, HUNG, lambda: True) for _ in range(8)]
        wait_until(lambda: len(looks._waiting) == 8)
        turns = {turn.called for turn in looks._waiting}

        def noted(event: threading.Event) -> None:
            if event in turns:
                woken.append("woken")
            called(event)

        monkeypatch.setattr(threading.Event, "set", noted)
        looks.run(OTHER, lambda: True)
        after_another_visits = len(woken)
        release.set()
        answers = [one.result(10) for one in (*held, *others)]

    assert after_another_visits == 0
    assert len(woken) == 8
    assert all(answers)
