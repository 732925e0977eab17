"""What routes ask for: the resources of the application, and who is asking."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from app.access.identity import ANYBODY, Person
from app.resources import Resources


async def _resources(request: Request) -> Resources:
    resources = request.app.state.resources
    assert isinstance(resources, Resources)
    return resources


async def _person() -> Person:
    return ANYBODY


ResourcesDep = Annotated[Resources, Depends(_resources)]
PersonDep = Annotated[Person, Depends(_person)]
