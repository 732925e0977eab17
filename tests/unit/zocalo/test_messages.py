"""What Zocalo is told, to the letter."""

from __future__ import annotations

import dataclasses
import json
import socket

import pytest

from app.zocalo.messages import START, STOP, Message, StartJob, StopJob, headers

GUID = "6f0b0d5e-9a3c-4b6e-8d59-1f2e3d4c5b6a"


def test_the_body_of_a_start() -> None:
    body = StartJob(6611642, GUID).body()

    assert body == f'{{"parameters": {{"ispyb_process": 6611642, "guid": "{GUID}"}}}}'


def test_the_body_of_a_stop() -> None:
    body = StopJob(6611642).body()

    assert body == '{"recipes": ["relion-stop"], "parameters": {"ispyb_process": 6611642}}'


def test_the_body_of_a_stop_by_file_names_no_job() -> None:
    """Some dispatchers start a run for every message that does."""
    body = StopJob(6611642, "/dls/m12/data/2021/cm28212-1/tmp/relion-stop-6611642").body()

    assert body == (
        '{"recipes": ["relion-stop-file"], '
        '"parameters": {"stop_file": "/dls/m12/data/2021/cm28212-1/tmp/relion-stop-6611642"}}'
    )


@pytest.mark.parametrize("message", [StartJob(6611642, GUID), StopJob(6611642)], ids=["start", "stop"])
def test_a_body_is_one_json_object_with_the_job_as_an_integer(message: Message) -> None:
    body = json.loads(message.body())

    assert type(body) is dict
    assert type(body["parameters"]["ispyb_process"]) is int
    assert message.body().isascii()


def test_a_start_names_no_recipe() -> None:
    # Zocalo takes the job's own; a recipe in the message would win over it.
    assert "recipes" not in json.loads(StartJob(1, GUID).body())


def test_a_stop_carries_no_guid() -> None:
    # It would overwrite the start's entry in the dispatcher's logbook.
    assert "guid" not in StopJob(1).body()
    assert StopJob(1).guid is None


def test_messages_say_what_they_are() -> None:
    assert (StartJob(1, GUID).kind, StopJob(1).kind) == (START, STOP) == ("start", "stop")


def test_equal_messages_are_equal() -> None:
    assert StartJob(1, GUID) == StartJob(1, GUID) != StartJob(2, GUID)
    assert StopJob(1) == StopJob(1) != StopJob(2)


@pytest.mark.parametrize("message", [StartJob(1, GUID), StopJob(1)], ids=["start", "stop"])
def test_messages_do_not_change(message: Message) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        message.job_id = 2  # type: ignore[misc]


def test_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "em-1")

    assert headers("abc12345", "the-message-id") == {
        "content-type": "application/json",
        "persistent": "true",  # "1" would be refused by RabbitMQ
        "zocalo.go.user": "abc12345",
        "zocalo.go.host": "em-1",
        "synchweb.user": "abc12345",
        "synchweb.host": "em-1",
        "synchweb.message.id": "the-message-id",
    }


def test_a_message_that_is_sent_again_keeps_its_id() -> None:
    assert headers("abc12345", "the-message-id") == headers("abc12345", "the-message-id")
