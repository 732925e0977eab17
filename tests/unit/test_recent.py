"""What was found a moment ago serves all who ask the same, for that moment and no longer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from app import recent
from app.recent import Recent


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def counting() -> Callable[[], int]:
    found = iter(range(1, 100))
    return lambda: next(found)


def test_within_the_moment_nobody_looks_again() -> None:
    clock, find = Clock(), counting()
    shared = Recent(1.0, clock=clock)

    answers = [shared.get("a", find)]
    clock.now = 0.99
    answers.append(shared.get("a", find))
    clock.now = 1.0
    answers.append(shared.get("a", find))

    assert answers == [1, 1, 2]


def test_an_answer_is_for_what_was_asked() -> None:
    shared, find = Recent(1.0, clock=Clock()), counting()

    assert [shared.get(("progress", "ada"), find), shared.get(("progress", "bob"), find)] == [1, 2]


def test_of_no_seconds_nothing_is_kept() -> None:
    shared, find = Recent(0, clock=Clock()), counting()

    assert [shared.get("a", find), shared.get("a", find)] == [1, 2]


def test_an_error_is_not_kept() -> None:
    shared = Recent(1.0, clock=Clock())

    def fails() -> int:
        raise LookupError

    with pytest.raises(LookupError):
        shared.get("a", fails)

    assert shared.get("a", lambda: 7) == 7


def test_there_are_never_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "MOST", 10)
    shared = Recent(1.0, clock=Clock())

    for number in range(1000):
        shared.get(number, lambda: None)

    assert len(shared._found) <= 10


def test_of_those_who_ask_at_once_one_looks() -> None:
    shared, begun, may_end, looks = Recent(1.0), threading.Event(), threading.Event(), []

    def slow() -> str:
        looks.append(1)
        begun.set()
        assert may_end.wait(10)
        return "found"

    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(shared.get, "a", slow)
        assert begun.wait(10)
        others = [pool.submit(shared.get, "a", slow) for _ in range(7)]
        another = pool.submit(shared.get, "b", lambda: "at once").result(10)
        may_end.set()
        answers = [first.result(10), *(other.result(10) for other in others)]

    assert answers == ["found"] * 8
    assert another == "at once"
    assert len(looks) == 1


def test_nobody_waits_long_for_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "PATIENCE", 0.05)
    shared, begun, may_end = Recent(1.0), threading.Event(), threading.Event()

    def hangs() -> str:
        begun.set()
        assert may_end.wait(10)
        return "late"

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(shared.get, "a", hangs)
        assert begun.wait(10)
        answer = pool.submit(shared.get, "a", lambda: "mine").result(10)
        may_end.set()
        late = first.result(10)

    assert (answer, late) == ("mine", "late")


def test_who_looked_in_vain_keeps_nobody_from_looking() -> None:
    shared = Recent(1.0, clock=Clock())

    def fails() -> int:
        raise LookupError

    for _ in range(3):
        with pytest.raises(LookupError):
            shared.get("a", fails)

    assert shared._looking == {}
