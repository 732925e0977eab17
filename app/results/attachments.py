"""Attachments: files that a program has left for people, such as plots of the ice's thickness."""

from __future__ import annotations

import logging
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa

from app.access import policy
from app.access.identity import Person
from app.db import from_local
from app.errors import FieldError, NotFound
from app.filesystem import served
from app.filesystem.looks import NoAnswer
from app.ispyb.tables import AutoProcProgram, AutoProcProgramAttachment
from app.resources import Resources
from app.results import programs

log = logging.getLogger(__name__)
attachment = AutoProcProgramAttachment.c

LARGEST_JSON = 5_000_000  # bytes of one file that comes along with a list
MOST_JSON = 20_000_000  # bytes of all of them together; the rest can be fetched one by one
PRESENT = sa.or_(attachment.deleted == 0, attachment.deleted.is_(None))


class AttachmentNotFound(NotFound):
    """There is no such attachment, or it is not this person's."""


@dataclass(frozen=True)
class Attachment:
    """One file.

    Args:
        path: where it lies; ``None`` if ISPyB does not say.
        exists: whether it was seen there; ``None`` where nobody looked, or the file system did not answer.
        content: of a ``.json`` file that was asked for.
    """

    attachment_id: int
    file_name: str | None
    path: str | None
    record_time_stamp: datetime | None
    file_type: str | None
    importance_rank: int | None
    exists: bool | None = None
    content: str | None = None

    @property
    def is_json(self) -> bool:
        """By its name."""
        return posixpath.splitext(self.file_name or "")[1].lower() == ".json"


def list_attachments(resources: Resources, person: Person, program_id: int) -> list[Attachment]:
    """A program's attachments by their ids, without a look at the files.

    Raises:
        ProgramNotFound: there is no such program that this person may see.
    """
    statement = sa.select(
        attachment.autoProcProgramAttachmentId,
        attachment.fileName,
        attachment.filePath,
        attachment.fileType,
        attachment.importanceRank,
        attachment.recordTimeStamp,
    ).where(attachment.autoProcProgramId == program_id, PRESENT)
    with resources.database.read() as session:
        programs.get(session, resources.settings, person, program_id)
        rows = session.execute(statement).all()
    return [
        Attachment(
            attachment_id=row.autoProcProgramAttachmentId,
            file_name=row.fileName,
            path=_path(row.filePath, row.fileName),
            record_time_stamp=from_local(row.recordTimeStamp, resources.settings.zone),
            file_type=row.fileType,
            importance_rank=row.importanceRank,
        )
        for row in sorted(rows, key=lambda row: int(row.autoProcProgramAttachmentId))
    ]


def look_at(
    resources: Resources, program_id: int, attachments: Sequence[Attachment], *, json: bool
) -> list[Attachment]:
    """These attachments of a program with what can be seen of their files, in one look.

    Args:
        json: whether to read what is in ``.json`` files.
    """
    wanted = {one.path: LARGEST_JSON if json and one.is_json else 0 for one in attachments if one.path is not None}
    try:
        found = served.find_all(
            resources.looks, resources.settings.roots, wanted, f"attachment of program {program_id}", total=MOST_JSON
        )
    except NoAnswer as error:
        log.warning("attachments: %s", error)
        return list(attachments)
    return [_seen(one, None if one.path is None else found[one.path]) for one in attachments]


def _seen(one: Attachment, file: served.File | served.NoFile | None) -> Attachment:
    if not isinstance(file, served.File):
        return replace(one, exists=False)
    content = file.content if one.is_json else None
    return replace(one, exists=True, content=None if content is None else content.decode("utf-8", "replace"))


def find_attachment_file(
    resources: Resources, person: Person, attachment_id: int, *, program_id: int | None = None
) -> str | None:
    """The path of an attachment, if ISPyB says where it is.

    Args:
        program_id: the program that it must be of.

    Raises:
        AttachmentNotFound: there is none that this person may see.
    """
    missing = AttachmentNotFound(
        f"There is no attachment {attachment_id} here that you may see. "
        "Check the number, or ask your local contact to add you to its visit.",
        errors=[FieldError("attachmentId", "no such attachment")],
        autoProcProgramAttachmentId=attachment_id,
    )
    statement = (
        sa.select(*programs.PROPOSAL, attachment.filePath, attachment.fileName)
        .select_from(
            programs.TO_VISIT.join(
                AutoProcProgramAttachment, attachment.autoProcProgramId == AutoProcProgram.c.autoProcProgramId
            )
        )
        .where(attachment.autoProcProgramAttachmentId == attachment_id, PRESENT)
    )
    if program_id is not None:
        statement = statement.where(AutoProcProgram.c.autoProcProgramId == program_id)
    with resources.database.read() as session:
        row = policy.get_visible(session, resources.settings, person, statement, missing)
    return _path(row.filePath, row.fileName)


def _path(directory: str | None, name: str | None) -> str | None:
    return f"{directory}/{name}" if directory and name else None
