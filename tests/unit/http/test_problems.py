"""Errors as ``application/problem+json``, whatever is in them."""

from __future__ import annotations

import asyncio
import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from typing import Annotated, Any, NoReturn

import pytest
from fastapi import FastAPI, HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field, field_validator

import app
from app.errors import Conflict, EMError, FieldError, Forbidden, Invalid, NotFound, TooLarge, Unavailable
from app.http.faces import Faces
from app.http.middleware import RequestContext
from app.http.problems import MEDIA_TYPE, NATIVE, Problem, of_error, problem, responses


def strictly(content: bytes | memoryview) -> dict[str, Any]:
    """The content read by a parser that knows no NaN, as browsers do."""

    def refuse(constant: str) -> NoReturn:
        raise AssertionError(f"{constant} is no JSON")

    read: dict[str, Any] = json.loads(bytes(content).decode("utf-8"), parse_constant=refuse)
    return read


class JobsBlockEverything(Conflict):
    """A leaf."""


class QueueIsFull2Day(Unavailable):
    """A leaf with a digit."""


# One error.


@pytest.mark.parametrize(
    ("family", "status"),
    [
        (NotFound, 404),
        (Forbidden, 403),
        (Conflict, 409),
        (Invalid, 422),
        (TooLarge, 413),
        (Unavailable, 503),
        (JobsBlockEverything, 409),
        (QueueIsFull2Day, 503),
        (EMError, 500),
    ],
)
def test_a_family_has_its_status(family: type[EMError], status: int) -> None:
    response = of_error(family("It is so."), "/api/em/v1/x")

    assert response.status_code == status
    assert response.media_type == MEDIA_TYPE
    assert strictly(response.body)["status"] == status


def test_a_problem_says_everything() -> None:
    error = JobsBlockEverything(
        "Job 6611642 runs.",
        errors=[FieldError("ifBlocked", "is 'refuse'"), FieldError("replaces", "is empty")],
        dataCollectionId=6018191,
        blockingJobs=[{"processingJobId": 6611642}],
    )

    body = strictly(of_error(error, "/api/em/v1/data-collections/6018191/launch").body)

    assert body == {
        "type": "jobs-block-everything",
        "title": "Jobs block everything",
        "status": 409,
        "detail": "Job 6611642 runs.",
        "instance": "/api/em/v1/data-collections/6018191/launch",
        "dataCollectionId": 6018191,
        "blockingJobs": [{"processingJobId": 6611642}],
        "errors": [
            {"field": "ifBlocked", "message": "is 'refuse'"},
            {"field": "replaces", "message": "is empty"},
        ],
    }
    Problem.model_validate(body)


def test_a_problem_without_fields_has_no_list_of_them() -> None:
    assert "errors" not in strictly(of_error(NotFound("It is not there."), "/x").body)


def test_only_who_may_try_again_is_told_when() -> None:
    assert of_error(Unavailable("Down."), "/x").headers["Retry-After"] == "5"
    assert "Retry-After" not in of_error(Conflict("Busy."), "/x").headers


@pytest.mark.parametrize(
    "text",
    [
        "\ud800",
        "a\udcffb",
        "\udfff\ud800",
        "NUL \x00",
        "escape \x1b[2J",
        'quotes " and \\',
        "line\u2028separator",
        "Å/pixel €",
        "\U0001f600",
        "</script>",
        "x" * 100_000,
    ],
    ids=ascii,
)
def test_any_text_can_be_told(text: str) -> None:
    error = Invalid(text, errors=[FieldError(text, text)], note=text, **{"a": {"b": [text]}})

    body = strictly(of_error(error, f"/api/em/v1/{text}").body)

    assert body["detail"] == body["note"] == body["errors"][0]["field"] == body["errors"][0]["message"] == text
    assert body["a"] == {"b": [text]}


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")], ids=str)
def test_a_number_that_json_does_not_know_breaks_nothing(number: float) -> None:
    error = Invalid("That is no number.", given=number, nested={"list": [number]})

    body = strictly(of_error(error, "/x").body)

    assert body["detail"] == "That is no number."
    assert body["status"] == 422


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, b"bytes", ValueError("x"), 10**400, 1j], ids=lambda v: type(v).__name__
)
def test_any_context_breaks_nothing(value: object) -> None:
    body = strictly(of_error(Invalid("No.", given=value), "/x").body)

    assert body["detail"] == "No."


