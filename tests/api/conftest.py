"""What tests of the native API share: a client, and visits of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from app.db import Database
from tests.factories import MadeVisit, make_visit
from tests.support.environments import Environment
from tests.support.services import ServiceThread

MakeVisit = Callable[..., MadeVisit]


@pytest.fixture
def client(service: ServiceThread) -> Iterator[httpx.Client]:
    """A client of the native API."""
    with service.client() as client:
        yield client


@pytest.fixture(scope="session")
def database(service: ServiceThread) -> Database:
    """The database that the service works on."""
    return service.resources.database


@pytest.fixture
def new_visit(database: Database, environment: Environment) -> MakeVisit:
    """Makes visits in this worker's folder."""
    return lambda **changes: make_visit(database, environment.dls, **changes)


@pytest.fixture
def visit(new_visit: MakeVisit) -> MadeVisit:
    """A visit that may be processed, with an EPU movie and a SerialEM one."""
    return new_visit()
