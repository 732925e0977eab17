"""Our own tables about jobs: what we launched, and what was asked to stop. Both in UTC, by the database's clock."""

from __future__ import annotations

import sqlalchemy as sa

from app.db import Moment, own

launch = sa.Table(
    "launch",
    own,
    sa.Column("job_id", sa.Integer, primary_key=True, autoincrement=False),  # ISPyB's processingJobId
    sa.Column("dcid", sa.Integer, nullable=False),
    sa.Column("guid", sa.String(36), nullable=False, unique=True),
    sa.Column("results_directory", sa.String(1024), nullable=False),
    sa.Column("launched_by", sa.String(64), nullable=False),
    sa.Column("launched_at", Moment, nullable=False),
    sa.Column("face", sa.String(8), nullable=False),
    sa.Column("seen_running_at", Moment),
)

# Apart from launch, since jobs from elsewhere can be stopped too.
stop_request = sa.Table(
    "stop_request",
    own,
    sa.Column("job_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("dcid", sa.Integer, nullable=False),
    sa.Column("asked_by", sa.String(64), nullable=False),
    sa.Column("asked_at", Moment, nullable=False),
    sa.Column("replaced_by", sa.Integer),  # the job of the launch that replaces this one
    # When to look again whether the stop must be repeated; NULL when there is nothing more to do.
    sa.Column("due_at", Moment),
    sa.Index("stop_request_due", "due_at"),
    sa.Index("stop_request_replaced_by", "replaced_by"),
)
