"""Why a start was sent again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade(schema: str | None) -> None:
    """Add the column."""
    op.add_column("outbox", sa.Column("reason", sa.String(255)), schema=schema)


def downgrade(schema: str | None) -> None:
    """Forget it."""
    op.drop_column("outbox", "reason", schema=schema)
