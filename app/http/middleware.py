"""What happens around every request: a bounded body, an id, a line in the log and a place in the metrics."""

from __future__ import annotations

import logging
import re
import time
import uuid

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import metrics
from app.errors import FieldError, TooLarge
from app.http.faces import Faces
from app.logging import request_id

log = logging.getLogger("app.access_log")

MAX_BODY = 1_000_000  # bytes


class RequestContext:
    """Gives each request an id (``X-Request-ID``, the proxy's own if it sends one), logs and counts it."""

    def __init__(self, app: ASGIApp, faces: Faces) -> None:
        self._app = app
        self._faces = faces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin1")
        ident = given if re.fullmatch(r"[\w.-]{1,64}", given, re.ASCII) else uuid.uuid4().hex[:16]
        token = request_id.set(ident)
        begun = time.perf_counter()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), (b"x-request-id", ident.encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            # Here and not in a handler of the application's, which would be outside of this and know no id.
            log.exception("unexpected error")
            if status:
                raise
            await self._faces.of(scope["path"]).of_unexpected(scope["path"])(scope, receive, send_with_id)
        finally:
            seconds = time.perf_counter() - begun
            route = getattr(scope.get("route"), "path", "unmatched")
            metrics.requests.labels(scope["method"], route, status).observe(seconds)
            if route not in ("/healthz", "/readyz", "/metrics"):
                # The path as it was sent: decoded, it may contain a newline and a line of its own.
                path = scope["raw_path"].decode("latin1")
                log.info("%s %s %d %.0f ms", scope["method"], path, status, seconds * 1000)
            request_id.reset(token)


class BoundedBody:
    """Refuses bodies above ``MAX_BODY`` before they are read, or as soon as they turn out to be longer.

    FastAPI's own ``max_body_size`` answers in plain text, and does not see the bodies that a route ignores.
    """

    def __init__(self, app: ASGIApp, faces: Faces) -> None:
        self._app = app
        self._faces = faces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and int(length) > MAX_BODY:
            await self._refuse(scope, receive, send)
            return
        # Read it here: a body without a length would otherwise be known too late to refuse it in our own words.
        chunks, size, more = [], 0, True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > MAX_BODY:
                await self._refuse(scope, receive, send)
                return
            chunks.append(chunk)
            more = message.get("more_body", False)
        body: Message = {"type": "http.request", "body": b"".join(chunks), "more_body": False}
        pending = [body]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        await self._app(scope, replay, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        error = TooLarge(
            f"The body is larger than {MAX_BODY:,} bytes. A launch needs a few hundred.",
            errors=[FieldError("body", f"must not be larger than {MAX_BODY:,} bytes")],
        )
        await self._faces.of(scope["path"]).of_error(error, scope["path"])(scope, receive, send)
