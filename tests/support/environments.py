"""Databases, vhosts and folders for tests: on servers that run, one environment for each worker or test."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import sqlalchemy as sa

from app import migrating
from app.db import Database
from app.ispyb import tables
from app.settings import Settings
from tests.servers.broker import Broker

_numbers = itertools.count(1)


class Servers(NamedTuple):
    """Where the run's servers listen."""

    mariadb_port: int
    stomp_port: int
    amqp_port: int
    management_url: str

    def database_url(self, name: str = "") -> str:
        """SQLAlchemy's address of one database, as administrator."""
        return f"mysql+pymysql://root@127.0.0.1:{self.mariadb_port}/{name}?charset=utf8mb4"

    def stomp_url(self, vhost: str) -> str:
        """The broker, as the service's settings name it."""
        return f"stomp://guest:guest@127.0.0.1:{self.stomp_port}?vhost={quote(vhost, safe='')}"


@dataclass(frozen=True)
class Environment:
    """One ISPyB with our schema beside it, and a folder that plays /dls."""

    servers: Servers
    database_url: str
    schema: str
    vhost: str
    dls: Path

    def settings(self, **changes: Any) -> Settings:
        """The service's settings here; groups are merged with ``changes``."""
        groups: dict[str, dict[str, Any]] = {
            "database": {"url": self.database_url, "schema": self.schema},
            "broker": {
                "url": self.servers.stomp_url(self.vhost),
                "management_url": self.servers.management_url.replace("http://", "http://guest:guest@"),
            },
            "files": {"deadline": 5},
        }
        # What was found a moment ago serves nobody else here: tests change what others write, and look at once.
        plain: dict[str, Any] = {"share_seconds": 0}
        for name, change in changes.items():
            if isinstance(change, dict):
                groups[name] = {**groups.get(name, {}), **change}
            else:
                plain[name] = change
        plain["visit_directory"] = f"{self.dls}/{{beamline}}/data/{{year}}/{{visit}}"
        return Settings.model_validate(groups | plain)

    @property
    def environ(self) -> dict[str, str]:
        """The same as environment variables, for a service in a process of its own."""
        return {
            "EM_DATABASE__URL": self.database_url,
            "EM_DATABASE__SCHEMA": self.schema,
            "EM_BROKER__URL": self.servers.stomp_url(self.vhost),
            "EM_VISIT_DIRECTORY": f"{self.dls}/{{beamline}}/data/{{year}}/{{visit}}",
        }


def create(servers: Servers, name: str, dls: Path) -> Environment:
    """Build one, with ISPyB's tables, ours, and a vhost with the quorum queue that Diamond has."""
    number = next(_numbers)
    environment = Environment(
        servers=servers,
        database_url=servers.database_url(f"ispyb_{name}_{number}"),
        schema=f"em_{name}_{number}",
        vhost=f"{name}-{number}",
        dls=dls,
    )
    engine = sa.create_engine(servers.database_url())
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE DATABASE `ispyb_{name}_{number}`"))
    engine.dispose()
    database = Database(environment.settings(), pool_size=2)
    tables.metadata.create_all(database.engine)
    migrating.upgrade(database)
    database.dispose()
    Broker(servers.stomp_port, servers.amqp_port, servers.management_url).add_vhost(environment.vhost)
    return environment


def at_revision(environment: Environment, revision: str) -> Environment:
    """The same place with another schema, whose tables say that they are at this revision."""
    other = replace(environment, schema=f"{environment.schema}_at_{revision}_{next(_numbers)}")
    database = Database(other.settings(), pool_size=1)
    migrating.upgrade(database)
    database.dispose()
    execute(environment, f"UPDATE `{other.schema}`.alembic_version SET version_num = '{revision}'")
    return other


def execute(environment: Environment, *statements: str) -> None:
    """Run these statements as administrator."""
    engine = sa.create_engine(environment.servers.database_url())
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
    engine.dispose()
