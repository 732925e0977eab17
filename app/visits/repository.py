"""Queries about visits. Each is bounded by what the person may see."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.access import policy
from app.access.identity import Person
from app.db import from_local, utc_now
from app.errors import FieldError, NotFound
from app.ispyb.tables import BLSession, Proposal
from app.settings import Settings
from app.visits.rules import Visit, VisitRef


class VisitNotFound(NotFound):
    """There is no such visit on a microscope here, or it is not this person's."""


COLUMNS = (
    BLSession.c.sessionId,
    Proposal.c.proposalCode,
    Proposal.c.proposalNumber,
    BLSession.c.visit_number,
    BLSession.c.beamLineName,
    BLSession.c.startDate,
    BLSession.c.endDate,
    BLSession.c.archived,
    utc_now().label("as_of"),
)


_BY_KEYS = (
    sa.select(*COLUMNS)
    .join(Proposal, Proposal.c.proposalId == BLSession.c.proposalId)
    .where(
        Proposal.c.proposalCode == sa.bindparam("code"),
        Proposal.c.proposalNumber == sa.bindparam("number"),
        BLSession.c.visit_number == sa.bindparam("visit_number"),
    )
)


def get_visit(session: Session, settings: Settings, person: Person, ref: VisitRef) -> Visit:
    """Find a visit by ISPyB's unique keys.

    Raises:
        VisitNotFound: there is none that this person may see.
    """
    missing = VisitNotFound(
        f"There is no visit {ref} on an electron microscope that you may see. Check how it is written, "
        "or ask your local contact to add you to it.",
        errors=[FieldError("visit", "no such visit")],
    )
    # The proposal's number is a varchar: compared with a number, its index would not be used.
    values = {"code": ref.code, "number": ref.number, "visit_number": ref.visit_number}
    visit = visit_of(policy.get_visible(session, settings, person, _BY_KEYS, missing, values), settings)
    if visit.ref != ref:  # ISPyB's collation ignores case and trailing spaces
        raise missing
    return visit


def visit_of(row: sa.Row[*tuple[Any, ...]], settings: Settings) -> Visit:
    """The visit in a row that has ``COLUMNS``."""
    return Visit(
        session_id=row.sessionId,
        ref=VisitRef(row.proposalCode or "", row.proposalNumber or "", row.visit_number or 0),
        beamline=row.beamLineName or "",
        start=from_local(row.startDate, settings.zone),
        end=from_local(row.endDate, settings.zone),
        archived=bool(row.archived),
        as_of=row.as_of.replace(tzinfo=UTC),
    )
