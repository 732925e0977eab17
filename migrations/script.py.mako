"""${message}"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade(schema: str | None) -> None:
    """Up."""
    ${upgrades if upgrades else "pass"}


def downgrade(schema: str | None) -> None:
    """Down."""
    ${downgrades if downgrades else "pass"}
