"""What the simulated Zocalo makes of messages."""

import json
import uuid

import pytest

from app.db import Database
from app.ispyb.tables import AutoProcProgram
from app.settings import Settings
from tests.unit.simulator.jobs import StartZocalo, count, left, look, make_job, send, wait_for_end, wait_until


@pytest.mark.parametrize(
    "text",
    [
        "garbage",
        "[]",
        '{"body": "a string"}',
        '{"body": {"parameters": {"ispyb_process": "1; x"}}}',
        '{"body": {"parameters": {"ispyb_process": true}}}',
        '{"body": {"parameters": {"ispyb_process": 4711}}}',
        '{"body": {"parameters": {"ispyb_process": 1, "guid": "../x"}}}',
        '{"body": {"parameters": {"ispyb_process": 1, "guid": 7}}}',
        '{"body": {"recipes": ["relion-stop"], "parameters": {"ispyb_process": 4711}}}',
        '{"body": {"recipes": ["other"], "parameters": {"ispyb_process": 1}}}',
    ],
)
def test_a_message_that_cannot_be_handled_becomes_a_dead_letter(
    database: Database, settings: Settings, zocalo: StartZocalo, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    make_job(database, settings)  # job 1
    settings.broker.spool.mkdir()
    (settings.broker.spool / "00000000000000000001-000001-bad.json").write_text(text)

    zocalo()
    wait_until(lambda: left(settings, "dead-letters") == ["00000000000000000001-000001-bad.json"])

    assert count(database, AutoProcProgram) == 0
    assert "dead-letters" in caplog.text


def test_a_job_of_another_recipe_becomes_a_dead_letter_and_the_next_is_done(
    database: Database, settings: Settings, zocalo: StartZocalo
) -> None:
    other, good = make_job(database, settings, recipe="em-spa-preprocess"), make_job(database, settings)
    send(settings, other.start)
    send(settings, good.start)

    zocalo()

    assert wait_for_end(database, good).status == 1
    assert look(database, other) is None
    assert len(left(settings, "dead-letters")) == 1


def test_a_start_without_guid_gets_one(database: Database, settings: Settings, zocalo: StartZocalo) -> None:
    job = make_job(database, settings)
    settings.broker.spool.mkdir()
    body = {"parameters": {"ispyb_process": job.job_id}}
    (settings.broker.spool / "00000000000000000001-000001-x.json").write_text(json.dumps({"body": body}))

    zocalo()
    wait_for_end(database, job)

    (run,) = [path for path in job.results_directory.parent.iterdir() if path.is_dir()]
    assert uuid.UUID(run.name)
