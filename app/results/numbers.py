"""Which row a program has made of the image with a number: ISPyB has no index that tells.

To find one among fifty thousand means to read them all. So what was read is remembered, and only what came since is
read; and it is only a hint, which whoever finds the row by it has to check.
"""

from __future__ import annotations

import threading
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.access.identity import Person
from app.db import Database
from app.ispyb.tables import CTF, MotionCorrection, ParticlePicker
from app.resources import Resources
from app.results import programs

MOST = 60  # programs' tables that are remembered, each in at most half a megabyte
HIGHEST = 65_535  # ISPyB's SMALLINT UNSIGNED


class Step(NamedTuple):
    """A table with rows of programs, and its columns with the program and with the motion correction of an image."""

    table: sa.Table
    program: str
    motion: str

    @property
    def key(self) -> sa.Column[Any]:
        """The table's own key."""
        key: sa.Column[Any] = next(iter(self.table.primary_key))
        return key


MOTION = Step(MotionCorrection, "autoProcProgramId", "motionCorrectionId")
CTF_ESTIMATION = Step(CTF, "autoProcProgramId", "motionCorrectionId")
PICKING = Step(ParticlePicker, "programId", "firstMotionCorrectionId")


class Numbers:
    """The lowest id of each image number of the programs that were asked for last. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, int], tuple[int, array[int]]] = OrderedDict()

    def find(self, step: Step, program_id: int, image_number: int) -> int | None:
        """The row, if it was read."""
        with self._lock:
            _, ids = self._known.get((step.table.name, program_id), (0, ()))
            return (ids[image_number] or None) if 0 <= image_number < len(ids) else None

    def last(self, step: Step, program_id: int) -> int:
        """The highest id that was read of a program."""
        with self._lock:
            return self._known.get((step.table.name, program_id), (0, ()))[0]

    def keep(self, step: Step, program_id: int, rows: Iterable[tuple[int, int | None]]) -> None:
        """Remember rows: id and image number."""
        asked = (step.table.name, program_id)
        with self._lock:
            last, ids = self._known.pop(asked, (0, array("Q")))
            for ident, number in rows:
                last = max(last, ident)
                if number is None or not 0 <= number <= HIGHEST:
                    continue
                if number >= len(ids):
                    ids.extend([0] * (number + 1 - len(ids)))
                if not ids[number] or ident < ids[number]:
                    ids[number] = ident
            self._known[asked] = (last, ids)
            while len(self._known) > MOST:
                self._known.popitem(last=False)


_numbers: WeakKeyDictionary[Database, Numbers] = WeakKeyDictionary()


def get_row(
    resources: Resources,
    person: Person,
    step: Step,
    program_id: int,
    image_number: int,
    columns: Sequence[sa.ColumnElement[Any]],
    source_of: Callable[[Any], sa.FromClause],
) -> sa.Row[Any]:
    """These columns of a program, with what a step has made of an image; the lowest id if there are several.

    Args:
        source_of: ``programs.TO_VISIT`` with outer joins to the step's row with this key, and to its motion correction.

    Raises:
        ProgramNotFound: there is no such program that this person may see.
        ImageNotFound: nothing was made of that image.
    """
    known = _numbers.setdefault(resources.database, Numbers())
    wanted = (*columns, MotionCorrection.c.imageNumber.label("found_number"), step.key.label("found"))
    hint = known.find(step, program_id, image_number)
    with resources.database.read() as session:
        if hint is not None:
            row = programs.get(session, resources.settings, person, program_id, wanted, source=source_of(hint))
            if row.found_number == image_number:
                return row
        first = programs.first_of_image(step.table, step.program, step.motion, program_id, image_number)
        row = programs.get(session, resources.settings, person, program_id, wanted, source=source_of(first))
        _learn(session, known, step, program_id)
    if row.found is None:
        raise programs.image_missing(program_id, image_number)
    return row


def _learn(session: Session, numbers: Numbers, step: Step, program_id: int) -> None:
    """Read what a program has made since it was read last. Whose it is was checked before."""
    source, key, program = programs.rows_of(step.table, step.program)
    if step.table is not MotionCorrection:
        source = source.join(MotionCorrection, MotionCorrection.c.motionCorrectionId == step.table.c[step.motion])
    statement = (
        sa.select(key, MotionCorrection.c.imageNumber)
        .select_from(source)
        .where(program == program_id, key > numbers.last(step, program_id))
    )
    for dialect in ("mysql", "mariadb"):
        statement = statement.prefix_with("STRAIGHT_JOIN", dialect=dialect)
    numbers.keep(step, program_id, ((row[0], row[1]) for row in session.execute(statement)))
