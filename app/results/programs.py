"""The program (one run) that results belong to, and through it the visit that decides who may see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.access import policy
from app.access.identity import Person
from app.errors import FieldError, NotFound
from app.ispyb.tables import (
    AutoProcProgram,
    BLSession,
    DataCollection,
    DataCollectionGroup,
    MotionCorrection,
    ProcessingJob,
    Proposal,
)
from app.settings import Settings


class ProgramNotFound(NotFound):
    """There is no such program of a job on a microscope here, or it is not this person's."""


class ImageNotFound(NotFound):
    """The program has found nothing in an image of this number (yet)."""


PROPOSAL = (Proposal.c.proposalCode, Proposal.c.proposalNumber)  # what ``policy.get_visible`` wants to read
TO_VISIT = (
    AutoProcProgram.join(ProcessingJob, ProcessingJob.c.processingJobId == AutoProcProgram.c.processingJobId)
    .join(DataCollection, DataCollection.c.dataCollectionId == ProcessingJob.c.dataCollectionId)
    .join(DataCollectionGroup, DataCollectionGroup.c.dataCollectionGroupId == DataCollection.c.dataCollectionGroupId)
    .join(BLSession, BLSession.c.sessionId == DataCollectionGroup.c.sessionId)
    .join(Proposal, Proposal.c.proposalId == BLSession.c.proposalId)
)


def about(columns: Sequence[sa.ColumnElement[Any]] = (), source: sa.FromClause = TO_VISIT) -> sa.Select[Any]:
    """A statement for ``get``, which is built once: these columns of a program.

    Args:
        source: ``TO_VISIT`` with outer joins that leave one row of each program.
    """
    of_program = AutoProcProgram.c.autoProcProgramId == sa.bindparam("program_id")
    return sa.select(*PROPOSAL, *columns).select_from(source).where(of_program)


_PLAIN = about()


def get(
    session: Session,
    settings: Settings,
    person: Person,
    program_id: int,
    statement: sa.Select[Any] = _PLAIN,
    **values: int,
) -> sa.Row[Any]:
    """What a statement (see ``about``) has of a program, with these further values.

    Raises:
        ProgramNotFound: there is none that this person may see.
    """
    missing = ProgramNotFound(
        f"There is no program {program_id} of a job on an electron microscope that you may see. "
        "Check the number, or ask your local contact to add you to its visit.",
        errors=[FieldError("programId", "no such program")],
        programId=program_id,
    )
    return policy.get_visible(session, settings, person, statement, missing, {"program_id": program_id, **values})


def in_this_order(statement: sa.Select[Any]) -> sa.Select[Any]:
    """Let MariaDB join the tables as they are named: from a visit or a program to its images.

    Left to itself it may begin with all movies, or all proposals, that there are.
    """
    for dialect in ("mysql", "mariadb"):
        statement = statement.prefix_with("STRAIGHT_JOIN", dialect=dialect)
    return statement


def image_missing(program_id: int, image_number: int) -> ImageNotFound:
    """What is raised for an image of a program that is there."""
    return ImageNotFound(
        f"Program {program_id} has no such result of an image {image_number}. It may not have come so far.",
        errors=[FieldError("imageNumber", "no such image")],
        imageNumber=image_number,
    )


def rows_of(table: sa.Table, owner: str) -> tuple[sa.FromClause, sa.ColumnElement[Any], sa.ColumnElement[Any]]:
    """A table joined to itself, so that one side finds an owner's rows by its index alone and the other reads them.

    Left to itself MariaDB reads the whole table where one program has a large part of it. It comes with two columns of
    the first side: the key, in whose order the index is, and the owner.
    """
    mine = table.alias()
    key = next(iter(table.primary_key))
    return mine.join(table, key == mine.c[key.name]), mine.c[key.name], mine.c[owner]


def first_of_image(table: sa.Table, program: str, motion: str) -> sa.ScalarSelect[Any]:
    """The row that a program has made of one image; the lowest id if there are several.

    A query of its own within the one that asks, for limited to one row it stops at the first. Its parameters are
    ``program_id`` and ``image_number``.

    Args:
        program: the table's column with the program, and ``motion`` that with the motion correction.
    """
    source, key, of_program = rows_of(table, program)
    if table is not MotionCorrection:
        source = source.join(MotionCorrection, MotionCorrection.c.motionCorrectionId == table.c[motion])
    return (
        sa.select(key)
        .select_from(source)
        .where(of_program == sa.bindparam("program_id"), MotionCorrection.c.imageNumber == sa.bindparam("image_number"))
        .order_by(key)
        .limit(1)
        .correlate(None)
        .scalar_subquery()
    )
