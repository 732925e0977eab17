"""What routes ask for: the resources of the application, and who is asking."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool

from app.access import onetime
from app.access.authentication import Presented, authenticate, recognise
from app.access.identity import LOOPBACK, Person
from app.errors import Forbidden
from app.resources import Resources


class NotFromHere(Forbidden):
    """Mode ``none`` trusts the people on this machine, not the pages that their browsers show."""


async def _resources(request: Request) -> Resources:
    return resources_of(request)


async def _person(request: Request) -> Person:
    return await person_of(request)


def resources_of(request: Request) -> Resources:
    """What every use case works with."""
    resources = request.app.state.resources
    assert isinstance(resources, Resources)
    return resources


async def person_of(request: Request, *, proposal: str | None = None) -> Person:
    """Who is asking, by what the request carries. It asks the database, in a thread, unless somebody did just now.

    Args:
        proposal: the one that the client says it asks about.

    Raises:
        NotAuthenticated: nobody whom we know.
        NotFromHere: without access control, only programs on this machine are answered.
    """
    resources = resources_of(request)
    if "none" in resources.settings.auth.modes:
        _require_loopback(request)
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    presented = Presented(
        bearer=token.strip() if scheme.lower() == "bearer" else None,
        once=request.query_params.get(onetime.PARAMETER),
        address=onetime.address(request.url.path, request.url.query),
        proposal=proposal,
    )
    # Another thread for every request would cost more than most of their looks at the database.
    known = recognise(resources, presented)
    return known if known is not None else await run_in_threadpool(authenticate, resources, presented)


def _require_loopback(request: Request) -> None:
    # A web page can make a browser send a stop here, or reach 127.0.0.1 by a name of its own: both carry that name.
    for header in ("host", "origin"):
        named = request.headers.get(header)
        if named is not None and _host(named) not in LOOPBACK:
            raise NotFromHere(
                f"This service has no access control (EM_AUTH__MODES=none), so it answers to {', '.join(LOOPBACK)} "
                f"only, not to the {header.capitalize()} {named[:100]}. Use one of these names on this machine; "
                "for use through a proxy set EM_AUTH__MODES=synchweb,onetime."
            )


def _host(named: str) -> str | None:
    """The host of a ``Host`` or an ``Origin``."""
    try:
        return urlsplit(named if "://" in named else f"//{named}").hostname
    except ValueError:
        return None


ResourcesDep = Annotated[Resources, Depends(_resources)]
PersonDep = Annotated[Person, Depends(_person)]
