"""What every use case needs: the settings, the database, the file system, and somebody to wake."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.db import Database
from app.filesystem.looks import Looks
from app.settings import Settings


def _nobody() -> None:
    """Nobody listens: the sweep of some relay finds the message."""


@dataclass(frozen=True)
class Resources:
    """Passed to every use case; built once by ``main``.

    Args:
        wake: called after a commit that left messages in the outbox.
    """

    settings: Settings
    database: Database
    looks: Looks
    wake: Callable[[], None] = _nobody
