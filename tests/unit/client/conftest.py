"""The service that answers as it is told, and the command line that asks it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest

from app.client import commands, http
from tests.unit.client.played import PlayedService

Run = Callable[..., int]


class Parser(argparse.ArgumentParser):
    """As that of ``app/__main__.py``, which imports the whole service."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(64, f"{message}\n")


@pytest.fixture(autouse=True)
def _no_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EM_URL", "EM_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(http, "RETRY_PAUSES", (0.0, 0.0))


@pytest.fixture
def service() -> Iterator[PlayedService]:
    """Somebody who answers."""
    played = PlayedService()
    yield played
    played.close()


@pytest.fixture
def run_bare() -> Run:
    """Run a command as it was typed; its exit code."""

    def run(*words: str) -> int:
        parser = Parser(prog="synchweb-em")
        commands.add_parsers(parser.add_subparsers(required=True))
        arguments = parser.parse_args(words)
        code: int = arguments.run(arguments)
        return code

    return run


@pytest.fixture
def run(run_bare: Run, service: PlayedService, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command that finds the played service."""
    monkeypatch.setenv("EM_URL", service.url)
    return run_bare
