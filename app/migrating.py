"""Our own tables under Alembic. ISPyB's are never touched."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from app.db import Database

SCRIPTS = Path(__file__).parent.parent / "migrations"


def upgrade(database: Database) -> str:
    """Create our schema if it is missing, and bring our tables to the newest revision.

    Returns:
        That revision.
    """
    if database.is_sqlite:
        Path(database.engine.url.database or "").parent.mkdir(parents=True, exist_ok=True)
    with database.engine.connect() as connection:
        if database.schema is not None:
            connection.execute(
                sa.text(f"CREATE DATABASE IF NOT EXISTS `{database.schema}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
            )
        config = _config()
        config.attributes.update(connection=connection, schema=database.schema)
        command.upgrade(config, "head")
        connection.commit()
    return newest()


def newest() -> str:
    """The revision that this code needs."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def current(database: Database) -> str | None:
    """The revision that the database has; ``None`` if our tables were never created."""
    with database.engine.connect() as connection:
        options = {"version_table_schema": database.schema} if database.schema else {}
        return MigrationContext.configure(connection, opts=options).get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    return config
