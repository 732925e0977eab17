"""Two APIs in one application: each says in its own form what went wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from app.errors import EMError


@dataclass(frozen=True)
class Face:
    """How one API answers errors. Each function takes the request's path last."""

    of_error: Callable[[EMError, str], Response]
    of_validation: Callable[[RequestValidationError, str], Response]
    of_http: Callable[[HTTPException, str], Response]
    of_unexpected: Callable[[str], Response]


@dataclass(frozen=True)
class Faces:
    """Which API a path belongs to: the one with the longest prefix, also where no route matches."""

    default: Face
    by_prefix: Mapping[str, Face] = field(default_factory=dict)

    def of(self, path: str) -> Face:
        """The face that answers here."""
        prefixes = [prefix for prefix in self.by_prefix if f"{path}/".startswith(prefix)]
        return self.by_prefix[max(prefixes, key=len)] if prefixes else self.default

    def install(self, app: FastAPI) -> None:
        """Answer every error of the application in the form of the API that was asked."""

        async def em_error(request: Request, error: Exception) -> Response:
            assert isinstance(error, EMError)
            return self.of(request.url.path).of_error(error, request.url.path)

        async def validation(request: Request, error: Exception) -> Response:
            assert isinstance(error, RequestValidationError)
            return self.of(request.url.path).of_validation(error, request.url.path)

        async def http(request: Request, error: Exception) -> Response:
            assert isinstance(error, HTTPException)
            return self.of(request.url.path).of_http(error, request.url.path)

        app.add_exception_handler(EMError, em_error)
        app.add_exception_handler(RequestValidationError, validation)
        app.add_exception_handler(HTTPException, http)
