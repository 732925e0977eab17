"""SynchWeb's one-time tokens: a download opened as a page of its own cannot send a header, so its address carries one.

SynchWeb writes them into ``SW_onceToken``; each is good once, for ten seconds, for the address it was made for.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.functions import GenericFunction

from app.access import people
from app.access.identity import Person
from app.errors import NotAuthenticated
from app.ispyb import tables
from app.ispyb.tables import Proposal, SWOnceToken
from app.ispyb.text import misfit
from app.settings import Settings

log = logging.getLogger(__name__)

SECONDS = 10  # SynchWeb's own limit
CLOCKS = 2  # seconds by which the clocks of two database nodes may differ
TOKEN = 128  # characters of SW_onceToken.token
PARAMETER = "token"


class OnceTokenInvalid(NotAuthenticated):
    """The one-time token is unknown, used, too old, or was made for another address."""


class seconds_since(GenericFunction[int]):  # noqa: N801 - a SQL function
    """Seconds since a TIMESTAMP, by the database's clock: a real difference, whatever the wall shows."""

    type = sa.Integer()
    inherit_cache = True


@compiles(seconds_since, "mysql")
@compiles(seconds_since, "mariadb")
def _seconds_since_mysql(element: Any, compiler: Any, **kw: Any) -> str:
    return f"(UNIX_TIMESTAMP() - UNIX_TIMESTAMP({compiler.process(element.clauses.clauses[0], **kw)}))"


@compiles(seconds_since, "sqlite")
def _seconds_since_sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    moment = compiler.process(element.clauses.clauses[0], **kw)
    return f"CAST((julianday(local_now()) - julianday({moment})) * 86400 AS INTEGER)"


class two_hours_ago(GenericFunction[datetime]):  # noqa: N801 - a SQL function
    """Local time, two hours ago, by the database's clock."""

    type = sa.DateTime()
    inherit_cache = True


@compiles(two_hours_ago, "mysql")
@compiles(two_hours_ago, "mariadb")
def _two_hours_ago_mysql(element: Any, compiler: Any, **kw: Any) -> str:
    return "(NOW() - INTERVAL 2 HOUR)"


@compiles(two_hours_ago, "sqlite")
def _two_hours_ago_sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    return "datetime(local_now(), '-2 hours')"


def address(path: str, query: str) -> str:
    """What a token is made for: the path below ``/api`` with its query, without the token itself."""
    rest = "&".join(part for part in query.split("&") if part.partition("=")[0] != PARAMETER)
    return path.removeprefix("/api") + (f"?{rest}" if rest else "")


def _reason(rows: Sequence[sa.Row[Any]], token: str, where: str) -> str:
    """For who sets the service up. The token itself is not told."""
    row = next((row for row in rows if row.token == token), None)
    if row is None:
        return "it is not in SW_onceToken, or was used before"
    made_for = (row.validity or "").replace("&amp;", "&")
    return f"it was made for {made_for!r}, not for {where!r}" if made_for != where else f"it is {row.age} s old"


def redeem(session: Session, settings: Settings, token: str, where: str) -> Person:
    """The person whom this token stands for; it is used up. Runs in a writing transaction.

    Raises:
        OnceTokenInvalid: it is not good for this address, or not any more. It is left as it was.
    """
    table = SWOnceToken.c
    rows: Sequence[sa.Row[Any]] = []
    if misfit(token, TOKEN) is None:
        rows = list(
            session.execute(
                sa.select(
                    table.onceTokenId,
                    table.token,
                    table.validity,
                    tables.Person.c.login,
                    Proposal.c.proposalCode,
                    Proposal.c.proposalNumber,
                    seconds_since(table.recordTimeStamp).label("age"),
                )
                .join(tables.Person, tables.Person.c.personId == table.personId)
                .outerjoin(Proposal, Proposal.c.proposalId == table.proposalId)
                # The token has no index, its time has. In the hour that comes twice a time on the wall is ambiguous:
                # the index narrows widely, and the age decides.
                .where(table.token == token, table.recordTimeStamp > two_hours_ago())
            )
        )
    for row in rows:
        fits = row.token == token and (row.validity or "").replace("&amp;", "&") == where
        # A second early is the other node's clock, not a token of the future.
        if not fits or not -CLOCKS <= row.age <= SECONDS:
            continue
        # Of two that come with one token at the same instant, one deletes the row.
        used = session.execute(sa.delete(SWOnceToken).where(table.onceTokenId == row.onceTokenId))
        assert isinstance(used, sa.CursorResult)
        if used.rowcount == 1:
            proposal = f"{row.proposalCode or ''}{row.proposalNumber or ''}" or None
            return people.get_person(session, settings, row.login or "", proposal=proposal)
    log.info("a one-time token was refused: %s", _reason(rows, token, where))
    raise OnceTokenInvalid("This link can be used once, within ten seconds. Go back to the page and click it again.")
