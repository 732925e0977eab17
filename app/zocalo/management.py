"""RabbitMQ's management API: whether the queue exists. A STOMP receipt does not tell."""

from __future__ import annotations

from urllib.parse import quote

import httpx

from app.settings import BrokerSettings

TIMEOUT = 5.0  # seconds


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
    url = httpx.URL(settings.management_url.get_secret_value())
    path = f"/api/queues/{quote(vhost, safe='')}/{quote(name, safe='')}"
    try:
        response = httpx.get(
            url.copy_with(raw_path=path.encode(), username=None, password=None),
            auth=(url.username, url.password),
            timeout=TIMEOUT,
        )
    except httpx.HTTPError as error:
        raise QueueTrouble(
            f"the management API at {url.host}:{url.port} does not answer ({error or type(error).__name__}); "
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
    consumers = response.json().get("consumers", 0)
    return f"queue {name} in vhost {vhost} exists, {consumers} consumer{'' if consumers == 1 else 's'}"


def queue_name(destination: str) -> str:
    """The queue of a STOMP destination: ``/amq/queue/processing_recipe`` and ``/queue/processing_recipe`` alike."""
    return destination.removeprefix("/amq").removeprefix("/queue/")
