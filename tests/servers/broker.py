"""What can be asked of a RabbitMQ broker that runs, set up as Diamond's published Zocalo configuration does it."""

import base64
import json
from collections.abc import Mapping
from typing import Any, Literal, TypedDict
from urllib.parse import quote

import httpx

from tests.servers.amqp import count_ready

API_TIMEOUT = 10.0  # seconds

PROCESSING_RECIPE = "processing_recipe"


class Message(TypedDict):
    """A message taken from a queue."""

    payload: Any  # parsed if it is JSON, else text, or bytes if it is no text either
    headers: dict[str, Any]
    properties: dict[str, Any]  # without the headers
    redelivered: bool


class Broker:
    """A broker by its addresses, whoever started it; `guest` is its administrator."""

    def __init__(self, stomp_port: int, amqp_port: int, management_url: str) -> None:
        self.stomp_port = stomp_port
        self.amqp_port = amqp_port
        self.management_url = management_url
        # No kept connections: one from before a restart would fail the first request after it. And no look at the
        # environment: a proxy cannot reach 127.0.0.1, and reading the certificates takes longer than a request.
        self._api = httpx.Client(
            base_url=f"{management_url}/api",
            auth=("guest", "guest"),
            timeout=API_TIMEOUT,
            limits=httpx.Limits(max_keepalive_connections=0),
            trust_env=False,
            verify=False,
        )

    def stomp_url(self, vhost: str, user: str = "guest", password: str = "guest") -> str:
        """The address in the form of the service's setting EM_BROKER__URL."""
        return f"stomp://{user}:{password}@127.0.0.1:{self.stomp_port}?vhost={quote(vhost, safe='')}"

    def amqp_url(self, vhost: str, user: str = "guest", password: str = "guest") -> str:
        """The same over AMQP."""
        return f"amqp://{user}:{password}@127.0.0.1:{self.amqp_port}/{quote(vhost, safe='')}"

    def add_vhost(self, name: str, user: str = "guest") -> None:
        """A vhost with `processing_recipe` and the limit of deliveries, as at Diamond."""
        vhost = quote(name, safe="")
        self.call("PUT", f"/vhosts/{vhost}")
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        self.call("PUT", f"/permissions/{vhost}/{quote(user, safe='')}", everything)
        policy = {"pattern": ".*", "definition": {"delivery-limit": 5}, "apply-to": "queues"}
        self.call("PUT", f"/policies/{vhost}/redelivery", policy)
        self.declare_queue(name, PROCESSING_RECIPE)

    def declare_queue(self, vhost: str, queue: str, kind: Literal["quorum", "classic"] = "quorum") -> None:
        """A durable queue, and `dlq.<queue>` of the same kind for its dead letters."""
        self._declare(vhost, f"dlq.{queue}", {"x-queue-type": kind})
        arguments = {
            "x-queue-type": kind,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": f"dlq.{queue}",
            # Zocalo's own `zocalo.configure_rabbitmq` says so too; it replaces queues with other arguments.
            "x-single-active-consumer": False,
        }
        self._declare(vhost, queue, arguments)

    def delete_queue(self, vhost: str, queue: str) -> None:
        """Delete one queue; that of its dead letters stays."""
        self.call("DELETE", _queue_path(vhost, queue))

    def messages(self, vhost: str, queue: str) -> list[Message]:
        """Take everything that waits in the queue, oldest first."""
        messages: list[Message] = []
        request = {"count": 1000, "ackmode": "ack_requeue_false", "encoding": "auto"}
        while batch := self.call("POST", f"{_queue_path(vhost, queue)}/get", request):
            messages.extend(_message(item) for item in batch)
        return messages

    def count(self, vhost: str, queue: str) -> int:
        """How many messages wait in the queue, those that a consumer holds unacknowledged not included."""
        return count_ready(self.amqp_port, vhost, queue)

    def call(self, method: str, path: str, body: object = None) -> Any:
        """One request to the management API below /api; its answer parsed."""
        response = self._api.request(method, path, json=body)
        response.raise_for_status()
        return response.json() if response.content else None

    def _declare(self, vhost: str, queue: str, arguments: Mapping[str, object]) -> None:
        self.call("PUT", _queue_path(vhost, queue), {"durable": True, "auto_delete": False, "arguments": arguments})


def _queue_path(vhost: str, queue: str) -> str:
    return f"/queues/{quote(vhost, safe='')}/{quote(queue, safe='')}"


def _message(item: dict[str, Any]) -> Message:
    payload: Any = item["payload"]
    if item["payload_encoding"] == "base64":
        payload = base64.b64decode(payload)
    else:
        try:
            payload = json.loads(payload)
        except ValueError:
            pass
    # An empty set of properties arrives as a list: Erlang does not tell the two apart.
    properties = dict(item["properties"])
    headers = dict(properties.pop("headers", {}))
    return Message(payload=payload, headers=headers, properties=properties, redelivered=item["redelivered"])
