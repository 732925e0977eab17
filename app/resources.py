"""What every use case needs: the settings, the database, the file system, and the relay's ear and eye."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from app.db import Database
from app.filesystem.looks import Looks
from app.recent import Recent
from app.settings import Settings
from app.zocalo.queue import Queue


def _nobody() -> None:
    """Nobody listens: the sweep of some relay finds the message."""


def _not_seen() -> Queue | None:
    """Nobody looks at the queue in this process."""
    return None


@dataclass(frozen=True)
class Resources:
    """Passed to every use case; built once by ``main``.

    Args:
        wake: called after a commit that left messages in the outbox.
        queue: what the relay of this process last saw of Zocalo's queue.
        recent: what was found a moment ago.
    """

    settings: Settings
    database: Database
    looks: Looks
    wake: Callable[[], None] = _nobody
    queue: Callable[[], Queue | None] = _not_seen
    recent: Recent = field(init=False)

    def __post_init__(self) -> None:
        """Begin to remember."""
        object.__setattr__(self, "recent", Recent(self.settings.share_seconds))
