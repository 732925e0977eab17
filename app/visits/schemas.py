"""Native bodies about visits."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import Field

from app.http.schemas import Body
from app.settings import Settings
from app.visits.rules import Visit, why_not


class VisitBody(Body):
    """A visit, and whether processing may be started for it."""

    visit: str = Field(examples=["cm28212-1"])
    proposal: str = Field(examples=["cm28212"])
    beamline: str = Field(examples=["m12"])
    start_date: datetime | None
    end_date: datetime | None
    directory: str | None = Field(description="where its files live", examples=["/dls/m12/data/2021/cm28212-1"])
    archived: bool
    can_start: bool = Field(description="whether processing may be started")
    reason: str | None = Field(description="if not, why not and what to do")

    @classmethod
    def of(cls, visit: Visit, settings: Settings) -> Self:
        """Write a visit."""
        reason = why_not(visit, visit.as_of, settings.grace_hours)
        directory = visit.directory(settings.visit_directory)
        return cls(
            visit=str(visit.ref),
            proposal=visit.ref.proposal,
            beamline=visit.beamline,
            start_date=visit.start,
            end_date=visit.end,
            directory=None if directory is None else str(directory),
            archived=visit.archived,
            can_start=reason is None,
            reason=reason,
        )
