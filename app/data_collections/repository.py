"""Queries about data collections. Those that name a visit are bounded by what the person may see."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.access import policy
from app.access.identity import Person
from app.data_collections.rules import PREFIXES, DataCollection, Movies, same_files
from app.db import from_local, local_now
from app.errors import FieldError, NotFound
from app.ispyb import tables
from app.ispyb.tables import BLSession, DataCollectionGroup, Proposal, inserted_id
from app.settings import Settings
from app.visits import repository as visits
from app.visits.rules import Visit

dc = tables.DataCollection.c


class DataCollectionNotFound(NotFound):
    """There is no such data collection on a microscope here, or it is not this person's."""


COLUMNS = (
    dc.dataCollectionId,
    dc.SESSIONID,
    dc.imageDirectory,
    dc.fileTemplate,
    dc.imagePrefix,
    dc.imageSuffix,
    dc.dataCollectionNumber,
    dc.startTime,
    dc.endTime,
    dc.runStatus,
    dc.comments,
)


WITH_GROUP = tables.DataCollection.join(
    DataCollectionGroup, DataCollectionGroup.c.dataCollectionGroupId == dc.dataCollectionGroupId
)


def _of_visit(visit: Visit) -> sa.ColumnElement[bool]:
    # SESSIONID has the index; it is a copy that nothing checks, so the group, which has the foreign key, must agree.
    return sa.and_(dc.SESSIONID == visit.session_id, DataCollectionGroup.c.sessionId == visit.session_id)


def get(session: Session, settings: Settings, person: Person, dcid: int) -> tuple[DataCollection, Visit]:
    """A data collection with its visit.

    Raises:
        DataCollectionNotFound: there is none that this person may see.
    """
    row = session.execute(
        sa.select(*COLUMNS, *visits.COLUMNS)
        .select_from(WITH_GROUP)
        .join(BLSession, BLSession.c.sessionId == DataCollectionGroup.c.sessionId)
        .join(Proposal, Proposal.c.proposalId == BLSession.c.proposalId)
        .where(dc.dataCollectionId == dcid, policy.visible(person, settings.beamlines))
    ).first()
    if row is None:
        raise DataCollectionNotFound(
            f"There is no data collection {dcid} on an electron microscope that you may see. "
            "Check the number, or ask your local contact to add you to its visit.",
            errors=[FieldError("dcid", "no such data collection")],
            dataCollectionId=dcid,
        )
    return _collection(row, settings), visits.visit_of(row, settings)


def list_of_visit(
    session: Session, settings: Settings, visit: Visit, *, limit: int, page: int
) -> tuple[int, list[DataCollection]]:
    """How many data collections a visit has, and one page of them, newest first."""
    of_visit = _of_visit(visit)
    total = session.execute(sa.select(sa.func.count()).select_from(WITH_GROUP).where(of_visit)).scalar_one()
    rows = session.execute(
        sa.select(*COLUMNS)
        .select_from(WITH_GROUP)
        .where(of_visit)
        .order_by(dc.dataCollectionId.desc())
        .limit(limit)
        .offset((page - 1) * limit)
    )
    return total, [_collection(row, settings) for row in rows]


def find(session: Session, settings: Settings, visit: Visit, movies: Movies) -> DataCollection | None:
    """The data collection of exactly these files in this visit; the lowest id if there are several."""
    rows = session.execute(
        sa.select(*COLUMNS)
        .select_from(WITH_GROUP)
        .where(_of_visit(visit), dc.imageDirectory.in_([movies.directory, movies.directory + "/"]))
        .order_by(dc.dataCollectionId)
    )
    # ISPyB's collation ignores case and trailing spaces; file systems do not.
    same = (row for row in rows if same_files(movies, row.imageDirectory, row.fileTemplate))
    return next((_collection(row, settings) for row in same), None)


def create(session: Session, settings: Settings, visit: Visit, movies: Movies, comments: str) -> DataCollection:
    """Write the data collection of these files, with its group. The visit's slot must be held."""
    directory = movies.directory + "/"
    prefix = PREFIXES[movies.software]
    highest = session.execute(
        sa.select(sa.func.max(dc.dataCollectionNumber)).where(
            dc.SESSIONID == visit.session_id,
            dc.imageDirectory.in_([movies.directory, directory]),
            dc.imagePrefix == prefix,
        )
    ).scalar_one()
    end = None if visit.end is None else visit.end.replace(tzinfo=None)
    group = inserted_id(
        session.execute(
            sa.insert(DataCollectionGroup).values(
                sessionId=visit.session_id, experimentType="EM", comments=comments, startTime=local_now(), endTime=end
            )
        )
    )
    dcid = inserted_id(
        session.execute(
            sa.insert(tables.DataCollection).values(
                SESSIONID=visit.session_id,
                dataCollectionGroupId=group,
                imageDirectory=directory,
                fileTemplate=movies.template,
                imagePrefix=prefix,
                imageSuffix=movies.suffix,
                dataCollectionNumber=(highest or 0) + 1,
                startTime=local_now(),
                endTime=end,
                runStatus="DataCollection Successful",
            )
        )
    )
    row = session.execute(sa.select(*COLUMNS).where(dc.dataCollectionId == dcid)).one()
    return _collection(row, settings)


def _collection(row: sa.Row[*tuple[Any, ...]], settings: Settings) -> DataCollection:
    return DataCollection(
        dcid=row.dataCollectionId,
        session_id=row.SESSIONID,
        image_directory=row.imageDirectory,
        file_template=row.fileTemplate,
        image_prefix=row.imagePrefix,
        image_suffix=row.imageSuffix,
        number=row.dataCollectionNumber,
        start=from_local(row.startTime, settings.zone),
        end=from_local(row.endTime, settings.zone),
        run_status=row.runStatus,
        comments=row.comments,
    )
