"""What a request from SynchWeb's frontend carries: who asks, about which proposal, and what it posts."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import Depends, Request
from starlette.convertors import Convertor, register_url_convertor

from app.access.identity import Person
from app.http.dependencies import person_of, resources_of
from app.resources import Resources

PREFIX = "/api/em"
PER_PAGE = 15
MOST_PER_PAGE = 500


class Ident(Convertor[int]):
    """A number in an address, as ``EM.php`` had it; an address with anything else in its place does not exist."""

    regex = r"[0-9]{1,18}(?!\n)"  # an address ends at $, which a line feed may follow

    def convert(self, value: str) -> int:
        """Read it."""
        return int(value)

    def to_string(self, value: int) -> str:
        """Write it."""
        return str(value)


register_url_convertor("ident", Ident())


@dataclass(frozen=True)
class Asked:
    """One request.

    Args:
        posted: the fields of its body; none where it has none that can be read.
    """

    request: Request
    resources: Resources
    person: Person
    query: Mapping[str, str]
    posted: Mapping[str, Any]

    def number(self, *names: str, default: int) -> int:
        """The first of these query arguments that is a number; ``EM.php`` dropped what was none."""
        for name in names:
            if re.fullmatch("[0-9]{1,9}", self.query.get(name, "")):
                return int(self.query[name])
        return default

    def word(self, name: str, *, default: str) -> str:
        """A query argument of letters, digits and underscores; ``EM.php`` dropped any other."""
        text = self.query.get(name, "")
        return text if re.fullmatch(r"\w+", text, re.ASCII) else default

    @property
    def page(self) -> int:
        """From 1. The frontend says ``currentPage`` in one place and ``page`` in others."""
        return max(1, self.number("currentPage", "page", default=1))

    @property
    def per_page(self) -> int:
        """Rows on one page."""
        return min(max(1, self.number("pageSize", "per_page", default=PER_PAGE)), MOST_PER_PAGE)


async def _got(request: Request) -> Asked:
    return await _asked(request, {})


async def _json(request: Request) -> dict[str, Any]:
    return read_json(await request.body())


async def _json_or_form(request: Request) -> dict[str, Any]:
    body = await request.body()
    form = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    return read_form(body) if form else read_json(body)


async def _sent(request: Request, body: Annotated[dict[str, Any], Depends(_json)]) -> Asked:
    return await _asked(request, body)


async def _sent_somehow(request: Request, body: Annotated[dict[str, Any], Depends(_json_or_form)]) -> Asked:
    return await _asked(request, body)


async def _asked(request: Request, posted: Mapping[str, Any]) -> Asked:
    # In a post the proposal is one of the body's fields, and wins over the address.
    proposal = posted.get("prop") or request.query_params.get("prop") or None
    person = await person_of(request, proposal=None if proposal is None else str(proposal))
    return Asked(request, resources_of(request), person, request.query_params, posted)


def read_json(body: bytes) -> dict[str, Any]:
    """The fields of a body, whatever type it says it has.

    What is no JSON object has no fields, so that every one that is required is reported as missing.
    """
    try:
        posted = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return posted if isinstance(posted, dict) else {}


def read_form(body: bytes) -> dict[str, Any]:
    """The fields of a form as PHP reads them: ``ids[]`` is a list."""
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=1000)
    except ValueError:
        return {}
    return {name.removesuffix("[]"): values if name.endswith("[]") else values[-1] for name, values in fields.items()}


GotDep = Annotated[Asked, Depends(_got)]
SentDep = Annotated[Asked, Depends(_sent)]
SentSomehowDep = Annotated[Asked, Depends(_sent_somehow)]
