"""Who is asking: known at once while somebody has just been asked for, and never by a token for one request."""

from __future__ import annotations

import pytest

from app.access import people
from app.access.authentication import Presented, authenticate, recognise
from app.access.identity import Person
from app.access.tokens import TokenInvalid
from app.db import Database
from app.filesystem.looks import Looks
from app.resources import Resources
from app.settings import Settings
from tests.synchweb.replay import JWT_KEY, signed

ADA = Presented(bearer=signed({"typ": "JWT", "alg": "HS512"}, {"data": {"login": "ada"}}, JWT_KEY))


@pytest.fixture
def resources(monkeypatch: pytest.MonkeyPatch) -> Resources:
    """Beside a database that knows everybody, and must not be asked for more than a login."""
    settings = Settings.model_validate({"auth": {"modes": ["synchweb", "onetime"], "jwt_key": JWT_KEY}})
    monkeypatch.setattr(
        people, "get_person", lambda _session, _settings, login, *, proposal: Person(login, proposal=proposal)
    )
    return Resources(settings, Database(settings, pool_size=1), Looks(threads=1, deadline=1))


def test_who_was_just_asked_for_is_known_without_the_database(resources: Resources) -> None:
    before = recognise(resources, ADA)
    found = authenticate(resources, ADA)

    assert before is None
    assert found == Person("ada")
    assert recognise(resources, ADA) is found


def test_who_asks_about_another_proposal_is_asked_for_anew(resources: Resources) -> None:
    authenticate(resources, ADA)

    assert recognise(resources, Presented(bearer=ADA.bearer, proposal="cm28212")) is None


def test_a_token_for_one_request_is_never_known_before(resources: Resources) -> None:
    authenticate(resources, ADA)

    assert recognise(resources, Presented(bearer=ADA.bearer, once="0123456789")) is None


def test_a_bad_token_is_refused_at_once(resources: Resources) -> None:
    authenticate(resources, ADA)

    with pytest.raises(TokenInvalid):
        recognise(resources, Presented(bearer=f"{ADA.bearer}x"))
