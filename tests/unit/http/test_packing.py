"""Long answers are compressed for who says that they can read it, and for nobody else."""

from __future__ import annotations

import gzip
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi import Request

from app.http import packing
from app.http.packing import accepts_gzip, few_at_once, packed

LONG = b'[{"imageNumber":"1"}]' * 1000


def asking(encodings: str | None) -> Request:
    headers = [] if encodings is None else [(b"accept-encoding", encodings.encode())]
    return Request({"type": "http", "headers": headers})


@pytest.mark.parametrize("header", ["gzip", "deflate, GZIP;q=0.5, br", "gzip;q=0.001", "br,gzip ; q=1"])
def test_who_says_so_can_read_it(header: str) -> None:
    assert accepts_gzip(header)


@pytest.mark.parametrize("header", ["", "identity", "br", "gzip;q=0", "gzip; q=0.000", "gzip;x=1;q=0", "xgzip", "*"])
def test_who_does_not_say_so_may_not(header: str) -> None:
    assert not accepts_gzip(header)


def test_a_long_answer_is_compressed_on_demand() -> None:
    plain, short = packed(asking(None), LONG), packed(asking("gzip"), LONG)

    assert (plain.body, plain.headers.get("content-encoding")) == (LONG, None)
    assert (gzip.decompress(short.body), short.headers["content-encoding"]) == (LONG, "gzip")
    assert int(short.headers["content-length"]) == len(short.body) < len(LONG) / 10
    assert plain.headers["vary"] == short.headers["vary"] == "accept-encoding"


def test_a_short_answer_stays_as_it_is() -> None:
    answer = packed(asking("gzip"), LONG[: packing.LEAST - 1])

    assert "content-encoding" not in answer.headers
    assert answer.body == LONG[: packing.LEAST - 1]


def test_the_same_answer_is_the_same_at_another_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else nobody would be told that what they have is still good."""
    first = packed(asking("gzip"), LONG)
    monkeypatch.setattr("time.time", lambda: 4_000_000_000.0)

    assert packed(asking("gzip"), LONG).body == first.body


def test_few_long_answers_are_put_together_at_once_and_nobody_waits_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(packing, "PATIENCE", 0.2)
    begun: list[float] = []
    release = threading.Event()

    def write() -> None:
        with few_at_once():
            begun.append(time.monotonic())
            release.wait(10)

    with ThreadPoolExecutor(packing.AT_ONCE + 1) as pool:
        asked = time.monotonic()
        writing = [pool.submit(write) for _ in range(packing.AT_ONCE + 1)]
        while len(begun) <= packing.AT_ONCE:
            assert time.monotonic() < asked + 5, "who has waited for long goes on"
            time.sleep(0.01)
        release.set()
        for one in writing:
            one.result(10)
    with few_at_once(), few_at_once():
        pass  # each has given back what it took, and no more

    assert begun[packing.AT_ONCE - 1] - asked < 0.2
    assert begun[packing.AT_ONCE] - asked >= 0.2
