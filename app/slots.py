"""Rows of our own to queue at, so that launches for the same thing happen one after the other.

ISPyB's rows are never locked: movies, jobs and attachments have foreign keys to them, and a lock there would make
acquisition and pipelines wait for us. Taking a slot writes it (a version goes up), which is a row lock on one server
and a certification conflict between the nodes of a Galera cluster.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.orm import Session

from app.db import own

slot = sa.Table(
    "slot",
    own,
    sa.Column("kind", sa.String(8), primary_key=True),
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("version", sa.BigInteger, nullable=False),
)


def take(session: Session, kind: Literal["visit", "dc"], ident: int) -> None:
    """Wait until nobody else holds this slot, and hold it until the transaction ends.

    Take ``visit`` before ``dc``, and both before anything else is written, or two launches may deadlock.
    """
    session.execute(_take(session.get_bind().dialect.name), {"slot_kind": kind, "slot_id": ident})


@cache
def _take(dialect: str) -> sa.Insert:
    values: dict[str, Any] = {"kind": sa.bindparam("slot_kind"), "id": sa.bindparam("slot_id"), "version": 1}
    if dialect == "sqlite":
        insert = sqlite.insert(slot).values(values)
        return insert.on_conflict_do_update(index_elements=["kind", "id"], set_={"version": slot.c.version + 1})
    return mysql.insert(slot).values(values).on_duplicate_key_update(version=slot.c.version + 1)
