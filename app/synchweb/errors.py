"""Errors as SynchWeb's frontend shows them: ``{"status", "message"}``, or ``{"error"}`` where it has to log in again.

It shows ``message`` as it is, either one sentence or one for each field of its form.
"""

from __future__ import annotations

import json
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from app.access.onetime import OnceTokenInvalid
from app.errors import BehindTheEnd, EMError, Forbidden, NotAuthenticated, NotFound, TooLarge, Unavailable
from app.http.faces import Face
from app.http.problems import headers_of
from app.synchweb.forms import FormInvalid

NOT_YOURS = "This belongs to a visit that you are not on. Ask your local contact to add you to it."


def of_error(error: EMError, path: str) -> Response:
    """``EM.php`` answered 400 where HTTP says 404, 409 or 422; the frontend knows it so."""
    if isinstance(error, NotAuthenticated):
        # 401 makes the frontend show its login page, which a link that was used up does not call for.
        once = isinstance(error, OnceTokenInvalid)
        status = 400 if once else 401
        return _answer(status, {"error": error.detail}, headers_of(error, status))
    if isinstance(error, NotFound) and error.hidden:
        return refusal(403, NOT_YOURS)
    if isinstance(error, Forbidden):
        return refusal(403, error.detail)
    if isinstance(error, Unavailable):
        return refusal(503, error.detail, headers_of(error, 503))
    if isinstance(error, TooLarge):
        return refusal(413, error.detail)
    if isinstance(error, BehindTheEnd):
        return refusal(416, error.detail, headers_of(error, 416))
    if isinstance(error, FormInvalid):
        return refusal(400, {field.field: field.message for field in error.errors})
    return refusal(400, error.detail)


def of_validation(error: RequestValidationError, path: str) -> Response:
    """Ids and forms are read by the routes themselves; what is left is a request that no client of SynchWeb sends."""
    return refusal(400, "The request is not valid.")


def of_http(error: HTTPException, path: str) -> Response:
    """``EM.php`` knew addresses with their method, so a wrong method is an address that is not there."""
    status = 404 if error.status_code in (404, 405) else error.status_code
    message = "There is nothing at this address." if status == 404 else "The request could not be read."
    return refusal(status, message)


def of_unexpected(path: str) -> Response:
    """It tells nothing of what happened inside; the log does."""
    return refusal(500, "It failed in a way it should not. Tell the facility's staff.")


def refusal(status: int, message: str | dict[str, str], headers: dict[str, str] | None = None) -> Response:
    """An error in the form that the frontend shows."""
    return _answer(status, {"status": status, "message": message}, headers)


def _answer(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    # A lone surrogate that a client sent cannot be UTF-8, and must not spoil the answer.
    content = json.dumps(body, ensure_ascii=False).encode("utf-8", "backslashreplace")
    return Response(content, status, media_type="application/json", headers=headers)


FACE = Face(of_error, of_validation, of_http, of_unexpected)
