"""``stats`` and ``aps``: a visit in histograms, and which movies were processed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import APIRouter
from fastapi.responses import Response

from app.access.identity import Person
from app.errors import FieldError, Invalid, NotFound
from app.resources import Resources
from app.results import movie_status, statistics
from app.results.rules import CtfKind
from app.synchweb import results
from app.synchweb.answers import answer, argument, body, documented, query
from app.synchweb.asking import Asked, GotDep, SentSomehowDep
from app.visits.rules import VisitRef

router = APIRouter(tags=["synchweb: statistics"])
T = TypeVar("T")
MOST_IDS = 100
VISIT = argument("visit", "string", "the visit", example="cm28212-1", required=True)
KIND = argument(
    "ty",
    "string",
    "of what; anything else counts as defocus",
    default=CtfKind.DEFOCUS.value,
    examples=[kind.value for kind in CtfKind],
)


class TooMany(Invalid):
    """More data collections than are answered for at once."""


class NoVisit(Invalid):
    """The request does not say which visit or proposal is meant."""


@router.get(
    "/stats/ctf",
    operation_id="synchwebCtfStatistics",
    summary="Histogram of a visit's CTF estimations",
    responses=documented({"histograms": [{"label": "m12: Resolution (A)", "data": {"4.104": 1}}]}),
    openapi_extra=query(VISIT, KIND),
)
def ctf(asked: GotDep) -> Response:
    """`ty` is `defocus`, `astigmatism` or `resolution`; anything else counts as defocus."""
    wanted = asked.query.get("ty", "")
    kind = CtfKind(wanted) if wanted in list(CtfKind) else CtfKind.DEFOCUS
    found = _of_visit(asked, lambda resources, person, ref: statistics.ctf_histogram(resources, person, ref, kind))
    return answer({"histograms": []} if found is None else results.histogram(found))


@router.get(
    "/stats/mc",
    operation_id="synchwebMotionStatistics",
    summary="Drift from frame to frame over a visit's movies",
    responses=documented({"data": [{"label": "m12", "min": [0.1], "max": [2.5], "avg": [0.7]}], "ticks": ["1-2"]}),
    openapi_extra=query(VISIT),
)
def motion(asked: GotDep) -> Response:
    """Nothing where ISPyB does not keep the drift."""
    found = _of_visit(asked, statistics.drift_statistics)
    return answer({"data": [], "ticks": []} if found is None else results.drift_statistics(found))


def _of_visit(asked: Asked, find: Callable[[Resources, Person, VisitRef], T]) -> T | None:
    """Of a visit that is not there: nothing for who sees every visit; for others it is none of theirs."""
    try:
        return find(asked.resources, asked.person, _visit(asked.query.get("visit")))
    except NotFound as error:
        if asked.person.staff and not error.hidden:
            return None
        error.hidden = True
        raise


def _visit(text: Any) -> VisitRef:
    if not isinstance(text, str) or not text:
        raise NoVisit("Say which visit: visit=cm28212-1.", errors=[FieldError("visit", "is required")])
    return VisitRef.parse(text.lower())  # as everywhere in EM.php, case does not matter


@router.post(
    "/aps",
    operation_id="synchwebMovieStatuses",
    summary="Which movies of some data collections were processed, and with what outcome",
    responses=documented([{"ID": "6018191", "MC": {"1": "1"}, "CTF": {"1": "1"}}]),
    openapi_extra=body(
        {"ids": {"type": "array", "items": {"type": "string"}}, "visit": {"type": "string"}},
        {"ids": ["6018191"]},
        VISIT | {"required": False, "description": "the visit, where the body names none"},
    ),
)
def statuses(asked: SentSomehowDep) -> Response:
    """By image number. Needs `prop` or `visit`."""
    visit = asked.posted.get("visit") or asked.query.get("visit")
    ref = _visit(visit) if visit else None
    if ref is None and asked.person.proposal is None:
        raise NoVisit("Say which visit or proposal: visit=cm28212-1 or prop=cm28212.")
    given = asked.posted.get("ids")
    texts = [text for text in given if isinstance(text, str)] if isinstance(given, list) else []
    ids = [text for text in dict.fromkeys(texts) if re.fullmatch("[0-9]{1,18}", text)]
    if len(ids) > MOST_IDS:
        raise TooMany(f"At most {MOST_IDS} data collections can be asked for at once.")
    found = movie_status.find_statuses(asked.resources, asked.person, [int(ident) for ident in ids], ref)
    return answer([_row(ident, found.get(int(ident))) for ident in ids])


def _row(ident: str, found: movie_status.Statuses | None) -> dict[str, Any]:
    """PHP wrote an empty map as an empty list."""
    motions, ctfs = ({}, {}) if found is None else (found.motion, found.ctf)
    return {"ID": ident, "MC": _texts(motions), "CTF": _texts(ctfs)}


def _texts(statuses: dict[int, int | None]) -> dict[str, str | None] | list[str]:
    return {str(n): None if status is None else str(status) for n, status in statuses.items()} or []
