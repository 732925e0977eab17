"""``attachments`` and ``attachment``: files that a program left for people."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from app.results import attachments
from app.synchweb import results
from app.synchweb.answers import FILE, OPENED, PROP, answer, documented, documented_file, download, or_nothing
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
    """What a `.json` file holds comes along as text, for the page to plot: up to 5 MB each, 20 MB together.

    Where the file system does not answer, all are listed, without what they hold.
    """
    nothing: list[attachments.Attachment] = []
    found = or_nothing(lambda: attachments.list_attachments(asked.resources, asked.person, programId), nothing)
    seen = attachments.look_at(asked.resources, programId, found, json=True)
    return answer([results.attachment_row(attachment) for attachment in seen if attachment.exists is not False])


@router.get(
    "/attachment/{attachId:ident}",
    operation_id="synchwebAttachment",
    summary="One attachment, as a download",
    response_class=Response,
    responses=documented_file(FILE),
    openapi_extra=OPENED,
)
def get_attachment(attachId: int, asked: GotDep) -> Response:  # noqa: N803
    """The browser opens it as a page, with a one-time token in its address."""
    return download(
        asked, attachments.find_attachment_file(asked.resources, asked.person, attachId), f"attachment {attachId}"
    )
