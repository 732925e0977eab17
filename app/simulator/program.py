"""The rows that a run leaves in ISPyB: its program, and what it found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.db import Database, local_now
from app.ispyb.tables import AutoProcProgram, inserted_id
from app.simulator import rows
from app.simulator.project import Task
from app.simulator.relion import STARTED, Outcome
from app.simulator.results import Result
from app.simulator.waiting import Wait, patiently

T = TypeVar("T")


class Program:
    """The ``AutoProcProgram`` of one run. Each method may be repeated, as after a kill, and changes nothing then."""

    def __init__(self, database: Database, task: Task, wait: Wait) -> None:
        self._database = database
        self._task = task
        self._wait = wait
        # By this line the row is found again: a job may have other programs, even another run.
        self._command = f"zocalo.wrap --wrap relion --recipe-id {task.guid}"
        self._id = 0

    def find(self) -> bool:
        """Whether the program is registered already."""
        return self._read(self._find)

    def register(self) -> None:
        """Write the program: queued, without a start time."""

        def work(session: Session) -> int:
            if self._find(session):
                return self._id
            return inserted_id(
                session.execute(
                    sa.insert(AutoProcProgram).values(
                        processingJobId=self._task.job_id,
                        processingPrograms="relion",
                        processingCommandLine=self._command,
                        recordTimeStamp=local_now(),
                    )
                )
            )

        self._id = self._write(work)

    def ended(self) -> bool:
        """Whether it has an outcome."""
        status = sa.select(AutoProcProgram.c.processingStatus).where(AutoProcProgram.c.autoProcProgramId == self._id)
        return self._read(lambda session: session.execute(status).scalar_one()) is not None

    def begin(self) -> None:
        """It runs. The first message sets start and end, as ISPyB's own procedure does; later ones move the end."""
        start = sa.func.coalesce(AutoProcProgram.c.processingStartTime, local_now())
        self._write(lambda session: self._update(session, STARTED, processingStartTime=start))

    def end(self, outcome: Outcome) -> None:
        """Write the outcome, unless there is one: the first is final."""
        start = sa.func.coalesce(AutoProcProgram.c.processingStartTime, local_now())
        status = int(outcome.success)
        self._write(
            lambda session: self._update(session, outcome.message, processingStatus=status, processingStartTime=start)
        )

    def processed(self) -> Mapping[str, int]:
        """The movies whose results are written, by full path, and how many particles were picked in each."""
        return self._read(lambda session: rows.processed(session, self._id))

    def add(self, result: Result, message: str) -> None:
        """Write one movie's results, and move the program's end as a heart-beat."""

        def work(session: Session) -> None:
            rows.insert(session, self._task.dcid, self._id, result)
            self._update(session, message)

        self._write(work)

    def _read(self, work: Callable[[Session], T]) -> T:
        def look() -> T:
            with self._database.read() as session:
                return work(session)

        return patiently(look, self._wait)

    def _write(self, work: Callable[[Session], T]) -> T:
        return patiently(lambda: self._database.write(work), self._wait)

    def _find(self, session: Session) -> bool:
        program = AutoProcProgram.c
        row = session.execute(
            sa.select(program.autoProcProgramId).where(
                program.processingJobId == self._task.job_id, program.processingCommandLine == self._command
            )
        ).first()
        self._id = row.autoProcProgramId if row else 0
        return row is not None

    def _update(self, session: Session, message: str, **values: object) -> None:
        program = AutoProcProgram.c
        session.execute(
            sa.update(AutoProcProgram)
            .where(program.autoProcProgramId == self._id, program.processingStatus.is_(None))
            .values(processingMessage=message[:80], processingEndTime=local_now(), **values)
        )
