"""Launching the same thing once, however often it is sent: the ``Idempotency-Key``.

The key's row is the first that a launch writes, in the launch's own transaction. Rivals with the same key wait for
it: when it commits they find the answer and give it again, when it rolls back one of them goes on.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.db import LOCK_WAIT_TIMEOUT, Moment, error_code, own, utc_now
from app.errors import Conflict, FieldError, Invalid

KEPT = timedelta(hours=24)

idempotency = sa.Table(
    "idempotency",
    own,
    sa.Column("login", sa.String(64), primary_key=True),
    sa.Column("route", sa.String(128), primary_key=True),
    sa.Column("key", sa.String(128), primary_key=True),
    sa.Column("body_hash", sa.String(64), nullable=False),
    sa.Column("answer", sa.Text),
    sa.Column("created_at", Moment, nullable=False),
    sa.Index("idempotency_created_at", "created_at"),
)


class IdempotencyKeyInvalid(Invalid):
    """The key cannot be used."""


class IdempotencyKeyReused(Invalid):
    """The same key came with another body."""


class SameRequestInProgress(Conflict):
    """A launch with this key is still being written."""


@dataclass(frozen=True)
class Attempt:
    """One request with a key. ``route`` names operation and object."""

    login: str
    route: str
    key: str
    body_hash: str


def attempt(login: str, route: str, key: str | None, body: dict[str, Any]) -> Attempt | None:
    """Read the header.

    Raises:
        IdempotencyKeyInvalid: it is empty, too long or not printable ASCII.
    """
    if key is None:
        return None
    if not re.fullmatch(r"[\x21-\x7e]{1,128}", key):
        raise IdempotencyKeyInvalid(
            "The Idempotency-Key must be 1 to 128 printable ASCII characters without spaces, such as a UUID.",
            errors=[FieldError("Idempotency-Key", "must be 1 to 128 printable ASCII characters without spaces")],
        )
    text = json.dumps(body, sort_keys=True, ensure_ascii=True)
    return Attempt(login, route, key, hashlib.sha256(text.encode()).hexdigest())


def find_answer(session: Session, request: Attempt) -> dict[str, Any] | None:
    """The answer that was given to this request before.

    Raises:
        IdempotencyKeyReused: that was another request.
    """
    row = session.execute(
        sa.select(idempotency.c.body_hash, idempotency.c.answer).where(
            _same(request), idempotency.c.created_at > _oldest(session), idempotency.c.answer.is_not(None)
        )
    ).first()
    if row is None:
        return None
    if row.body_hash != request.body_hash:
        raise IdempotencyKeyReused(
            "This Idempotency-Key was used for a launch with another body. Use a new key for a new launch.",
            errors=[FieldError("Idempotency-Key", "was used with another body")],
        )
    answer: dict[str, Any] = json.loads(row.answer)
    return answer


def begin(session: Session, request: Attempt) -> dict[str, Any] | None:
    """Claim the key for this transaction, behind any rival; the rival's answer if it has committed one.

    Raises:
        SameRequestInProgress: the rival had not ended when the lock wait ran out.
    """
    kept = idempotency.c
    values = {
        "login": request.login,
        "route": request.route,
        "key": request.key,
        "body_hash": request.body_hash,
        "created_at": utc_now(),
    }
    # Written even where it exists: that waits with an exclusive lock. A plain INSERT would leave all who waited with
    # shared locks, of which the next insert makes a deadlock. A row that is too old begins anew.
    old = kept.created_at <= _oldest(session)
    anew: list[tuple[str, Any]] = [
        ("body_hash", sa.case((old, request.body_hash), else_=kept.body_hash)),
        ("answer", sa.case((old, sa.null()), else_=kept.answer)),
        ("created_at", sa.case((old, utc_now()), else_=kept.created_at)),  # last: MariaDB goes from left to right
    ]
    statement: sa.Insert
    if session.get_bind().dialect.name == "sqlite":
        statement = (
            sqlite.insert(idempotency)
            .values(values)
            .on_conflict_do_update(index_elements=["login", "route", "key"], set_=dict(anew))
        )
    else:
        statement = mysql.insert(idempotency).values(values).on_duplicate_key_update(anew)
    try:
        session.execute(statement)
    except OperationalError as error:
        if error_code(error) != LOCK_WAIT_TIMEOUT:
            raise
        raise SameRequestInProgress(
            "A launch with this Idempotency-Key is still being written. Send it again in a few seconds.",
            errors=[FieldError("Idempotency-Key", "its first request has not ended")],
        ) from error
    return find_answer(session, request)


def finish(session: Session, request: Attempt, answer: dict[str, Any]) -> None:
    """Keep the answer, in the transaction that it tells of."""
    session.execute(sa.update(idempotency).where(_same(request)).values(answer=json.dumps(answer)))


def forget_old(session: Session) -> None:
    """Delete what was kept long enough."""
    session.execute(sa.delete(idempotency).where(idempotency.c.created_at <= _oldest(session)))


def _same(request: Attempt) -> sa.ColumnElement[bool]:
    return sa.and_(
        idempotency.c.login == request.login, idempotency.c.route == request.route, idempotency.c.key == request.key
    )


def _oldest(session: Session) -> Any:
    now = session.execute(sa.select(utc_now())).scalar_one()
    return now - KEPT
