"""What wrk is told, and what it says."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import pytest

from tests.bench import wrk
from tests.bench.samples import Sample
from tests.bench.wrk import Ask

OUTPUT = """\
Running 2s test @ http://127.0.0.1:8000
Requests/sec:   1000.00
{"requests": 2000, "bytes": 1600000, "microseconds": 2000000, "p50": 3500, "p99": 12000, "refused": 2, "broken": 1}
"""


class Measure(Protocol):
    """wrk for a second on two connections."""

    def __call__(self, *asks: Ask, ids: Sequence[int] = ()) -> Sample: ...


class Asked(http.server.ThreadingHTTPServer):
    """A server that notes what it is asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str, str | None, bytes]] = []
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Asked

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.command, self.path, self.headers.get("X-Who"), body))
        self.send_response(404 if "missing" in self.path else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_POST = do_GET  # noqa: N815

    def handle(self) -> None:
        # wrk goes without a word when its time is over.
        with suppress(ConnectionError):
            super().handle()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def server() -> Iterator[Asked]:
    with Asked() as server:
        yield server
        server.shutdown()


@pytest.fixture
def measure(server: Asked, tmp_path: Path) -> Measure:
    def measure(*asks: Ask, ids: Sequence[int] = ()) -> Sample:
        return wrk.measure(tmp_path, server.server_port, asks, connections=2, seconds=1, ids=ids)

    return measure


def test_its_last_line_has_the_figures() -> None:
    sample = wrk.read(OUTPUT)

    assert (sample.rate, sample.p50, sample.p99) == (1000, 3.5, 12)
    assert (sample.requests, sample.errors, sample.size) == (2000, 3, 800)


@pytest.mark.parametrize(("broken", "errors"), [(0, 1), (8, 8)])
def test_no_answer_at_all_is_an_error_that_lasted_as_long_as_anybody_waited(broken: int, errors: int) -> None:
    said = '{"requests": 0, "bytes": 0, "microseconds": 2000000, "p50": 0, "p99": 0, "refused": 0, "broken": '

    sample = wrk.read(f"{said}{broken}}}")

    assert (sample.rate, sample.p50, sample.p99, sample.errors) == (0, 2000, 2000, errors)


@pytest.mark.parametrize("text", ["plain", 'with "quotes" and \\', "]]", "]=]", "ends with ]=", "two\nlines"])
def test_any_text_can_be_written_for_lua(text: str) -> None:
    written = Ask("/", body=text).lua()

    opening = written.partition("body=")[2].partition("\n")[0]
    closing = opening.replace("[", "]")
    assert written.partition("body=")[2].partition("\n")[2].partition(closing)[0] == text


def test_asks_are_taken_in_turn_with_their_headers_and_bodies(server: Asked, measure: Measure) -> None:
    asks = [Ask("/a", headers={"X-Who": "me"}), Ask("/b?c=1", "POST", body='{"d": 1}')]

    sample = measure(*asks)

    assert sample.errors == 0
    assert sample.requests > 10
    assert set(server.asked) == {("GET", "/a", "me", b""), ("POST", "/b?c=1", None, b'{"d": 1}')}


def test_what_must_be_fresh_is_asked_once_and_then_it_ends(server: Asked, measure: Measure) -> None:
    ids = list(range(100, 150))

    sample = measure(Ask("/launch/%d", "POST", body="{}"), ids=ids)

    paths = [path for _, path, _, _ in server.asked]
    assert len(paths) == len(set(paths))
    assert set(paths) <= {f"/launch/{ident}" for ident in ids}
    assert 40 <= sample.requests <= 50


def test_refusals_are_errors(measure: Measure) -> None:
    sample = measure(Ask("/missing"))

    assert sample.errors == sample.requests > 0
