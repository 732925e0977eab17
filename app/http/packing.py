"""Long answers, compressed for those who can read that.

In the thread that made them, so that nobody else waits meanwhile, and kept like that for who asks again.
"""

from __future__ import annotations

import gzip
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import Request, Response

AT_ONCE = 2  # answers that are written in one worker
PATIENCE = 5.0  # seconds to wait for one's turn
LEAST = 10_000  # bytes; to compress fewer costs more than to send them
LEVEL = 1  # of a series it leaves a fifth in 40 ms; level 6 leaves a seventh, and takes 105 ms


_writing = threading.BoundedSemaphore(AT_ONCE)


@contextmanager
def few_at_once() -> Iterator[None]:
    """While a very long answer is put together, which takes tens of megabytes.

    Python writes one at a time whatever is begun. Who has waited for too long goes on all the same.
    """
    mine = _writing.acquire(timeout=PATIENCE)
    try:
        yield
    finally:
        if mine:
            _writing.release()


def packed(request: Request, content: bytes) -> Response:
    """An answer of JSON, compressed if it is long and the client says that it may be."""
    headers = {"vary": "accept-encoding"}
    if len(content) >= LEAST and accepts_gzip(request.headers.get("accept-encoding", "")):
        content, headers["content-encoding"] = gzip.compress(content, LEVEL, mtime=0), "gzip"
    return Response(content, media_type="application/json", headers=headers)


def accepts_gzip(header: str) -> bool:
    """Whether an ``Accept-Encoding`` names it, and not to exclude it (``gzip;q=0``)."""
    for offered in header.lower().split(","):
        name, _, parameters = offered.partition(";")
        if name.strip() == "gzip":
            return re.search(r"(^|;)\s*q\s*=\s*0(\.0*)?\s*(;|$)", parameters) is None
    return False
