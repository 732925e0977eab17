"""The relay remembers what it has sent, whatever goes wrong while it writes that down."""

from __future__ import annotations

import threading
from typing import Any, cast

from app.db import Database
from app.settings import RelaySettings
from app.zocalo.outbox import Claimed
from app.zocalo.relay import Relay

MESSAGE = Claimed(1, 7, "start", "{}", "me", "id", 0, None)


class OneMessage:
    """A database that hands out one message, and cannot note at first that it was sent."""

    def __init__(self) -> None:
        self.calls = 0
        self.noted = threading.Event()

    def write_apart(self, work: Any) -> Claimed | None:
        self.calls += 1
        if self.calls in (2, 3):
            raise RuntimeError("nobody expected this")
        if self.calls == 4:
            self.noted.set()
        return MESSAGE if self.calls == 1 else None


class Counting:
    """A broker that confirms everything."""

    patience = 1.0
    sent = 0

    def connect(self) -> bool:
        return False

    def send(self, body: str, headers: dict[str, str]) -> None:
        self.sent += 1

    def close(self) -> None: ...


def test_a_send_is_noted_even_after_an_error_that_nobody_expected() -> None:
    database, transport = OneMessage(), Counting()
    relay = Relay(cast(Database, database), transport, RelaySettings())
    settled: list[bool] = []
    settle = relay._settle

    def watch(note: Any) -> None:
        settle(note)
        settled.append(database.noted.is_set())

    relay._settle = watch  # type: ignore[method-assign]

    relay.start()
    assert database.noted.wait(10)
    relay.stop()

    assert settled == [True]
    assert transport.sent == 1
