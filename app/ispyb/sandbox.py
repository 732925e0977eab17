"""An ISPyB of one's own: all tables, a few visits with files, and a mark that says that it is no facility's.

The simulator that plays Zocalo and RELION runs only where the mark is. It is a row of ISPyB's own ``AdminVar``, so
that it travels with the database.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.db import Database, database_now
from app.errors import Conflict
from app.ispyb import sqlite
from app.ispyb.tables import (
    AdminVar,
    BLSession,
    Permission,
    Person,
    Proposal,
    SessionHasPerson,
    UserGroup,
    UserGroupHasPermission,
    UserGroupHasPerson,
    inserted_id,
    metadata,
)
from app.revisions import VERSIONS
from app.settings import Settings

MARK = "synchweb_em_sandbox"
DIRECTORY_MARK = f".{MARK}"  # in each visit directory that was made here

TUTORIAL = "cm28212-1"  # the visit of RELION's tutorial
ENDED = "cm28212-2"  # may not be processed any more
EPU = "bi28713-45"  # goes on; the simulated microscope adds movies to it

FIRST_EPU_MOVIES = 6  # there from the beginning, so that processing can be started at once
MOVIES_PER_GRID_SQUARE = 10
MOVIE = b"II*\0\x08\0\0\0\0\0\0\0\0\0"  # the least that calls itself TIFF

ADVICE = "Set EM_VISIT_DIRECTORY to a pattern in a folder of your own, such as /tmp/dls/{beamline}/data/{year}/{visit}."


class DatabaseNotEmpty(Conflict):
    """The database holds something already; a sandbox is made in an empty one only."""


class DirectoryUnusable(Conflict):
    """A visit directory cannot be made, or exists and was not made for a sandbox."""


@dataclass(frozen=True)
class DemoVisit:
    """A visit of the demo. Times are the facility's.

    Args:
        files: paths in the visit's directory of what the microscope wrote; ``None`` for a visit without directory.
    """

    proposal: str
    number: int
    beamline: str
    start: datetime
    end: datetime
    comments: str
    files: tuple[str, ...] | None = None
    archived: bool = False

    @property
    def name(self) -> str:
        """``cm28212-1``."""
        return f"{self.proposal}-{self.number}"

    def directory(self, pattern: str) -> Path:
        """Where its files live."""
        year = self.start.year
        return Path(pattern.format(beamline=self.beamline, year=year, visit=self.name, proposal=self.proposal))


USER, GUEST, STAFF = "rsx12345", "mgx23456", "klx34567"

PEOPLE = {
    # login: given name, family name, role
    USER: ("Rosalind", "Sample", "Principal Investigator"),
    GUEST: ("Max", "Grid", "Co-Investigator"),
    STAFF: ("Kay", "Lens", "Local Contact"),
}

ONLY = {GUEST: (EPU,)}  # the others are on every visit

PROPOSALS = {
    "cm28212": "Commissioning: RELION's tutorial, beta-galactosidase",
    "bi28713": "Apoferritin on new grids",
}


def epu_movie(number: int) -> str:
    """Where EPU writes its n-th movie, in the visit's directory."""
    square = (number - 1) // MOVIES_PER_GRID_SQUARE + 1
    return f"raw/GridSquare_{square}/Data/FoilHole_{24436000 + number}_Data_24435300_24435302_fractions.tiff"


def is_sandbox(session: Session) -> bool:
    """Whether this database was made by ``create``."""
    # Asked by name first: what cannot be read, or is not there, carries no mark.
    if AdminVar.name not in sa.inspect(session.connection()).get_table_names():
        return False
    return session.execute(sa.select(AdminVar.c.varId).where(AdminVar.c.name == MARK)).first() is not None


def create(database: Database, settings: Settings) -> None:
    """Build ISPyB's tables on an empty database, write the demo's rows, its files, and the mark.

    Raises:
        DatabaseNotEmpty: it holds a row, ours or ISPyB's. Nothing was changed.
        DirectoryUnusable: files would go where others are, or cannot be written. The database was not changed.
    """
    if database.is_sqlite and database.engine.url.database:
        Path(database.engine.url.database).parent.mkdir(parents=True, exist_ok=True)
    with database.read() as session:
        _require_empty(session, database)
        now = database_now(session).astimezone(settings.zone).replace(tzinfo=None, microsecond=0)
    visits = demo_visits(now)
    directories = {visit: visit.directory(settings.visit_directory) for visit in visits if visit.files is not None}
    for directory in directories.values():
        _require_ours(directory)
    for visit, directory in directories.items():
        try:
            _write_files(visit, directory)
        except OSError as error:
            raise DirectoryUnusable(f"Cannot write below {directory} ({error.strerror}). {ADVICE}") from error
    _empty_spool(settings)
    database.write(lambda session: _fill(session, database, settings, visits, now))


def demo_visits(now: datetime) -> tuple[DemoVisit, ...]:
    """The visits, as of now in the facility's local time."""
    tutorial = tuple(f"raw/Frames/20170629_{number:05d}_frameImage.tiff" for number in range(21, 45))
    ended = tuple(f"raw/Frames/20210608_{number:05d}_frameImage.tiff" for number in range(1, 4))
    epu = tuple(epu_movie(number) for number in range(1, FIRST_EPU_MOVIES + 1))
    days = timedelta(days=1)
    spring, summer = datetime(2021, 3, 1, 9), datetime(2021, 6, 8, 9)  # noqa: DTZ001 - ISPyB keeps local times
    return (
        DemoVisit("cm28212", 1, "m12", spring, now + 5 * 365 * days, "RELION's tutorial", tutorial),
        DemoVisit("cm28212", 2, "m12", summer, summer + 3 * days, "Has ended", ended),
        DemoVisit("bi28713", 44, "m02", now - 200 * days, now - 197 * days, "Screening", archived=True),
        DemoVisit("bi28713", 45, "m02", now - 1 * days, now + 3 * days, "Collecting with EPU", epu),
        DemoVisit("bi28713", 46, "m08", now + 20 * days, now + 23 * days, "Planned"),
    )


