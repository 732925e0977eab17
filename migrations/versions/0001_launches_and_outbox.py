"""Slots, launches, stop requests, outbox and idempotency keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None

Moment = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def upgrade(schema: str | None) -> None:
    """Create all tables."""
    op.create_table(
        "slot",
        sa.Column("kind", sa.String(8), primary_key=True),
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        schema=schema,
    )
    op.create_table(
        "launch",
        sa.Column("job_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("dcid", sa.Integer, nullable=False),
        sa.Column("guid", sa.String(36), nullable=False, unique=True),
        sa.Column("results_directory", sa.String(1024), nullable=False),
        sa.Column("launched_by", sa.String(64), nullable=False),
        sa.Column("launched_at", Moment, nullable=False),
        sa.Column("face", sa.String(8), nullable=False),
        sa.Column("seen_running_at", Moment),
        schema=schema,
    )
    op.create_table(
        "stop_request",
        sa.Column("job_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("dcid", sa.Integer, nullable=False),
        sa.Column("asked_by", sa.String(64), nullable=False),
        sa.Column("asked_at", Moment, nullable=False),
        sa.Column("replaced_by", sa.Integer),
        sa.Column("due_at", Moment),
        sa.Index("stop_request_due", "due_at"),
        sa.Index("stop_request_replaced_by", "replaced_by"),
        schema=schema,
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("order_key", sa.Integer, nullable=False),
        sa.Column("job_id", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("login", sa.String(64), nullable=False),
        sa.Column("message_id", sa.String(36), nullable=False),
        sa.Column("queued_at", Moment, nullable=False),
        sa.Column("open", sa.SmallInteger),
        sa.Column("due_at", Moment, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("attempted_at", Moment),
        sa.Column("sent_at", Moment),
        sa.Column("cancelled_at", Moment),
        sa.Column("last_error", sa.String(255)),
        sa.Index("outbox_open", "open"),
        sa.Index("outbox_key", "open", "order_key"),
        sa.Index("outbox_job", "job_id", "kind"),
        schema=schema,
    )
    op.create_table(
        "idempotency",
        sa.Column("login", sa.String(64), primary_key=True),
        sa.Column("route", sa.String(128), primary_key=True),
        sa.Column("key", sa.String(128), primary_key=True),
        sa.Column("body_hash", sa.String(64), nullable=False),
        sa.Column("answer", sa.Text),
        sa.Column("created_at", Moment, nullable=False),
        sa.Index("idempotency_created_at", "created_at"),
        schema=schema,
    )


def downgrade(schema: str | None) -> None:
    """Drop all tables. What was launched is then forgotten; the jobs themselves are ISPyB's."""
    for table in ("idempotency", "outbox", "stop_request", "launch", "slot"):
        op.drop_table(table, schema=schema)
