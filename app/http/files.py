"""Answers that are files: what may be kept, what has changed, and which part was asked for.

Starlette's own ``FileResponse`` looks at files in the threads that answer requests, and a file system that hangs would
use them up. Ours are read by bounded looks.
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator
from email.utils import formatdate, parsedate_to_datetime
from functools import cache
from importlib import resources as package
from pathlib import PurePosixPath
from urllib.parse import quote

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response, StreamingResponse
from starlette.types import Send

from app.errors import BehindTheEnd
from app.filesystem import served
from app.filesystem.looks import NoAnswer
from app.filesystem.served import CHUNK, File, FileChanged, FileMissing, FileUnavailable
from app.resources import Resources

log = logging.getLogger(__name__)

FORTNIGHT = 14 * 24 * 60 * 60  # seconds
KEPT = f"private, max-age={FORTNIGHT}"
ASKED_AGAIN = "private, no-cache"  # kept, but the server is asked each time whether it has changed


def image(request: Request, resources: Resources, path: str | None, what: str) -> Response:
    """An image that ISPyB names.

    Args:
        what: what it is of, for the log and for a person.

    Raises:
        FileMissing, FileUnavailable: it cannot be shown.
    """
    return _answer(request, resources, _get(resources, path, what), _media_type("image", path), KEPT, {})


def image_or_placeholder(request: Request, resources: Resources, path: str | None, what: str) -> Response:
    """An image that ISPyB names, or a neutral one in its place.

    SynchWeb's pages need one: after an error they go on showing the image before, under the new number.
    """
    try:
        return image(request, resources, path, what)
    except (FileMissing, FileUnavailable):
        return placeholder()


def attachment(request: Request, resources: Resources, path: str | None, what: str) -> Response:
    """A file that ISPyB names, to be saved under its own name.

    Raises:
        FileMissing, FileUnavailable: it cannot be had.
    """
    file = _get(resources, path, what)
    headers = {"Content-Disposition": disposition(PurePosixPath(file.path).name)}
    return _answer(request, resources, file, _media_type("application", path), ASKED_AGAIN, headers)


def placeholder() -> Response:
    """What stands for an image that is not there. It is not kept: the image may come."""
    return Response(_placeholder(), media_type="image/png", headers={"Cache-Control": "no-store", **SAFE})


SAFE = {"X-Content-Type-Options": "nosniff"}


@cache
def _placeholder() -> bytes:
    return package.files("app.http").joinpath("no_image.png").read_bytes()


def disposition(name: str) -> str:
    """A header that makes a browser save a file under this name, whatever signs the name has."""
    name = re.sub(r"[\x00-\x1f\x7f]", "_", name)
    plain = re.sub(r"[^A-Za-z0-9 ._,+=@()-]", "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='', errors='replace')}"


def _get(resources: Resources, path: str | None, what: str) -> File:
    return served.get(resources.looks, resources.settings.roots, path, what)


def _media_type(kind: str, path: str | None) -> str:
    extension = PurePosixPath(path or "").suffix.removeprefix(".")
    return f"{kind}/{extension}" if re.fullmatch(r"[A-Za-z0-9]{1,20}", extension) else "application/octet-stream"


def _answer(
    request: Request, resources: Resources, file: File, media_type: str, cache_control: str, more: dict[str, str]
) -> Response:
    headers = {
        "ETag": f'"{file.modified_ns:x}-{file.size:x}"',
        "Cache-Control": cache_control,
        "Accept-Ranges": "bytes",
        **SAFE,
        **more,
    }
    if (modified := _http_date(file)) is not None:
        headers["Last-Modified"] = modified
    if _not_modified(request, file, headers):
        return Response(status_code=304, headers=headers)
    start, end, status = 0, file.size, 200
    asked = _range(request, file, headers)
    if asked is not None:
        start, end = asked
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.size}"
        status = 206
        if start >= end:
            raise BehindTheEnd(
                f"The file has {file.size} bytes; what was asked for lies behind them.", fileSize=file.size
            )
    if file.content is not None:
        return Response(file.content[start:end], status, headers, media_type)
    headers["Content-Length"] = str(end - start)
    return _Stream(resources, file, start, end, status, headers, media_type)


class _Stream(StreamingResponse):
    """A large file, part by part, each read by a look of its own."""

    def __init__(
        self,
        resources: Resources,
        file: File,
        start: int,
        end: int,
        status_code: int,
        headers: dict[str, str],
        media_type: str,
    ) -> None:
        super().__init__(self._parts(resources, file, start, end), status_code, headers, media_type)

    @staticmethod
    async def _parts(resources: Resources, file: File, start: int, end: int) -> AsyncIterator[bytes]:
        while start < end:
            length = min(CHUNK, end - start)
            yield await run_in_threadpool(served.read, resources.looks, resources.settings.roots, file, start, length)
            start += length

    async def stream_response(self, send: Send) -> None:
        """Send it. Where it cannot be read to its end, the server cuts the connection: the status has been sent."""
        try:
            await super().stream_response(send)
        except (NoAnswer, FileChanged, OSError) as error:
            log.warning("a file was cut off while it was sent: %s", error)


def _http_date(file: File) -> str | None:
    try:
        return formatdate(file.modified_ns // 10**9, usegmt=True)
    except (ValueError, OverflowError, OSError):
        return None  # a file of the year 10000


def _not_modified(request: Request, file: File, headers: dict[str, str]) -> bool:
    if (known := request.headers.get("if-none-match")) is not None:
        return known.strip() == "*" or headers["ETag"] in re.findall(r'"[^"]*"', known)
    since = _seconds(request.headers.get("if-modified-since"))
    return since is not None and "Last-Modified" in headers and file.modified_ns // 10**9 <= since


def _range(request: Request, file: File, headers: dict[str, str]) -> tuple[int, int] | None:
    """The part that was asked for, from and up to; empty if there is no such part; ``None`` for the whole file."""
    match = re.fullmatch(r"bytes=\s*([0-9]{0,18})-([0-9]{0,18})\s*", request.headers.get("range", "").lower())
    if match is None or not any(match.groups()):
        return None  # none, several, or one that cannot be read: such a header is ignored
    condition = request.headers.get("if-range")
    if condition is not None and condition not in (headers["ETag"], headers.get("Last-Modified")):
        return None
    first, last = match[1], match[2]
    if not first:
        return max(0, file.size - int(last)), file.size
    if last and int(last) < int(first):
        return None
    return int(first), min(int(last) + 1, file.size) if last else file.size


def _seconds(date: str | None) -> float | None:
    if date is None:
        return None
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
