"""Errors as ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from app.errors import (
    BehindTheEnd,
    Conflict,
    EMError,
    FieldError,
    Forbidden,
    Invalid,
    NotAuthenticated,
    NotFound,
    TooLarge,
    Unavailable,
)
from app.http.faces import Face

MEDIA_TYPE = "application/problem+json"
STATUS: tuple[tuple[type[EMError], int], ...] = (  # the first that fits
    (NotAuthenticated, 401),
    (NotFound, 404),
    (Forbidden, 403),
    (Conflict, 409),
    (TooLarge, 413),
    (BehindTheEnd, 416),
    (Invalid, 422),
    (Unavailable, 503),
)


class FieldProblem(BaseModel):
    """One field that is wrong."""

    field: str
    message: str


class Problem(BaseModel):
    """What went wrong and what to do about it. ``type`` is stable; further members depend on it."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[FieldProblem] | None = None


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of an operation, for its documentation."""
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": REFERENCE}}}
        for status in sorted({*statuses, 401, 413, 422, 503})
    }


REFERENCE = {"$ref": "#/components/schemas/Problem"}


def problem(
    status: int,
    kind: str,
    detail: str,
    *,
    instance: str,
    errors: tuple[FieldError, ...] = (),
    context: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """One problem, ready to send. Text that cannot be UTF-8 (a lone surrogate that a client sent) is escaped."""
    title = kind.replace("-", " ").capitalize()
    body: dict[str, Any] = {"type": kind, "title": title, "status": status, "detail": detail, "instance": instance}
    if errors:
        body["errors"] = [{"field": error.field, "message": error.message} for error in errors]
    try:
        text = json.dumps(body | (context or {}), ensure_ascii=False, allow_nan=False, default=str)
    except ValueError:  # a context that JSON cannot tell, such as NaN, must not spoil the answer
        text = json.dumps(body, ensure_ascii=False)
    content = text.encode("utf-8", "backslashreplace")
    return Response(content, status, media_type=MEDIA_TYPE, headers=headers)


def of_error(error: EMError, instance: str) -> Response:
    """A problem that tells this error."""
    status = next((status for family, status in STATUS if isinstance(error, family)), 500)
    headers = headers_of(error, status)
    return problem(
        status,
        error.kind(),
        error.detail,
        instance=instance,
        errors=error.errors,
        context=error.context,
        headers=headers,
    )


def headers_of(error: EMError, status: int) -> dict[str, str] | None:
    """What HTTP wants beside an error, whichever face answers it."""
    if isinstance(error, BehindTheEnd):
        return {"Content-Range": f"bytes */{error.context['fileSize']}"}
    return {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "5"}}.get(status)


def of_validation(error: RequestValidationError, instance: str) -> Response:
    """A problem that names the fields that could not be read."""
    # The inputs themselves are never echoed: NaN or a lone surrogate would spoil the answer.
    errors = tuple(FieldError(_field(item["loc"]), _message(item)) for item in error.errors())
    return problem(
        422,
        "request-invalid",
        "The request is not valid. Nothing was changed; correct the fields named and send it again.",
        instance=instance,
        errors=errors,
    )


def _field(location: tuple[Any, ...]) -> str:
    """A field as the client wrote it; for the body as a whole, or for JSON that cannot be read, ``body``."""
    where, *rest = location
    if where == "body" and (not rest or isinstance(rest[0], int)):
        return "body"
    return ".".join(str(part)[:100] for part in rest) or str(where)


def _message(item: dict[str, Any]) -> str:
    if item["type"] == "extra_forbidden":
        return "is not known; check its spelling"
    if item["type"] == "json_invalid":
        return f"is not valid JSON: {item.get('ctx', {}).get('error', '')}"
    if item["type"] in ("model_attributes_type", "dict_type", "model_type") and item["loc"] == ("body",):
        return "must be a JSON object, sent as application/json"
    return str(item["msg"]).removeprefix("Value error, ")


def of_http(error: HTTPException, instance: str) -> Response:
    """A problem for what the framework refused: no such address or method, a body that cannot be read."""
    kinds = {400: "request-invalid", 404: "route-not-found", 405: "method-not-allowed"}
    kind = kinds.get(error.status_code, "http-error")
    detail = {
        400: "The body could not be read as JSON.",
        404: "There is nothing at this address. The document at /api/em/v1/openapi.json lists what there is.",
        405: "This address does not answer that method. /api/em/v1/openapi.json says which it does.",
    }.get(error.status_code, str(error.detail))
    # FastAPI answers 400 where a body cannot be read at all, and 422 where it can: to us both are one kind.
    status = 422 if error.status_code == 400 else error.status_code
    errors = (FieldError("body", "is not valid JSON"),) if error.status_code == 400 else ()
    return problem(status, kind, detail, instance=instance, errors=errors, headers=dict(error.headers or {}))


def of_unexpected(instance: str) -> Response:
    """A problem that tells nothing of what happened inside; the log does."""
    return problem(
        500,
        "internal-error",
        "It failed in a way it should not. Tell the facility's staff the X-Request-ID; the log has the details.",
        instance=instance,
    )


NATIVE = Face(of_error, of_validation, of_http, of_unexpected)
