"""A sandbox is made on an empty database only, and says what it is."""

from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from app import migrating
from app.access import people, policy
from app.access.identity import ANYBODY, Person
from app.db import Database, database_now
from app.ispyb import sandbox, sqlite
from app.ispyb.tables import AdminVar, BLSession, DataCollection, Movie, Proposal, SessionHasPerson, metadata
from app.processing_jobs.tables import stop_request
from app.settings import AuthSettings, Settings
from app.visits import repository as visits
from app.visits.rules import Visit, VisitRef, why_not
from tests.unit.simulator.conftest import settings_in


def get_visit(database: Database, settings: Settings, ref: str, person: Person = ANYBODY) -> Visit:
    with database.read() as session:
        return visits.get_visit(session, settings, person, VisitRef.parse(ref))


def why_not_now(database: Database, settings: Settings, ref: str) -> str | None:
    visit = get_visit(database, settings, ref)
    with database.read() as session:
        return why_not(visit, database_now(session).astimezone(settings.zone), settings.grace_hours)


def test_an_empty_database_becomes_a_sandbox(empty: Database, settings: Settings) -> None:
    with empty.read() as session:
        assert not sandbox.is_sandbox(session)

    sandbox.create(empty, settings)

    with empty.read() as session:
        assert sandbox.is_sandbox(session)
        value = session.execute(sa.select(AdminVar.c.value).where(AdminVar.c.name == sandbox.MARK)).scalar_one()
    assert datetime.fromisoformat(value)


def test_all_tables_of_ispyb_are_there(database: Database) -> None:
    names = sa.inspect(database.engine).get_table_names()

    assert set(names) == set(metadata.tables)


def test_the_folder_of_the_database_file_is_made(tmp_path: Path) -> None:
    settings = settings_in(tmp_path / "var")
    database = Database(settings)

    sandbox.create(database, settings)

    with database.read() as session:
        assert sandbox.is_sandbox(session)
    database.dispose()


def test_a_second_creation_is_refused_and_changes_nothing(database: Database, settings: Settings) -> None:
    before = _visits(database)

    with pytest.raises(sandbox.DatabaseNotEmpty, match="set EM_DATABASE__URL"):
        sandbox.create(database, settings)

    assert _visits(database) == before


def _visits(database: Database) -> int:
    with database.read() as session:
        return session.execute(sa.select(sa.func.count()).select_from(SessionHasPerson)).scalar_one()


def test_a_database_without_the_mark_is_no_sandbox(database: Database) -> None:
    database.write(lambda session: session.execute(sa.delete(AdminVar)))

    with database.read() as session:
        assert not sandbox.is_sandbox(session)


def test_a_database_with_tables_but_no_rows_is_empty(empty: Database, settings: Settings) -> None:
    empty.write(lambda session: sqlite.tables().create_all(session.connection()))
    migrating.upgrade(empty)

    sandbox.create(empty, settings)

    with empty.read() as session:
        assert sandbox.is_sandbox(session)


def test_a_row_in_one_of_our_tables_is_refused_too(empty: Database, settings: Settings, tmp_path: Path) -> None:
    migrating.upgrade(empty)
    row = {"job_id": 1, "dcid": 1, "asked_by": "somebody", "asked_at": datetime(2026, 1, 1)}
    empty.write(lambda session: session.execute(sa.insert(stop_request).values(row)))

    with pytest.raises(sandbox.DatabaseNotEmpty, match="stop_request"):
        sandbox.create(empty, settings)

    assert not (tmp_path / "dls").exists()


def test_the_models_of_ispyb_are_left_as_they_are() -> None:
    before = [
        (str(column), repr(column.type), column.server_default) for t in metadata.tables.values() for column in t.c
    ]

    sqlite.tables()

    after = [
        (str(column), repr(column.type), column.server_default) for t in metadata.tables.values() for column in t.c
    ]
    assert after == before


def test_a_default_of_the_database_is_local_time(database: Database, settings: Settings) -> None:
    database.write(lambda session: session.execute(sa.insert(Movie).values(movieNumber=1)))

    with database.read() as session:
        written = session.execute(sa.select(Movie.c.createdTimeStamp)).scalar_one()
        now = database_now(session).astimezone(settings.zone).replace(tzinfo=None)
    assert abs((now - written).total_seconds()) < 5


