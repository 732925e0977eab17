"""How the simulator's threads wait: briefly, and never past the end of the demo."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from app.errors import Unavailable

log = logging.getLogger(__name__)
T = TypeVar("T")

Wait = Callable[[float], None]  # waits so many seconds, or raises DemoEnds
RETRY_SECONDS = 1.0


class DemoEnds(Exception):
    """The demo is being stopped: leave everything as it is, to be taken up again."""


def patiently(work: Callable[[], T], wait: Wait) -> T:
    """What ``work`` returns, however long something that it needs is away.

    Raises:
        DemoEnds: before it succeeded.
    """
    while True:
        try:
            return work()
        except Unavailable as error:
            log.warning("simulator: %s", error.detail)
            wait(RETRY_SECONDS)
