"""Which revision our own tables have, and which this version needs.

Apart from ``migrating``, which brings them there: every start asks this, and to load Alembic takes its time.
"""

from __future__ import annotations

import sqlalchemy as sa

from app.db import Database

REVISIONS = ("0001", "0002")  # those in migrations/versions, the oldest first
NEEDED = REVISIONS[-1]
VERSIONS = "alembic_version"  # Alembic's own table: one row, with the revision


def current(database: Database) -> str | None:
    """The revision that the database has; ``None`` if our tables were never created."""
    with database.engine.connect() as connection:
        if not sa.inspect(connection).has_table(VERSIONS, schema=database.schema):
            return None
        versions = sa.table(VERSIONS, sa.column("version_num", sa.String()), schema=database.schema)
        revision: str | None = connection.execute(sa.select(versions.c.version_num)).scalar()
    return revision
