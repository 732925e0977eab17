"""How answers to SynchWeb are sent, and what the API's document says of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from fastapi.responses import JSONResponse, Response

from app.errors import NotFound
from app.http import files
from app.synchweb.asking import Asked

T = TypeVar("T")

ERROR = {
    "type": "object",
    "properties": {
        "status": {"type": "integer"},
        "message": {
            "description": "a sentence, or one for each field of a form",
            "anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": {"type": "string"}}],
        },
    },
}
LOG_IN = {"type": "object", "properties": {"error": {"type": "string"}}}
IMAGE = {"image/*": {"schema": {"type": "string", "format": "binary"}}}
FILE = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}


def documented(example: Any) -> dict[int | str, dict[str, Any]]:
    """The answers of an operation that answers JSON, with an example of the good one."""
    good = {"content": {"application/json": {"schema": {}, "example": example}}, "description": "As EM.php answered"}
    return {200: good} | errors()


def documented_file(content: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    """The answers of an operation that answers a file."""
    return {200: {"content": content, "description": "The file"}} | errors()


def errors() -> dict[int | str, dict[str, Any]]:
    """What every operation of this face may answer when it does not do what was asked."""
    answers: dict[int | str, dict[str, Any]] = {
        400: _refusal("What was asked for is not there, or cannot be done; or a one-time token is not good"),
        401: {"description": "Log in", "content": {"application/json": {"schema": LOG_IN}}},
        403: _refusal("Of a visit that the person is not on"),
        503: _refusal("The database does not answer"),
    }
    return answers


def _refusal(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": ERROR}}}


def body(properties: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    """What a post's document says of its body; the route reads it as ``EM.php`` did."""
    schema = {"type": "object", "properties": {**properties, "prop": {"type": "string"}}}
    return {
        "requestBody": {"content": {"application/json": {"schema": schema, "example": {**example, "prop": "cm28212"}}}}
    }


PROP = {
    "parameters": [
        {
            "name": "prop",
            "in": "query",
            "required": False,
            "schema": {"type": "string"},
            "description": "the proposal that is asked about; what belongs to another is refused",
            "example": "cm28212",
        }
    ]
}


def answer(content: Any) -> JSONResponse:
    """A good answer, as it is: FastAPI's own encoder would walk over it once more."""
    return JSONResponse(content)


def or_nothing(find: Callable[[], T], nothing: T) -> T:
    """What was found; of what is not there at all, ``nothing``: ``EM.php``'s lists had no error for it."""
    try:
        return find()
    except NotFound as error:
        if error.hidden:
            raise
        return nothing


def image(asked: Asked, path: str | None, what: str) -> Response:
    """An image, or a placeholder where there is none that can be shown."""
    return files.image_or_placeholder(asked.request, asked.resources, path, what)


def download(asked: Asked, path: str | None) -> Response:
    """A file to be saved."""
    return files.attachment(asked.request, asked.resources, path, "attachment")
