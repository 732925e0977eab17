"""Long answers are compressed for who says that they can read it, and for nobody else."""

from __future__ import annotations

import gzip

import pytest
from fastapi import Request

from app.http import packing
from app.http.packing import accepts_gzip, packed

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
