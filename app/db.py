"""The database: one server that holds ISPyB and, in a schema of their own, our few tables.

A use case opens short transactions through ``Database``; it never keeps one open while it waits for anything else
(a file system, a broker), so that no connection is held by a request that is not querying.
"""

from __future__ import annotations

import logging
import random
import sqlite3
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import pymysql
import sqlalchemy as sa
from pymysql.constants import SERVER_STATUS
from sqlalchemy import event
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, InvalidatePoolError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.sql.functions import GenericFunction

from app import metrics
from app.errors import Unavailable
from app.settings import Settings

log = logging.getLogger(__name__)
T = TypeVar("T")

OWN = "synchweb_em"  # stands for the schema of our tables, whatever the settings call it
own = sa.MetaData(schema=OWN)
Moment = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")  # UTC, by the database's clock

IDLE = 1.0  # seconds after which a pooled connection is checked before it is used
CHECKED_IN = "checked in"
ATTEMPTS = 4  # a transaction runs again at most three times after a lock wait or a deadlock
# MariaDB's numbers. PyMySQL calls nearly everything an OperationalError, also a column that is not there.
LOCK_WAIT_TIMEOUT, DEADLOCK = 1205, 1213  # on Galera the second is also a lost certification
RIGHTS = frozenset({1044, 1045, 1142, 1143, 1227, 1698})
AWAY = frozenset(
    {1021, 1037, 1038, 1040, 1041, 1047, 1053, 1077, 1079, 1080, 1114, 1135, 1152, 1158, 1159, 1160, 1161, 1180}
    | {1203, 1226, 1290, 1317, 1792, 1836, 1927, 1969, 2002, 2003, 2005, 2006, 2012, 2013, 2014, 2026, 2055}
)


class DatabaseUnavailable(Unavailable):
    """The database does not answer."""


class DatabaseRefuses(Unavailable):
    """The service lacks rights in the database."""


class DatabaseBusy(Unavailable):
    """Others held the same locks for too long."""


class utc_now(GenericFunction[datetime]):  # noqa: N801 - a SQL function
    """Now in UTC, by the database's clock."""

    type = Moment
    inherit_cache = True


class local_now(GenericFunction[datetime]):  # noqa: N801 - a SQL function
    """Now in the facility's local time, as ISPyB keeps it, by the database's clock."""

    type = sa.DateTime()
    inherit_cache = True


@compiles(utc_now, "mysql")
@compiles(utc_now, "mariadb")
def _utc_now_mysql(element: Any, compiler: Any, **kw: Any) -> str:
    return "UTC_TIMESTAMP(6)"


@compiles(local_now, "mysql")
@compiles(local_now, "mariadb")
def _local_now_mysql(element: Any, compiler: Any, **kw: Any) -> str:
    return "NOW()"


