"""Which movies of some data collections were processed, and with what outcome: SynchWeb's oldest list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from app.access import policy
from app.access.identity import Person
from app.data_collections import repository as data_collections
from app.ispyb.tables import (
    CTF,
    AutoProcProgram,
    BLSession,
    DataCollection,
    MotionCorrection,
    Movie,
)
from app.resources import Resources
from app.results import programs
from app.results.programs import PROPOSAL
from app.visits.rules import VisitRef

MOVIES, _, OF_COLLECTION = programs.rows_of(Movie, "dataCollectionId")
MOTIONS = MOVIES.join(MotionCorrection, MotionCorrection.c.movieId == Movie.c.movieId)


@dataclass(frozen=True)
class Statuses:
    """By the movie's number: the ``processingStatus`` of the program that treated it last."""

    motion: dict[int, int | None] = field(default_factory=dict)
    ctf: dict[int, int | None] = field(default_factory=dict)


def find_statuses(
    resources: Resources, person: Person, dcids: Sequence[int], ref: VisitRef | None
) -> dict[int, Statuses]:
    """The movies of these data collections; those of others are not in the answer.

    Beside data collections of the person's own it has those of the same proposal that were asked for with them, as it
    was recorded from ``EM.php``: numbers and outcomes of movies, nothing else.

    Args:
        ref: the visit that is asked about; else the proposal that ``person`` names counts.

    Raises:
        DataCollectionNotFound: there are some, and this person may see none of them.
    """
    if not dcids:
        return {}
    visible = policy.visible(person, resources.settings).label("visible")
    # What staff would see: other beamlines, and industrial visits where they are for the listed only, never come along.
    ordinary = policy.visible(replace(person, staff=True), resources.settings).label("ordinary")
    columns = (DataCollection.c.dataCollectionId, BLSession.c.visit_number, *PROPOSAL, visible, ordinary)
    with resources.database.read() as session:
        named = session.execute(
            sa.select(*columns)
            .select_from(data_collections.WITH_VISIT)
            .where(DataCollection.c.dataCollectionId.in_(dcids))
        ).all()
        asked = [row for row in named if _is_asked_about(row, person, ref)]
        own = {(row.proposalCode, row.proposalNumber) for row in asked if row.visible}
        beside = [row for row in asked if (row.proposalCode, row.proposalNumber) in own]
        shown = [row.dataCollectionId for row in beside if row.visible or row.ordinary]
        if asked and not own:
            missing = data_collections.missing(asked[0].dataCollectionId)
            missing.hidden = True
            raise missing
        if not shown:
            return {}
        out = {dcid: Statuses() for dcid in shown}
        for kind, statement in (("motion", _motion(shown)), ("ctf", _ctf(shown))):
            rows = session.execute(statement).all()
            for dcid, _, number, status in sorted(rows, key=lambda row: (row[0], row[1])):
                if number is not None:
                    getattr(out[dcid], kind)[number] = status
    return out


def _is_asked_about(row: sa.Row[Any], person: Person, ref: VisitRef | None) -> bool:
    proposal = f"{row.proposalCode or ''}{row.proposalNumber or ''}".lower()
    if person.proposal is not None and person.proposal.lower() != proposal:
        return False
    return ref is None or (ref.proposal, ref.visit_number) == (proposal, row.visit_number)


def _motion(dcids: Sequence[int]) -> sa.Select[Any]:
    return _of_movies(dcids, MOTIONS, MotionCorrection)


def _ctf(dcids: Sequence[int]) -> sa.Select[Any]:
    return _of_movies(dcids, MOTIONS.join(CTF, CTF.c.motionCorrectionId == MotionCorrection.c.motionCorrectionId), CTF)


def _of_movies(dcids: Sequence[int], source: sa.FromClause, treated: sa.Table) -> sa.Select[Any]:
    program = AutoProcProgram.c
    return programs.in_this_order(
        sa.select(Movie.c.dataCollectionId, program.autoProcProgramId, Movie.c.movieNumber, program.processingStatus)
        .select_from(source.join(AutoProcProgram, program.autoProcProgramId == treated.c.autoProcProgramId))
        .where(OF_COLLECTION.in_(dcids))
    )
