"""The commands that are one question each."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.client import http
from tests.unit.client.conftest import Run
from tests.unit.client.played import DROPPED, NOON, RESULTS, PlayedService, job, parameters, problem, program

Captured = pytest.CaptureFixture[str]

DATA_COLLECTION: dict[str, Any] = {
    "dataCollectionId": 18,
    "imageDirectory": "/dls/raw/",
    "fileTemplate": "Frames/*.tiff",
    "latestJob": None,
}


def test_status_shows_the_evidence(run: Run, service: PlayedService, capsys: Captured) -> None:
    message = {"state": "pending", "queuedAt": NOON, "attempts": 2, "sentAt": None, "lastError": "refused"}
    evidence = {
        "programs": [program(processingMessage="2D\nrunning", processingEndTime="2021-02-25T12:09:00+00:00")],
        "sentinels": {
            "checked": "seen",
            "files": [{"name": "RUNNING_RELION_IT", "since": NOON}],
            "seenRunningAt": NOON,
        },
        "stop": {"requestedBy": "abc12345", "requestedAt": NOON, "replacedBy": 6, "messages": [message]},
        "warnings": [{"code": "stop-overdue", "message": "The stop was asked 9 minutes ago."}],
    }
    service.plays("GET /processing-jobs/5", job(5, "stopping", **evidence))

    code = run("status", "5")

    assert code == 0
    noon = "2021-02-25 12:00:00+00:00"
    assert capsys.readouterr().out.splitlines() == [
        "Job 5 (relion) on data collection 18 of cm28212-1",
        "stopping    It is stopping.",
        f"since       {noon}",
        f"launched    at {noon} by abc12345",
        f"results     {RESULTS}",
        f"delivery    start message confirmed by the broker at {noon}",
        "program     77 relion: no outcome yet, started 2021-02-25 12:01:00+00:00, "
        "last heard of 2021-02-25 12:09:00+00:00, said: 2D running",
        f"sentinels   RUNNING_RELION_IT since {noon}",
        f"stop        asked by abc12345 at {noon}, and job 6 replaces it",
        f"            1 so far; the last stop message waits for the broker since {noon}, "
        "tries so far: 2; last error: refused",
        "WARNING     The stop was asked 9 minutes ago.",
    ]


def test_status_of_a_job_from_elsewhere(run: Run, service: PlayedService, capsys: Captured) -> None:
    service.plays("GET /processing-jobs/5", job(5, "submitted", launch=None, message=None))

    code = run("status", "5")

    assert code == 0
    assert "launched    elsewhere, at 2021-02-25 12:00:00+00:00\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (job(5, "running", since="2021-02-25T12:01:00Z"), "since       2021-02-25 12:01:00+00:00"),
        (job(5, "succeeded", since="2021-02-25T13:00:00Z"), "ended       2021-02-25 13:00:00+00:00"),
        (job(5, "queued"), "since       2021-02-25 12:00:00+00:00"),
    ],
)
def test_status_tells_since_when(
    run: Run, service: PlayedService, capsys: Captured, answer: dict[str, Any], line: str
) -> None:
    service.plays("GET /processing-jobs/5", answer)

    run("status", "5")

    assert capsys.readouterr().out.splitlines()[2] == line


def test_json_is_what_the_service_said(run: Run, service: PlayedService, capsys: Captured) -> None:
    service.plays("GET /processing-jobs/5", job(5, reason="0.885 Å"))

    code = run("status", "5", "--json")

    assert code == 0
    assert json.loads(capsys.readouterr().out) == job(5, reason="0.885 Å")


def test_a_job_that_is_not_there_is_refused(run: Run, service: PlayedService, capsys: Captured) -> None:
    service.plays("GET /processing-jobs/5", problem(404, "job-not-found", "There is no job 5."))

    code = run("status", "5")

    assert code == 1
    assert capsys.readouterr().err == "There is no job 5.\n"


def test_stop_tells_the_state_and_what_to_type_next(run: Run, service: PlayedService, capsys: Captured) -> None:
    service.plays("POST /processing-jobs/5/stop", job(5, "stopping"))

    code = run("stop", "5")

    assert code == 0
    assert capsys.readouterr().out == "Job 5 is stopping. It is stopping.\n\nNext: synchweb-em wait 5\n"


def test_stop_of_a_job_that_was_never_sent_needs_no_waiting(run: Run, service: PlayedService, capsys: Captured) -> None:
    service.plays("POST /processing-jobs/5/stop", job(5, "stopped"))

    code = run("stop", "5")

    assert code == 0
    assert capsys.readouterr().out == "Job 5 is stopped. It is stopped.\n"


def test_stop_without_answer_may_be_asked_again(run: Run, service: PlayedService, capsys: Captured) -> None:
    service.plays("POST /processing-jobs/5/stop", DROPPED)

    code = run("stop", "5")

    assert code == 3
    assert len(service.asked) == 1
    assert capsys.readouterr().err.endswith("To ask again does no harm.\n")


def test_resend_sends_the_reason_and_tells_what_to_type_next(
    run: Run, service: PlayedService, capsys: Captured
) -> None:
    service.plays("POST /processing-jobs/5/resend", job(5, "pending"))

    code = run("resend", "5", "--reason", "the broker lost its disk")

    assert code == 0
    assert service.bodies() == [{"reason": "the broker lost its disk"}]
    assert capsys.readouterr().out == ("Job 5 is sent again, to the same directory.\n\nNext: synchweb-em wait 5\n")


def test_resend_wants_a_reason(run: Run, service: PlayedService) -> None:
    with pytest.raises(SystemExit) as ended:
        run("resend", "5")

    assert ended.value.code == 64
    assert service.asked == []


def test_resend_is_asked_once_and_says_how_to_find_out(run: Run, service: PlayedService, capsys: Captured) -> None:
    service.plays("POST /processing-jobs/5/resend", DROPPED)

    code = run("resend", "5", "--reason", "lost")

    assert code == 3
    assert len(service.asked) == 1
    assert "synchweb-em status 5" in capsys.readouterr().err


def test_status_tells_who_had_it_sent_again_and_why(run: Run, service: PlayedService, capsys: Captured) -> None:
    message = {"state": "sent", "queuedAt": NOON, "attempts": 1, "sentAt": NOON, "lastError": None}
    again = {"requestedBy": "staff1", "requestedAt": NOON, "reason": "lost", "message": message}
    service.plays("GET /processing-jobs/5", job(5, "submitted", resends=[again]))

    run("status", "5")

    assert "            sent again by staff1 at 2021-02-25 12:00:00+00:00: lost" in capsys.readouterr().out.splitlines()


def test_jobs_lists_all_pages_of_a_visit(
    run: Run, service: PlayedService, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "PAGE_SIZE", 1)
    latest = {"processingJobId": 5, "state": "running", "reason": "", "blocking": True, "recordTimestamp": NOON}
    for page, item in ((1, DATA_COLLECTION | {"latestJob": latest}), (2, DATA_COLLECTION)):
        path = f"/visits/cm28212-1/data-collections?limit=1&page={page}"
        service.plays(f"GET {path}", {"total": 2, "items": [item]})

    code = run("jobs", "cm28212-1")

    assert code == 0
    assert capsys.readouterr().out.splitlines() == [
        "COLLECTION  LATEST JOB  STATE    RECORDED                   MOVIES",
        "18          5           running  2021-02-25 12:00:00+00:00  /dls/raw/Frames/*.tiff",
        "18          -           -        -                          /dls/raw/Frames/*.tiff",
    ]


def test_jobs_lists_those_of_a_data_collection(run: Run, service: PlayedService, capsys: Captured) -> None:
    answer = {"total": 2, "items": [job(15), job(5, "failed")]}
    service.plays("GET /data-collections/18/processing-jobs?limit=100&page=1", answer)

    code = run("jobs", "--dcid", "18")

    assert code == 0
    assert capsys.readouterr().out.splitlines() == [
        "JOB  STATE    RECORDED                   WHY",
        "15   running  2021-02-25 12:00:00+00:00  It is running.",
        "5    failed   2021-02-25 12:00:00+00:00  It is failed.",
    ]


def test_jobs_says_when_there_are_none(run: Run, service: PlayedService, capsys: Captured) -> None:
    service.plays("GET /visits/cm28212-1/data-collections?limit=100&page=1", {"total": 0, "items": []})

    code = run("jobs", "cm28212-1")

    assert code == 0
    assert capsys.readouterr().out == "cm28212-1 has no data collections yet.\n"


def test_jobs_as_json_is_one_list(run: Run, service: PlayedService, capsys: Captured) -> None:
    service.plays("GET /data-collections/18/processing-jobs?limit=100&page=1", {"total": 1, "items": [job()]})

    run("jobs", "--dcid", "18", "--json")

    assert json.loads(capsys.readouterr().out) == {"total": 1, "items": [job()]}


def test_parameters_can_be_typed_again(run: Run, service: PlayedService, capsys: Captured) -> None:
    service.plays("GET /processing-jobs/5/parameters", parameters(5, other={"old_key": None}))

    code = run("parameters", "5")

    assert code == 0
    assert capsys.readouterr().out.splitlines() == [
        "pixelSize=0.885",
        "maximumDiameter=180",
        "maskDiameter=198",
        "doClass3D=true",
        "# movies: /dls/m12/data/2021/cm28212-1/raw/Frames/*.tiff (SerialEM)",
        "# not known to the service: old_key=null",
    ]
