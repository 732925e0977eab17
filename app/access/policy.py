"""Which visits a person may see. Every query that names an object of a visit goes through here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.access.identity import Person
from app.errors import FieldError, Invalid, NotFound
from app.ispyb.tables import BLSession, Proposal, SessionHasPerson
from app.settings import Settings

Kind: TypeAlias = tuple[bool, bool]  # staff; industrial visits are for the listed only
NOTHING: Mapping[str, Any] = MappingProxyType({})


class OtherProposal(Invalid):
    """What was asked for belongs to another proposal than the one that the client named."""


def visible(person: Person, settings: Settings) -> sa.ColumnElement[bool]:
    """A condition on ``BLSession`` and ``Proposal``: staff see every visit on a microscope, others those they are on.

    Where the facility says so, industrial visits are for the persons listed on them only.
    """
    auth = settings.auth
    return _bounds(
        (person.staff, auth.industrial_listed_only), settings.beamlines, person.person_id, auth.industrial_prefixes
    )


def kind_of(person: Person, settings: Settings) -> Kind:
    """Which of the conditions is this person's: for statements that are built once."""
    return person.staff, settings.auth.industrial_listed_only


@cache
def condition(kind: Kind) -> sa.ColumnElement[bool]:
    """``visible`` for everybody of a kind, with parameters; what stands for them say ``values_of``."""
    return _bounds(
        kind,
        sa.bindparam("beamlines", expanding=True),
        sa.bindparam("person_id"),
        sa.bindparam("prefixes", expanding=True),
    )


def _bounds(kind: Kind, beamlines: Any, person_id: Any, prefixes: Any) -> sa.ColumnElement[bool]:
    staff, industrial_listed_only = kind
    on_microscope = BLSession.c.beamLineName.in_(beamlines)
    listed = sa.exists().where(
        SessionHasPerson.c.sessionId == BLSession.c.sessionId, SessionHasPerson.c.personId == person_id
    )
    if not staff:
        return sa.and_(on_microscope, listed)
    if not industrial_listed_only:
        return on_microscope
    # In Python's terms ``code not in prefixes``; a proposal without code is nobody's customer.
    public = sa.func.coalesce(Proposal.c.proposalCode, "").not_in(prefixes)
    return sa.and_(on_microscope, sa.or_(public, listed))


def values_of(person: Person, settings: Settings) -> dict[str, Any]:
    """What stands for the parameters of the condition."""
    values: dict[str, Any] = {"beamlines": settings.beamlines}
    if not person.staff or settings.auth.industrial_listed_only:
        values["person_id"] = person.person_id
    if person.staff and settings.auth.industrial_listed_only:
        values["prefixes"] = settings.auth.industrial_prefixes
    return values


# Statements with the condition, by what they were without: to put one together costs more than to run it.
_BOUNDED: WeakKeyDictionary[sa.Select[Any], dict[Kind, sa.Select[Any]]] = WeakKeyDictionary()


def _execute(
    session: Session, settings: Settings, person: Person, statement: sa.Select[Any], values: Mapping[str, Any]
) -> sa.Result[Any]:
    """Run a statement within what this person may see."""
    kind = kind_of(person, settings)
    known = _BOUNDED.setdefault(statement, {})
    if (bounded := known.get(kind)) is None:
        bounded = known[kind] = statement.where(condition(kind))
    return session.execute(bounded, {**values, **values_of(person, settings)})


def get_visible(
    session: Session,
    settings: Settings,
    person: Person,
    statement: sa.Select[Any],
    missing: NotFound,
    values: Mapping[str, Any] = NOTHING,
) -> sa.Row[Any]:
    """The row of one object, if it belongs to a visit that this person may see.

    Args:
        statement: finds the object by its id, joined to ``BLSession`` and ``Proposal``; it selects at least
            ``Proposal.proposalCode`` and ``proposalNumber``. One that is asked often is built once, with parameters.
        values: of its parameters.

    Raises:
        NotFound: ``missing``, which is told whether the object exists for others.
        OtherProposal: the client named another proposal.
    """
    row = _execute(session, settings, person, statement, values).first()
    if row is None:
        missing.hidden = session.execute(statement, values).first() is not None
        raise missing
    require_proposal(person, f"{row.proposalCode or ''}{row.proposalNumber or ''}")
    return row


def list_visible(
    session: Session,
    settings: Settings,
    person: Person,
    statement: sa.Select[Any],
    missing: NotFound,
    values: Mapping[str, Any] = NOTHING,
) -> Sequence[sa.Row[Any]]:
    """All rows that an outer join has of one object, by the same rule; at least one.

    Raises:
        NotFound, OtherProposal: as ``get_visible``.
    """
    rows = _execute(session, settings, person, statement, values).all()
    if not rows:
        get_visible(session, settings, person, statement, missing, values)  # says why
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
