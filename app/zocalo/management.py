"""RabbitMQ's management API: what it knows of the queue. A STOMP receipt does not even tell that there is one."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx

from app.settings import BrokerSettings
from app.zocalo.queue import CannotLook, Queue, low, missing
from app.zocalo.transport import sockets

TIMEOUT = 2.0  # seconds
CLASSIC = ("x-queue-type", "classic")  # the same as no type at all
ALARMS = {"memory": "low on memory", "disk": "low on disk"}


def look(settings: BrokerSettings) -> Queue:
    """Look at the queue that messages go to, at that of the rejected ones, and at the broker's alarms.

    Raises:
        CannotLook: the API does not answer, or not to us.
    """
    assert settings.management_url is not None
    vhost, name = settings.address.vhost, settings.queue
    url = _url(settings.management_url.get_secret_value())
    where = url.netloc.decode()
    try:
        trusted = sockets.context(settings.ca_file) if url.scheme == "https" else False
        with httpx.Client(
            auth=(url.username, url.password), timeout=TIMEOUT, trust_env=False, verify=trusted
        ) as client:
            api = _Api(client, url)
            found = api.get(f"queues/{_quoted(vhost)}/{_quoted(name)}")
            if found is None and "management_version" not in (api.get("overview") or {}):
                found = {}  # another server, or another path: it knows nothing about queues
            if found is None:
                return Queue(name, vhost, missing(name, vhost), exists=False, dead_letter_queue=settings.dead_letters)
            if found.get("name") != name:
                raise CannotLook(
                    f"{where} does not answer as RabbitMQ's management API does; check EM_BROKER__MANAGEMENT_URL"
                )
            dead_letter_queue = settings.dead_letter_queue or _dead_letter_queue(found) or settings.dead_letters
            rejected = api.get(f"queues/{_quoted(vhost)}/{_quoted(dead_letter_queue)}")
            obstacle = _refuses(settings, found) or api.alarm()
    except httpx.HTTPError as error:
        raise CannotLook(
            f"the management API at {where} does not answer ({str(error) or type(error).__name__}); "
            "check EM_BROKER__MANAGEMENT_URL"
        ) from error
    return Queue(
        name,
        vhost,
        obstacle,
        consumers=found.get("consumers"),  # not known in the first seconds of a queue
        waiting=found.get("messages_ready"),
        dead_letter_queue=dead_letter_queue,
        dead_letters=None if rejected is None else rejected.get("messages"),
    )


class _Api:
    """The management API, asked about one thing at a time."""

    def __init__(self, client: httpx.Client, url: httpx.URL) -> None:
        self._client = client
        self._url = url

    def get(self, path: str) -> dict[str, Any] | None:
        """What it says about a thing; ``None`` if there is no such thing."""
        response = self._ask(path)
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        if response.status_code != httpx.codes.OK:
            raise CannotLook(
                f"the management API answers {response.status_code}; check login and rights in "
                "EM_BROKER__MANAGEMENT_URL"
            )
        answer = _parsed(response)
        return answer if isinstance(answer, dict) else {}

    def alarm(self) -> str | None:
        """Why the broker blocks whoever sends, if it does.

        The nodes' own statistics tell it too, but seconds late, and only to logins with the tag ``monitoring``.
        """
        answer = _parsed(self._ask("health/checks/alarms"))
        alarms = answer.get("alarms") if isinstance(answer, dict) else None
        for alarm in alarms if isinstance(alarms, list) else []:
            if isinstance(alarm, dict) and (what := ALARMS.get(str(alarm.get("resource")))):
                return low(what)
        return None

    def _ask(self, path: str) -> httpx.Response:
        full = f"{self._url.path.rstrip('/')}/api/{path}"
        return self._client.get(self._url.copy_with(raw_path=full.encode(), username=None, password=None))


def _url(text: str) -> httpx.URL:
    """The parsed URL. What is wrong with it is not repeated, for that may be a part of the password."""
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in ("http", "https") or not url.host:
        raise CannotLook("EM_BROKER__MANAGEMENT_URL is no URL, such as http://user:password@host:15672")
    return url


def _quoted(part: str) -> str:
    return quote(part, safe="")


def _parsed(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None


def _dead_letter_queue(queue: dict[str, Any]) -> str | None:
    """Where the queue's own arguments, or a policy, send rejected messages."""
    for settings, key in (
        ("arguments", "x-dead-letter-routing-key"),
        ("effective_policy_definition", "dead-letter-routing-key"),
    ):
        if isinstance(found := queue.get(settings), dict) and isinstance(name := found.get(key), str):
            return name
    return None


def _refuses(settings: BrokerSettings, queue: dict[str, Any]) -> str | None:
    """Why RabbitMQ would refuse messages for ``/queue/…``, which declares the queue whenever something is sent."""
    if not settings.destination.startswith("/queue/") or settings.is_amqp:
        return None
    arguments = {key: value for key, value in queue.get("arguments", {}).items() if (key, value) != CLASSIC}
    if queue.get("durable") and not arguments:
        return None
    return (
        f"queue {settings.queue} in vhost {settings.address.vhost} was not declared as STOMP does it, so RabbitMQ "
        f"refuses what is sent to {settings.destination}: set EM_BROKER__DESTINATION to /amq/queue/{settings.queue}"
    )
