"""What is wrong, and what to do: one line for each thing that the service depends on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from app import revisions
from app.db import OWN, Database, error_code, local_now, own, utc_now
from app.errors import EMError
from app.filesystem.looks import Looks, NoAnswer
from app.ispyb import sandbox, tables
from app.processing_jobs import idempotency as _idempotency  # noqa: F401 - its table belongs to ``own``
from app.processing_jobs import tables as _tables  # noqa: F401
from app.settings import Settings
from app.zocalo import transport, watch
from app.zocalo.queue import CannotLook
from app.zocalo.transport import Blocked, QueueMissing, TransportError

MOST_DRIFT = 60  # seconds that clocks may differ
OLDEST_MARIADB = (10, 6)  # the first with SKIP LOCKED
NO_SUCH_TABLE = 1146  # MariaDB's

# Tables that we write, with the columns that we write there; all others are only read.
WRITTEN = {
    tables.DataCollectionGroup: ("sessionId", "experimentType", "comments", "startTime", "endTime"),
    tables.DataCollection: ("SESSIONID", "dataCollectionGroupId", "imageDirectory", "fileTemplate", "imagePrefix"),
    tables.ProcessingJob: ("dataCollectionId", "displayName", "comments", "recipe", "automatic", "recordTimestamp"),
    tables.ProcessingJobParameter: ("processingJobId", "parameterKey", "parameterValue"),
    tables.AutoProcProgram: ("processingJobId", "processingPrograms", "processingStatus", "processingMessage"),
}
READ = (
    tables.BLSession,
    tables.Proposal,
    tables.Person,
    tables.SessionHasPerson,
    tables.Permission,
    tables.UserGroupHasPermission,
    tables.UserGroupHasPerson,
    tables.SWOnceToken,
    tables.Movie,
    tables.MotionCorrection,
    tables.CTF,
    tables.ParticlePicker,
    tables.ParticleClassificationGroup,
    tables.ParticleClassification,
    tables.ParticleClassificationHasCryoemInitialModel,
    tables.CryoemInitialModel,
    tables.AutoProcProgramAttachment,
    tables.DataCollectionFileAttachment,
    tables.DataCollectionComment,
)
CHANGED = {
    # What else is done to ISPyB's tables, only planned here: the server checks the rights and changes nothing.
    "update DataCollection": "EXPLAIN UPDATE DataCollection SET comments = NULL",
    "delete from SW_onceToken": "EXPLAIN DELETE FROM SW_onceToken",
}


class Trouble(Exception):
    """A check failed; the text says what is wrong and what to do."""


class Notice(Exception):
    """All is well with this service, but somebody should look."""


def run(settings: Settings, out: TextIO) -> int:
    """Check everything, a line each; 0 if all is well, 1 if not."""
    failed = False
    for name, check in _checks(settings):
        try:
            line = f"ok    {name}: {check()}"
        except Notice as notice:
            line = f"LOOK  {name}: {notice}"
        except Exception as error:
            failed = True
            line = f"WRONG {name}: {_told(error)}"
        out.write(line + "\n")
        out.flush()
    return int(failed)


def _told(error: Exception) -> str:
    """Why a check failed. What nobody thought of must not keep the others from being made."""
    if isinstance(error, Trouble):
        return str(error)
    return error.detail if isinstance(error, EMError) else f"unexpected: {type(error).__name__}: {error}"


def _checks(settings: Settings) -> Iterator[tuple[str, Callable[[], str]]]:
    database = Database(settings, pool_size=2)
    connected = False

    def connect() -> str:
        nonlocal connected
        said = _connect(settings, database)
        connected = True
        return said

    yield "database", connect
    if connected:
        yield "ISPyB's tables", lambda: _ispyb(database)
        yield "our tables", lambda: _own(database)
        yield "clock", lambda: _clock(settings, database)
    yield "broker", lambda: _broker(settings, database if connected else None)
    if not settings.broker.is_embedded:
        yield "queue", lambda: _queue(settings)
    for root in settings.roots:
        yield f"directory {root}", lambda root=root: _root(settings, root)  # type: ignore[misc]
    database.dispose()


def _connect(settings: Settings, database: Database) -> str:
    url = database.engine.url.set(query={}).render_as_string(hide_password=True)  # a query may hold a password too
    name = database.engine.url.database
    if not name:
        raise Trouble(f"{url} names no database: add the name of ISPyB's to EM_DATABASE__URL")
    if database.is_sqlite and not Path(name).exists():  # to connect would make it
        raise Trouble(f"{url}: there is no such file: run 'synchweb-em demo', or set EM_DATABASE__URL")
    try:
        with database.engine.connect() as connection:
            version = connection.dialect.server_version_info or ()
    except DBAPIError as error:
        advice = {
            1045: "user or password is wrong: correct EM_DATABASE__URL",
            1044: "this user may not use that database: grant it (docs/grants.sql has the SQL)",
            1049: "there is no such database: correct the name in EM_DATABASE__URL",
            2003: "nothing answers there: is MariaDB running, and are host and port in EM_DATABASE__URL right?",
            2013: "something listens there and does not answer as MariaDB: check host and port in EM_DATABASE__URL",
        }
        raise Trouble(f"{url}: {advice.get(error_code(error) or 0, 'cannot connect')} ({error.orig})") from error
    if not database.is_sqlite and version < OLDEST_MARIADB:
        raise Trouble(f"MariaDB {'.'.join(map(str, version))} is too old: 10.6 is the first with SKIP LOCKED")
    return f"{url} answers"


def _ispyb(database: Database) -> str:
    trouble = []
    for table in (*WRITTEN, *READ):
        columns = [table.c[name] for name in WRITTEN.get(table, ())] or list(table.primary_key)
        trouble += _try(database, f"read {table.name}", sa.select(*columns).limit(0))
    for table, names in WRITTEN.items():
        trouble += _try(database, f"insert into {table.name}", _explained_insert(database, table, names))
    for what, statement in CHANGED.items():
        trouble += _try(database, what, sa.text(statement))
    if len(missing := {line for line in trouble if line.startswith("there is no table")}) == len({*WRITTEN, *READ}):
        raise Trouble(
            f"this database has none of ISPyB's tables ({len(missing)} are needed): correct the name in "
            "EM_DATABASE__URL, or make a sandbox with 'synchweb-em sandbox create'"
        )
    if trouble:
        raise Trouble(
            "; ".join(dict.fromkeys(trouble))
            + ". Grant it (docs/grants.sql has the SQL), or correct the name in EM_DATABASE__URL"
        )
    return "can be read and, where needed, written"


def _own(database: Database) -> str:
    try:
        revision = revisions.current(database)
    except SQLAlchemyError as error:
        raise Trouble(
            f"{_reason(error)}. If they were never made, run 'synchweb-em migrate', and grant them to this user "
            "(docs/grants.sql has the SQL)"
        ) from error
    if revision is None:
        where = f"schema {database.schema}" if database.schema else "this database"
        raise Trouble(f"{where} does not have them: run 'synchweb-em migrate' as a user that may create a schema")
    if revision not in revisions.REVISIONS:
        raise Trouble(
            f"they are at revision {revision}, which this version does not know: install the version that made them, "
            "or a later one"
        )
    if revision != revisions.NEEDED:
        raise Trouble(f"they are at revision {revision}, needed is {revisions.NEEDED}: run 'synchweb-em migrate'")
    trouble = []
    for table in own.sorted_tables:
        trouble += _try(database, f"read {table.name}", sa.select(*table.primary_key).limit(0))
        trouble += _try(database, f"insert into {table.name}", _explained_insert(database, table, table.c.keys()))
        key = next(iter(table.primary_key))
        name = f"`{database.schema}`.`{table.name}`" if database.schema else table.name
        trouble += _try(database, f"update {table.name}", sa.text(f"EXPLAIN UPDATE {name} SET {key.name} = {key.name}"))
        trouble += _try(database, f"delete from {table.name}", sa.text(f"EXPLAIN DELETE FROM {name}"))
    if trouble:
        raise Trouble("; ".join(trouble) + ". Grant it (docs/grants.sql has the SQL)")
    return f"at revision {revision}"


def _explained_insert(database: Database, table: sa.Table, names: object) -> sa.TextClause:
    """An insert that is only planned: the server checks the rights and writes nothing."""
    schema = database.schema if table.schema == OWN else None
    name = f"`{schema}`.`{table.name}`" if schema else f"`{table.name}`"
    columns = [f"`{column}`" for column in names]  # type: ignore[attr-defined]
    return sa.text(f"EXPLAIN INSERT INTO {name} ({', '.join(columns)}) VALUES ({', '.join(['NULL'] * len(columns))})")


def _try(database: Database, what: str, statement: sa.Executable) -> list[str]:
    try:
        with database.engine.connect() as connection:
            connection.execute(statement)
    except SQLAlchemyError as error:
        if isinstance(error, DBAPIError) and error_code(error) == NO_SUCH_TABLE:
            return [f"there is no table {what.rpartition(' ')[2]}"]
        return [f"cannot {what} ({_reason(error)})"]
    return []


def _reason(error: SQLAlchemyError) -> str:
    arguments = getattr(getattr(error, "orig", None), "args", ())
    return str(arguments[-1]) if arguments else str(error)


def _clock(settings: Settings, database: Database) -> str:
    with database.read() as session:
        local, utc = session.execute(sa.select(local_now(), utc_now())).one()
    here = datetime.now(UTC)
    drift = (utc.replace(tzinfo=UTC) - here).total_seconds()
    if abs(drift) > MOST_DRIFT:
        raise Trouble(f"the database's clock differs from this machine's by {drift:+.0f} s: set both by NTP")
    expected = utc.replace(tzinfo=UTC).astimezone(settings.zone).replace(tzinfo=None)
    apart = (local - expected).total_seconds()
    if abs(apart) > MOST_DRIFT:
        raise Trouble(
            f"the database's NOW() is {local:%H:%M}, in {settings.timezone} it is {expected:%H:%M}: "
            "set EM_TIMEZONE to the zone that ISPyB's server keeps"
        )
    return f"{local:%H:%M} in {settings.timezone}, as the database says"


def _broker(settings: Settings, database: Database | None) -> str:
    if settings.broker.is_embedded:
        if database is not None:
            with database.read() as session:
                marked = sandbox.is_sandbox(session)
            if not marked:
                raise Trouble("EM_BROKER__URL is not set, and this database is no sandbox: set EM_BROKER__URL")
        return "embedded: the simulator plays Zocalo and RELION"
    way = transport.create(settings.broker)
    address = settings.broker.address
    try:
        way.connect()
    except QueueMissing:
        pass  # the broker has let us in; the next line is about the queue
    except Blocked as error:
        raise Trouble(str(error)) from error
    except TransportError as error:
        raise Trouble(
            f"{error}. Check host, port, user, password and vhost ({address.vhost}) in EM_BROKER__URL"
        ) from error
    finally:
        way.close()
    return f"{address.host}:{address.port}, vhost {address.vhost}, accepts {address.user}"


def _queue(settings: Settings) -> str:
    try:
        queue = watch.look(settings.broker)
    except CannotLook as error:
        if settings.broker.management_url is None:
            return str(error)  # the line above says why the broker was not reached
        raise Trouble(str(error)) from error
    if queue is None:
        raise Notice(watch.UNWATCHED)
    if queue.trouble is not None:
        raise Trouble("; besides, ".join(filter(None, (queue.trouble, queue.rejected))))
    if queue.rejected is not None:
        raise Notice(f"{queue.told}; besides, {queue.rejected}")
    return queue.told


def _root(settings: Settings, root: Path) -> str:
    looks = Looks(threads=4, deadline=settings.files.deadline)
    try:
        entries = looks.run(str(root), lambda: sum(1 for _ in root.iterdir()))
    except NoAnswer as error:
        raise Trouble(f"{error}: is the mount hanging?") from error
    except FileNotFoundError as error:
        raise Trouble("it does not exist: mount it, or correct EM_VISIT_DIRECTORY or EM_FILES__ROOTS") from error
    except OSError as error:
        raise Trouble(f"it cannot be read ({error.strerror}): let the service's user read it") from error
    return f"can be read, {entries} entries"
