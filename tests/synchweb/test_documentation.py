"""What ``openapi.json`` says of SynchWeb's operations is what they do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from starlette.datastructures import QueryParams

from tests.synchweb.replay import Stage
from tests.synchweb.test_access import MINE, OPEN, headers_of, operations_of

Document = Mapping[str, Any]
REFUSALS = {"400", "401", "403", "404", "503"}


@pytest.fixture
def document(browser: httpx.Client) -> Document:
    whole: Document = browser.get("/api/em/v1/openapi.json").json()
    return whole


@pytest.fixture
def described(document: Document) -> dict[str, Document]:
    """SynchWeb's operations by their names."""
    return {
        operation["operationId"]: {**operation, "method": method}
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if path not in OPEN and "/v1/" not in path
    }


def query_of(operation: Document) -> list[str]:
    return [given["name"] for given in operation.get("parameters", ()) if given["in"] == "query"]


def members(answer: Document, document: Document) -> list[set[str]]:
    """Which members an answer's body has, one set for each of the forms that it may have."""
    schema = answer["content"]["application/json"]["schema"]
    names = [form["$ref"].rpartition("/")[2] for form in schema.get("anyOf", [schema])]
    return [set(document["components"]["schemas"][name]["properties"]) for name in names]


def test_an_operation_lists_the_arguments_that_it_reads_and_no_others(
    described: dict[str, Document], browser: httpx.Client, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: set[str] = set()
    found = QueryParams.get

    def get(self: QueryParams, key: Any, default: Any = None) -> Any:
        read.add(key)
        return found(self, key, default)

    monkeypatch.setattr(QueryParams, "get", get)

    differ = {}
    for operation in (one for one in operations_of(browser) if one.ident in described):
        read.clear()
        with stage.kept():
            operation.ask(browser, headers_of("lab_user"))
        listed = query_of(described[operation.ident])
        # A one-time token is told of at every operation, by the document's security.
        if sorted(listed) != sorted(read - {"token"} | {"token"} & set(listed)):
            differ[operation.ident] = (sorted(listed), sorted(read))

    assert "synchwebJobs" in described
    assert differ == {}


def test_what_a_browser_opens_as_a_page_takes_a_one_time_token(described: dict[str, Document]) -> None:
    files = {
        name
        for name, operation in described.items()
        if "200" in operation["responses"] and "application/json" not in operation["responses"]["200"]["content"]
    }

    assert len(files) >= 12
    assert {name for name, operation in described.items() if "token" in query_of(operation)} == files


def test_every_refusal_is_documented_in_synchwebs_form(described: dict[str, Document], document: Document) -> None:
    expected = {name: {"401", "410", "503"} if name == "synchwebScipion" else REFUSALS | {"200"} for name in described}
    for name in expected:
        if "requestBody" in described[name]:
            expected[name].add("413")

    forms = {
        (status, *sorted(form))
        for operation in described.values()
        for status, answer in operation["responses"].items()
        if status != "200"
        for form in members(answer, document)
    }

    assert {name: set(operation["responses"]) for name, operation in described.items()} == expected
    assert forms == {
        ("400", "error"),  # of a one-time token
        ("401", "error"),
        *((status, "message", "status") for status in ("400", "403", "404", "410", "413", "503")),
    }


def test_an_address_that_is_not_there_is_answered_as_documented(
    described: dict[str, Document], browser: httpx.Client
) -> None:
    answers = {
        operation.ident: browser.delete(operation.path.format(**MINE), headers=headers_of("lab_user"))
        for operation in operations_of(browser)
        if operation.ident in described
    }

    wrong = {
        name: (answer.status_code, answer.text)
        for name, answer in answers.items()
        if answer.status_code != 404 or set(answer.json()) != {"status", "message"}
    }
    assert len(answers) >= 30
    assert wrong == {}


def test_every_operation_says_how_to_log_in_but_those_that_tell_of_no_visit(document: Document) -> None:
    ways = document["components"]["securitySchemes"]
    needed = {
        path: operation.get("security", document["security"])
        for path, methods in document["paths"].items()
        for operation in methods.values()
    }

    assert {(way["type"], way.get("scheme"), way.get("in"), way.get("name")) for way in ways.values()} == {
        ("http", "bearer", None, None),
        ("apiKey", None, "query", "token"),
    }
    assert document["security"] == [{name: []} for name in ways]  # either of them
    assert {path for path, security in needed.items() if not security} == OPEN


def test_the_examples_of_request_bodies_are_accepted_as_they_stand(
    described: dict[str, Document], browser: httpx.Client, stage: Stage
) -> None:
    answers = {}
    paths = {
        "synchwebStart": "relion/start/9000002",
        "synchwebComments": "dc/comments/9000001",
        "synchwebMovieStatuses": "aps",
    }
    for ident, path in paths.items():
        example = described[ident]["requestBody"]["content"]["application/json"]["example"]
        mine = {"prop": "cm31111"} | ({"ids": ["9000001"]} if "ids" in example else {})
        with stage.kept():
            answer = browser.post(f"/api/em/{path}", json=example | mine, headers=headers_of("lab_user"))
        answers[ident] = (answer.status_code, answer.text[:200])

    assert {ident: status for ident, (status, _) in answers.items()} == dict.fromkeys(paths, 200), answers
