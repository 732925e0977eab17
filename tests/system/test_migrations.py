"""Our tables, on both databases, and ISPyB's in a sandbox: made, made again, unmade."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command as alembic
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from app import migrating, revisions, slots
from app.db import Database, own
from app.processing_jobs import idempotency as _idempotency  # noqa: F401 - its table belongs to ``own``
from app.processing_jobs import tables as _tables  # noqa: F401
from app.settings import Settings
from tests.support import commands, rows
from tests.support.environments import Environment, at_revision, execute

pytestmark = [pytest.mark.system, pytest.mark.timeout(120), pytest.mark.usefixtures("dispatcher")]


@pytest.fixture(params=["mariadb", "sqlite"])
def migrated(request: pytest.FixtureRequest, environment: Environment, tmp_path: Path) -> Iterator[Database]:
    """A database with nothing but our tables, of the newest revision."""
    if request.param == "sqlite":
        settings = Settings.model_validate({"database": {"url": f"sqlite:///{tmp_path}/em.sqlite"}})
    else:
        settings = environment.settings(database={"schema": f"{environment.schema}_migrated"})
    database = Database(settings, pool_size=1)
    migrating.upgrade(database)
    yield database
    database.dispose()


def test_migrations_make_exactly_the_tables_that_the_code_knows(migrated: Database) -> None:
    known = sa.MetaData()
    for table in own.sorted_tables:
        table.to_metadata(known, schema=migrated.schema)  # type: ignore[arg-type] # None is allowed
    options: dict[str, Any] = {
        "compare_type": True,
        "compare_server_default": True,
        "version_table_schema": migrated.schema,
        "include_schemas": migrated.schema is not None,
        "include_name": lambda name, kind, _: kind != "schema" or name == migrated.schema,
    }

    with migrated.engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection, opts=options), known)

    assert differences == []
    assert len(known.tables) == 5


def test_the_newest_script_makes_the_revision_that_every_start_asks_for() -> None:
    newest_first = ScriptDirectory.from_config(migrating._config()).walk_revisions()

    assert tuple(script.revision for script in newest_first)[::-1] == revisions.REVISIONS


def test_migrations_go_down_to_nothing_and_up_again_and_leave_what_is_there(migrated: Database) -> None:
    migrated.write(lambda session: slots.take(session, "dc", 7))
    migrating.upgrade(migrated)
    kept = tables_of(migrated), slots_of(migrated)
    with migrated.engine.connect() as connection:
        config = migrating._config()
        config.attributes.update(connection=connection, schema=migrated.schema)
        alembic.downgrade(config, "base")
        connection.commit()
    down = tables_of(migrated), revisions.current(migrated)
    migrating.upgrade(migrated)

    assert kept == ({"alembic_version", *(table.name for table in own.sorted_tables)}, 1)
    assert down == ({"alembic_version"}, None)
    assert (tables_of(migrated), slots_of(migrated)) == (kept[0], 0)


def tables_of(database: Database) -> set[str]:
    with database.engine.connect() as connection:
        return set(sa.inspect(connection).get_table_names(database.schema))


def slots_of(database: Database) -> int:
    with database.read() as session:
        return session.execute(sa.select(sa.func.count()).select_from(slots.slot)).scalar_one()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (
            "mysql+pymysql://root@127.0.0.1:1/ispyb",
            "Our tables cannot be created or updated ((2003, \"Can't connect to",
        ),
        (
            "sqlite:////proc/no/em.sqlite",
            "Our tables cannot be created or updated ([Errno 2] No such file or directory",
        ),
    ],
    ids=["server away", "folder"],
)
def test_a_migration_that_cannot_be_made_says_why(url: str, says: str) -> None:
    ended = commands.run({"EM_DATABASE__URL": url}, "migrate")

    assert (ended.code, len(ended.err)) == (1, 1)
    assert ended.err[0].startswith(says)


def test_tables_of_a_later_version_are_left_alone(environment: Environment) -> None:
    ended = commands.run(at_revision(environment, "0099").environ, "migrate")

    assert (ended.code, len(ended.err)) == (1, 1)
    assert "Can't locate revision identified by '0099'" in ended.err[0]
    assert "Install the version that made them" in ended.err[0]


def test_a_sandbox_on_mariadb_is_made_once_migrated_and_well(environment: Environment, tmp_path: Path) -> None:
    name = f"{environment.schema}_sandbox"
    execute(environment, f"CREATE DATABASE `{name}`")
    sandbox_place = replace(
        environment, database_url=environment.servers.database_url(name), schema=f"{name}_own", dls=tmp_path / "dls"
    )
    environ = sandbox_place.environ | {"EM_BROKER__URL": f"embedded://{tmp_path}/spool"}

    made = commands.run(environ, "sandbox", "create")
    migrated = [commands.run(environ, "migrate") for _ in range(2)]
    doctor = commands.run(environ, "doctor")
    database = Database(sandbox_place.settings(), pool_size=1)
    before = rows.counts(database)
    again = commands.run(environ, "sandbox", "create")

    assert (made.code, made.err) == (0, [])
    assert "Next: 'synchweb-em migrate'" in made.out
    assert migrated == [(0, f"Our tables are at revision {revisions.NEEDED}.\n", [])] * 2
    assert (doctor.code, doctor.err) == (0, [])
    assert again.code == 1
    assert "The database is not empty" in again.err[0]
    assert rows.counts(database) == before
    database.dispose()