def test_headers_are_passed_on() -> None:
    response = problem(405, "method-not-allowed", "No.", instance="/x", headers={"Allow": "GET"})

    assert response.headers["Allow"] == "GET"
    assert response.headers["Content-Type"] == MEDIA_TYPE


# Kinds.


def every_error() -> Iterator[type[EMError]]:
    """All errors of the application, found by importing all of it."""
    for module in pkgutil.walk_packages(app.__path__, "app."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found, pending = set(), [EMError]
    while pending:
        error = pending.pop()
        pending += error.__subclasses__()
        if error.__module__.startswith("app."):
            found.add(error)
    return iter(found)


def test_every_kind_is_in_kebab_case_and_there_once() -> None:
    kinds = [error.kind() for error in every_error()]

    assert len(kinds) > 10
    assert [kind for kind in kinds if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", kind)] == []
    assert len(kinds) == len(set(kinds))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (JobsBlockEverything, "jobs-block-everything"),
        (QueueIsFull2Day, "queue-is-full2-day"),
        (NotFound, "not-found"),
        (Invalid, "invalid"),
    ],
)
def test_a_kind_is_its_class(error: type[EMError], kind: str) -> None:
    assert error.kind() == kind


def test_every_error_has_its_meaning_as_its_docstring() -> None:
    without = [error.__name__ for error in every_error() if not (error.__doc__ or "").strip()]

    assert without == []


# A whole application: requests that are not what it expects.


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    size: float
    name: Annotated[str, Field(max_length=99)] = ""

    @field_validator("size")
    @classmethod
    def small(cls, value: float) -> float:
        if value > 10:
            raise ValueError("must be small")
        return value


def make_app() -> FastAPI:
    application = FastAPI()
    faces = Faces(NATIVE)
    faces.install(application)
    application.add_middleware(RequestContext, faces=faces)  # answers what is unexpected

    @application.post("/body")
    async def body(body: Body) -> str:
        return body.name

    @application.get("/query")
    async def query(page: Annotated[int, Query(ge=1, le=10)]) -> int:
        return page

    @application.get("/teapot")
    async def teapot() -> None:
        raise HTTPException(418, "short and stout")

    @application.get("/unexpected")
    async def unexpected() -> None:
        raise RuntimeError("the password is s3cret")

    return application


def ask(
    path: str, body: bytes | None = None, *, media_type: str = "application/json"
) -> tuple[int, dict[str, Any], Any]:
    """Status, headers and body of the answer to one request, read strictly."""
    path, _, query = path.partition("?")
    sent: list[Any] = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET" if body is None else "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(b"host", b"test"), (b"content-type", media_type.encode())],
        "server": ("test", 80),
        "client": ("test", 1),
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body or b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    async def run() -> None:
        await make_app()(scope, receive, send)

    asyncio.run(run())
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, strictly(b"".join(message.get("body", b"") for message in sent[1:]))


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        pytest.param(b"{}", {"size": "Field required"}, id="a field is missing"),
        pytest.param(b'{"size": "x"}', {"size": "Input should be a valid number"}, id="wrong type"),
        pytest.param(b'{"size": 11}', {"size": "must be small"}, id="our own words, without a prefix"),
        pytest.param(b'{"size": 1, "sise": 1}', {"sise": "is not known; check its spelling"}, id="unknown name"),
        pytest.param(b'{"size": 1, "\\ud800": 1}', {"body": "unicode string"}, id="a name that is a lone surrogate"),
        pytest.param(b'{"size": 1, "name": "\\ud800"}', {"name": "unicode string"}, id="a lone surrogate"),
        pytest.param(b'{"size": NaN, "name": 1}', {"name": "valid string"}, id="NaN beside what is refused"),
        pytest.param(b'{"size": Infinity}', {"size": "must be small"}, id="infinity"),
        pytest.param(b'{"size": {"a": NaN}}', {"size": "valid number"}, id="NaN inside what is refused"),
        pytest.param(b'{"size": "\\udfff"}', {"size": "unicode string"}, id="a lone surrogate as a number"),
        pytest.param(b'{"size": ' + b"9" * 400 + b"}", {"size": ""}, id="a very large number"),
        pytest.param(b"[]", {"body": "must be a JSON object"}, id="an array"),
        pytest.param(b'"text"', {"body": "must be a JSON object"}, id="a string"),
        pytest.param(b"1", {"body": "must be a JSON object"}, id="a number"),
        pytest.param(b"true", {"body": "must be a JSON object"}, id="a boolean"),
        pytest.param(b"NaN", {"body": "must be a JSON object"}, id="only NaN"),
        pytest.param(b"null", {"body": ""}, id="null"),
        pytest.param(b"", {"body": ""}, id="nothing"),
        pytest.param(b"{", {"body": "is not valid JSON"}, id="not JSON"),
        pytest.param(b'{"size": 1,}', {"body": "is not valid JSON"}, id="a comma too many"),
    ],
)
def test_a_request_that_is_not_valid_names_its_fields(body: bytes, fields: dict[str, str]) -> None:
    status, headers, answer = ask("/body", body)

    assert status == 422
    assert headers["content-type"] == MEDIA_TYPE
    assert (answer["type"], answer["instance"]) == ("request-invalid", "/body")
    assert [error["field"] for error in answer["errors"]] == list(fields)
    for error in answer["errors"]:
        assert fields[error["field"]] in error["message"]


