"""``attachments`` and ``attachment``: files that a program left for people."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from app.results import attachments
from app.synchweb import results
from app.synchweb.answers import FILE, PROP, answer, documented, documented_file, download, or_nothing
from app.synchweb.asking import GotDep

router = APIRouter(tags=["synchweb: results"])


@router.get(
    "/attachments/{programId:ident}",
    operation_id="synchwebAttachments",
    summary="A program's attachments whose files are there",
    responses=documented([{"autoProcProgramAttachmentId": "90000001", "fileType": "Graph", "JSON": "{}"}]),
    openapi_extra=PROP,
)
def list_attachments(programId: int, asked: GotDep) -> Response:  # noqa: N803
    """What a `.json` file holds comes along as text, for the page to plot."""
    nothing: list[attachments.Attachment] = []
    found = or_nothing(lambda: attachments.list_attachments(asked.resources, asked.person, programId), nothing)
    seen = attachments.look_at(asked.resources, found, json=True)
    return answer([results.attachment_row(attachment) for attachment in seen if attachment.exists])


@router.get(
    "/attachment/{attachId:ident}",
    operation_id="synchwebAttachment",
    summary="One attachment, as a download",
    responses=documented_file(FILE),
    openapi_extra=PROP,
)
def get_attachment(attachId: int, asked: GotDep) -> Response:  # noqa: N803
    """The browser opens it as a page, with a one-time token in its address."""
    return download(asked, attachments.find_attachment_file(asked.resources, asked.person, attachId))
