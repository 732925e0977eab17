"""Which visits a person may see. Every query that names an object of a visit goes through here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.access.identity import Person
from app.errors import FieldError, Invalid, NotFound
from app.ispyb.tables import BLSession, Proposal, SessionHasPerson
from app.settings import Settings


class OtherProposal(Invalid):
    """What was asked for belongs to another proposal than the one that the client named."""


def visible(person: Person, settings: Settings) -> sa.ColumnElement[bool]:
    """A condition on ``BLSession`` and ``Proposal``: staff see every visit on a microscope, others those they are on.

    Where the facility says so, industrial visits are for the persons listed on them only.
    """
    on_microscope = BLSession.c.beamLineName.in_(settings.beamlines)
    listed = sa.exists().where(
        SessionHasPerson.c.sessionId == BLSession.c.sessionId, SessionHasPerson.c.personId == person.person_id
    )
    if not person.staff:
        return sa.and_(on_microscope, listed)
    if not settings.auth.industrial_listed_only:
        return on_microscope
    # In Python's terms ``code not in prefixes``; a proposal without code is nobody's customer.
    public = sa.func.coalesce(Proposal.c.proposalCode, "").not_in(settings.auth.industrial_prefixes)
    return sa.and_(on_microscope, sa.or_(public, listed))


def get_visible(
    session: Session, settings: Settings, person: Person, statement: sa.Select[Any], missing: NotFound
) -> sa.Row[Any]:
    """The row of one object, if it belongs to a visit that this person may see.

    Args:
        statement: finds the object by its id, joined to ``BLSession`` and ``Proposal``; it selects at least
            ``Proposal.proposalCode`` and ``proposalNumber``.

    Raises:
        NotFound: ``missing``, which is told whether the object exists for others.
        OtherProposal: the client named another proposal.
    """
    row = session.execute(statement.where(visible(person, settings))).first()
    if row is None:
        missing.hidden = session.execute(statement).first() is not None
        raise missing
    require_proposal(person, f"{row.proposalCode or ''}{row.proposalNumber or ''}")
    return row


def list_visible(
    session: Session, settings: Settings, person: Person, statement: sa.Select[Any], missing: NotFound
) -> Sequence[sa.Row[Any]]:
    """All rows that an outer join has of one object, by the same rule; at least one.

    Raises:
        NotFound, OtherProposal: as ``get_visible``.
    """
    rows = session.execute(statement.where(visible(person, settings))).all()
    if not rows:
        get_visible(session, settings, person, statement, missing)  # says why
    require_proposal(person, f"{rows[0].proposalCode or ''}{rows[0].proposalNumber or ''}")
    return rows


def require_proposal(person: Person, proposal: str) -> None:
    """Refuse what the client did not ask for.

    Raises:
        OtherProposal: it named another proposal.
    """
    if person.proposal is not None and person.proposal.lower() != proposal.lower():
        raise OtherProposal(
            f"That does not belong to proposal {person.proposal[:50]}.",
            errors=[FieldError("prop", "is not the proposal that this belongs to")],
        )
