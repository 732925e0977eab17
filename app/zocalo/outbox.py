"""The outbox: messages for Zocalo, written in the transaction that they belong to, sent later by a relay.

Messages of one data collection leave in the order in which they were written: a relay may claim only the oldest of
a key. A claim is committed before anything is sent, so a message that was never claimed was certainly never sent,
and can still be cancelled.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.db import Moment, from_utc, own, utc_now
from app.zocalo.messages import START, Message

outbox = sa.Table(
    "outbox",
    own,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("order_key", sa.Integer, nullable=False),  # the dataCollectionId
    sa.Column("job_id", sa.Integer, nullable=False),
    sa.Column("kind", sa.String(8), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("login", sa.String(64), nullable=False),
    sa.Column("message_id", sa.String(36), nullable=False),
    sa.Column("queued_at", Moment, nullable=False),
    # 1 while it is to be sent, NULL when it was sent or cancelled: the relay's queries then see a short index only.
    sa.Column("open", sa.SmallInteger),
    sa.Column("due_at", Moment, nullable=False),  # not before: the end of a claim, or of a pause after a failure
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("attempted_at", Moment),  # when it was first claimed: from then on it may have reached the broker
    sa.Column("sent_at", Moment),  # the broker's receipt
    sa.Column("cancelled_at", Moment),
    sa.Column("last_error", sa.String(255)),
    sa.Column("reason", sa.String(255)),  # why somebody had a start sent again
    # InnoDB appends the primary key: (open, id) gives the oldest first, (open, order_key, id) the older of a key.
    sa.Index("outbox_open", "open"),
    sa.Index("outbox_key", "open", "order_key"),
    sa.Index("outbox_job", "job_id", "kind"),
)


# Statements are built once: to put one together costs more than MariaDB needs to answer it.
_ENQUEUE = sa.insert(outbox).values(queued_at=utc_now(), due_at=utc_now(), open=1)
_older = outbox.alias("older")
_OLDEST = (
    sa.select(
        outbox.c.id,
        outbox.c.job_id,
        outbox.c.kind,
        outbox.c.body,
        outbox.c.login,
        outbox.c.message_id,
        outbox.c.attempts,
        outbox.c.attempted_at,
        outbox.c.cancelled_at,
        utc_now().label("now"),
    )
    .where(
        outbox.c.open == 1,
        outbox.c.due_at <= utc_now(),
        # SKIP LOCKED alone would take the next of a key while the first is being sent.
        ~sa.exists().where(_older.c.open == 1, _older.c.order_key == outbox.c.order_key, _older.c.id < outbox.c.id),
    )
    .order_by(outbox.c.id)
    .limit(1)
    # Nobody waits for one that a transaction holds which does not end, such as that of a process that was frozen.
    .with_for_update(skip_locked=True)
)
_CLAIM = (
    sa.update(outbox)
    # As it was seen: neither claimed since nor cancelled.
    .where(
        outbox.c.id == sa.bindparam("message"),
        outbox.c.open == 1,
        outbox.c.attempts == sa.bindparam("seen_attempts"),
        outbox.c.cancelled_at.is_(None),
    )
    .values(
        due_at=sa.bindparam("until"),
        attempts=outbox.c.attempts + 1,
        attempted_at=sa.func.coalesce(outbox.c.attempted_at, sa.bindparam("claimed_at", type_=Moment)),
    )
)
_CLOSE = sa.update(outbox).where(outbox.c.id == sa.bindparam("message")).values(open=None)
_MARK_SENT = (
    sa.update(outbox)
    .where(outbox.c.id == sa.bindparam("message"), outbox.c.sent_at.is_(None))  # the first time counts
    .values(sent_at=utc_now(), open=None, last_error=None)
)
_DELIVERIES = sa.select(
    outbox.c.id,
    outbox.c.job_id,
    outbox.c.kind,
    outbox.c.queued_at,
    outbox.c.attempts,
    outbox.c.attempted_at,
    outbox.c.sent_at,
    outbox.c.cancelled_at,
    outbox.c.last_error,
    outbox.c.login,
    outbox.c.reason,
).where(outbox.c.job_id.in_(sa.bindparam("job_ids", expanding=True)))


@dataclass(frozen=True)
class Delivery:
    """What became of one message.

    Args:
        login: who wanted it to be sent.
        reason: why it was to be sent again, if it was.
    """

    queued_at: datetime
    attempts: int
    attempted_at: datetime | None
    sent_at: datetime | None
    cancelled_at: datetime | None
    last_error: str | None
    login: str = ""
    reason: str | None = None


@dataclass(frozen=True)
class Claimed:
    """A message that this relay may send, until the claim ends; counts and times as they were before it."""

    id: int
    job_id: int
    kind: str
    body: str
    login: str
    message_id: str
    attempts: int
    attempted_at: datetime | None


def enqueue(session: Session, dcid: int, message: Message, login: str, *, reason: str | None = None) -> None:
    """Write a message for Zocalo; it is sent after the commit, behind earlier ones of this data collection."""
    session.execute(
        _ENQUEUE,
        {
            "order_key": dcid,
            "job_id": message.job_id,
            "kind": message.kind,
            "body": message.body(),
            "login": login,
            "reason": reason,
            "message_id": str(uuid.uuid4()),
        },
    )


def cancel_start(session: Session, job_id: int) -> bool:
    """Make sure that the start of this job is not sent (again).

    Returns:
        Whether it is certain that it never was sent at all.
    """
    starts = sa.and_(outbox.c.job_id == job_id, outbox.c.kind == START)
    mine = sa.and_(starts, outbox.c.open == 1)
    # One statement decides, so that a relay which claims at this moment comes either before it or not at all.
    never_sent = session.execute(
        sa.update(outbox).where(mine, outbox.c.attempted_at.is_(None)).values(cancelled_at=utc_now(), open=None)
    )
    assert isinstance(never_sent, sa.CursorResult)
    if never_sent.rowcount:
        # Of a start that was to be sent again, the first may be on its way.
        tried = sa.select(outbox.c.id).where(starts, outbox.c.attempted_at.is_not(None)).limit(1)
        return session.execute(tried).first() is None
    # It stays open until its claim ends: a relay may be sending it now, and the stop must not overtake it.
    session.execute(sa.update(outbox).where(mine).values(cancelled_at=utc_now()))
    return False


def claim(session: Session, seconds: float) -> Claimed | None:
    """Claim the oldest message that may be sent now, passing over what other relays hold.

    A start that was cancelled after an earlier claim is closed instead. Each statement may be committed by itself: of
    those who have seen a message, the first to write has it.
    """
    while (row := session.execute(_OLDEST).first()) is not None:
        if row.cancelled_at is not None:
            session.execute(_CLOSE, {"message": row.id})
            continue
        until = row.now + timedelta(seconds=seconds)
        claimed = session.execute(
            _CLAIM, {"message": row.id, "seen_attempts": row.attempts, "until": until, "claimed_at": row.now}
        )
        assert isinstance(claimed, sa.CursorResult)
        if claimed.rowcount:
            return _claimed(row)
    return None


def _claimed(row: sa.Row[Any]) -> Claimed:
    return Claimed(
        id=row.id,
        job_id=row.job_id,
        kind=row.kind,
        body=row.body,
        login=row.login,
        message_id=row.message_id,
        attempts=row.attempts,
        attempted_at=row.attempted_at,
    )


def mark_sent(session: Session, message_id: int) -> None:
    """The broker has confirmed it."""
    session.execute(_MARK_SENT, {"message": message_id})


def mark_failed(session: Session, message: Claimed, error: str, *, pause: float, written: bool) -> None:
    """It was not confirmed; try again after a pause.

    Args:
        written: whether any of it may have reached the broker. If not, and it never did before, it can still be
            cancelled in place.
    """
    now = session.execute(sa.select(utc_now())).scalar_one()
    values: dict[str, object] = {"last_error": error[:255], "due_at": now + timedelta(seconds=pause)}
    if not written and message.attempted_at is None:
        values["attempted_at"] = None
    # Only while the claim is this relay's: another may have claimed it since, and be sending.
    still_mine = sa.and_(outbox.c.id == message.id, outbox.c.open == 1, outbox.c.attempts == message.attempts + 1)
    session.execute(sa.update(outbox).where(still_mine).values(values))


def may_have_left(job_id: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    """A condition: a start of this job was tried, or will be."""
    return sa.exists().where(
        outbox.c.job_id == job_id,
        outbox.c.kind == START,
        sa.or_(outbox.c.attempted_at.is_not(None), outbox.c.open == 1),
    )


def note_trouble(session: Session, error: str) -> None:
    """Say on every waiting message why it waits."""
    session.execute(
        sa.update(outbox)
        .where(outbox.c.open == 1, sa.func.coalesce(outbox.c.last_error, "") != error[:255])
        .values(last_error=error[:255])
    )


def find_deliveries(session: Session, job_ids: Sequence[int]) -> dict[tuple[int, str], list[Delivery]]:
    """What became of these jobs' messages, by job and kind, oldest first."""
    rows = session.execute(_DELIVERIES, {"job_ids": job_ids})
    out: dict[tuple[int, str], list[Delivery]] = {}
    for row in sorted(rows, key=lambda row: int(row.id)):  # here: in the database it would be a sort of its own
        delivery = Delivery(
            queued_at=row.queued_at.replace(tzinfo=UTC),
            attempts=row.attempts,
            attempted_at=from_utc(row.attempted_at),
            sent_at=from_utc(row.sent_at),
            cancelled_at=from_utc(row.cancelled_at),
            last_error=row.last_error,
            login=row.login,
            reason=row.reason,
        )
        out.setdefault((row.job_id, row.kind), []).append(delivery)
    return out


def waiting(session: Session) -> tuple[int, float]:
    """How many messages wait, and the age of the oldest in seconds."""
    count, oldest, now = session.execute(
        sa.select(sa.func.count(), sa.func.min(outbox.c.queued_at), utc_now()).where(outbox.c.open == 1)
    ).one()
    return count, (now - oldest).total_seconds() if oldest else 0.0
