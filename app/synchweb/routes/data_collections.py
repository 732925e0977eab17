"""``dc``: the form of a data collection, a new one, one, and its comments."""

from __future__ import annotations

import re

from fastapi import APIRouter, Depends, HTTPException
from fastapi.responses import Response

from app.data_collections import service
from app.data_collections.movies import MoviesNotFound
from app.data_collections.rules import MoviesInvalid
from app.data_collections.service import DataCollectionExists
from app.errors import FieldError, Invalid
from app.http.polls import polled
from app.synchweb import data_collection, forms
from app.synchweb.answers import PROP, answer, body, documented
from app.synchweb.asking import GotDep, SentDep
from app.synchweb.forms import FormInvalid
from app.visits.rules import VisitRef

ORIGIN = "Created by SynchWeb"  # what SynchWeb and its users know to look for

router = APIRouter(tags=["synchweb: data collections"])


class CommentInvalid(Invalid):
    """This cannot be a comment."""


@router.get("/dc/schema/", include_in_schema=False)
@router.get(
    "/dc/schema",
    operation_id="synchwebDataCollectionSchema",
    summary="The fields of a data collection, in the order on the screen",
    responses=documented({"imageDirectory": {"label": "Movie File Directory", "required": True, "default": "raw"}}),
    openapi_extra=PROP,
)
def schema(asked: GotDep) -> Response:
    """The dialog that makes one shows those that are required."""
    return answer(forms.dc_schema())


@router.post(
    "/dc/new/{visit}",
    operation_id="synchwebNewDataCollection",
    summary="Make the data collection of a set of movies",
    responses=documented({"id": 6018191}),
    openapi_extra=body(
        {"acquisitionSoftware": {"type": "string"}, "imageDirectory": {"type": "string"}},
        {"acquisitionSoftware": "EPU", "imageDirectory": "raw", "imageSuffix": "tiff"},
    ),
)
def create(visit: str, asked: SentDep) -> Response:
    """The movies must be there, and must not be a data collection yet."""
    name = visit.lower()  # ISPyB's collation does not tell them apart, and EM.php left it to that
    if not re.fullmatch(r"\w+\d+-\d+", name, re.ASCII):
        raise HTTPException(404)
    form = forms.check_dc_form(asked.posted)
    try:
        made = service.create_collection(
            asked.resources, asked.person, VisitRef.parse(name), form.movies, ORIGIN, form.comments
        )
    except (DataCollectionExists, MoviesNotFound, MoviesInvalid) as error:
        # These three fields say together which movies are meant.
        raise FormInvalid(
            error.detail, errors=[FieldError(field, error.detail) for field in forms.MOVIE_FIELDS]
        ) from error
    return answer({"id": made.dcid})


@router.get(
    "/dc/{id:ident}",
    operation_id="synchwebDataCollection",
    summary="A data collection as the page shows it",
    responses=documented({"dataCollectionId": "6018191", "imageDirectory": "/dls/m12/data/2021/cm28212-1/raw/"}),
    openapi_extra=PROP,
    dependencies=[Depends(polled)],
)
def get(id: int, asked: GotDep) -> Response:
    """Texts, `""` for what is not known."""
    return answer(data_collection.row(service.get_acquisition(asked.resources, asked.person, id)))


@router.post(
    "/dc/comments/{id:ident}",
    operation_id="synchwebComments",
    summary="Change a data collection's comments",
    responses=documented({"updated": "6018191"}),
    openapi_extra=body({"comments": {"type": ["string", "null"]}}, {"comments": "Good ice"}),
)
def set_comments(id: int, asked: SentDep) -> Response:
    """`null` clears them. A body without them changes nothing."""
    comments = asked.posted.get("comments")
    if "comments" not in asked.posted or not (comments is None or isinstance(comments, str)):
        raise CommentInvalid(
            "comments must be a text, or null to clear it.", errors=[FieldError("comments", "must be a text")]
        )
    service.set_comments(asked.resources, asked.person, id, comments)
    return answer({"updated": str(id)})
