"""Use cases about visits."""

from __future__ import annotations

from app.access.identity import Person
from app.resources import Resources
from app.visits import repository
from app.visits.rules import Visit, VisitRef


def get_visit(resources: Resources, person: Person, ref: VisitRef) -> Visit:
    """A visit.

    Raises:
        VisitNotFound: there is none that this person may see.
    """
    with resources.database.read() as session:
        return repository.get_visit(session, resources.settings, person, ref)
