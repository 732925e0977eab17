"""Asking the service over HTTP. Whatever goes wrong is one of two failures.

Failed
├── Refused    the service understood and said no (4xx); to ask the same again is no use
└── NoAnswer   nothing that could be used came back: nobody there, too slow, 5xx, or not our service at all
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Self

import httpx

DEFAULT_URL = "http://127.0.0.1:8000"
PREFIX = "/api/em/v1"
CONNECT_TIMEOUT = 5.0  # seconds
ANSWER_TIMEOUT = 30.0  # seconds; a launch may wait for the file system and for locks
RETRY_PAUSES = (1.0, 2.0, 4.0)  # seconds before each repetition of a launch
PAGE_SIZE = 100
LOOPBACK = ("127.0.0.1", "localhost", "::1")

Json = dict[str, Any]


class Failed(Exception):
    """There is no good answer.

    Args:
        sentence: what a person reads.
        problem: the service's own words, if it had any.
        again: whether the same request may well be answered in a moment.
        reached: whether the service may have got the request, and so may have done what it asks.
    """

    def __init__(
        self, sentence: str, *, problem: Json | None = None, again: bool = False, reached: bool = True
    ) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.problem = problem
        self.again = again
        self.reached = reached


class Refused(Failed):
    """The service said no, as ``application/problem+json``; ``blocking`` are the jobs that were in the way."""

    def __init__(self, problem: Json) -> None:
        # The one refusal that passes: the first request with this key is still being written.
        again = problem.get("type") == "same-request-in-progress"
        sentence = str(problem["detail"])
        if problem.get("status") == 401:
            sentence += " Give it as --token or EM_TOKEN."
        super().__init__(sentence, problem=problem, again=again)
        self.blocking: list[int] = [job["processingJobId"] for job in problem.get("blockingJobs") or []]


class NoAnswer(Failed):
    """Nothing came back that could be used; the sentence says what to do."""


class Api:
    """The service's native API.

    Args:
        url: the service's address, without ``/api/em/v1``.
        token: a bearer token.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url.rstrip("/")
        self._local = httpx.URL(url).host in LOOPBACK
        headers = {"Accept": "application/json", "User-Agent": "synchweb-em"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self._client = httpx.Client(
            base_url=self.url + PREFIX,
            headers=headers,
            timeout=httpx.Timeout(ANSWER_TIMEOUT, connect=CONNECT_TIMEOUT),
            trust_env=not self._local,  # a facility's HTTP_PROXY cannot reach this machine's loopback
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str, params: Mapping[str, str] | None = None, *, seconds: float = ANSWER_TIMEOUT) -> Json:
        """What is at this path.

        Raises:
            Refused, NoAnswer: there is none, or it did not come within ``seconds``.
        """
        timeout = httpx.Timeout(seconds, connect=min(seconds, CONNECT_TIMEOUT))
        return self._ask("GET", path, params=params, timeout=timeout)

    def get_all(self, path: str) -> Json:
        """A list with all of its pages.

        Raises:
            Refused, NoAnswer: as ``get``.
        """
        items: list[Any] = []
        while True:
            page = len(items) // PAGE_SIZE + 1
            answer = self.get(path, {"limit": str(PAGE_SIZE), "page": str(page)})
            items += answer["items"]
            if len(answer["items"]) < PAGE_SIZE or len(items) >= answer["total"]:
                return {"total": answer["total"], "items": items}

    def post(self, path: str, body: Json | None = None) -> Json:
        """Ask once for something.

        Raises:
            Refused, NoAnswer: as ``get``.
        """
        return self._ask("POST", path, json=body)

    def launch(self, path: str, body: Json, key: str, notice: Callable[[str], None]) -> Json:
        """Ask for a launch, again and again with the same key, so that at most one comes of it.

        Args:
            key: the ``Idempotency-Key``.
            notice: told of each repetition.

        Raises:
            Refused: the service said no.
            NoAnswer: none of the tries was answered; ``reached`` says whether one may have been received.
        """
        content = json.dumps(body, allow_nan=False).encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        pauses = iter(RETRY_PAUSES)
        reached = False
        while True:
            try:
                return self._ask("POST", path, content=content, headers=headers)
            except (Refused, NoAnswer) as failure:
                reached = failure.reached = reached or failure.reached
                pause = next(pauses, None)
                if pause is None or not failure.again:
                    raise
                sentence = failure.sentence
            notice(f"{sentence}\nTrying again in {pause:g} s; this cannot launch twice.")
            time.sleep(pause)

    def _ask(self, method: str, path: str, **options: Any) -> Json:
        try:
            response = self._client.request(method, path, **options)
        except httpx.RequestError as error:
            raise self._lost(error) from error
        return self._read(response)

    def _lost(self, error: httpx.RequestError) -> NoAnswer:
        reason = re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or type(error).__name__
        if "SSL" in reason:
            return NoAnswer(
                f"No secure connection to {self.url} ({reason}). Check whether its address begins with http or https, "
                "and that SSL_CERT_FILE names the certificates that the facility trusts.",
                reached=False,
            )
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
            advice = "Ask the facility's staff to start it"
            advice += ' (the demo: "make run"), or give' if self._local else ", or give"
            return NoAnswer(
                f"Cannot reach {self.url} ({reason.lower()}). Is the service running? {advice} its address with --url.",
                again=True,
                reached=False,
            )
        if isinstance(error, httpx.TimeoutException):
            return NoAnswer(
                f"{self.url} did not answer in time. It may be busy, or its database may be away: "
                f"{self.url}/readyz says so.",
                again=True,
            )
        return NoAnswer(
            f"The connection to {self.url} was lost before the answer came ({reason.lower()}). "
            "The service may be restarting; try again in a moment.",
            again=True,
        )

    def _read(self, response: httpx.Response) -> Json:
        try:
            content = response.json()
        except (ValueError, RecursionError):
            content = None
        status = response.status_code
        if response.is_success and isinstance(content, dict):
            return content
        problem = content if isinstance(content, dict) and isinstance(content.get("detail"), str) else None
        if problem is not None and response.is_client_error:
            raise Refused(problem)
        said = f"{self.url} answered {status} {response.reason_phrase}".rstrip()
        if response.is_server_error:
            what = problem["detail"] if problem else "Try again soon, or tell the facility's staff."
            detail = f"{said}: {what}"
            if request_id := response.headers.get("X-Request-ID"):
                detail += f" (X-Request-ID {request_id})"
            raise NoAnswer(detail, problem=problem, again=status in (502, 503, 504))
        if response.has_redirect_location:
            where = response.headers["Location"]
            raise NoAnswer(f"{said}, to {where}. Give the service's own address with --url.")
        if status in (401, 403, 407):
            raise NoAnswer(f"{said}. Something before the service wants to know who you are: set EM_TOKEN.")
        raise NoAnswer(f"{said}, but not as this service does. Is that its address? Give the right one with --url.")
