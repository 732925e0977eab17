"""Polls: the same person asks for the same thing again and again, and mostly nothing has changed.

Within a moment (``EM_SHARE_SECONDS``) an answer that was just given is given again to whoever asks with the same token;
of those who ask at once, one looks. Whatever is written through this service, by any of its workers, ends the moment,
so that who has just written is never told what was before. A client that has the answer already is told so (304).
"""

from __future__ import annotations

import asyncio
import hashlib
import mmap
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.access import onetime
from app.http.packing import accepts_gzip

MOST = 32_000_000  # bytes kept by one worker; when there are more, all are forgotten
AROUND = 1_000  # bytes that an answer takes beside its body
PATIENCE = 2.0  # seconds to wait for somebody else's look before one looks oneself
OF_BODY = (b"content-length", b"content-type", b"content-encoding")  # headers that go where no body is sent
SAYS_WHO = (b"authorization", b"host", b"origin")  # the headers by which a person is known
WRITES = re.compile("/(relion|scipion)/stop/")  # SynchWeb stops jobs with a GET


async def polled(request: Request) -> None:
    """A dependency of routes whose answers are asked for again and again."""
    if (begin := request.scope.get("polls")) is not None:
        begin()


class Changes:
    """A mark that changes with whatever is written through this service, shared by all workers of one ``serve``.

    Args:
        folder: of the workers' own; ``None`` for a single one.
    """

    def __init__(self, folder: str | None) -> None:
        if folder is None:
            self._mark = mmap.mmap(-1, 8)
            return
        with (Path(folder) / "changes").open("a+b") as file:
            file.truncate(8)
            self._mark = mmap.mmap(file.fileno(), 8)

    def note(self) -> None:
        """Something was written. Random, so that workers need not agree on a number."""
        self._mark[:] = os.urandom(8)

    def seen(self) -> bytes:
        """The mark as it is now."""
        return self._mark[:]


Asked: TypeAlias = tuple[bytes | bool, ...]


@dataclass(frozen=True)
class Kept:
    """An answer, when it was found, and the mark from before it was looked for."""

    at: float
    mark: bytes
    headers: list[tuple[bytes, bytes]]
    etag: bytes
    body: bytes
    route: object


class Polls:
    """The middleware that does so. Inside of the one that logs, so that each poll has its line."""

    def __init__(
        self, app: ASGIApp, seconds: float, changes: Changes, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._app = app
        self._seconds = seconds
        self._changes = changes
        self._clock = clock
        self._kept: dict[Asked, Kept] = {}
        self._bytes = 0
        self._tidied = clock()
        self._looking: dict[Asked, asyncio.Event] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["method"] not in ("GET", "HEAD") or WRITES.search(scope["path"]):
            await self._app(scope, receive, self._noting(send))
        elif scope["method"] == "GET" and f"{onetime.PARAMETER}=".encode() not in scope["query_string"]:
            await self._poll(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _noting(self, send: Send) -> Send:
        async def note(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._changes.note()  # before the answer, so that whoever has it is told of no time before
            await send(message)

        return note

    async def _poll(self, scope: Scope, receive: Receive, send: Send) -> None:
        who = {name: value for name, value in scope["headers"] if name in SAYS_WHO}
        packed = accepts_gzip(Headers(scope=scope).get("accept-encoding", ""))
        asked = (scope["raw_path"], scope["query_string"], packed, *(who.get(name, b"") for name in SAYS_WHO))
        kept = self._fresh(asked)
        if kept is None and (somebody := self._looking.get(asked)) is not None:
            try:
                await asyncio.wait_for(somebody.wait(), PATIENCE)
            except TimeoutError:
                pass
            kept = self._fresh(asked)
        if kept is not None:
            scope["route"] = kept.route
            await _answer(kept, scope, send)
            return
        done = asyncio.Event()

        def begin() -> None:
            """The route is one that is polled: whoever asks the same meanwhile may wait for this answer."""
            scope["polled"] = True
            self._looking.setdefault(asked, done)

        scope["polls"] = begin
        try:
            await self._look(asked, scope, receive, send)
        finally:
            done.set()
            if self._looking.get(asked) is done:
                del self._looking[asked]

    def _fresh(self, asked: Asked) -> Kept | None:
        kept = self._kept.get(asked)
        if kept is None or kept.mark != self._changes.seen() or self._clock() - kept.at >= self._seconds:
            return None
        return kept

    async def _look(self, asked: Asked, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer; keep the answer if its route is polled and all went well."""
        mark = self._changes.seen()
        start: Message | None = None
        chunks: list[bytes] = []

        async def collect(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and scope.get("polled") and message["status"] == 200:
                start = message
            elif start is None:
                await send(message)
            else:
                chunks.append(message.get("body", b""))

        await self._app(scope, receive, collect)
        if start is None:
            return
        body = b"".join(chunks)
        headers = [header for header in start["headers"] if header[0] != b"etag"]
        etag = dict(start["headers"]).get(b"etag") or f'W/"{hashlib.blake2b(body).hexdigest()[:24]}"'.encode()
        kept = Kept(self._clock(), mark, headers, etag, body, scope.get("route"))
        if self._seconds:
            self._keep(asked, kept)
        await _answer(kept, scope, send)

    def _keep(self, asked: Asked, kept: Kept) -> None:
        if kept.at - self._tidied >= self._seconds:  # what is of no use any more may be long, and asked for no more
            self._kept = {one: before for one, before in self._kept.items() if kept.at - before.at < self._seconds}
            self._bytes = sum(len(before.body) + AROUND for before in self._kept.values())
            self._tidied = kept.at
        before = self._kept.pop(asked, None)
        self._bytes += len(kept.body) - len(before.body) if before else len(kept.body) + AROUND
        if self._bytes > MOST:
            self._kept.clear()
            self._bytes = len(kept.body) + AROUND
        self._kept[asked] = kept


async def _answer(kept: Kept, scope: Scope, send: Send) -> None:
    # A browser has to ask each time; nobody between may keep it for others.
    headers = [*kept.headers, (b"etag", kept.etag), (b"cache-control", b"private, no-cache")]
    known = Headers(scope=scope).get("if-none-match")
    if known is not None and (known.strip() == "*" or _tag(kept.etag.decode()) in map(_tag, known.split(","))):
        headers = [header for header in headers if header[0] not in OF_BODY]
        await send({"type": "http.response.start", "status": 304, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
        return
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": kept.body})


def _tag(text: str) -> str:
    """A tag without its mark of weakness: both kinds are compared alike here."""
    return text.strip().removeprefix("W/")
