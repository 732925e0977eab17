"""Decisions about visits: how one is written, where its files lie, whether it may still be processed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from app.errors import Conflict, FieldError, Invalid


class VisitUnreadable(Invalid):
    """This does not name a visit."""


class ProcessingNotAllowed(Conflict):
    """The visit may not be processed (any more)."""


@dataclass(frozen=True)
class VisitRef:
    """A visit as people write it: ``cm28212-1`` is visit 1 of proposal ``cm28212``."""

    code: str
    number: str
    visit_number: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``cm28212-1``.

        Raises:
            VisitUnreadable: it is not written so.
        """
        # ASCII digits only, and no more than ISPyB's columns hold.
        match = re.fullmatch(r"([a-z]{2})([0-9]{1,10})-([0-9]{1,9})", text)
        if match is None:
            raise VisitUnreadable(
                "That is no visit. A visit is written like cm28212-1: proposal, dash, visit number.",
                errors=[FieldError("visit", "must be written like cm28212-1")],
            )
        return cls(match[1], match[2], int(match[3]))

    @property
    def proposal(self) -> str:
        """The proposal, ``cm28212``."""
        return f"{self.code}{self.number}"

    def __str__(self) -> str:
        return f"{self.proposal}-{self.visit_number}"


@dataclass(frozen=True)
class Visit:
    """A visit (ISPyB's BLSession) on an electron microscope. Times have offsets.

    Args:
        as_of: when this was read, by the database's clock: what is compared with its end.
    """

    session_id: int
    ref: VisitRef
    beamline: str
    start: datetime | None
    end: datetime | None
    archived: bool
    as_of: datetime

    def directory(self, pattern: str) -> Path | None:
        """Where its files live (``EM_VISIT_DIRECTORY``); ``None`` without a start date, which the year comes from."""
        if self.start is None:
            return None
        return Path(
            pattern.format(beamline=self.beamline, year=self.start.year, visit=self.ref, proposal=self.ref.proposal)
        )


def why_not(visit: Visit, now: datetime, grace_hours: float) -> str | None:
    """Why processing may not be started for this visit, or ``None`` if it may. A visit without end is not over."""
    if visit.archived:
        return f"The data of visit {visit.ref} are archived and no longer on disk; ask the facility to restore them."
    if visit.start is None:
        return f"Visit {visit.ref} has no start date in ISPyB, so its directory is not known; ask the facility's staff."
    # In UTC: with local times, hours would be added to what the clock on the wall shows.
    if visit.end is not None and now > visit.end.astimezone(UTC) + timedelta(hours=grace_hours):
        return (
            f"Visit {visit.ref} ended on {visit.end:%d %B %Y at %H:%M}, more than {grace_hours:g} hours ago. "
            "Ask your local contact to extend it in ISPyB."
        )
    return None


def require_processing(visit: Visit, now: datetime, grace_hours: float) -> None:
    """Refuse where ``why_not`` has a reason.

    Raises:
        ProcessingNotAllowed: with that reason.
    """
    if reason := why_not(visit, now, grace_hours):
        raise ProcessingNotAllowed(reason, errors=[FieldError("visit", reason)], visit=str(visit.ref))
