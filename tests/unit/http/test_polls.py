"""Polls are answered again for a moment: to the same person only, and never to somebody who has just written."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from app.http import polls
from app.http.polls import Changes, Polls

ADA = (b"authorization", b"Bearer ada")
BOB = (b"authorization", b"Bearer bob")
Ask = Callable[..., Awaitable["Answer"]]


class Answer:
    """What was sent."""

    def __init__(self, messages: list[Message]) -> None:
        self.status = messages[0]["status"]
        self.headers = dict(messages[0]["headers"])
        self.body = b"".join(message.get("body", b"") for message in messages[1:])


class Counting:
    """An application that numbers its looks."""

    def __init__(self, *, polled: bool = False) -> None:
        self.looks = 0
        self.polled = polled
        self.status = 200
        self.wait: asyncio.Event | None = None
        self.etag: bytes | None = None
        self.encoding: bytes | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.looks += 1
        look = self.looks
        if self.polled and "polls" in scope:
            scope["polls"]()  # as the dependency does
        if self.wait is not None:
            await self.wait.wait()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"1")]
        headers += [(b"etag", self.etag)] if self.etag else []
        headers += [(b"content-encoding", self.encoding)] if self.encoding else []
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": str(look).encode()})


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Served:
    """An application behind the middleware."""

    def __init__(self, app: Counting, seconds: float = 1.0, changes: Changes | None = None) -> None:
        self.app, self.clock = app, Clock()
        self.polls = Polls(app, seconds, changes or Changes(None), self.clock)

    async def ask(
        self, path: str = "/jobs/1", *headers: tuple[bytes, bytes], method: str = "GET", query: bytes = b""
    ) -> Answer:
        messages: list[Message] = []

        async def send(message: Message) -> None:
            messages.append(message)

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query,
            "headers": [(b"host", b"em"), *headers],
        }
        await self.polls(scope, receive, send)
        return Answer(messages)


def polled(**options: Any) -> Served:
    return Served(Counting(polled=True), **options)


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    return asyncio.run(work())  # type: ignore[arg-type]


def test_who_can_read_compressed_answers_is_answered_apart() -> None:
    served = polled()
    gzip = (b"accept-encoding", b"gzip, br")

    async def work() -> list[bytes]:
        return [(await served.ask("/jobs/1", *headers)).body for headers in ((), (gzip,), (), (gzip,))]

    assert run(work) == [b"1", b"2", b"1", b"2"]


def test_an_answer_without_a_body_says_nothing_of_how_it_is_written() -> None:
    served = polled()
    served.app.encoding = b"gzip"
    gzip = (b"accept-encoding", b"gzip")

    async def work() -> tuple[Answer, Answer]:
        first = await served.ask("/jobs/1", gzip)
        return first, await served.ask("/jobs/1", gzip, (b"if-none-match", first.headers[b"etag"]))

    first, again = run(work)

    assert (first.status, first.headers[b"content-encoding"]) == (200, b"gzip")
    assert (again.status, again.body) == (304, b"")
    assert {b"content-encoding", b"content-length", b"content-type"}.isdisjoint(again.headers)


def test_what_is_of_no_use_any_more_is_forgotten() -> None:
    served = polled()

    async def work() -> None:
        for number in range(5):
            await served.ask(f"/jobs/{number}")
        served.clock.now = 1.0
        await served.ask("/jobs/9")

    run(work)

    assert [asked[0] for asked in served.polls._kept] == [b"/jobs/9"]
    assert served.polls._bytes == 1 + polls.AROUND


def test_within_the_moment_the_answer_is_given_again() -> None:
    served = polled()

    async def work() -> list[bytes]:
        bodies = [(await served.ask()).body]
        served.clock.now = 0.99
        bodies.append((await served.ask()).body)
        served.clock.now = 1.0
        bodies.append((await served.ask()).body)
        return bodies

    assert run(work) == [b"1", b"1", b"2"]


@pytest.mark.parametrize(
    "other",
    [
        {"headers": [BOB]},
        {"headers": []},
        {"headers": [ADA, (b"origin", b"https://elsewhere")]},
        {"headers": [ADA], "path": "/jobs/2"},
        {"headers": [ADA], "query": b"prop=cm2"},
    ],
    ids=["another person", "nobody", "another page", "another job", "another proposal"],
)
def test_an_answer_is_for_who_asked_and_for_what_was_asked(other: dict[str, Any]) -> None:
    served = polled()
    headers = other.pop("headers")

    async def work() -> tuple[bytes, bytes]:
        first = await served.ask("/jobs/1", ADA)
        return first.body, (await served.ask(other.pop("path", "/jobs/1"), *headers, **other)).body

    assert run(work) == (b"1", b"2")


@pytest.mark.parametrize(
    "write",
    [
        {"method": "POST", "path": "/api/em/v1/processing-jobs/1/stop"},
        {"method": "POST", "path": "/api/em/relion/start/1"},
        {"method": "PATCH", "path": "/api/em/dc/comments/1"},
        {"method": "GET", "path": "/api/em/relion/stop/1"},
    ],
    ids=lambda write: f"{write['method']} {write['path']}",
)
def test_after_a_write_nothing_older_is_told(write: dict[str, str]) -> None:
    served = polled()

    async def work() -> tuple[bytes, bytes]:
        first = await served.ask()
        await served.ask(write["path"], method=write["method"])
        return first.body, (await served.ask()).body

    assert run(work) == (b"1", b"3")


def test_a_look_that_began_before_a_write_is_told_to_nobody_after_it() -> None:
    served = polled()

    async def work() -> list[bytes]:
        served.app.wait = asyncio.Event()
        slow = asyncio.create_task(served.ask())
        await asyncio.sleep(0)
        served.polls._changes.note()
        served.app.wait.set()
        before = await slow
        return [before.body, (await served.ask()).body]

    assert run(work) == [b"1", b"2"]


def test_a_write_in_another_worker_ends_the_moment(tmp_path: Path) -> None:
    served, other = polled(changes=Changes(str(tmp_path))), Changes(str(tmp_path))

    async def work() -> list[bytes]:
        bodies = [(await served.ask()).body, (await served.ask()).body]
        other.note()
        bodies.append((await served.ask()).body)
        return bodies

    assert run(work) == [b"1", b"1", b"2"]


def test_of_those_who_ask_at_once_one_looks() -> None:
    served = polled()

    async def work() -> list[bytes]:
        served.app.wait = asyncio.Event()
        tasks = [asyncio.create_task(served.ask()) for _ in range(20)]
        await asyncio.sleep(0.01)
        served.app.wait.set()
        return [(await task).body for task in tasks]

    assert run(work) == [b"1"] * 20


def test_where_a_route_is_not_polled_nobody_waits_for_anybody() -> None:
    served = Served(Counting())

    async def work() -> int:
        served.app.wait = asyncio.Event()
        tasks = [asyncio.create_task(served.ask()) for _ in range(5)]
        await asyncio.sleep(0.01)
        looking = served.app.looks
        served.app.wait.set()
        await asyncio.gather(*tasks)
        return looking

    assert run(work) == 5


def test_nobody_waits_long_for_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polls, "PATIENCE", 0.01)
    served = polled()

    async def work() -> bytes:
        held = served.app.wait = asyncio.Event()
        hangs = asyncio.create_task(served.ask())
        await asyncio.sleep(0)
        served.app.wait = None
        mine = await served.ask()
        held.set()
        await hangs
        return mine.body

    assert run(work) == b"2"


def test_a_client_that_has_the_answer_is_told_so() -> None:
    served = polled()

    async def work() -> list[Answer]:
        first = await served.ask()
        tag = first.headers[b"etag"]
        return [
            first,
            await served.ask("/jobs/1", (b"if-none-match", tag)),
            await served.ask("/jobs/1", (b"if-none-match", b'"other", ' + tag.removeprefix(b"W/"))),
            await served.ask("/jobs/1", (b"if-none-match", b'"other"')),
        ]

    first, same, listed, other = run(work)
    assert first.headers[b"cache-control"] == b"private, no-cache"
    assert (same.status, same.body, same.headers[b"etag"]) == (304, b"", first.headers[b"etag"])
    assert b"content-length" not in same.headers
    assert (listed.status, other.status, other.body) == (304, 200, b"1")


def test_a_routes_own_tag_says_when_nothing_has_changed() -> None:
    """So that a list that is read again, with another time in it, need not be sent again."""
    served = polled()
    served.app.etag = b'W/"same"'

    async def work() -> Answer:
        await served.ask()
        served.clock.now = 60
        return await served.ask("/jobs/1", (b"if-none-match", b'W/"same"'))

    assert run(work).status == 304
    assert served.app.looks == 2


@pytest.mark.parametrize(
    ("served", "asked"),
    [
        (Served(Counting()), {}),
        (polled(seconds=0), {}),
        (polled(), {"query": b"token=once"}),
        (polled(), {"method": "HEAD"}),
    ],
    ids=["a route that is not polled", "switched off", "a one-time token", "HEAD"],
)
def test_what_is_not_to_be_kept_is_looked_for_each_time(served: Served, asked: dict[str, Any]) -> None:
    async def work() -> list[bytes]:
        return [(await served.ask(**asked)).body for _ in range(2)]

    assert run(work) == [b"1", b"2"]


def test_a_refusal_is_not_kept() -> None:
    refused = polled()
    refused.app.status = 403

    async def work() -> list[bytes]:
        return [(await refused.ask()).body for _ in range(2)]

    assert run(work) == [b"1", b"2"]


def test_there_is_never_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polls, "MOST", 10_050)
    served = polled()

    async def work() -> list[bytes]:
        for number in range(100):
            await served.ask(f"/jobs/{number}")
            served.clock.now += 0.001
        for _ in range(20):
            served.clock.now += 60
            await served.ask("/jobs/99")
        return [(await served.ask("/jobs/99")).body, (await served.ask("/jobs/0")).body]

    last, first = run(work)
    assert last == b"120"
    assert first == b"121"
    assert len(served.polls._kept) <= 10
    assert served.polls._looking == {}