class Database:
    """Sessions on the database, with READ COMMITTED's view and bounded waits."""

    def __init__(self, settings: Settings, *, pool_size: int | None = None) -> None:
        self.is_sqlite = settings.database.is_sqlite
        self.schema = None if self.is_sqlite else settings.database.schema_name
        self.engine = _sqlite(settings) if self.is_sqlite else _mariadb(settings, pool_size or settings.threads + 4)
        # SQLite admits one writer; queueing for it here is fair, its own busy handler is not.
        self._writer = threading.Lock() if self.is_sqlite else nullcontext()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session to look with. Nothing is committed; the connection goes back when the block ends.

        Raises:
            DatabaseUnavailable: the server, or a free connection to it, did not answer in time.
            DatabaseBusy: a lock kept even a reader waiting, as SQLite's can.
        """
        try:
            with _translated(), Session(self.engine) as session:
                yield session
        except _LockLost as error:
            raise DatabaseBusy("The database is locked by others. Try again in a moment.") from error

    def write(self, work: Callable[[Session], T]) -> T:
        """Run ``work`` in one transaction and commit it; run it again after a lock wait or a deadlock.

        Whatever ``work`` raises rolls everything back. It may run up to four times, so it must not change anything
        but the database.

        Raises:
            DatabaseUnavailable: the server did not answer; nothing is known to be written.
            DatabaseBusy: locks could not be had; nothing was written.
        """
        return self._repeat(work, self._transaction)

    def write_apart(self, work: Callable[[Session], T]) -> T:
        """Run ``work``, of which each statement is committed by itself; SQLite makes one transaction of them.

        It spares two statements. What was written stays if a later statement fails, and is written again if ``work``
        runs again: only for statements that may be repeated, and that leave nothing half done.

        Raises:
            DatabaseUnavailable: the server did not answer.
            DatabaseBusy: locks could not be had.
        """
        return self._repeat(work, self._transaction if self.is_sqlite else nullcontext)

    def _repeat(
        self, work: Callable[[Session], T], unit: Callable[[Session], AbstractContextManager[Session | None]]
    ) -> T:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with _translated(), self._writer, Session(self.engine) as session, unit(session):
                    return work(session)
            except _LockLost as error:
                metrics.retries.inc()
                log.warning("transaction lost a lock, attempt %d of %d: %s", attempt, ATTEMPTS, error)
                time.sleep(random.uniform(0, 0.05) * attempt)
        raise DatabaseBusy(
            "Others are writing to the same data collection. Nothing was changed; try again in a moment."
        )

    @contextmanager
    def _transaction(self, session: Session) -> Iterator[None]:
        """Commit what is done within, or roll it back."""
        connection = session.connection(execution_options={"writes": True})
        raw = connection.connection
        if not self.is_sqlite:
            connection.exec_driver_sql("START TRANSACTION")
        try:
            yield
            session.commit()
        except BaseException:
            # SQLAlchemy's own would not be sent on a connection that commits by itself, nor after a failed commit.
            if not self.is_sqlite and not connection.invalidated:
                _roll_back(raw)
            raise

    def dispose(self) -> None:
        """Close the pool's connections."""
        self.engine.dispose()


def _roll_back(connection: PoolProxiedConnection) -> None:
    """End a connection's transaction without its work; a connection that cannot do so is thrown away."""
    try:
        connection.rollback()
    except Exception as error:
        log.warning("a connection to the database could not roll back: %s", error)
        connection.invalidate(error)


class _LockLost(Exception):
    """The transaction was rolled back because of somebody else's locks."""


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the driver's errors into ours: those that others cause. A mistake of ours stays what it is."""
    try:
        yield
    except PoolTimeout as error:
        raise DatabaseUnavailable("All connections to the database are in use. Try again in a moment.") from error
    except DBAPIError as error:
        code = error_code(error)
        if code in (LOCK_WAIT_TIMEOUT, DEADLOCK) or "database is locked" in str(error.orig):
            raise _LockLost(str(error.orig)) from error
        if code in RIGHTS:
            log.error("database: %s", error.orig)
            raise DatabaseRefuses(
                "The database does not let the service do that. Tell the facility's staff to run 'synchweb-em doctor'."
            ) from error
        if error.connection_invalidated or isinstance(error, InterfaceError) or code in AWAY or _sqlite_away(error):
            log.error("database: %s", error.orig)
            raise DatabaseUnavailable(
                "The database does not answer. Nothing is lost that was acknowledged; try again in a few seconds."
            ) from error
        raise


def _sqlite_away(error: DBAPIError) -> bool:
    """Whether SQLite's file cannot be used. Its SQLITE_ERROR means a wrong statement."""
    return getattr(error.orig, "sqlite_errorcode", sqlite3.SQLITE_ERROR) not in (
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_CONSTRAINT,
    ) and not isinstance(error, IntegrityError)


