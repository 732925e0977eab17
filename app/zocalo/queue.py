"""What is known of the queue that our messages go to: whether it is there, and whether somebody listens."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Queue:
    """What was seen of the queue at one moment.

    Args:
        name: without what STOMP puts before it.
        exists: whether it is there at all.
        obstacle: why a message would not arrive: the queue is missing, or cannot be sent to, or the broker takes none.
        consumers: how many listen; ``None`` if that is unknown.
        waiting: how many messages nobody has taken yet.
        dead_letter_queue: where Zocalo's rejected messages go, by anybody who sent them.
        dead_letters: how many are there; ``None`` if that is unknown, or there is no such queue.
    """

    name: str
    vhost: str
    obstacle: str | None = None
    exists: bool = True
    consumers: int | None = None
    waiting: int | None = None
    dead_letter_queue: str | None = None
    dead_letters: int | None = None

    @property
    def trouble(self) -> str | None:
        """What a person has to mend before jobs run."""
        if self.obstacle is not None:
            return self.obstacle
        if self.consumers == 0:
            return (
                f"nobody listens to queue {self.name} in vhost {self.vhost}: messages wait there until Zocalo's "
                "Dispatcher runs again"
            )
        return None

    @property
    def told(self) -> str:
        """All that is known, in a sentence."""
        if self.trouble is not None:
            return self.trouble
        consumers = "" if self.consumers is None else f", {_count(self.consumers, 'consumer')}"
        waiting = "" if self.waiting is None else f", {_count(self.waiting, 'message')} waiting"
        return f"queue {self.name} in vhost {self.vhost} exists{consumers}{waiting}"

    @property
    def rejected(self) -> str | None:
        """What there is to say about rejected messages."""
        if not self.dead_letters:
            return None
        return (
            f"{_count(self.dead_letters, 'message')} in {self.dead_letter_queue}, which Zocalo rejected: "
            "'zocalo.dlq_check' and the Dispatcher's log say why"
        )


class CannotLook(Exception):
    """Whether the queue is there could not be found out; the text says why, and what to do."""


def missing(name: str, vhost: str) -> str:
    """What is said about a queue that is not there."""
    return (
        f"there is no queue {name} in vhost {vhost}. Declare it as Zocalo does, or correct "
        "EM_BROKER__DESTINATION and the vhost in EM_BROKER__URL"
    )


def low(what: str) -> str:
    """What is said about a broker that blocks whoever sends."""
    return f"the broker takes no messages at present: {what}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
