"""Statistics over all movies of a visit: histograms of CTF estimations, and the drift from frame to frame."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.functions import GenericFunction

from app.access.identity import Person
from app.ispyb.tables import CTF, DataCollection, DataCollectionGroup, MotionCorrection, Movie
from app.resources import Resources
from app.results import drift, programs
from app.results.drift import MotionCorrectionDrift
from app.results.rules import DEFAULT_BINS, Bins, CtfKind, bins_between
from app.visits import repository as visits
from app.visits.rules import VisitRef

COLUMNS = {
    CtfKind.DEFOCUS: CTF.c.estimatedDefocus,
    CtfKind.ASTIGMATISM: CTF.c.astigmatism,
    CtfKind.RESOLUTION: CTF.c.estimatedResolution,
}
MOTIONS_OF_VISIT = (
    DataCollectionGroup.join(
        DataCollection, DataCollection.c.dataCollectionGroupId == DataCollectionGroup.c.dataCollectionGroupId
    )
    .join(Movie, Movie.c.dataCollectionId == DataCollection.c.dataCollectionId)
    .join(MotionCorrection, MotionCorrection.c.movieId == Movie.c.movieId)
)


class exact(GenericFunction[Any]):  # noqa: N801 - a SQL function
    """A FLOAT as a decimal number, so that it is compared and divided without errors of rounding."""

    inherit_cache = True


@compiles(exact, "mysql")
@compiles(exact, "mariadb")
def _exact_mysql(element: Any, compiler: Any, **kw: Any) -> str:
    return f"CAST({compiler.process(element.clauses.clauses[0], **kw)} AS DECIMAL(24, 6))"


@compiles(exact, "sqlite")
def _exact_sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    return f"CAST({compiler.process(element.clauses.clauses[0], **kw)} AS REAL)"


class bin_number(GenericFunction[int]):  # noqa: N801 - a SQL function
    """Into which of equal steps a number falls: (number, start, step), the number being not below the start."""

    type = sa.Integer()
    inherit_cache = True


@compiles(bin_number, "mysql")
@compiles(bin_number, "mariadb")
def _bin_number_mysql(element: Any, compiler: Any, **kw: Any) -> str:
    number, start, step = (compiler.process(clause, **kw) for clause in element.clauses.clauses)
    return f"(({number} - {start}) DIV {step})"


@compiles(bin_number, "sqlite")
def _bin_number_sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    number, start, step = (compiler.process(clause, **kw) for clause in element.clauses.clauses)
    return f"CAST(({number} - {start}) / {step} AS INTEGER)"


@dataclass(frozen=True)
class Histogram:
    """How many estimations fall into each bin.

    Args:
        bins: the beginning of each as text, in order, and its count.
    """

    beamline: str
    kind: CtfKind
    unit: str
    bins: list[tuple[str, int]]


@dataclass(frozen=True)
class DriftStatistics:
    """How far the specimen moved between frames that follow each other, over all movies, in Å.

    Args:
        frames: ``1-2``, ``2-3``, …; the other lists go with it.
    """

    beamline: str
    frames: list[str]
    lowest: list[float]
    average: list[float]
    highest: list[float]


def ctf_histogram(resources: Resources, person: Person, ref: VisitRef, kind: CtfKind) -> Histogram:
    """A histogram of all CTF estimations of a visit.

    Raises:
        VisitNotFound: there is none that this person may see.
    """
    with resources.database.read() as session:
        visit = visits.get_visit(session, resources.settings, person, ref)
        bins, counts = _count(session, visit.session_id, kind)
    filled = [(text, counts.get(number, 0)) for number, text in enumerate(bins.texts)]
    return Histogram(visit.beamline, kind, kind.unit, filled)


def _count(session: Session, session_id: int, kind: CtfKind) -> tuple[Bins, dict[int, int]]:
    value = exact(COLUMNS[kind])
    lowest, highest, total = session.execute(
        _of_visit(session_id, sa.func.min(value), sa.func.max(value), sa.func.count(COLUMNS[kind]))
    ).one()
    if not total:
        return DEFAULT_BINS[kind], {}
    low, high = Decimal(str(lowest)), Decimal(str(highest))
    if low == high:
        bins = DEFAULT_BINS[kind]
        number = bins.number_of(low)
        return bins, {} if number is None else {number: total}
    bins = bins_between(low, high)
    number_of = bin_number(value, exact(f"{bins.start:f}"), exact(f"{bins.step:f}")).label("number")
    statement = _of_visit(session_id, number_of, sa.func.count().label("total"))
    rows = session.execute(
        # Without an order MariaDB would sort by what it groups.
        statement.where(COLUMNS[kind].is_not(None)).group_by(number_of).order_by(sa.text("NULL"))
    )
    return bins, {int(row.number): int(row.total) for row in rows}


def _of_visit(session_id: int, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
    return programs.in_this_order(
        sa.select(*columns)
        .select_from(MOTIONS_OF_VISIT.join(CTF, CTF.c.motionCorrectionId == MotionCorrection.c.motionCorrectionId))
        .where(DataCollectionGroup.c.sessionId == session_id)
    )


def drift_statistics(resources: Resources, person: Person, ref: VisitRef) -> DriftStatistics:
    """The drift from frame to frame in all movies of a visit; nothing where ISPyB does not keep it.

    Raises:
        VisitNotFound: there is none that this person may see.
    """
    here, before = MotionCorrectionDrift.alias("here"), MotionCorrectionDrift.alias("before")
    distance = sa.func.sqrt(
        sa.func.pow(here.c.deltaX - before.c.deltaX, 2) + sa.func.pow(here.c.deltaY - before.c.deltaY, 2)
    )
    frame = before.c.frameNumber
    with resources.database.read() as session:
        visit = visits.get_visit(session, resources.settings, person, ref)
        statement = programs.in_this_order(
            sa.select(frame, sa.func.min(distance), sa.func.avg(distance), sa.func.max(distance))
            .select_from(
                MOTIONS_OF_VISIT.join(
                    before, before.c.motionCorrectionId == MotionCorrection.c.motionCorrectionId
                ).join(
                    here,
                    sa.and_(
                        here.c.motionCorrectionId == before.c.motionCorrectionId,
                        here.c.frameNumber == frame + 1,
                    ),
                )
            )
            .where(DataCollectionGroup.c.sessionId == visit.session_id, frame > 0)
            .group_by(frame)
            .order_by(sa.text("NULL"))
        )
        rows: list[Any] = sorted(drift.ask_table(session, statement), key=lambda row: int(row[0]))
    return DriftStatistics(
        beamline=visit.beamline,
        frames=[f"{first}-{first + 1}" for first, *_ in rows],
        lowest=[low or 0.0 for _, low, _, _ in rows],
        average=[mean or 0.0 for _, _, mean, _ in rows],
        highest=[high or 0.0 for _, _, _, high in rows],
    )
