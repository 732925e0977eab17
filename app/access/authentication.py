"""From what a request carries to the person who sent it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from app.access import onetime, people, tokens
from app.access.identity import ANYBODY, Person
from app.resources import Resources


@dataclass(frozen=True)
class Presented:
    """What a request says about who sent it.

    Args:
        bearer: the token of its ``Authorization`` header.
        once: a one-time token.
        address: what a one-time token must have been made for.
        proposal: the proposal that the client says it asks about.
    """

    bearer: str | None = None
    once: str | None = None
    address: str = ""
    proposal: str | None = None


def recognise(resources: Resources, presented: Presented) -> Person | None:
    """The person who is asking, if that is known without a look at the database; nothing here waits.

    Raises:
        TokenInvalid: nobody whom we know.
    """
    modes = resources.settings.auth.modes
    if presented.once is not None and "onetime" in modes:
        return None
    if "none" in modes:
        return _anybody(presented)
    known: Person | None = resources.recent.recall(_asked(_login(resources, presented), presented))
    return known


def authenticate(resources: Resources, presented: Presented) -> Person:
    """The person who is asking. It asks the database.

    Raises:
        TokenInvalid, OnceTokenInvalid: nobody whom we know.
    """
    settings = resources.settings
    if presented.once is not None and "onetime" in settings.auth.modes:
        once = presented.once  # decides, also where a good header came with it
        return resources.database.write(lambda session: onetime.redeem(session, settings, once, presented.address))
    if "none" in settings.auth.modes:
        return _anybody(presented)
    login = _login(resources, presented)

    def find() -> Person:
        with resources.database.read() as session:
            return people.get_person(session, settings, login, proposal=presented.proposal)

    return resources.recent.get(_asked(login, presented), find)


def _anybody(presented: Presented) -> Person:
    """Whoever asks where nobody is asked who it is."""
    return Person(ANYBODY.login, staff=True, proposal=presented.proposal)


def _login(resources: Resources, presented: Presented) -> str:
    """Whose token it is."""
    auth = resources.settings.auth
    if "synchweb" not in auth.modes or presented.bearer is None or auth.jwt_key is None:
        raise tokens.TokenInvalid("Log in first: the request carries no token (Authorization: Bearer …).")
    return tokens.login_of(presented.bearer, auth.jwt_key)


def _asked(login: str, presented: Presented) -> Hashable:
    return "person", login, presented.proposal
