"""How far programs have come: the latest image and the highest number that each step has reached.

Whoever has a list of runs open asks this every half minute, of programs with many thousands of images. So what was
read is remembered, and only what came since is read.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction

from app.access import policy
from app.access.identity import Person
from app.access.policy import Kind
from app.db import Database
from app.ispyb.tables import CTF, AutoProcProgram, MotionCorrection, Movie, ParticlePicker
from app.resources import Resources
from app.results import programs

MOST_PROGRAMS = 500
NUMBERS = 2**24  # more than any imageNumber
MOST_REMEMBERED = 10_000  # programs
SETTLES = 60.0  # seconds; by then rows with lower ids than one that was seen are committed too, or never will be
STILL_COMING = 5_000  # rows of a whole facility in many minutes; what is that late is read when all is read anew
FORGOTTEN = 3600.0  # seconds; then all rows are read anew, for some may have been deleted or changed


class unix_seconds(GenericFunction[int]):  # noqa: N801 - a SQL function
    """A time of ISPyB as a whole number that grows."""

    type = sa.Integer()
    inherit_cache = True


@compiles(unix_seconds, "mysql")
@compiles(unix_seconds, "mariadb")
def _unix_seconds_mysql(element: Any, compiler: Any, **kw: Any) -> str:
    return f"UNIX_TIMESTAMP({compiler.process(element.clauses, **kw)})"


@compiles(unix_seconds, "sqlite")
def _unix_seconds_sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    return f"CAST(strftime('%s', {compiler.process(element.clauses, **kw)}) AS INTEGER)"


@dataclass(frozen=True)
class Progress:
    """Image numbers; ``None`` where there is nothing yet.

    Args:
        mc_latest: the image of the newest movie that was motion corrected, and ``mc_max`` the highest number.
    """

    mc_latest: int | None = None
    mc_max: int | None = None
    ctf_latest: int | None = None
    ctf_max: int | None = None
    pick_latest: int | None = None
    pick_max: int | None = None


STEPS = (  # the table, its columns with the program and with the motion correction
    ("mc", MotionCorrection, "autoProcProgramId", "motionCorrectionId"),
    ("ctf", CTF, "autoProcProgramId", "motionCorrectionId"),
    ("pick", ParticlePicker, "programId", "firstMotionCorrectionId"),
)


@dataclass(frozen=True)
class Reached:
    """How far one step of a program has come.

    Args:
        settled: rows up to this id are not read again.
        begun: whether there is any row.
        highest: the highest image number.
        newest: time and image number of the newest movie, in one number.
    """

    settled: int = 0
    begun: bool = False
    highest: int | None = None
    newest: int | None = None

    def after(self, row: sa.Row[Any] | None, settled: int) -> Reached:
        """With what is in all rows above ``self.settled``; rows up to ``settled`` will be the same the next time."""
        settled = max(settled, self.settled)
        if row is None:
            return replace(self, settled=settled)
        return Reached(settled, True, _most(self.highest, row.highest), _most(self.newest, row.newest))


@dataclass(frozen=True)
class Known:
    """What was read of a program. It is whole in itself: if something older takes its place, more is read again.

    Args:
        since: when all rows were read.
    """

    since: float
    reached: Mapping[str, Reached] = field(default_factory=lambda: {kind: Reached() for kind, *_ in STEPS})

    def after(self, rows: Mapping[str, sa.Row[Any]], settled: Mapping[str, int]) -> Known:
        """With rows that were read since, by step."""
        reached = {kind: one.after(rows.get(kind), settled.get(kind, 0)) for kind, one in self.reached.items()}
        return Known(self.since, reached)

    def progress(self) -> Progress | None:
        """``None`` if it has found nothing yet."""
        begun = {kind: one for kind, one in self.reached.items() if one.begun}
        highest = {f"{kind}_max": one.highest for kind, one in begun.items()}
        latest = {f"{kind}_latest": None if one.newest is None else one.newest % NUMBERS for kind, one in begun.items()}
        return Progress(**highest, **latest) if begun else None


class Memory:
    """What is known of the programs that were asked for last. Threads may share it."""

    def __init__(self, *, most: int = MOST_REMEMBERED, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        self._known: OrderedDict[int, Known] = OrderedDict()  # the one that was not asked for the longest comes first
        self._settled: Mapping[str, int] = {}
        self._seen: tuple[float, Mapping[str, int]] | None = None  # what settles next, and when it was seen

    def recall(self, program_ids: Iterable[int]) -> tuple[dict[int, Known], Mapping[str, int]]:
        """What is known of each of these programs, and each step's id that is settled once it is read past now.

        Rows are not committed in the order of their ids. Those below one that was seen a while ago are all there by
        now, but they may have come after they were read last: an id settles in two rounds.
        """
        now = self._clock()
        with self._lock:
            if self._seen is not None and self._seen[0] + SETTLES <= now:
                self._settled, self._seen = self._seen[1], None
            found = {program_id: self._known.get(program_id) for program_id in program_ids}
            settled = self._settled
        fresh = {ident: one for ident, one in found.items() if one is not None and now < one.since + FORGOTTEN}
        return {program_id: fresh.get(program_id, Known(now)) for program_id in found}, settled

    def keep(self, known: Mapping[int, Known], seen: Mapping[str, int]) -> None:
        """Remember these programs, and the highest id that was seen of each step."""
        now = self._clock()
        with self._lock:
            self._seen = self._seen or (now, seen)
            for program_id, one in known.items():
                self._known[program_id] = one
                self._known.move_to_end(program_id)
            while len(self._known) > self._most:
                self._known.popitem(last=False)


_memories: WeakKeyDictionary[Database, Memory] = WeakKeyDictionary()


def find_progress(resources: Resources, person: Person, program_ids: Sequence[int]) -> dict[int, Progress]:
    """How far these programs (at most ``MOST_PROGRAMS``) have come, in one statement.

    A program that this person may not see is not in the answer, nor is one that has found nothing yet.
    """
    if not program_ids:
        return {}
    assert len(program_ids) <= MOST_PROGRAMS
    # The person is a part of what is asked: what was found for others is not told.
    asked = ("progress", person, tuple(program_ids))
    return resources.recent.get(asked, lambda: _find_progress(resources, person, program_ids))


def _find_progress(resources: Resources, person: Person, program_ids: Sequence[int]) -> dict[int, Progress]:
    memory = _memories.setdefault(resources.database, Memory())
    known, settled = memory.recall(program_ids)
    statement, values = _question(known, policy.kind_of(person, resources.settings))
    values |= policy.values_of(person, resources.settings)
    visible: list[int] = []
    seen: dict[str, int] = {}
    rows: dict[int, dict[str, sa.Row[Any]]] = {program_id: {} for program_id in known}
    with resources.database.read() as session:
        for row in session.execute(statement, values):
            if row.kind == "visible":
                visible.append(int(row.program_id))
            elif row.program_id is None:
                seen[row.kind] = int(row.last or 0)
            else:
                rows[row.program_id][row.kind] = row
    # What is remembered was read for others. It is this statement that says what this person may see.
    # Before any id has settled: rows far below the newest are there, but for one of a transaction that is still open.
    settled = settled or {kind: max(0, last - STILL_COMING) for kind, last in seen.items()}
    now_known = {program_id: known[program_id].after(rows[program_id], settled) for program_id in visible}
    memory.keep(now_known, seen)
    found = {program_id: one.progress() for program_id, one in now_known.items()}
    return {program_id: progress for program_id, progress in found.items() if progress is not None}


def _question(known: Mapping[int, Known], persons: Kind) -> tuple[sa.CompoundSelect[Any], dict[str, Any]]:
    """The statement about these programs, and the values of its parameters but for those of the person."""
    values: dict[str, Any] = {"program_ids": list(known)}
    groups = []
    for kind, *_ in STEPS:
        together: dict[int, list[int]] = {}
        for program_id, one in known.items():
            together.setdefault(one.reached[kind].settled, []).append(program_id)
        for place, (last, ids) in enumerate(together.items()):
            values |= {f"{kind}_ids_{place}": ids, f"{kind}_last_{place}": last}
        groups.append(len(together))
    return _statement(tuple(groups), persons), values


@lru_cache(maxsize=100)
def _statement(groups: tuple[int, ...], persons: Kind) -> sa.CompoundSelect[Any]:
    """The programs that may be seen, each step's highest id of all, and what each program's new rows tell.

    Args:
        groups: of programs that were read up to the same id, by step.
        persons: for whom it is.
    """
    ident, may_see = AutoProcProgram.c.autoProcProgramId, policy.condition(persons)
    asked = ident.in_(sa.bindparam("program_ids", expanding=True))
    visible = _row("visible", ident).select_from(programs.TO_VISIT).where(asked, may_see)
    parts = [programs.in_this_order(visible)]
    for (kind, table, program, motion), count in zip(STEPS, groups, strict=True):
        parts.append(_row(kind, last=sa.func.max(next(iter(table.primary_key)))))
        parts.append(_step(kind, table, program, motion, count).where(may_see))
    return sa.union_all(*parts)


def _row(
    kind: str, program_id: Any = None, last: Any = None, highest: Any = None, newest: Any = None
) -> sa.Select[Any]:
    columns = {"program_id": program_id, "last": last, "highest": highest, "newest": newest}
    return sa.select(
        sa.literal_column(f"'{kind}'").label("kind"),
        *(sa.null().label(name) if column is None else column.label(name) for name, column in columns.items()),
    )


def _step(kind: str, table: sa.Table, program: str, motion: str, groups: int) -> sa.Select[Any]:
    """For each program the highest number, and time and number of the newest movie in one number.

    That number saves a sort: the largest of them is the newest movie's, with its image number in the lower digits.
    As in ``programs.rows_of`` the table is there twice: an index alone finds the programs' new rows.
    """
    mine = table.alias()
    key = next(iter(table.primary_key))
    of_program, ident = mine.c[program], mine.c[key.name]
    source = mine.join(programs.TO_VISIT, AutoProcProgram.c.autoProcProgramId == of_program).join(table, key == ident)
    if table is not MotionCorrection:
        source = source.join(MotionCorrection, MotionCorrection.c.motionCorrectionId == table.c[motion])
    source = source.outerjoin(Movie, Movie.c.movieId == MotionCorrection.c.movieId)
    image = MotionCorrection.c.imageNumber
    created = sa.func.coalesce(unix_seconds(Movie.c.createdTimeStamp), 0)
    newest = created * sa.literal_column(str(NUMBERS)) + image
    new = sa.or_(
        *(
            sa.and_(
                of_program.in_(sa.bindparam(f"{kind}_ids_{place}", expanding=True)),
                ident > sa.bindparam(f"{kind}_last_{place}"),
            )
            for place in range(groups)
        )
    )
    statement = (
        _row(kind, of_program, highest=sa.func.max(image), newest=sa.func.max(newest))
        .select_from(source)
        .where(new)
        .group_by(of_program)
    )
    for dialect in ("mysql", "mariadb"):
        # Else MariaDB may read the new rows of all programs, and sort them.
        statement = statement.with_hint(mine, "IGNORE INDEX (PRIMARY)", dialect)
    return programs.in_this_order(statement)


def _most(known: int | None, read: Any) -> int | None:
    """The higher of two numbers; where MariaDB unites columns, what was read may come as a decimal."""
    return known if read is None else max(int(read), -1 if known is None else known)
