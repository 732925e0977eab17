"""Who is asking.

This version knows one mode, ``none``: whoever reaches the service is trusted, which is why it then listens on
loopback only. Every use case takes a ``Person`` all the same, so that real tokens need no change behind this module.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Person:
    """Somebody who uses the service.

    Args:
        login: what is recorded about who launched or stopped a job.
        person_id: ISPyB's ``Person.personId``, or ``None`` for somebody who is not in ISPyB.
        staff: sees every visit on an electron microscope.
    """

    login: str
    person_id: int | None = None
    staff: bool = False


LOOPBACK = ("127.0.0.1", "localhost", "::1")  # all that mode ``none`` listens on and answers to
ANYBODY = Person(login="anonymous", staff=True)
