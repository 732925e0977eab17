"""Who is asking, and about which proposal they say that they ask."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Person:
    """Somebody who uses the service.

    Args:
        login: what is recorded about who launched or stopped a job.
        person_id: ISPyB's ``Person.personId``, or ``None`` for somebody who is not in ISPyB.
        staff: sees every visit on an electron microscope.
        proposal: the only one that this request may be about, where the client named one (SynchWeb's ``prop``). It
            narrows what a person may see and never widens it.
    """

    login: str
    person_id: int | None = None
    staff: bool = False
    proposal: str | None = None


LOOPBACK = ("127.0.0.1", "localhost", "::1")  # all that mode ``none`` listens on and answers to
ANYBODY = Person(login="anonymous", staff=True)