def error_code(error: DBAPIError) -> int | None:
    """The server's own number for an error."""
    arguments = getattr(error.orig, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else None


def _mariadb(settings: Settings, pool_size: int) -> sa.Engine:
    """Connections that commit by themselves: a look goes to the server and back once, for no transaction has to end.

    Each statement sees what was committed before it, as in READ COMMITTED, which transactions have.
    """
    database = settings.database
    engine = sa.create_engine(
        database.sqlalchemy_url,
        isolation_level="AUTOCOMMIT",
        skip_autocommit_rollback=True,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=database.connect_timeout,
        pool_recycle=1800,
        execution_options={"schema_translate_map": {OWN: database.schema_name}},
        connect_args={
            "connect_timeout": database.connect_timeout,
            "read_timeout": database.statement_timeout,
            "write_timeout": database.statement_timeout,
            # Strict, so that a text which does not fit is refused by the server too, never cut off. The connection's
            # time_zone is left alone: ISPyB's TIMESTAMPs follow it.
            "init_command": f"SET SESSION innodb_lock_wait_timeout = {database.lock_timeout}, "
            "sql_mode = CONCAT(@@sql_mode, ',STRICT_TRANS_TABLES'), tx_isolation = 'READ-COMMITTED'",
        },
    )
    contexts: dict[str, ssl.SSLContext] = {}

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, record: object, arguments: Any, options: Any) -> _Connection:
        return _Connection(*arguments, **options, contexts=contexts)

    _check_the_idle(engine)
    return engine


class _Connection(pymysql.Connection):
    """One that shares its TLS context with others.

    PyMySQL makes one for each, whether or not the server speaks TLS, and loads all certificates of the machine for it:
    25 ms and 0.9 MB each time.
    """

    def __init__(self, *arguments: Any, contexts: dict[str, ssl.SSLContext], **options: Any) -> None:
        self._contexts = contexts
        super().__init__(*arguments, **options)

    def _create_ssl_ctx(self, sslp: Any) -> ssl.SSLContext:
        asked = repr(sslp)
        if asked not in self._contexts:
            self._contexts[asked] = super()._create_ssl_ctx(sslp)  # type: ignore[misc]
        return self._contexts[asked]


def _check_the_idle(engine: sa.Engine) -> None:
    """A server that was restarted costs a ping, not a failed request; but not a ping for each of many requests.

    Who used a connection within the last second may still meet one that has just died: that is one 503.
    """

    @event.listens_for(engine, "checkin")
    def note(connection: Any, record: Any) -> None:
        record.info[CHECKED_IN] = time.monotonic()
        # Whatever it was that left it open, the next to write must not commit it: the pool itself ends none here.
        if connection is not None and connection.server_status & SERVER_STATUS.SERVER_STATUS_IN_TRANS:
            log.error("a connection came back within a transaction, which is rolled back")
            connection.rollback()

    @event.listens_for(engine, "checkout")
    def check(connection: Any, record: Any, _proxy: Any) -> None:
        idle_since = record.info.get(CHECKED_IN)
        if idle_since is None or time.monotonic() - idle_since < IDLE:
            return
        try:
            connection.ping(reconnect=False)
        except Exception as error:
            raise InvalidatePoolError from error


def _sqlite(settings: Settings) -> sa.Engine:
    url = settings.database.sqlalchemy_url
    engine = sa.create_engine(
        url,
        pool_size=settings.threads + 4,
        max_overflow=0,
        pool_timeout=settings.database.connect_timeout,
        execution_options={"schema_translate_map": {OWN: None}},
        connect_args={"timeout": 10, "check_same_thread": False},
    )
    zone = settings.zone

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, record: object) -> None:
        connection.isolation_level = None  # the driver's own BEGIN would come too late; see begin() below
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.create_function("utc_now", 0, lambda: _text(datetime.now(UTC)))
        connection.create_function("local_now", 0, lambda: _text(datetime.now(zone).replace(microsecond=0)))

    @event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        # A transaction that reads first and writes later cannot get SQLite's write lock without losing its snapshot.
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")


def from_utc(moment: datetime | None) -> datetime | None:
    """A time of our own tables, with its offset."""
    return None if moment is None else moment.replace(tzinfo=UTC)


def to_utc(moment: datetime) -> datetime:
    """A time as our own tables keep it."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def from_local(moment: datetime | None, zone: ZoneInfo) -> datetime | None:
    """A time of ISPyB, with its offset. Of an hour that came twice the earlier is meant (``fold`` 0).

    MariaDB's ``0000-00-00``, which the driver hands over as text, is no time.
    """
    return moment.replace(tzinfo=zone, fold=0) if isinstance(moment, datetime) else None


_NOW = sa.select(utc_now())


def database_now(session: Session) -> datetime:
    """Now, by the database's clock, in UTC."""
    moment = session.execute(_NOW).scalar_one()
    return moment.replace(tzinfo=UTC)