@pytest.mark.parametrize(
    "body",
    [b"\xff\xfe", b'{"size": "\xff"}', b"\x00", b'{"size":' + b"[" * 100_000 + b"}"],
    ids=["no UTF-8", "no UTF-8 inside", "NUL", "nested too deeply"],
)
def test_a_body_that_cannot_be_read_at_all_is_refused(body: bytes) -> None:
    status, headers, answer = ask("/body", body)

    assert status == answer["status"] == 422
    assert answer["type"] == "request-invalid"
    assert headers["content-type"] == MEDIA_TYPE
    assert [error["field"] for error in answer["errors"]] == ["body"]


def test_a_body_that_is_no_json_by_its_own_words_is_refused() -> None:
    status, _, answer = ask("/body", b'{"size": 1}', media_type="text/plain")

    assert status == 422
    assert answer["errors"] == [
        {"field": "body", "message": "must be a JSON object, sent as application/json"},
    ]


@pytest.mark.parametrize("page", ["0", "-1", "11", "x", "1.5", "", "9" * 400, "NaN", "%00", "%ed%a0%80"])
def test_a_query_that_is_not_valid_names_its_field(page: str) -> None:
    status, _, answer = ask(f"/query?page={page}")

    assert status == 422
    assert [error["field"] for error in answer["errors"]] == ["page"]


def test_inputs_are_never_echoed() -> None:
    _, _, answer = ask("/body", b'{"size": "a secret that was put into the wrong field"}')

    assert "secret" not in json.dumps(answer)


@pytest.mark.parametrize(
    ("path", "body", "status", "kind"),
    [
        ("/nothing", None, 404, "route-not-found"),
        ("/body", None, 405, "method-not-allowed"),
        ("/query", b"{}", 405, "method-not-allowed"),
        ("/teapot", None, 418, "http-error"),
        ("/unexpected", None, 500, "internal-error"),
    ],
)
def test_other_errors_are_problems_too(path: str, body: bytes | None, status: int, kind: str) -> None:
    answered, headers, answer = ask(path, body)

    assert answered == answer["status"] == status
    assert headers["content-type"] == MEDIA_TYPE
    assert (answer["type"], answer["instance"]) == (kind, path)


def test_a_wrong_method_is_told_the_right_one() -> None:
    _, headers, _ = ask("/body")

    assert headers["allow"] == "POST"


def test_an_unexpected_error_leaks_nothing() -> None:
    _, _, answer = ask("/unexpected")

    assert "s3cret" not in json.dumps(answer)
    assert "RuntimeError" not in json.dumps(answer)


# Documentation.


def test_every_operation_documents_what_can_always_happen() -> None:
    documented = responses(404, 409)

    assert list(documented) == [401, 404, 409, 413, 422, 503]
    assert documented[409] == {
        "description": "Conflict",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
