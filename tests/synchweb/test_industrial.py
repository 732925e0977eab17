"""Industrial visits are for the persons listed on them only, staff or not, where the facility says so."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
import sqlalchemy as sa

from app.ispyb.tables import BLSession, Proposal, SessionHasPerson
from tests.factories import MadeVisit, make_collection, make_visit
from tests.support.environments import Environment
from tests.support.services import ServiceThread
from tests.synchweb.replay import JWT_KEY, Stage, token

LAB_USER, EM_ADMIN = 90001, 18660


@pytest.fixture(scope="module")
def discreet(recorded: Environment, stage: Stage) -> Iterator[ServiceThread]:
    """A facility that says so."""
    auth = {"modes": ("synchweb",), "jwt_key": JWT_KEY, "industrial_listed_only": True}
    with ServiceThread(recorded.settings(relay={"enabled": False}, auth=auth)) as service:
        yield service


def make_visit_of(service: ServiceThread, recorded: Environment, code: str) -> tuple[MadeVisit, int]:
    """A visit of a proposal with this code, with lab_user on it, and its data collection."""
    database = service.resources.database
    visit = make_visit(database, recorded.dls, members=[LAB_USER])
    proposal = sa.select(BLSession.c.proposalId).where(BLSession.c.sessionId == visit.session_id).scalar_subquery()
    change = sa.update(Proposal).where(Proposal.c.proposalId == proposal).values(proposalCode=code)
    database.write(lambda session: session.execute(change))
    return visit, make_collection(database, visit)


def ask(service: ServiceThread, login: str, dcid: int) -> tuple[int, int]:
    """What both faces say."""
    headers = {"Authorization": f"Bearer {token(login)}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{service.port}/api/em", headers=headers) as client:
        return client.get(f"/v1/data-collections/{dcid}").status_code, client.get(f"/dc/{dcid}").status_code


@pytest.mark.parametrize("code", ["in", "ic", "il", "sw"])
def test_staff_do_not_see_an_industrial_visit_that_they_are_not_listed_on(
    discreet: ServiceThread, recorded: Environment, code: str
) -> None:
    visit, dcid = make_visit_of(discreet, recorded, code)
    before = (ask(discreet, "em_admin", dcid), ask(discreet, "lab_user", dcid))

    listed = sa.insert(SessionHasPerson).values(sessionId=visit.session_id, personId=EM_ADMIN, role="Local Contact")
    discreet.resources.database.write(lambda session: session.execute(listed))

    assert before == ((404, 403), (200, 200))
    assert ask(discreet, "em_admin", dcid) == (200, 200)


@pytest.mark.parametrize("code", ["cm", "bi", "mx", "nt"])
def test_staff_see_all_other_visits(discreet: ServiceThread, recorded: Environment, code: str) -> None:
    _, dcid = make_visit_of(discreet, recorded, code)

    assert ask(discreet, "em_admin", dcid) == (200, 200)


def test_elsewhere_industrial_visits_are_like_others(
    synchweb: ServiceThread, stage: Stage, recorded: Environment
) -> None:
    _, dcid = make_visit_of(synchweb, recorded, "in")

    assert ask(synchweb, "em_admin", dcid) == (200, 200)
