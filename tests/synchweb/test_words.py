"""SynchWeb's words for the fate of a run, by ``EM.php``'s rule, and of a job that never had a program."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import httpx
import pytest

from app.db import Database
from app.processing_jobs import stopping
from app.processing_jobs.runs import Run
from app.synchweb.runs import status_word
from tests.api.test_stopping import pass_time
from tests.factories import make_collection, make_job, make_visit
from tests.support.environments import Environment
from tests.support.services import ServiceThread
from tests.synchweb.replay import Stage, token

NOON = datetime(2026, 11, 1, 12)
LAB_USER = 90001


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"program_id": None}, "submitted"),
        ({"program_id": None, "stopped": True}, "failure"),
        ({}, "queued"),
        ({"start": NOON}, "running"),
        ({"start": NOON, "end": NOON}, "running"),  # a heart-beat moves the end of a run that goes on
        ({"start": NOON, "program_status": 0}, "failure"),
        ({"start": NOON, "program_status": 1}, "success"),
        ({"program_status": 0}, ""),
        ({"program_status": 1}, ""),
        ({"start": NOON, "program_status": 7}, ""),
    ],
)
def test_a_word_for_each_program(changes: dict[str, Any], word: str) -> None:
    facts: dict[str, Any] = {"program_id": 1, "program_status": None, "start": None, "end": None}

    run = Run(job_id=1, dcid=1, recorded=NOON, now=NOON, **facts | changes)

    assert status_word(run) == word


def test_a_job_that_nobody_picked_up_is_a_failure_once_its_stop_was_given_up(
    synchweb: ServiceThread, stage: Stage, recorded: Environment, browser: httpx.Client
) -> None:
    database: Database = synchweb.resources.database
    visit = make_visit(database, recorded.dls, members=[LAB_USER])
    dcid = make_collection(database, visit)
    job = make_job(database, dcid)
    headers = {"Authorization": f"Bearer {token('lab_user')}"}

    def word() -> str:
        (row,) = browser.get(f"/api/em/jobs/{dcid}", headers=headers).json()["data"]
        return str(row["processingStatusDescription"])

    words = [word()]
    assert browser.get(f"/api/em/relion/stop/{job}", headers=headers).status_code == 200
    words.append(word())
    for minutes in (1, 2, 4, 8, 16, 32, 64):
        pass_time(database, job, minutes)
        stopping.sweep(synchweb.resources)
    words.append(word())

    assert words == ["submitted", "submitted", "failure"]
