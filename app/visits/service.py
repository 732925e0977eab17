"""Use cases about visits."""

from __future__ import annotations

from datetime import datetime

from app.access.identity import Person
from app.db import database_now
from app.resources import Resources
from app.visits import repository
from app.visits.rules import Visit, VisitRef


def get_visit(resources: Resources, person: Person, ref: VisitRef) -> tuple[Visit, datetime]:
    """A visit, and the present time by the database's clock."""
    with resources.database.read() as session:
        return repository.get_visit(session, resources.settings, person, ref), database_now(session)
