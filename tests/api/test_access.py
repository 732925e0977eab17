"""Who sees what: the seam at which real tokens will come in. Somebody else's visit looks as if it did not exist."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import sqlalchemy as sa

from app.access.identity import Person
from app.db import Database
from app.http import dependencies
from app.ispyb import tables
from app.ispyb.tables import inserted_id
from tests.api.conftest import MakeVisit
from tests.api.test_documentation import NUMBERS, PROBLEM, Operation, operations
from tests.factories import (
    MadeVisit,
    launch_body,
    make_attachment,
    make_class,
    make_class_group,
    make_collection,
    make_ctf,
    make_file,
    make_job,
    make_motion,
    make_movie,
    make_picker,
    make_program,
)
from tests.support import rows
from tests.support.services import ServiceThread

RESEND = "POST /processing-jobs/{jobId}/resend"  # for staff, of jobs that were launched here and lost
BecomePerson = Callable[[Person], None]
LISTED_NOWHERE = {"/relion/parameters-schema"}  # addresses that name nothing of anybody's


class Beam(NamedTuple):
    """A visit with a data collection and a job that waits, and a program with results of another."""

    visit: MadeVisit
    dcid: int
    job_id: int
    results: dict[str, int]

    def ask(self, client: httpx.Client, operation: Operation) -> httpx.Response:
        """Send a good request about it."""
        path = operation.path.format(visit=self.visit.name, dcid=self.dcid, jobId=self.job_id, **self.results)
        return client.request(operation.method, path, **operation.good_request)


@pytest.fixture
def become(service: ServiceThread) -> Iterator[BecomePerson]:
    """Lets the requests that follow come from this person."""
    overrides = service.app.dependency_overrides

    def become_person(person: Person) -> None:
        async def somebody() -> Person:
            return person

        overrides[dependencies._person] = somebody

    yield become_person
    overrides.pop(dependencies._person, None)


@pytest.fixture
def new_person(database: Database) -> Callable[[str], Person]:
    """Writes people into ISPyB."""

    def write(login: str) -> Person:
        statement = sa.insert(tables.Person).values(givenName=login)  # ISPyB has each login once
        return Person(login, person_id=database.write(lambda session: inserted_id(session.execute(statement))))

    return write


@pytest.fixture
def ada(new_person: Callable[[str], Person]) -> Person:
    """Somebody who is no staff."""
    return new_person("ada")


def make_beam(database: Database, visit: MadeVisit, **columns: Any) -> Beam:
    dcid = make_collection(database, visit, **columns)
    beam = Beam(visit, dcid, make_job(database, dcid), {})
    other = make_collection(database, visit, **columns)
    program = make_program(database, make_job(database, other), status=1)
    picture = str(make_file(visit.directory / "processed" / "picture.png"))
    motion = make_motion(
        database, program, make_movie(database, other), 1,
        micrographSnapshotFullPath=picture, fftFullPath=picture, fftCorrectedFullPath=picture,
    )  # fmt: skip
    make_ctf(database, program, motion, fftTheoreticalFullPath=picture)
    make_picker(database, program, motion, summaryImageFullPath=picture)
    ident = make_class(database, make_class_group(database, program), classImageFullPath=picture)
    attachment = make_attachment(database, program, Path(picture))
    numbers = {"programId": program, "imageNumber": 1, "classificationId": ident, "attachmentId": attachment}
    return beam._replace(results=numbers)


def move(database: Database, visit: MadeVisit, beamline: str | None) -> None:
    table = tables.BLSession
    statement = sa.update(table).where(table.c.sessionId == visit.session_id).values(beamLineName=beamline)
    database.write(lambda session: session.execute(statement))


def bounded(client: httpx.Client) -> list[Operation]:
    """The operations that name a visit, a data collection or a job."""
    return [operation for operation in operations(client) if operation.path_ids]


def test_every_address_names_what_it_is_about_in_a_way_that_these_tests_know(client: httpx.Client) -> None:
    found = operations(client)

    assert {operation.path for operation in found if not operation.path_ids} == LISTED_NOWHERE
    assert set().union(*(operation.path_ids for operation in found)) == {"visit", *NUMBERS}


def test_on_their_own_visit_a_person_may_do_everything(
    client: httpx.Client, database: Database, new_visit: MakeVisit, ada: Person, become: BecomePerson
) -> None:
    become(ada)

    answers = {}
    for operation in bounded(client):
        mine = make_beam(database, new_visit(members=[ada.person_id]))  # its own, since a launch changes what follows
        answers[operation.name] = (mine.ask(client, operation).status_code, operation.method)

    assert len(answers) >= 11
    assert answers.pop(RESEND) == (403, "POST")
    assert {name: answer for name, answer in answers.items() if answer not in ((200, "GET"), (202, "POST"))} == {}


def somebody_elses(database: Database, new_visit: MakeVisit, ada: Person, grace: Person) -> Beam:
    return make_beam(database, new_visit(members=[grace.person_id]))


def nobodys(database: Database, new_visit: MakeVisit, ada: Person, grace: Person) -> Beam:
    return make_beam(database, new_visit())


def own_on_another_beamline(database: Database, new_visit: MakeVisit, ada: Person, grace: Person) -> Beam:
    return make_beam(database, new_visit(members=[ada.person_id], beamline="i03"))


def of_the_same_proposal(database: Database, new_visit: MakeVisit, ada: Person, grace: Person) -> Beam:
    """Ada is on visit 1 of the proposal, this is visit 2."""
    first = new_visit(members=[ada.person_id])
    session_row = rows.row(database, tables.BLSession, first.session_id)
    values = {name: session_row[name] for name in ("proposalId", "beamLineName", "startDate", "endDate")}
    statement = sa.insert(tables.BLSession).values(values | {"visit_number": 2})
    second = database.write(lambda session: inserted_id(session.execute(statement)))
    name = first.name.removesuffix("1") + "2"
    return make_beam(database, MadeVisit(name, second, first.directory.parent / name))


@pytest.mark.parametrize(
    "make", [somebody_elses, nobodys, own_on_another_beamline, of_the_same_proposal], ids=lambda make: make.__name__
)
def test_what_is_not_theirs_does_not_exist_for_them_on_any_route(
    client: httpx.Client,
    database: Database,
    new_visit: MakeVisit,
    new_person: Callable[[str], Person],
    ada: Person,
    become: BecomePerson,
    make: Callable[[Database, MakeVisit, Person, Person], Beam],
) -> None:
    other = make(database, new_visit, ada, new_person("grace"))
    become(ada)
    before = rows.counts(database)

    answers = {operation.name: other.ask(client, operation) for operation in bounded(client)}

    assert {name: answer.text for name, answer in answers.items() if answer.status_code != 404} == {}
    assert {answer.headers["content-type"] for answer in answers.values()} == {PROBLEM}
    assert not any("cm" in answer.json()["detail"] for name, answer in answers.items() if "{visit}" not in name)
    assert rows.counts(database) == before


def test_what_is_not_theirs_reads_exactly_like_what_does_not_exist(
    client: httpx.Client, database: Database, new_visit: MakeVisit, ada: Person, become: BecomePerson
) -> None:
    theirs = make_beam(database, new_visit())
    nothing = Beam(
        MadeVisit("cm999999999-1", 0, theirs.visit.directory), 2_000_000_000, 2_000_000_000,
        dict.fromkeys(theirs.results, 2_000_000_000) | {"imageNumber": 1},
    )  # fmt: skip
    become(ada)

    def read(beam: Beam) -> dict[str, str]:
        answers = {operation.name: beam.ask(client, operation).text for operation in bounded(client)}
        numbers = [number for name, number in beam.results.items() if name != "imageNumber"]
        for name in (beam.visit.name, *map(str, sorted({beam.dcid, beam.job_id, *numbers}, reverse=True))):
            # Whole numbers only: a 4 is in every 404.
            answers = {operation: re.sub(rf"\b{name}\b", "…", text) for operation, text in answers.items()}
        return answers

    assert read(theirs) == read(nothing)


@pytest.mark.parametrize(
    "person", [Person("nobody"), Person("nobody", person_id=0), Person("nobody", person_id=2_000_000_000)], ids=repr
)
def test_who_is_not_in_ispyb_sees_nothing(
    client: httpx.Client, database: Database, new_visit: MakeVisit, become: BecomePerson, person: Person
) -> None:
    beam = make_beam(database, new_visit())
    become(person)

    answers = [beam.ask(client, operation).status_code for operation in bounded(client)]

    assert set(answers) == {404}


@pytest.mark.parametrize(("beamline", "status"), [("m12", {200, 202}), ("i03", {404}), ("", {404}), (None, {404})])
def test_staff_see_every_visit_on_a_microscope_and_none_elsewhere(
    client: httpx.Client,
    database: Database,
    new_visit: MakeVisit,
    become: BecomePerson,
    beamline: str | None,
    status: set[int],
) -> None:
    become(Person("staff", staff=True))

    answers = {}
    for operation in bounded(client):
        beam = make_beam(database, new_visit())
        move(database, beam.visit, beamline)  # made on a microscope, so that nothing but the beamline is at fault
        answers[operation.name] = beam.ask(client, operation).status_code

    assert answers.pop(RESEND) == (409 if 200 in status else 404)
    assert {name: answer for name, answer in answers.items() if answer not in status} == {}


def test_a_data_collection_that_ispyb_files_under_another_visit_is_not_shown_by_its_copied_session_id(
    client: httpx.Client, database: Database, new_visit: MakeVisit, ada: Person, become: BecomePerson
) -> None:
    mine, theirs = new_visit(members=[ada.person_id]), new_visit()
    secret = make_beam(database, theirs, SESSIONID=mine.session_id)  # its group, with the foreign key, is theirs
    become(ada)

    listed = client.get(f"/visits/{mine.name}/data-collections").json()

    assert client.get(f"/data-collections/{secret.dcid}").status_code == 404
    assert (listed["total"], listed["items"]) == (0, [])


def test_a_launch_never_uses_a_data_collection_whose_job_its_owner_could_not_watch(
    client: httpx.Client, database: Database, new_visit: MakeVisit, ada: Person, become: BecomePerson
) -> None:
    mine, theirs = new_visit(members=[ada.person_id]), new_visit()
    make_collection(database, theirs, SESSIONID=mine.session_id, imageDirectory=f"{mine.directory}/raw/")
    become(ada)

    launched = client.post(f"/visits/{mine.name}/launch", json=launch_body())

    assert launched.status_code == 202
    assert client.get(f"/processing-jobs/{launched.json()['processingJobId']}").status_code == 200


def test_who_launches_and_who_stops_is_written_down(
    client: httpx.Client, database: Database, new_visit: MakeVisit, new_person: Callable[[str], Person],
    ada: Person, become: BecomePerson,
) -> None:  # fmt: skip
    grace = new_person("grace")
    visit = new_visit(members=[ada.person_id, grace.person_id])
    become(ada)
    job_id = client.post(f"/visits/{visit.name}/launch", json=launch_body()).json()["processingJobId"]

    become(grace)
    job = client.post(f"/processing-jobs/{job_id}/stop").json()

    assert (job["launch"]["launchedBy"], job["stop"]["requestedBy"]) == ("ada", "grace")


def test_an_idempotency_key_belongs_to_one_person(
    client: httpx.Client, new_visit: MakeVisit, new_person: Callable[[str], Person], ada: Person, become: BecomePerson
) -> None:
    grace = new_person("grace")
    visit = new_visit(members=[ada.person_id, grace.person_id])
    path, headers = f"/visits/{visit.name}/launch", {"Idempotency-Key": visit.name}

    become(ada)
    first = client.post(path, json=launch_body(), headers=headers)
    become(grace)
    second = client.post(path, json=launch_body(), headers=headers)

    assert (first.status_code, second.status_code) == (202, 409)
    assert second.json()["type"] == "jobs-block"


def test_a_key_gives_no_answer_again_to_who_has_left_the_visit(
    client: httpx.Client, database: Database, new_visit: MakeVisit, ada: Person, become: BecomePerson
) -> None:
    visit = new_visit(members=[ada.person_id])
    path, headers = f"/visits/{visit.name}/launch", {"Idempotency-Key": visit.name}
    become(ada)
    assert client.post(path, json=launch_body(), headers=headers).status_code == 202

    left = sa.delete(tables.SessionHasPerson).where(tables.SessionHasPerson.c.sessionId == visit.session_id)
    database.write(lambda session: session.execute(left))

    assert client.post(path, json=launch_body(), headers=headers).status_code == 404
