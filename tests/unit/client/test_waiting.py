"""Watching a job until it has ended."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from app.client import waiting
from tests.unit.client.conftest import Run
from tests.unit.client.played import DROPPED, PlayedService, job, problem

Captured = pytest.CaptureFixture[str]
JOB = "GET /processing-jobs/5"
WAIT = ("wait", "5", "--interval", "0.001")


@pytest.mark.parametrize(("state", "expected"), [("succeeded", 0), ("failed", 1), ("stopped", 2)])
def test_the_exit_code_is_the_outcome(run: Run, service: PlayedService, state: str, expected: int) -> None:
    service.plays(JOB, job(5, "running"), job(5, state))

    code = run(*WAIT)

    assert code == expected


def test_the_outcome_goes_to_standard_output(run: Run, service: PlayedService, capsys: Captured) -> None:
    service.plays(JOB, job(5, "failed", reason="RELION has failed."))

    run(*WAIT)

    assert capsys.readouterr().out.splitlines() == [
        "Job 5 has failed (0:00:00 waited). RELION has failed.",
        "Next: synchweb-em status 5",
    ]


def test_each_state_is_one_line(run: Run, service: PlayedService, capsys: Captured) -> None:
    service.plays(JOB, job(5, "pending"), job(5, "queued"), job(5, "queued"), job(5, "running"), job(5, "succeeded"))

    run(*WAIT)

    captured = capsys.readouterr()
    assert captured.err.splitlines() == [
        "0:00:00 pending: It is pending.",
        "0:00:00 queued: It is queued.",
        "0:00:00 running: It is running.",
    ]
    assert captured.out == "Job 5 has succeeded (0:00:00 waited). It is succeeded.\n"


def test_each_warning_is_told_once(run: Run, service: PlayedService, capsys: Captured) -> None:
    def warned(minutes: int) -> dict[str, Any]:
        message = f"Nobody has picked this job up for {minutes} minutes."
        return job(5, "submitted", warnings=[{"code": "not-picked-up", "message": message}])

    service.plays(JOB, warned(5), warned(6), job(5, "stopped"))

    run(*WAIT)

    assert capsys.readouterr().err.count("WARNING: Nobody has picked this job up") == 1


def test_on_a_terminal_one_line_is_rewritten(
    run: Run, service: PlayedService, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    service.plays(JOB, job(5, "queued"), job(5, "running", reason="Running since 25 Feb at 14:02."), job(5, "stopped"))

    code = run(*WAIT)

    assert code == 2
    assert capsys.readouterr().err.split("\r") == [
        "",
        "job 5  queued  0:00:00  It is queued.".ljust(39),
        "job 5  running  0:00:00  Running since ",
        " " * 39,
        "",
    ]


def test_as_json_the_job_is_printed_when_it_has_ended(run: Run, service: PlayedService, capsys: Captured) -> None:
    service.plays(JOB, job(5, "running"), job(5, "succeeded"))

    code = run(*WAIT, "--json")

    assert code == 0
    assert json.loads(capsys.readouterr().out) == job(5, "succeeded")


def test_after_the_timeout_it_could_not_tell(run: Run, service: PlayedService, capsys: Captured) -> None:
    service.plays(JOB, job(5, "running"))

    code = run(*WAIT, "--timeout", "0.02")

    assert code == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[1:] == [
        "Job 5 is still running after 0.02 seconds; it goes on.",
        "To wait again: synchweb-em wait 5",
    ]


def test_a_timeout_of_nothing_looks_once(run: Run, service: PlayedService) -> None:
    service.plays(JOB, job(5, "running"), job(5, "succeeded"))

    code = run(*WAIT, "--timeout", "0")

    assert code == 3
    assert len(service.asked) == 1


def test_a_service_that_is_away_for_a_moment_is_waited_for(run: Run, service: PlayedService, capsys: Captured) -> None:
    busy = problem(503, "database-unavailable", "The database does not answer; try again.")
    service.plays(JOB, job(5, "running"), busy, busy, DROPPED, job(5, "running"), job(5, "succeeded"))

    code = run(*WAIT)

    assert code == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(" ")[0] for line in lines] == ["0:00:00", service.url, "The", "The"]
    assert lines[1].endswith("The database does not answer; try again. Still trying; Ctrl-C gives up.")
    assert lines[3] == "The service answers again."


def test_a_service_that_stays_away_is_left(
    run: Run, service: PlayedService, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "PATIENCE", 0.02)
    service.plays(JOB, job(5, "running"), DROPPED)

    code = run(*WAIT)

    assert code == 3
    assert "No answer for 0.02 seconds. If job 5 runs, it goes on without us.\n" in capsys.readouterr().err


def test_with_a_timeout_it_is_the_timeout_that_ends_patience(
    run: Run, service: PlayedService, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "PATIENCE", 0.0)
    service.plays(JOB, DROPPED, DROPPED, job(5, "succeeded"))

    code = run(*WAIT, "--timeout", "20")

    assert code == 0


def test_without_any_answer_the_state_is_not_made_up(run: Run, service: PlayedService, capsys: Captured) -> None:
    service.plays(JOB, DROPPED)

    code = run(*WAIT, "--timeout", "0")

    assert code == 3
    assert "Job 5 is still of unknown state after 0 seconds; it goes on.\n" in capsys.readouterr().err


def test_a_refusal_is_not_the_failure_of_a_job(run: Run, service: PlayedService, capsys: Captured) -> None:
    service.plays(JOB, problem(404, "job-not-found", "There is no job 5."))

    code = run(*WAIT)

    assert code == 3
    assert capsys.readouterr().err == "There is no job 5.\n"


def test_an_interrupt_leaves_the_job_alone(
    run: Run, service: PlayedService, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    service.plays(JOB, job(5, "running"))
    monkeypatch.setattr("app.client.waiting.time.sleep", interrupt)

    code = run(*WAIT)

    assert code == 3
    assert [asked.request for asked in service.asked] == [JOB]
    assert "Interrupted; job 5 goes on.\nTo wait again: synchweb-em wait 5\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [("--interval", "0"), ("--timeout", "-1"), ("--timeout", "nan"), ("--timeout", "1e99")]
)
def test_a_time_that_is_none_is_a_usage_error(run: Run, words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as caught:
        run("wait", "5", *words)

    assert caught.value.code == 64
