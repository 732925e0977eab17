"""RabbitMQ's management API: whether the queue exists. A STOMP receipt does not tell."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx

from app.settings import BrokerSettings

TIMEOUT = 5.0  # seconds
CLASSIC = ("x-queue-type", "classic")  # the same as no type at all


class QueueTrouble(Exception):
    """The queue is missing, or that could not be found out."""


def check_queue(settings: BrokerSettings) -> str:
    """Look at the queue that messages go to.

    Returns:
        A sentence about it.

    Raises:
        QueueTrouble: with a sentence that says what to do.
    """
    assert settings.management_url is not None
    vhost, name = settings.address.vhost, queue_name(settings.destination)
    url = _url(settings.management_url.get_secret_value())
    where = url.netloc.decode()
    path = f"{url.path.rstrip('/')}/api/queues/{quote(vhost, safe='')}/{quote(name, safe='')}"
    try:
        response = httpx.get(
            url.copy_with(raw_path=path.encode(), username=None, password=None),
            auth=(url.username, url.password),
            timeout=TIMEOUT,
        )
    except httpx.HTTPError as error:
        raise QueueTrouble(
            f"the management API at {where} does not answer ({str(error) or type(error).__name__}); "
            "check EM_BROKER__MANAGEMENT_URL"
        ) from error
    if response.status_code == httpx.codes.NOT_FOUND:
        raise QueueTrouble(
            f"there is no queue {name} in vhost {vhost}: messages would be lost. Declare it as Zocalo does, or correct "
            "EM_BROKER__DESTINATION and the vhost in EM_BROKER__URL"
        )
    if response.status_code != httpx.codes.OK:
        raise QueueTrouble(
            f"the management API answers {response.status_code}; check login and rights in EM_BROKER__MANAGEMENT_URL"
        )
    queue = _parsed(response)
    if queue.get("name") != name:
        raise QueueTrouble(
            f"{where} does not answer as RabbitMQ's management API does; check EM_BROKER__MANAGEMENT_URL"
        )
    if settings.destination.startswith("/queue/") and not settings.is_amqp and not _is_plain(queue):
        raise QueueTrouble(
            f"queue {name} in vhost {vhost} was not declared as STOMP does it, so RabbitMQ refuses what is sent to "
            f"{settings.destination}: set EM_BROKER__DESTINATION to /amq/queue/{name}"
        )
    consumers = queue.get("consumers", 0)
    return f"queue {name} in vhost {vhost} exists, {consumers} consumer{'' if consumers == 1 else 's'}"


def _url(text: str) -> httpx.URL:
    """The parsed URL. What is wrong with it is not repeated, for that may be a part of the password."""
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in ("http", "https") or not url.host:
        raise QueueTrouble("EM_BROKER__MANAGEMENT_URL is no URL, such as http://user:password@host:15672")
    return url


def _parsed(response: httpx.Response) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _is_plain(queue: dict[str, Any]) -> bool:
    """Whether ``/queue/…``, which declares the queue whenever something is sent, declares exactly this one."""
    arguments = {key: value for key, value in queue.get("arguments", {}).items() if (key, value) != CLASSIC}
    return bool(queue.get("durable")) and not arguments


def queue_name(destination: str) -> str:
    """The queue of a STOMP destination: ``/amq/queue/processing_recipe`` and ``/queue/processing_recipe`` alike."""
    return destination.removeprefix("/amq").removeprefix("/queue/")
