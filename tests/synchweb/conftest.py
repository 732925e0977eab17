"""The service with SynchWeb's tokens, on the database and the files that ``EM.php`` was recorded with."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.support import environments
from tests.support.environments import Environment, Servers
from tests.support.services import ServiceThread
from tests.synchweb.replay import JWT_KEY, Stage


@pytest.fixture(scope="session")
def recorded(servers: Servers, worker_id: str, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Databases and a folder of their own, for the recorded rows have fixed numbers."""
    return environments.create(servers, f"recorded_{worker_id}", tmp_path_factory.mktemp("recorded"))


@pytest.fixture(scope="session")
def synchweb(recorded: Environment) -> Iterator[ServiceThread]:
    """The service as SynchWeb's proxy reaches it; nobody consumes what is in its outbox."""
    settings = recorded.settings(relay={"enabled": False}, auth={"modes": ("synchweb", "onetime"), "jwt_key": JWT_KEY})
    with ServiceThread(settings) as running:
        yield running


@pytest.fixture(scope="session")
def stage(synchweb: ServiceThread, recorded: Environment) -> Stage:
    """The recorded rows and files, in place."""
    return Stage(synchweb.resources.database.engine, recorded.schema, recorded.dls)


@pytest.fixture
def browser(synchweb: ServiceThread) -> Iterator[httpx.Client]:
    """A client that sends addresses as they are."""
    with httpx.Client(base_url=f"http://127.0.0.1:{synchweb.port}", timeout=30) as client:
        yield client
