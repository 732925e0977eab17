"""What system tests share: how long they go on."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="session")
def rounds() -> int:
    """Rounds of each race: few in ``make test``, those of the issue in ``make soak``."""
    return 20 if os.environ.get("SOAK") else 4
