"""Who may see what programs found: only those on the visit that it belongs to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from app.access.identity import Person
from app.db import Database
from app.http import dependencies
from app.ispyb import tables
from app.ispyb.tables import inserted_id
from tests.api.conftest import MakeVisit
from tests.factories import MadeVisit, make_attachment
from tests.support.runs import SUBJECTS, Run, make_run, show
from tests.support.services import ServiceThread

PROBLEM = "application/problem+json"


@pytest.fixture
def run(database: Database, visit: MadeVisit) -> Run:
    """A program that has found nothing yet."""
    return make_run(database, visit)


@pytest.fixture
def become(service: ServiceThread) -> Iterator[Callable[[Person], None]]:
    """Lets the requests that follow come from this person."""
    overrides = service.app.dependency_overrides

    def become_person(person: Person) -> None:
        async def somebody() -> Person:
            return person

        overrides[dependencies._person] = somebody

    yield become_person
    overrides.pop(dependencies._person, None)


@pytest.fixture
def ada(database: Database) -> Person:
    """Somebody who is no staff."""
    statement = sa.insert(tables.Person).values(givenName="ada")
    return Person("ada", person_id=database.write(lambda session: inserted_id(session.execute(statement))))


def everything(run: Run) -> list[str]:
    """Every address of a program with results of every kind."""
    addresses = [
        show(run, subject, str(run.file("picture.jpeg")), number) for number, subject in enumerate(SUBJECTS, start=1)
    ]
    kinds = ("motion", "ctf", "particles")
    addresses += [f"{run.path}/{kind}" for kind in (*kinds, "classification", "attachments")]
    addresses += [f"{run.path}/motion/1", f"{run.path}/motion/1/drift", f"{run.path}/ctf/4", f"{run.path}/particles/5"]
    return addresses


def test_a_person_sees_the_programs_of_their_visits_and_no_others(
    client: httpx.Client, database: Database, new_visit: MakeVisit, ada: Person, become: Callable[[Person], None]
) -> None:
    mine = everything(make_run(database, new_visit(members=[ada.person_id])))
    theirs = everything(make_run(database, new_visit()))
    elsewhere = everything(make_run(database, new_visit(members=[ada.person_id], beamline="i03")))
    become(ada)

    assert [client.get(address).status_code for address in mine] == [200] * len(mine)
    for address in theirs + elsewhere:
        answer = client.get(address)
        assert (answer.status_code, answer.headers["content-type"]) == (404, PROBLEM), address


def test_what_is_not_theirs_reads_like_what_does_not_exist(
    client: httpx.Client, database: Database, new_visit: MakeVisit, ada: Person, become: Callable[[Person], None]
) -> None:
    theirs = everything(make_run(database, new_visit()))
    become(ada)

    for address in theirs:
        program = address.split("/")[2]
        nothing = address.replace(program, "2000000000")
        hidden, absent = client.get(address).text, client.get(nothing).text
        assert re.sub(rf"\b{program}\b", "…", hidden) == absent.replace("2000000000", "…")


def test_an_image_or_attachment_is_found_under_its_own_program_only(
    client: httpx.Client, run: Run, database: Database
) -> None:
    other = make_run(database, run.visit)

    for subject in ("class", "attachment"):
        address = show(run, subject, str(run.file("picture.jpeg")))
        assert client.get(address).status_code == 200
        answer = client.get(address.replace(run.path, other.path))
        assert answer.status_code == 404
        assert answer.json()["type"] in ("class-not-found", "attachment-not-found")


def test_a_deleted_attachment_is_not_found(client: httpx.Client, run: Run) -> None:
    ident = make_attachment(run.database, run.program, run.file("ice.json"), deleted=1)

    answer = client.get(f"{run.path}/attachments/{ident}/file")

    assert (answer.status_code, answer.json()["type"]) == (404, "attachment-not-found")


def test_a_program_without_job_or_data_collection_is_nobodys(client: httpx.Client, database: Database) -> None:
    def make(table: sa.Table, **values: Any) -> int:
        return database.write(lambda session: inserted_id(session.execute(sa.insert(table).values(values))))

    orphans = [make(tables.AutoProcProgram, processingJobId=None)]
    orphans.append(make(tables.AutoProcProgram, processingJobId=make(tables.ProcessingJob, recipe="relion")))

    for orphan in orphans:
        answer = client.get(f"/programs/{orphan}/motion")
        assert (answer.status_code, answer.json()["type"]) == (404, "program-not-found")


@pytest.mark.parametrize("ident", ["0", "-1", "x", "1.5", str(2**31), "%00", "1%2F2"])
def test_an_id_that_cannot_be_is_refused(client: httpx.Client, ident: str) -> None:
    answer = client.get(f"/programs/{ident}/motion")

    assert answer.status_code in (404, 422)
    assert answer.headers["content-type"] == PROBLEM
