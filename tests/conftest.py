"""The tests' servers: one MariaDB and one RabbitMQ for the whole run, started by the run itself.

Each worker has databases and a vhost of its own on them. Tests that stop or kill a server start their own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.mariadb import MariaDB
from tests.servers.packages import EVERYTHING, PackageError, ensure_packages
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.reaper import Reaper
from tests.support import environments
from tests.support.environments import Environment, Servers
from tests.support.services import ServiceThread

SERVERS = "SYNCHWEB_EM_TEST_SERVERS"  # how the controller tells its workers where the servers are
STASH = pytest.StashKey[Reaper]()


def pytest_configure(config: pytest.Config) -> None:
    """Start the servers once, in the controller, unless only unit tests are asked for."""
    if hasattr(config, "workerinput") or config.option.collectonly or _units_only(config):
        return
    try:
        ensure_packages(EVERYTHING)  # here, where no test's time runs: some are large
    except PackageError as error:
        pytest.exit(str(error), returncode=1)
    reaper = Reaper()
    reaper.__enter__()
    config.stash[STASH] = reaper
    mariadb, rabbitmq = MariaDB(reaper), RabbitMQ(reaper)
    mariadb.start()
    rabbitmq.start()
    servers = Servers(
        mariadb_port=mariadb.port,
        stomp_port=rabbitmq.stomp_port,
        amqp_port=rabbitmq.amqp_port,
        management_url=rabbitmq.management_url,
    )
    os.environ[SERVERS] = json.dumps(servers._asdict())


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing running."""
    if (reaper := config.stash.get(STASH, None)) is not None:
        reaper.__exit__(None, None, None)


def _units_only(config: pytest.Config) -> bool:
    unit = config.rootpath / "tests" / "unit"
    paths = [Path(argument.partition("::")[0]).resolve() for argument in config.args]
    return all(path.is_relative_to(unit) for path in paths)


@pytest.fixture(scope="session")
def servers() -> Servers:
    """Where MariaDB and RabbitMQ listen."""
    return Servers(**json.loads(os.environ[SERVERS]))


@pytest.fixture(scope="session")
def reaper() -> Iterator[Reaper]:
    """For tests that start servers of their own."""
    with Reaper() as reaper:
        yield reaper


@pytest.fixture(scope="session")
def environment(servers: Servers, worker_id: str, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """This worker's databases with ISPyB's and our tables, its vhost, and its folder for visits."""
    return environments.create(servers, worker_id, tmp_path_factory.mktemp("dls"))


@pytest.fixture(scope="session")
def service(environment: Environment) -> Iterator[ServiceThread]:
    """The service on MariaDB, without a relay, so that what is in the outbox stays there to be looked at.

    Nor does it look at the queue, where nobody listens.
    """
    with ServiceThread(environment.settings(relay={"enabled": False}, broker={"management_url": None})) as running:
        yield running
