"""ISPyB's tables as SQLite can have them, for the demo and for tests.

The package's own metadata stay as they are: queries use them on every database, and MariaDB is created from them.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from app.ispyb.tables import metadata

NOW = "current_timestamp()"


def tables() -> sa.MetaData:
    """Copies of all tables of ISPyB, in terms that SQLite understands."""
    copies = sa.MetaData()
    for table in metadata.tables.values():
        copy = table.to_metadata(copies)
        for column in copy.columns:
            column.type = _generic(column.type)
            if isinstance(column.server_default, sa.DefaultClause):
                column.server_default = _default(column.server_default)
        for index in copy.indexes:
            # MariaDB's names are a table's own; SQLite has one name space for all.
            index.name = sa.quoted_name(f"{copy.name}_{index.name}", quote=None)
    return copies


def _generic(kind: sa.types.TypeEngine[Any]) -> sa.types.TypeEngine[Any]:
    # Only a key declared exactly INTEGER numbers itself in SQLite.
    return sa.Integer() if isinstance(kind, sa.Integer) else kind.as_generic()


def _default(clause: sa.DefaultClause) -> sa.DefaultClause | None:
    text = str(clause.arg)
    if text.startswith(NOW):
        # MariaDB's is local time. ON UPDATE is dropped: we update none of the tables that have it.
        return sa.DefaultClause(sa.text("local_now()"))
    if text == "current_user()":
        return None
    return clause
