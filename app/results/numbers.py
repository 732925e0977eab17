"""Which row a program has made of the image with a number: ISPyB has no index that tells.

To find one among fifty thousand means to read them all. So what was read is remembered, and only what came since is
read; and it is only a hint, which whoever finds the row by it has to check.
"""

from __future__ import annotations

import threading
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import sqlalchemy as sa

from app.access.identity import Person
from app.db import Database
from app.ispyb.tables import CTF, MotionCorrection, ParticlePicker
from app.resources import Resources
from app.results import programs

MOST = 60  # programs' tables that are remembered, each in at most half a megabyte
READERS = 16  # locks that programs share, each to be read by one at a time
PATIENCE = 2.0  # seconds to wait for somebody else who reads
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
        self._reading = tuple(threading.Lock() for _ in range(READERS))
        self._known: OrderedDict[tuple[str, int], tuple[int, array[int]]] = OrderedDict()

    def find(self, step: Step, program_id: int, image_number: int) -> int | None:
        """The row, if it was read."""
        with self._lock:
            _, ids = self._known.get((step.table.name, program_id), (0, ()))
            return (ids[image_number] or None) if 0 <= image_number < len(ids) else None

    def reading(self, step: Step, program_id: int) -> threading.Lock:
        """What whoever reads a program's rows holds: of those who ask at once, one reads for all."""
        return self._reading[hash((step.table.name, program_id)) % READERS]

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


@dataclass(frozen=True)
class Question:
    """What is to be known of an image. The statements are built once, for that costs more than to answer them.

    Args:
        by_key: finds the step's row by ``hint``, and ``by_number`` by ``image_number``, among all of a program.
    """

    step: Step
    by_key: sa.Select[Any]
    by_number: sa.Select[Any]


def question(
    step: Step, columns: Sequence[sa.ColumnElement[Any]], source_of: Callable[[Any], sa.FromClause]
) -> Question:
    """Ask for these columns of a program, with what a step has made of an image.

    Args:
        source_of: ``programs.TO_VISIT`` with outer joins to the step's row with this key, and to its motion correction.
    """
    wanted = (*columns, MotionCorrection.c.imageNumber.label("found_number"), step.key.label("found"))
    first = programs.first_of_image(step.table, step.program, step.motion)
    return Question(
        step,
        by_key=programs.about(wanted, source_of(sa.bindparam("hint"))),
        by_number=programs.about(wanted, source_of(first)),
    )


def get_row(resources: Resources, person: Person, asked: Question, program_id: int, image_number: int) -> sa.Row[Any]:
    """The answer for one image of a program; that with the lowest id if there are several.

    Raises:
        ProgramNotFound: there is no such program that this person may see.
        ImageNotFound: nothing was made of that image.
    """
    settings = resources.settings
    known = _numbers.get(resources.database) or _numbers.setdefault(resources.database, Numbers())
    hint = known.find(asked.step, program_id, image_number)
    if hint is None:
        with resources.database.read() as session:
            programs.get(session, settings, person, program_id)  # raises if it is not theirs: what is learnt serves all
        _learn(resources.database, known, asked.step, program_id, image_number)
        hint = known.find(asked.step, program_id, image_number)
    with resources.database.read() as session:
        if hint is not None:
            row = programs.get(session, settings, person, program_id, asked.by_key, hint=hint)
            if row.found_number == image_number:
                return row
        # It may have come within this moment, or behind rows that were read before it was committed.
        row = programs.get(session, settings, person, program_id, asked.by_number, image_number=image_number)
    if row.found is None:
        raise programs.image_missing(program_id, image_number)
    return row


def _learn(database: Database, numbers: Numbers, step: Step, program_id: int, image_number: int) -> None:
    """Read what a program has made since it was read last, unless somebody else does so now and finds the image."""
    reading = numbers.reading(step, program_id)
    if not reading.acquire(timeout=PATIENCE):
        return  # nothing is lost but time: it is found by its number
    try:
        if numbers.find(step, program_id, image_number) is None:
            values = {"program_id": program_id, "last": numbers.last(step, program_id)}
            with database.read() as session:
                numbers.keep(step, program_id, ((row[0], row[1]) for row in session.execute(_new_rows(step), values)))
    finally:
        reading.release()


@cache
def _new_rows(step: Step) -> sa.Select[Any]:
    source, key, program = programs.rows_of(step.table, step.program)
    if step.table is not MotionCorrection:
        source = source.join(MotionCorrection, MotionCorrection.c.motionCorrectionId == step.table.c[step.motion])
    return programs.in_this_order(
        sa.select(key, MotionCorrection.c.imageNumber)
        .select_from(source)
        .where(program == sa.bindparam("program_id"), key > sa.bindparam("last"))
    )
