"""How answers to SynchWeb are sent, and what the API's document says of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from fastapi.responses import JSONResponse, Response

from app.access import onetime
from app.errors import NotFound
from app.http import files
from app.synchweb.asking import MOST_PER_PAGE, PER_PAGE, Asked

T = TypeVar("T")

# Bodies of errors, by their names in the document.
SCHEMAS: dict[str, dict[str, Any]] = {
    "SynchWebError": {
        "type": "object",
        "required": ["status", "message"],
        "properties": {
            "status": {"type": "integer"},
            "message": {
                "description": "a sentence, or one for each field of a form",
                "anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": {"type": "string"}}],
            },
        },
    },
    "SynchWebLogIn": {
        "type": "object",
        "required": ["error"],
        "properties": {"error": {"type": "string", "description": "why the token is not good"}},
    },
}
ERROR, LOG_IN = ({"$ref": f"#/components/schemas/{name}"} for name in SCHEMAS)
BINARY = {"schema": {"type": "string", "format": "binary"}}
IMAGE = {"image/png": BINARY, "image/jpeg": BINARY}  # image/ with the extension of the file, whichever it is
FILE = {"application/octet-stream": BINARY}


def documented(example: Any) -> dict[int | str, dict[str, Any]]:
    """The answers of an operation that answers JSON, with an example of the good one."""
    good = {"content": {"application/json": {"schema": {}, "example": example}}, "description": "As EM.php answered"}
    return {200: good} | errors()


def documented_file(content: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    """The answers of an operation that answers a file."""
    return {200: {"content": content, "description": "The file"}} | errors()


def errors() -> dict[int | str, dict[str, Any]]:
    """What every operation of this face may answer when it does not do what was asked."""
    either = {"anyOf": [ERROR, LOG_IN]}
    answers: dict[int | str, dict[str, Any]] = {
        400: refused("What was asked for is not there, or cannot be done; or a one-time token is not good", either),
        403: refused("Of a visit that the person is not on"),
        404: refused("No such address: the method is another, or something else stands where a number or a name does"),
    }
    return answers | not_served()


def not_served() -> dict[int | str, dict[str, Any]]:
    """What is answered before it is known what was asked."""
    return {401: refused("Log in", LOG_IN), 503: refused("The database does not answer")}


def refused(description: str, schema: dict[str, Any] = ERROR) -> dict[str, Any]:
    """An error answer of an operation."""
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def body(properties: dict[str, Any], example: dict[str, Any], *arguments: dict[str, Any]) -> dict[str, Any]:
    """What a post's document says of its body; the route reads it as ``EM.php`` did.

    Args:
        arguments: those of its query.
    """
    schema = {"type": "object", "properties": {**properties, "prop": {"type": "string"}}}
    content = {"application/json": {"schema": schema, "example": {**example, "prop": "cm28212"}}}
    extra: dict[str, Any] = {"requestBody": {"content": content}, "responses": {"413": refused("The body is too long")}}
    return {**extra, "parameters": list(arguments)} if arguments else extra


def argument(
    name: str, kind: str, description: str, *, example: Any = None, required: bool = False, **schema: Any
) -> dict[str, Any]:
    """An argument of a query, for the document only: routes read them as ``EM.php`` did, and refuse none."""
    out = {"name": name, "in": "query", "required": required, "schema": {"type": kind, **schema}}
    return {**out, "description": description} | ({} if example is None else {"example": example})


def query(*arguments: dict[str, Any]) -> dict[str, Any]:
    """What a get's document says of its query: the proposal, and these."""
    return {"parameters": [NAMED, *arguments]}


NAMED = argument(
    "prop", "string", "the proposal that is asked about; what belongs to another is refused", example="cm28212"
)
PAGING = (
    argument("page", "integer", "which page, from 1", default=1, minimum=1),
    argument("currentPage", "integer", "another name of `page`, and wins over it", minimum=1),
    argument("per_page", "integer", "rows on a page", default=PER_PAGE, minimum=1, maximum=MOST_PER_PAGE),
    argument("pageSize", "integer", "another name of `per_page`, and wins over it", minimum=1, maximum=MOST_PER_PAGE),
)
TOKEN = argument(
    onetime.PARAMETER, "string", "a one-time token: a browser that opens this as a page of its own sends no header"
)
PROP = query()
OPENED = query(TOKEN)


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


def download(asked: Asked, path: str | None, what: str) -> Response:
    """A file to be saved."""
    return files.attachment(asked.request, asked.resources, path, what)
