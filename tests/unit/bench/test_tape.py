"""Sending a launch's statements again, about something else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.bench import tape
from tests.bench.tape import COMMIT, Step, Transaction

GUID = "0e8dd4a8-93ea-4d2c-8a3e-0a5a5c1a3a11"


@dataclass
class Answer:
    lastrowid: int
    returns_rows: bool = False


@dataclass
class Connection:
    """Notes what is sent, and gives every row the number 900."""

    sent: list[Any] = field(default_factory=list)

    def exec_driver_sql(self, sql: str, parameters: Any) -> Answer:
        self.sent.append((sql, parameters))
        return Answer(lastrowid=900)

    def commit(self) -> None:
        self.sent.append("commit")


def test_a_launch_is_sent_again_with_ids_of_its_own() -> None:
    steps = (
        Step("SELECT 1 FROM DataCollection WHERE id = %(id)s", {"id": 5}),
        Step("INSERT INTO `ProcessingJob` (dataCollectionId) VALUES (%(d)s)", {"d": 5}),
        Step("INSERT INTO `ProcessingJobParameter` (…)", [{"job": 77, "value": "x"}, {"job": 77, "value": "5"}], True),
        Step("INSERT INTO outbox (…)", {"body": f'{{"ispyb_process": 77, "guid": "{GUID}"}}', "job": 77, "on": True}),
        COMMIT,
    )
    connection: Any = Connection()

    Transaction(steps, dcid=5, job_id=77).run(connection, 6)

    read, job, parameters, message, committed = connection.sent
    assert (read[1], job[1], committed) == ({"id": 6}, {"d": 6}, "commit")
    assert parameters[1] == [{"job": 900, "value": "x"}, {"job": 900, "value": "5"}]
    assert (message[1]["job"], message[1]["on"]) == (900, True)
    assert message[1]["body"].startswith('{"ispyb_process": 900, "guid": "')
    assert GUID not in message[1]["body"]


def test_two_rounds_never_have_the_same_guid() -> None:
    steps = (Step("INSERT INTO launch (guid, directory) VALUES (…)", {"guid": GUID, "directory": f"/dls/{GUID}"}),)
    connection: Any = Connection()

    for dcid in (6, 7):
        Transaction(steps, dcid=5, job_id=77).run(connection, dcid)

    (_, first), (_, second) = connection.sent
    assert first["guid"] != second["guid"]
    assert first["directory"] == f"/dls/{first['guid']}"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("WHERE id IN (%(id_1)s)", "WHERE id IN (%(id_1)s, %(id_2)s, %(id_3)s)", True),
        ("LIMIT 15", "LIMIT 500", True),
        ("WHERE jobId = %s", "WHERE jobId = %(job)s", True),
        ("SELECT a FROM Movie", "SELECT b FROM Movie", False),
    ],
)
def test_statements_that_differ_in_their_numbers_only_are_one_question(one: str, other: str, same: bool) -> None:
    assert (tape.shape(one) == tape.shape(other)) is same
