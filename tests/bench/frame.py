"""FastAPI with nothing behind it: what the frame allows where the answers are ready.

Run as a program it serves what lies in a folder, under the same server with the same options as the service.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from fastapi.responses import Response

from app import serving
from tests.bench.serving import Got, Server
from tests.servers.reaper import Reaper

FOLDER = "BENCH_ANSWERS"  # how the workers are told where the answers lie
ROOT = Path(__file__).parents[2]


class Frame(Server):
    """Serves answers that it is given before it starts."""

    def __init__(self, reaper: Reaper, workers: int) -> None:
        super().__init__("frame", reaper)
        self._workers_wanted = workers
        self._folder = reaper.new_folder("answers")

    def command(self) -> list[str]:
        """This module."""
        return [sys.executable, "-m", "tests.bench.frame", str(self.port), str(self._workers_wanted)]

    def environ(self) -> dict[str, str]:
        """The folder, and where this module is found."""
        return {**os.environ, FOLDER: str(self._folder), "PYTHONPATH": str(ROOT)}

    def give(self, number: int, got: Got) -> str:
        """Give the same answer to whoever asks for it; the path to ask for."""
        kept = {name: value for name, value in got.headers.items() if name.lower() in ("content-type", "etag")}
        encoding = {name: value for name, value in got.headers.items() if name.lower() == "content-encoding"}
        (self._folder / f"{number}.body").write_bytes(got.body)
        (self._folder / f"{number}.json").write_text(json.dumps({"status": got.status, "headers": kept | encoding}))
        return f"/{number}"


def app() -> FastAPI:
    """A route for each answer."""
    folder = Path(os.environ[FOLDER])
    made = FastAPI(openapi_url=None)
    made.get("/")(_empty)
    for head in folder.glob("*.json"):
        answer = json.loads(head.read_text())
        route = _route(answer["status"], answer["headers"], head.with_suffix(".body").read_bytes())
        made.get(f"/{head.stem}")(route)
    return made


async def _empty() -> Response:
    return Response()


def _route(status: int, headers: Mapping[str, str], body: bytes) -> Callable[[], Awaitable[Response]]:
    async def answer() -> Response:
        return Response(body, status_code=status, headers=dict(headers))

    return answer


def main() -> None:
    """Serve."""
    port, workers = map(int, sys.argv[1:])
    uvicorn.run(
        "tests.bench.frame:app", factory=True, host="127.0.0.1", port=port, workers=workers, **serving.server_options()
    )


if __name__ == "__main__":
    main()