def test_the_tutorial_has_its_24_movies_and_its_gain_reference(database: Database, settings: Settings) -> None:
    visit = get_visit(database, settings, sandbox.TUTORIAL)

    directory = visit.directory(settings.visit_directory)

    assert directory is not None
    assert directory.parts[-4:] == ("m12", "data", "2021", "cm28212-1")
    assert len(list(directory.glob("raw/Frames/20170629_000*_frameImage.tiff"))) == 24
    assert (directory / "processing" / "gain.mrc").is_file()
    assert why_not_now(database, settings, sandbox.TUTORIAL) is None


def test_the_epu_visit_goes_on_and_has_movies(database: Database, settings: Settings) -> None:
    directory = get_visit(database, settings, sandbox.EPU).directory(settings.visit_directory)

    assert directory is not None
    assert list(directory.glob("raw/GridSquare_1/Data/*.tiff"))
    assert why_not_now(database, settings, sandbox.EPU) is None


@pytest.mark.parametrize(("ref", "reason"), [(sandbox.ENDED, "ended on"), ("bi28713-44", "archived")])
def test_some_visits_may_not_be_processed(database: Database, settings: Settings, ref: str, reason: str) -> None:
    refusal = why_not_now(database, settings, ref)

    assert refusal is not None
    assert reason in refusal


@pytest.mark.parametrize(
    ("login", "staff", "seen"),
    [
        (sandbox.USER, False, {sandbox.TUTORIAL, sandbox.ENDED, "bi28713-44", sandbox.EPU, "bi28713-46"}),
        (sandbox.GUEST, False, {sandbox.EPU}),
        (sandbox.STAFF, True, {sandbox.TUTORIAL, sandbox.ENDED, "bi28713-44", sandbox.EPU, "bi28713-46", "bi28713-7"}),
    ],
)
def test_a_user_sees_the_visits_they_are_on_and_staff_sees_all(
    database: Database, settings: Settings, login: str, staff: bool, seen: set[str]
) -> None:
    database.write(_add_visit_of_nobody)

    with database.read() as session:
        person = people.get_person(session, settings, login)
        columns = sa.select(Proposal.c.proposalCode, Proposal.c.proposalNumber, BLSession.c.visit_number)
        rows = session.execute(columns.join(BLSession).where(policy.visible(person, settings))).all()

    assert person.staff is staff
    assert {f"{code}{number}-{visit}" for code, number, visit in rows} == seen


def _add_visit_of_nobody(session: Session) -> None:
    proposal = session.execute(sa.select(Proposal.c.proposalId).where(Proposal.c.proposalNumber == "28713"))
    visit = {"proposalId": proposal.scalar_one(), "visit_number": 7, "beamLineName": "m02"}
    session.execute(sa.insert(BLSession).values(visit))


def test_the_staff_of_the_demo_has_the_permission_that_the_settings_name(empty: Database, settings: Settings) -> None:
    changed = settings.model_copy(update={"auth": AuthSettings(staff_permission="lens_admin")})

    sandbox.create(empty, changed)

    with empty.read() as session:
        assert people.get_person(session, changed, sandbox.STAFF).staff
        assert not people.get_person(session, settings, sandbox.STAFF).staff


def test_there_are_no_data_collections(database: Database) -> None:
    with database.read() as session:
        assert session.execute(sa.select(DataCollection.c.dataCollectionId)).first() is None


def test_a_visit_directory_of_somebody_else_is_left_alone(empty: Database, settings: Settings, tmp_path: Path) -> None:
    theirs = tmp_path / "dls" / "m12" / "data" / "2021" / "cm28212-1"
    theirs.mkdir(parents=True)

    with pytest.raises(sandbox.DirectoryUnusable, match="Set EM_VISIT_DIRECTORY"):
        sandbox.create(empty, settings)

    assert not list(theirs.iterdir())
    with empty.read() as session:
        assert not sandbox.is_sandbox(session)


def test_a_folder_that_cannot_be_written_is_refused(empty: Database, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "dls").write_text("a file")

    with pytest.raises(sandbox.DirectoryUnusable, match="Cannot write"):
        sandbox.create(empty, settings)

    with empty.read() as session:
        assert not sandbox.is_sandbox(session)


def test_a_new_sandbox_forgets_the_stops_and_messages_of_an_earlier_one(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    directory = get_visit(database, settings, sandbox.TUTORIAL).directory(settings.visit_directory)
    assert directory is not None
    stop = directory / "tmp" / "relion-stop-1"
    stop.touch()
    message = tmp_path / "spool" / "taken" / "00000000000000000001-000001-x.json"
    message.parent.mkdir(parents=True)
    message.touch()
    database.dispose()
    (tmp_path / "em.sqlite").unlink()

    again = Database(settings)
    sandbox.create(again, settings)
    again.dispose()

    assert not stop.exists()
    assert not message.exists()
