"""Native HTTP about visits."""

from __future__ import annotations

from fastapi import APIRouter

from app.http.dependencies import PersonDep, ResourcesDep
from app.http.problems import responses
from app.http.schemas import VisitText
from app.visits import service
from app.visits.rules import VisitRef
from app.visits.schemas import VisitBody

router = APIRouter(tags=["visits"])


@router.get(
    "/visits/{visit}",
    operation_id="getVisit",
    summary="A visit: beamline, dates, directory",
    responses=responses(403, 404),
)
def get_visit(visit: VisitText, resources: ResourcesDep, person: PersonDep) -> VisitBody:
    """Whether processing may be started for this visit, and if not, why not."""
    return VisitBody.of(service.get_visit(resources, person, VisitRef.parse(visit)), resources.settings)
