"""Which visits a person may see. Every query that names a visit carries this condition."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from app.access.identity import Person
from app.ispyb.tables import BLSession, SessionHasPerson


def visible(person: Person, beamlines: Sequence[str]) -> sa.ColumnElement[bool]:
    """A condition on ``BLSession``: staff see every visit on a microscope, others the visits they are listed on."""
    on_microscope = BLSession.c.beamLineName.in_(beamlines)
    if person.staff:
        return on_microscope
    listed = sa.exists().where(
        SessionHasPerson.c.sessionId == BLSession.c.sessionId, SessionHasPerson.c.personId == person.person_id
    )
    return sa.and_(on_microscope, listed)
