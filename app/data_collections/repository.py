"""Queries about data collections. Those that name a visit are bounded by what the person may see."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.access import policy
from app.access.identity import Person
from app.data_collections.acquisition import Acquisition
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

ACQUISITION: dict[str, sa.Column[Any]] = {
    "dcid": dc.dataCollectionId,
    "group_id": dc.dataCollectionGroupId,
    "start": dc.startTime,
    "end": dc.endTime,
    "image_directory": dc.imageDirectory,
    "image_suffix": dc.imageSuffix,
    "file_template": dc.fileTemplate,
    "image_size_x": dc.imageSizeX,
    "image_size_y": dc.imageSizeY,
    "pixel_size": dc.pixelSizeOnImage,
    "movies": dc.numberOfImages,
    "frames": dc.numberOfPasses,
    "exposure_time": dc.exposureTime,
    "total_dose": dc.totalExposedDose,
    "voltage": dc.voltage,
    "magnification": dc.magnification,
    "phase_plate": dc.phasePlate,
    "c2_lens": dc.c2lens,
    "c2_aperture": dc.c2aperture,
    "objective_aperture": dc.objAperture,
    "beam_size_x": dc.beamSizeAtSampleX,
    "beam_size_y": dc.beamSizeAtSampleY,
    "slit_width": dc.slitGapHorizontal,
    "detector_mode": dc.DETECTORMODE,
    "comments": dc.comments,
}

WITH_GROUP = tables.DataCollection.join(
    DataCollectionGroup, DataCollectionGroup.c.dataCollectionGroupId == dc.dataCollectionGroupId
)
WITH_VISIT = WITH_GROUP.join(BLSession, BLSession.c.sessionId == DataCollectionGroup.c.sessionId).join(
    Proposal, Proposal.c.proposalId == BLSession.c.proposalId
)


_ONE = sa.select(*COLUMNS, *visits.COLUMNS).select_from(WITH_VISIT).where(dc.dataCollectionId == sa.bindparam("dcid"))


def missing(dcid: int) -> DataCollectionNotFound:
    """What is raised for a data collection that is not there, or not for this person."""
    return DataCollectionNotFound(
        f"There is no data collection {dcid} on an electron microscope that you may see. "
        "Check the number, or ask your local contact to add you to its visit.",
        errors=[FieldError("dcid", "no such data collection")],
        dataCollectionId=dcid,
    )


# SESSIONID has the index; it is a copy that nothing checks, so the group, which has the foreign key, must agree.
_OF_VISIT = sa.and_(
    dc.SESSIONID == sa.bindparam("session_id"), DataCollectionGroup.c.sessionId == sa.bindparam("session_id")
)
_IDS_OF_VISIT = sa.select(dc.dataCollectionId).select_from(WITH_GROUP).where(_OF_VISIT)
_IN_DIRECTORIES = (
    sa.select(*COLUMNS)
    .select_from(WITH_GROUP)
    .where(_OF_VISIT, dc.imageDirectory.in_(sa.bindparam("directories", expanding=True)))
    .order_by(dc.dataCollectionId)
)


def get(session: Session, settings: Settings, person: Person, dcid: int) -> tuple[DataCollection, Visit]:
    """A data collection with its visit.

    Raises:
        DataCollectionNotFound: there is none that this person may see.
    """
    row = policy.get_visible(session, settings, person, _ONE, missing(dcid), {"dcid": dcid})
    return _collection(row, settings), visits.visit_of(row, settings)


def list_of_visit(
    session: Session, settings: Settings, visit: Visit, *, limit: int, page: int
) -> tuple[int, list[DataCollection]]:
    """How many data collections a visit has, and one page of them, newest first."""
    found = session.execute(_IDS_OF_VISIT, {"session_id": visit.session_id}).scalars()
    # A visit has at most some thousands: sorted here, its rows need not be read and sorted to show some of them.
    dcids = sorted(found, reverse=True)
    shown = dcids[(page - 1) * limit : page * limit]
    rows = session.execute(sa.select(*COLUMNS).where(dc.dataCollectionId.in_(shown))).all() if shown else []
    collections = {row.dataCollectionId: _collection(row, settings) for row in rows}
    return len(dcids), [collections[dcid] for dcid in shown if dcid in collections]


def find(session: Session, settings: Settings, visit: Visit, movies: Movies) -> DataCollection | None:
    """The data collection of exactly these files in this visit; the lowest id if there are several."""
    directories = [movies.directory, movies.directory + "/"]
    rows = session.execute(_IN_DIRECTORIES, {"session_id": visit.session_id, "directories": directories})
    # ISPyB's collation ignores case and trailing spaces; file systems do not.
    same = (row for row in rows if same_files(movies, row.imageDirectory, row.fileTemplate))
    return next((_collection(row, settings) for row in same), None)


def create(
    session: Session, settings: Settings, visit: Visit, movies: Movies, origin: str, comments: str | None = None
) -> DataCollection:
    """Write the data collection of these files, with its group. The visit's slot must be held.

    Args:
        origin: how it came to be, as the group's comments.
    """
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
                sessionId=visit.session_id, experimentType="EM", comments=origin, startTime=local_now(), endTime=end
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
                comments=comments,
            )
        )
    )
    row = session.execute(sa.select(*COLUMNS).where(dc.dataCollectionId == dcid)).one()
    return _collection(row, settings)


def set_comments(session: Session, dcid: int, comments: str | None) -> None:
    """Replace a data collection's comments. Whether the person may see it must have been asked before."""
    session.execute(sa.update(tables.DataCollection).where(dc.dataCollectionId == dcid).values(comments=comments))


def get_acquisition(session: Session, settings: Settings, person: Person, dcid: int) -> Acquisition:
    """How a data collection was recorded, with its visit and how many attachments and comments it has.

    Raises:
        DataCollectionNotFound: there is none that this person may see.
    """
    row = policy.get_visible(session, settings, person, _ACQUISITION, missing(dcid), {"dcid": dcid})
    values = {name: getattr(row, name) for name in ACQUISITION}
    for name in ("start", "end"):
        if not isinstance(values[name], datetime):
            values[name] = None  # MariaDB's 0000-00-00 is no time
    return Acquisition(
        visit=visits.visit_of(row, settings),
        attachment_count=row.attachment_count,
        comment_count=row.comment_count,
        **values,
    )


def _count_of(table: sa.Table) -> sa.ScalarSelect[int]:
    # By the id itself: a subquery that named the outer row would run once for each of its rows.
    mine = table.c.dataCollectionId == sa.bindparam("dcid")
    return sa.select(sa.func.count()).select_from(table).where(mine).scalar_subquery()


_ACQUISITION = (
    sa.select(
        *(column.label(name) for name, column in ACQUISITION.items()),
        *visits.COLUMNS,
        _count_of(tables.DataCollectionFileAttachment).label("attachment_count"),
        _count_of(tables.DataCollectionComment).label("comment_count"),
    )
    .select_from(WITH_VISIT)
    .where(dc.dataCollectionId == sa.bindparam("dcid"))
)


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
