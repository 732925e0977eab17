"""What all commands have in common: where they ask, how they end, and what a terminal gets."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from app.client import http
from tests.unit.client.conftest import Run
from tests.unit.client.played import PlayedService, job, problem

Captured = pytest.CaptureFixture[str]


def test_what_the_database_says_cannot_steer_the_terminal(run: Run, service: PlayedService, capsys: Captured) -> None:
    service.plays("GET /processing-jobs/5", job(5, reason="\x1b[2J\u202egone"))

    run("status", "5")

    assert "running     ?[2J?gone\n" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["check", "start", "restart", "status", "stop", "jobs", "parameters"])
def test_without_a_service_every_command_exits_with_3(run_bare: Run, capsys: Captured, command: str) -> None:
    words = {"check": ["--dcid", "18"], "start": ["--dcid", "18"], "jobs": ["cm28212-1"]}.get(command, ["5"])

    code = run_bare(command, *words, "--url", "http://127.0.0.1:1")

    assert code == 3
    assert (
        'Ask the facility\'s staff to start it (the demo: "make run"), or give its address with --url.'
        in capsys.readouterr().err
    )


def test_the_token_of_the_environment_is_sent(
    run: Run, service: PlayedService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EM_TOKEN", "a-token\n")
    service.plays("GET /processing-jobs/5", job())

    run("status", "5")

    assert service.asked[0].headers["Authorization"] == "Bearer a-token"


def test_an_interrupted_command_leaves_no_traceback(
    run: Run, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(http.Api, "get", interrupt)

    code = run("status", "5")

    assert code == 3
    assert capsys.readouterr().err == "\nInterrupted.\n"


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("status", "five"),
        ("status", "-5"),
        ("jobs",),
        ("jobs", "cm28212-1", "--dcid", "18"),
        ("status", "5", "--url", "localhost:8000"),
        ("status", "5", "--url", "http://"),
        ("status", "5", "--url", "http://me:secret@host"),
        ("status", "5", "--url", "http://host:99999"),
        ("status", "5", "--url", f"http://{'a' * 64}"),
        ("status", "5", "--token", "two\nlines"),
    ],
)
def test_what_cannot_be_asked_is_a_usage_error(run: Run, service: PlayedService, words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(*words)

    assert caught.value.code == 64
    assert service.asked == []


def test_an_address_in_the_environment_that_is_none_is_a_usage_error(
    run_bare: Run, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("EM_URL", "8000")

    with pytest.raises(SystemExit) as caught:
        run_bare("status", "5")

    assert caught.value.code == 64
    assert "'8000' is not an address such as http://127.0.0.1:8000 (from --url or EM_URL)" in capsys.readouterr().err


SCRIPT = """
import argparse, sys
from app.client import commands
parser = argparse.ArgumentParser()
commands.add_parsers(parser.add_subparsers())
arguments = parser.parse_args()
sys.exit(arguments.run(arguments))
"""


def run_process(service: PlayedService, *words: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """A command in a process of its own, with real pipes."""
    environment = {**os.environ, "EM_URL": service.url, **options.pop("env", {})}
    command = [sys.executable, "-c", SCRIPT, *words]
    return subprocess.run(command, env=environment, stderr=subprocess.PIPE, timeout=30, check=False, **options)


def test_a_reader_that_has_gone_is_no_trouble(service: PlayedService) -> None:
    service.plays("POST /processing-jobs/5/stop", problem(409, "job-ended", "It has ended."))
    reader, writer = os.pipe()
    os.close(reader)

    with os.fdopen(writer, "wb") as pipe:
        finished = run_process(service, "stop", "5", "--json", stdout=pipe)

    assert (finished.returncode, finished.stderr) == (1, b"It has ended.\n")


def test_a_terminal_without_unicode_gets_all_the_rest(service: PlayedService) -> None:
    service.plays("GET /processing-jobs/5", job(5, reason="0.885 Å"))

    finished = run_process(service, "status", "5", stdout=subprocess.PIPE, env={"PYTHONIOENCODING": "ascii"})

    assert finished.returncode == 0
    assert b"running     0.885 \\xc5\n" in finished.stdout


def test_help_needs_no_unicode(service: PlayedService) -> None:
    finished = run_process(service, "start", "--help", stdout=subprocess.PIPE, env={"PYTHONIOENCODING": "ascii"})

    assert finished.returncode == 0
    assert b"parameters-schema" in finished.stdout
