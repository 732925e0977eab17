"""Our own tables under Alembic. ISPyB's are never touched."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError

from app.db import Database
from app.errors import Conflict
from app.revisions import NEEDED

SCRIPTS = Path(__file__).parent.parent / "migrations"


class MigrationFailed(Conflict):
    """Our tables cannot be brought to the revision that this version needs."""


def upgrade(database: Database) -> str:
    """Create our schema if it is missing, and bring our tables to the newest revision.

    Returns:
        That revision.

    Raises:
        MigrationFailed: the database cannot be used like this, or a later version has been there.
    """
    try:
        _upgrade(database)
    except CommandError as error:
        raise MigrationFailed(
            f"Our tables cannot be updated ({error}). Install the version that made them, or a later one."
        ) from error
    except (DBAPIError, OSError) as error:
        advice = (
            "Can this user write the file of EM_DATABASE__URL?"
            if database.is_sqlite
            else f"Is the server there, and may this user create the schema {database.schema} and tables in it? "
            "docs/grants.sql has the SQL."
        )
        reason = error.orig if isinstance(error, DBAPIError) else error
        raise MigrationFailed(f"Our tables cannot be created or updated ({reason}). {advice}") from error
    return NEEDED


def _upgrade(database: Database) -> None:
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


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    return config
