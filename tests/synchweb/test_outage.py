"""A database that does not answer: both faces say so, each in its form, and soon."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.settings import Settings
from tests.servers.processes import free_port
from tests.support.services import ServiceThread
from tests.synchweb.replay import JWT_KEY
from tests.synchweb.test_access import Operation, headers_of, operations_of

PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceThread]:
    """One whose settings name a port where nobody listens."""
    folder: Path = tmp_path_factory.mktemp("outage")
    settings = Settings.model_validate(
        {
            "database": {"url": f"mysql+pymysql://em:secret@127.0.0.1:{free_port()}/ispyb"},
            "broker": {"url": "stomp://127.0.0.1:1"},
            "relay": {"enabled": False},
            "auth": {"modes": ("synchweb", "onetime"), "jwt_key": JWT_KEY},
            "visit_directory": f"{folder}/{{beamline}}/{{visit}}",
        }
    )
    with ServiceThread(settings) as running:
        yield running


@pytest.fixture
def client(service: ServiceThread) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{service.port}", timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture
def operations(client: httpx.Client) -> list[Operation]:
    return operations_of(client)


def what_is_wrong(operation: Operation, answer: httpx.Response) -> str | None:
    """Why this is not how an outage is told; nothing if it is."""
    if answer.status_code != 503:
        return f"{answer.status_code} {answer.text[:200]}"
    if answer.headers.get("retry-after") != "5":
        return f"Retry-After: {answer.headers.get('retry-after')}"
    content_type, body = answer.headers["content-type"].partition(";")[0], answer.json()
    if "/v1/" in operation.path:
        good = (content_type, body["status"], body["type"]) == (PROBLEM, 503, "database-unavailable")
    else:
        told = set(body) == {"status", "message"} and isinstance(body["message"], str) and bool(body["message"])
        good = told and (content_type, body["status"]) == ("application/json", 503)
    return None if good else f"{content_type}: {body}"


def test_every_operation_says_that_the_database_does_not_answer(
    operations: list[Operation], client: httpx.Client, service: ServiceThread
) -> None:
    """Who is asking stands in the database, so that each operation needs it."""
    wrong, slowest = {}, 0.0
    for operation in operations:
        begun = time.monotonic()
        answer = operation.ask(client, headers_of("lab_user"))
        slowest = max(slowest, time.monotonic() - begun)
        if told := what_is_wrong(operation, answer):
            wrong[operation.ident] = told

    assert len([one for one in operations if "/v1/" not in one.path]) >= 30
    assert len([one for one in operations if "/v1/" in one.path]) >= 15
    assert wrong == {}
    assert slowest < service.resources.settings.database.connect_timeout


def test_a_link_with_a_one_time_token_is_not_called_a_bad_one(
    operations: list[Operation], client: httpx.Client
) -> None:
    """It was not looked at, and is good once the database is back."""
    with httpx.Client(base_url=client.base_url, params={"token": "x"}, timeout=30, trust_env=False) as links:
        answers = {operation: operation.ask(links, {}) for operation in operations if operation.method == "GET"}

    wrong = {operation.ident: what_is_wrong(operation, answer) for operation, answer in answers.items()}
    assert len(wrong) >= 40
    assert {ident: told for ident, told in wrong.items() if told} == {}


def test_who_is_not_logged_in_is_still_asked_to(operations: list[Operation], client: httpx.Client) -> None:
    """A bad token is seen without the database."""
    for headers in ({}, headers_of("lab_user|expired"), headers_of("lab_user|wrongkey")):
        answers = {operation.ident: operation.ask(client, headers).status_code for operation in operations}

        assert {ident: status for ident, status in answers.items() if status != 401} == {}


def test_it_is_alive_but_not_ready(client: httpx.Client) -> None:
    alive, ready = client.get("/healthz"), client.get("/readyz")

    assert (alive.status_code, ready.status_code) == (200, 503)
    assert ready.json()["status"] == "not-ready"
