"""The rights of docs/grants.sql: with them everything works, and the doctor names each that is missing."""

from __future__ import annotations

import itertools
import re
import time
from dataclasses import replace

import pytest
import sqlalchemy as sa

from app import doctor
from app.db import Database
from app.processing_jobs import stopping
from app.zocalo import outbox
from tests.factories import launch_body, make_program, make_visit
from tests.support import commands
from tests.support.doctor import examine
from tests.support.environments import Environment, execute
from tests.support.services import ServiceThread
from tests.support.users import GRANTS, grant, ispyb_of

pytestmark = [pytest.mark.system, pytest.mark.timeout(60), pytest.mark.usefixtures("dispatcher")]

_numbers = itertools.count(1)


@pytest.fixture
def granted(environment: Environment) -> Environment:
    """As a user of the service sees it, who has these rights and can lose them."""
    service, _ = grant(environment, f"{environment.schema}_{next(_numbers)}")
    return service


def revoke(environment: Environment, right: str, table: str) -> None:
    """Take a right from the environment's user."""
    user = sa.make_url(environment.database_url).username
    execute(environment, f"REVOKE {right} ON {table} FROM '{user}'@'%'")


def test_with_exactly_these_rights_everything_works(environment: Environment) -> None:
    administrator = Database(environment.settings(), pool_size=1)
    visit = make_visit(administrator, environment.dls)
    schema = f"{environment.schema}_granted"
    service_user, migrating_user = grant(replace(environment, schema=schema), f"{schema}_user")

    before = examine(service_user.settings())
    migrated = [commands.run(migrating_user.environ, "migrate") for _ in range(2)]
    after = examine(service_user.settings())
    with ServiceThread(service_user.settings()) as service, service.client() as client:
        path, key = f"/visits/{visit.name}/launch", {"Idempotency-Key": "once"}
        first, again = [client.post(path, json=launch_body(), headers=key) for _ in range(2)]
        old = first.json()["processingJobId"]
        make_program(administrator, old)
        second = client.post(path, json=launch_body(ifBlocked="restart", replaces=[old]))
        new, dcid = second.json()["processingJobId"], second.json()["dataCollectionId"]
        reads = [
            client.get(f"/visits/{visit.name}/data-collections"),
            client.get(f"/data-collections/{dcid}/processing-jobs"),
            client.get(f"/processing-jobs/{old}"),
            client.get(f"/processing-jobs/{old}/parameters"),
        ]
        stopped = client.post(f"/processing-jobs/{new}/stop")
        stopping.sweep(service.resources)
        stopping.forget_old_keys(service.resources)
        sent = all_sent(service.resources.database, 10)
    administrator.dispose()

    assert list(before.wrong) == ["our tables"]
    assert [ended.code for ended in migrated] == [0, 0]
    assert after.wrong == {}
    assert [answer.status_code for answer in (first, again, second, stopped)] == [202, 202, 202, 202]
    assert again.json() == first.json()
    assert [answer.status_code for answer in reads] == [200, 200, 200, 200]
    assert sent


def all_sent(database: Database, seconds: float) -> bool:
    """Whether the relay has sent all that waited, within so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with database.read() as session:
            if outbox.waiting(session)[0] == 0:
                return True
        time.sleep(0.05)
    return False


def test_the_grants_name_the_tables_that_the_doctor_checks() -> None:
    text = re.sub("^--.*$", "", GRANTS.read_text(), flags=re.MULTILINE)

    read = re.findall(r"GRANT SELECT ON `\$\{ISPYB\}`\.`(\w+)`", text)
    written = re.findall(r"GRANT SELECT, INSERT ON `\$\{ISPYB\}`\.`(\w+)`", text)

    assert read == [table.name for table in doctor.READ]
    assert written == [table.name for table in doctor.WRITTEN]
    assert len(re.findall("ISPYB}", text)) == len(read) + len(written) + len(doctor.CHANGED)


@pytest.mark.parametrize(
    ("right", "table"),
    [("SELECT", table.name) for table in (*doctor.READ, *doctor.WRITTEN)]
    + [("INSERT", table.name) for table in doctor.WRITTEN]
    + [("UPDATE (comments)", "DataCollection"), ("DELETE", "SW_onceToken")],
)
def test_a_right_that_is_missing_on_one_of_ispybs_tables_is_named(granted: Environment, right: str, table: str) -> None:
    revoke(granted, right, f"`{ispyb_of(granted)}`.{table}")

    report = examine(granted.settings())

    assert list(report.wrong) == ["ISPyB's tables"]
    verb = {"SELECT": "read", "INSERT": "insert into", "UPDATE": "update", "DELETE": "delete from"}[right.split()[0]]
    assert report.wrong["ISPyB's tables"].startswith(
        f"cannot {verb} {table} ({right.split()[0]} command denied to user"
    )
    assert report.wrong["ISPyB's tables"].count("cannot ") == 1
    assert "Grant it (docs/grants.sql has the SQL)" in report.wrong["ISPyB's tables"]
    assert "broker" in report.ok


@pytest.mark.parametrize(
    ("right", "says"),
    [
        ("SELECT, INSERT, UPDATE, DELETE", "command denied"),
        ("INSERT", "cannot insert into slot (INSERT command denied"),
        ("UPDATE", "cannot update outbox (UPDATE command denied"),
        ("DELETE", "cannot delete from idempotency (DELETE command denied"),
    ],
)
def test_a_right_that_is_missing_on_our_tables_is_named(granted: Environment, right: str, says: str) -> None:
    revoke(granted, right, "`{}`.*".format(granted.schema.replace("_", r"\_")))

    report = examine(granted.settings())

    assert list(report.wrong) == ["our tables"]
    assert says in report.wrong["our tables"]
    assert "docs/grants.sql has the SQL" in report.wrong["our tables"]
    assert "broker" in report.ok


def test_a_user_without_any_right_is_told_to_ask_for_one(granted: Environment) -> None:
    user = sa.make_url(granted.database_url).username
    execute(granted, f"REVOKE ALL PRIVILEGES, GRANT OPTION FROM '{user}'@'%'")

    report = examine(granted.settings())

    assert "this user may not use that database: grant it" in report.wrong["database"]