def _require_empty(session: Session, database: Database) -> None:
    for schema, name in _tables(session, database):
        if session.execute(sa.select(sa.text("1")).select_from(sa.table(name, schema=schema)).limit(1)).first():
            raise DatabaseNotEmpty(
                f"The database is not empty: its table {name} has rows. Nothing was changed. A sandbox needs an empty "
                "one of its own: create one and set EM_DATABASE__URL to it."
            )


def _tables(session: Session, database: Database) -> Iterator[tuple[str | None, str]]:
    """The tables in the database's own schema, and in that of our tables where it is another."""
    inspector = sa.inspect(session.connection())
    schemas: list[str | None] = [None]
    if database.schema in inspector.get_schema_names():
        schemas.append(database.schema)
    for schema in schemas:
        yield from ((schema, name) for name in inspector.get_table_names(schema) if name != VERSIONS)


def _require_ours(directory: Path) -> None:
    """Real visits have these names too: never write among a user's files."""
    if directory.exists() and not (directory / DIRECTORY_MARK).exists():
        raise DirectoryUnusable(
            f"{directory} exists already and was not made for a sandbox. Nothing was changed. {ADVICE}"
        )


def _write_files(visit: DemoVisit, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / DIRECTORY_MARK).touch()
    for folder in ("raw", "processing", "processed", "tmp"):
        (directory / folder).mkdir(exist_ok=True)
    # Of an earlier sandbox: its jobs had the same numbers.
    for stop in (directory / "tmp").glob("relion-stop-*"):
        stop.unlink()
    (directory / "processing" / "gain.mrc").write_bytes(bytes(1024))
    for name in visit.files or ():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(MOVIE)


def _empty_spool(settings: Settings) -> None:
    """Messages left over from an earlier sandbox would be taken for this one's jobs of the same number."""
    if settings.broker.is_embedded:
        spool = settings.broker.spool
        for folder in (spool, spool / "taken"):
            for message in folder.glob("[0-9]*-[0-9]*-*.json"):
                message.unlink(missing_ok=True)


def _fill(
    session: Session, database: Database, settings: Settings, visits: tuple[DemoVisit, ...], now: datetime
) -> None:
    _require_empty(session, database)  # again, now that nobody else can write
    schema = sqlite.tables() if database.is_sqlite else metadata
    schema.create_all(session.connection())
    people = _add_people(session)
    _add_staff(session, people[STAFF], settings.auth.staff_permission)
    proposals = {name: _add_proposal(session, name, people[USER], now) for name in PROPOSALS}
    for visit in visits:
        _add_visit(session, visit, proposals[visit.proposal], people, now)
    session.execute(sa.insert(AdminVar).values(name=MARK, value=now.isoformat(" ")))


def _add_people(session: Session) -> dict[str, int]:
    laboratory = inserted_id(
        session.execute(
            sa.insert(metadata.tables["Laboratory"]).values(
                name="Electron Microscopy",
                organization="Institute of Examples",
                city="Didcot",
                country="United Kingdom",
            )
        )
    )
    return {
        login: inserted_id(
            session.execute(
                sa.insert(Person).values(
                    laboratoryId=laboratory,
                    givenName=given,
                    familyName=family,
                    title="Dr",
                    login=login,
                    emailAddress=f"{given.lower()}.{family.lower()}@example.org",
                )
            )
        )
        for login, (given, family, _) in PEOPLE.items()
    }


def _add_staff(session: Session, person_id: int, permission: str) -> None:
    """Let this person see every visit on a microscope."""
    group = inserted_id(session.execute(sa.insert(UserGroup).values(name="Electron microscopy staff")))
    granted = inserted_id(
        session.execute(sa.insert(Permission).values(type=permission, description="Electron microscopes' staff"))
    )
    session.execute(sa.insert(UserGroupHasPermission).values(userGroupId=group, permissionId=granted))
    session.execute(sa.insert(UserGroupHasPerson).values(userGroupId=group, personId=person_id))


def _add_proposal(session: Session, name: str, person_id: int, now: datetime) -> int:
    return inserted_id(
        session.execute(
            sa.insert(Proposal).values(
                personId=person_id,
                title=PROPOSALS[name],
                proposalCode=name[:2],
                proposalNumber=name[2:],
                proposalType="EM",
                bltimeStamp=now,
            )
        )
    )


def _add_visit(session: Session, visit: DemoVisit, proposal_id: int, people: dict[str, int], now: datetime) -> None:
    session_id = inserted_id(
        session.execute(
            sa.insert(BLSession).values(
                proposalId=proposal_id,
                visit_number=visit.number,
                beamLineName=visit.beamline,
                startDate=visit.start,
                endDate=visit.end,
                beamLineOperator="Kay Lens",
                comments=visit.comments,
                archived=int(visit.archived),
                scheduled=1,
                bltimeStamp=now,
                lastUpdate=visit.end,
            )
        )
    )
    session.execute(
        sa.insert(SessionHasPerson),
        [
            {"sessionId": session_id, "personId": person_id, "role": PEOPLE[login][2], "remote": 0}
            for login, person_id in people.items()
            if visit.name in ONLY.get(login, (visit.name,))
        ],
    )
