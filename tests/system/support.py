"""What system tests share: many clients at once, and what arrived on a queue."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import httpx

from tests.support.services import api_client

T = TypeVar("T")
A = TypeVar("A")


def at_once(clients: int, work: Callable[[int], T]) -> list[T]:
    """Run ``work`` in so many threads that all start at the same moment."""
    barrier = threading.Barrier(clients)

    def run(index: int) -> T:
        barrier.wait()
        return work(index)

    with ThreadPoolExecutor(clients) as pool:
        return list(pool.map(run, range(clients)))


def press_at_once(
    port: int, many: int, path: str, body: dict[str, Any], headers: dict[str, str] | None = None
) -> list[httpx.Response]:
    """The button, pressed by so many clients at the same moment, each with a connection of its own."""

    def press(_: int) -> httpx.Response:
        with api_client(port) as client:
            return client.post(path, json=body, headers=headers)

    return at_once(many, press)


def in_threads(threads: int, work: Callable[[A], T], items: Sequence[A]) -> list[T]:
    """Run ``work`` for every item in a few threads."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, items))


def statuses(answers: Sequence[httpx.Response]) -> dict[int, int]:
    """How often each status came."""
    out: dict[int, int] = {}
    for answer in answers:
        out[answer.status_code] = out.get(answer.status_code, 0) + 1
    return out
