"""A real HTTP server that plays recorded answers, and the answers."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, NamedTuple

PREFIX = "/api/em/v1"
GUID = "8e03978e-40d5-43dd-bc93-6894a57f9324"
RESULTS = f"/dls/m12/data/2021/cm28212-1/processed/raw/Frames_1/{GUID}"
NOON = "2021-02-25T12:00:00+00:00"


class Answer(NamedTuple):
    """What the server does when it is asked."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = MappingProxyType({})
    dropped: bool = False
    silent: bool = False


DROPPED = Answer(dropped=True)
SILENT = Answer(silent=True)


class Asked(NamedTuple):
    """What the server was asked."""

    request: str
    headers: dict[str, str]
    body: Any


class PlayedService:
    """Plays the answers that were prepared for a request, in turn; the last of them again and again."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._answers: dict[str, list[Answer]] = defaultdict(list)
        self._ended = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = False  # closing waits for them, so that none outlives its test
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.005})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def plays(self, request: str, *answers: Answer | dict[str, Any]) -> None:
        """Prepare answers; a plain body is a 200."""
        self._answers[request] += [answer if isinstance(answer, Answer) else Answer(200, answer) for answer in answers]

    def bodies(self, method: str = "POST") -> list[Any]:
        """The bodies of all requests with this method."""
        return [asked.body for asked in self.asked if asked.request.startswith(method)]

    def keys(self) -> list[str]:
        """The idempotency keys that were sent."""
        return [asked.headers["Idempotency-Key"] for asked in self.asked if "Idempotency-Key" in asked.headers]

    def close(self) -> None:
        """End, also what hangs."""
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _next(self, request: str) -> Answer:
        answers = self._answers[request]
        if not answers:
            return problem(404, "route-not-found", f"The test has prepared nothing for {request}.")
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def _handler(played) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - 'self' is the handler
        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                request = f"{self.command} {self.path.removeprefix(PREFIX)}"
                content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                body = json.loads(content) if content else None
                played.asked.append(Asked(request, dict(self.headers), body))
                answer = played._next(request)
                if answer.silent:
                    played._ended.wait(10)
                if answer.silent or answer.dropped:
                    return
                text = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_POST = answer  # noqa: N815 - http.server wants these names

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler


def problem(status: int, kind: str, detail: str, **context: Any) -> Answer:
    """An answer as ``application/problem+json``."""
    body = {"type": kind, "title": kind, "status": status, "detail": detail, "instance": "/", **context}
    return Answer(status, body, {"Content-Type": "application/problem+json"})


def job(number: int = 5, state: str = "running", **changes: Any) -> dict[str, Any]:
    """A job that was launched here."""
    return {
        "processingJobId": number,
        "dataCollectionId": 18,
        "visit": "cm28212-1",
        "recipe": "relion",
        "displayName": "RELION",
        "comments": None,
        "automatic": False,
        "recordTimestamp": NOON,
        "state": state,
        "since": NOON,
        "reason": f"It is {state}.",
        "blocking": state not in ("succeeded", "failed", "stopped"),
        "launch": {
            "guid": GUID,
            "resultsDirectory": RESULTS,
            "launchedBy": "abc12345",
            "launchedAt": NOON,
            "face": "native",
            "replaces": [],
        },
        "message": {"state": "sent", "queuedAt": NOON, "attempts": 1, "sentAt": NOON, "lastError": None},
        "resends": [],
        "stop": None,
        "sentinels": {"checked": "not-looked", "files": [], "seenRunningAt": None},
        "programs": [],
        "warnings": [],
        **changes,
    }


def program(status: int | None = None, **changes: Any) -> dict[str, Any]:
    """A program that has started."""
    return {
        "autoProcProgramId": 77,
        "parentAutoProcProgramId": None,
        "processingPrograms": "relion",
        "processingStatus": status,
        "processingMessage": None,
        "processingStartTime": "2021-02-25T12:01:00+00:00",
        "processingEndTime": None,
        "recordTimeStamp": NOON,
        **changes,
    }


def launched(number: int = 6, **changes: Any) -> Answer:
    """A launch that was accepted."""
    body = {
        "processingJobId": number,
        "dataCollectionId": 18,
        "dataCollectionCreated": False,
        "guid": GUID,
        "resultsDirectory": RESULTS,
        "stoppedJobs": [],
        "state": "pending",
        "warnings": [],
        "links": {},
        **changes,
    }
    return Answer(202, body)


def check(*blocking: int, **changes: Any) -> dict[str, Any]:
    """A launch-check of a known data collection."""
    return {
        "dataCollectionId": 18,
        "filesExist": True,
        "action": "stop-and-restart" if blocking else "start",
        "reason": "Some jobs run." if blocking else "Nothing is waiting or running for these movies.",
        "blockingJobs": [{"processingJobId": number, "state": "running", "since": NOON} for number in blocking],
        "warnings": [],
        **changes,
    }


def parameters(number: int = 5, **changes: Any) -> dict[str, Any]:
    """The parameters of a job."""
    return {
        "processingJobId": number,
        "parameters": {"pixelSize": 0.885, "maximumDiameter": 180, "maskDiameter": 198, "doClass3D": True},
        "importImages": "/dls/m12/data/2021/cm28212-1/raw/Frames/*.tiff",
        "acquisitionSoftware": "SerialEM",
        "other": {},
        **changes,
    }


def jobs_block(*numbers: int) -> Answer:
    """A refusal since jobs wait or run."""
    return problem(
        409,
        "jobs-block",
        f"Job {numbers[0]} is already running on data collection 18 (since 12:00).",
        errors=[{"field": "ifBlocked", "message": "is 'refuse', and there are jobs that block"}],
        dataCollectionId=18,
        blockingJobs=[{"processingJobId": number, "state": "running", "since": NOON} for number in numbers],
    )
