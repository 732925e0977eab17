"""From what a request carries to the person who sent it."""

from __future__ import annotations

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


def authenticate(resources: Resources, presented: Presented) -> Person:
    """The person who is asking.

    Raises:
        TokenInvalid, OnceTokenInvalid: nobody whom we know.
    """
    settings = resources.settings
    modes = settings.auth.modes
    if presented.once is not None and "onetime" in modes:
        once = presented.once  # decides, also where a good header came with it
        return resources.database.write(lambda session: onetime.redeem(session, settings, once, presented.address))
    if "none" in modes:
        return Person(ANYBODY.login, staff=True, proposal=presented.proposal)
    if "synchweb" not in modes or presented.bearer is None or settings.auth.jwt_key is None:
        raise tokens.TokenInvalid("Log in first: the request carries no token (Authorization: Bearer …).")
    login = tokens.login_of(presented.bearer, settings.auth.jwt_key)

    def find() -> Person:
        with resources.database.read() as session:
            return people.get_person(session, settings, login, proposal=presented.proposal)

    return resources.recent.get(("person", login, presented.proposal), find)
