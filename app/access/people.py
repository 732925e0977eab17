"""Who somebody is, by ISPyB."""

from __future__ import annotations

import logging

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.access import tokens
from app.access.identity import Person
from app.ispyb import tables
from app.ispyb.tables import Permission, UserGroupHasPermission, UserGroupHasPerson
from app.ispyb.text import misfit
from app.settings import Settings

log = logging.getLogger(__name__)

LOGIN = 45  # characters of Person.login


_STAFF = sa.exists().where(
    UserGroupHasPerson.c.personId == tables.Person.c.personId,
    UserGroupHasPermission.c.userGroupId == UserGroupHasPerson.c.userGroupId,
    Permission.c.permissionId == UserGroupHasPermission.c.permissionId,
    Permission.c.type == sa.bindparam("permission"),
)
_PERSON = sa.select(tables.Person.c.personId, tables.Person.c.login, _STAFF.label("staff")).where(
    tables.Person.c.login == sa.bindparam("login")
)


class PersonUnknown(tokens.TokenInvalid):
    """The token is good, but ISPyB does not know this person."""


def get_person(session: Session, settings: Settings, login: str, *, proposal: str | None = None) -> Person:
    """The person with exactly this login, and whether they are staff of the microscopes.

    Raises:
        PersonUnknown: there is none in ISPyB.
    """
    row = None
    if misfit(login, LOGIN) is None:  # another text would make MariaDB convert the column and leave its index
        row = session.execute(_PERSON, {"login": login, "permission": settings.auth.staff_permission}).first()
    # ISPyB's collation ignores case and trailing spaces, and must not log anybody in.
    if row is None or row.login != login:
        log.info("a token was refused: the login %r is not in ISPyB's Person", login[:LOGIN])
        raise PersonUnknown("ISPyB does not know you. Ask the facility's user office.")
    return Person(login=row.login, person_id=row.personId, staff=bool(row.staff), proposal=proposal)
