"""Zocalo's part of the simulator: takes messages from the embedded broker's folder, in order, and starts runs.

A message is claimed by moving it into ``taken``, and removed when its work is done. So a demo that was killed finds
there what it was doing, and takes it up again. What cannot be handled goes to ``dead-letters``.
"""

from __future__ import annotations

import fcntl
import json
import logging
import threading
import uuid
from pathlib import Path
from typing import TextIO

import sqlalchemy as sa

from app.data_collections.rules import results_directory, stop_file, working_directory
from app.db import Database
from app.ispyb.tables import DataCollection, ProcessingJob, ProcessingJobParameter
from app.settings import Settings
from app.simulator.program import Program
from app.simulator.project import Project, Task
from app.simulator.relion import Outcome, Pace, Relion
from app.simulator.waiting import DemoEnds, patiently
from app.zocalo.messages import Message, StartJob, StopJob

log = logging.getLogger(__name__)

RECIPE, STOP_RECIPE = "relion", "relion-stop"
LOOK_SECONDS = 0.2  # between two looks into the folder
LONGEST_GUID = 64
MOST_RUNS = 200  # that are not over, with a place or without; then messages wait
TROUBLE_SECONDS = 1.0


class Rejected(Exception):
    """The message cannot be handled: Zocalo would move it to its dead-letter queue."""


class SimulatedZocalo:
    """Dispatcher, cluster and wrapper in one. All its threads are daemons and end soon after ``stop``.

    Args:
        seconds_per_movie: how fast runs go; the other times follow from it.
        places: how many runs the cluster has room for at once; further ones are registered and wait.
    """

    def __init__(
        self, settings: Settings, database: Database, *, seconds_per_movie: float = 2.0, places: int = 8
    ) -> None:
        self._database = database
        self._spool = settings.broker.spool
        self._taken = self._spool / "taken"
        self._dead = self._spool / "dead-letters"
        self._pace = Pace(seconds_per_movie)
        self._places = threading.Semaphore(places)
        self._ending = threading.Event()
        self._runs: dict[str, threading.Thread] = {}  # by guid
        self._thread = threading.Thread(target=self._consume, name="zocalo", daemon=True)

    def start(self) -> None:
        """Begin to listen, and take up what an earlier one left."""
        self._thread.start()

    def stop(self, timeout: float = 10.0) -> None:
        """End. Runs are left as they are, for the next to take up."""
        self._ending.set()
        self._thread.join(timeout)

    def _wait(self, seconds: float) -> None:
        if self._ending.wait(seconds):
            raise DemoEnds

    def _consume(self) -> None:
        try:
            for folder in (self._taken, self._dead):
                folder.mkdir(parents=True, exist_ok=True)
            with (self._spool / ".lock").open("w") as lock:
                self._be_the_only_one(lock)
                try:
                    for message in _messages(self._taken):
                        self._handle(message)
                    while True:
                        for message in _messages(self._spool):
                            self._handle(message.rename(self._taken / message.name))
                        self._wait(LOOK_SECONDS)
                finally:
                    self._ending.set()
                    for run in self._runs.values():
                        run.join()  # each ends at its next wait; until then the folder is not another's
        except DemoEnds:
            return
        except Exception:
            log.exception("simulator: cannot go on; nobody takes messages from %s any more", self._spool)

    def _be_the_only_one(self, lock: TextIO) -> None:
        """Two demos on one folder would do everything twice."""
        said = False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if not said:
                    log.warning("simulator: another one reads %s; this one waits for it to end", self._spool)
                said = True
                self._wait(TROUBLE_SECONDS)

    def _handle(self, message: Path) -> None:
        """Do what a message that was taken says."""
        try:
            order = parse(message)
            if isinstance(order, StartJob):
                self._start_run(patiently(lambda: self._task(order), self._wait), message)
            else:
                self._ask_to_stop(order)
                message.unlink(missing_ok=True)
        except DemoEnds:
            raise
        except Rejected as error:
            self._reject(message, str(error))
        except Exception as error:
            log.exception("simulator: unexpected error")
            self._reject(message, str(error))

    def _reject(self, message: Path, reason: str) -> None:
        log.warning("simulator: %s goes to dead-letters: %s", message.name, reason)
        message.rename(self._dead / message.name)

    def _task(self, order: StartJob) -> Task:
        """What Zocalo's filter makes of a start message."""
        dc = DataCollection.c
        with self._database.read() as session:
            row = session.execute(
                sa.select(
                    ProcessingJob.c.recipe,
                    dc.dataCollectionId,
                    dc.imageDirectory,
                    dc.fileTemplate,
                    dc.imagePrefix,
                    dc.dataCollectionNumber,
                )
                .join(DataCollection, dc.dataCollectionId == ProcessingJob.c.dataCollectionId)
                .where(ProcessingJob.c.processingJobId == order.job_id)
            ).first()
            parameters = session.execute(
                sa.select(ProcessingJobParameter.c.parameterKey, ProcessingJobParameter.c.parameterValue)
                .where(ProcessingJobParameter.c.processingJobId == order.job_id)
                .order_by(ProcessingJobParameter.c.processingJobParameterId)
            ).all()
        if row is None or row.recipe != RECIPE:
            raise Rejected(f"job {order.job_id} {'is not in ISPyB' if row is None else f'has recipe {row.recipe}'}")
        images = row.imageDirectory or ""
        place = (images, row.imagePrefix, row.dataCollectionNumber, order.guid)
        results, working = results_directory(*place), working_directory(*place)
        if results is None or working is None or not row.fileTemplate:
            raise Rejected(f"data collection {row.dataCollectionId} has no movies in a visit's directory")
        return Task(
            job_id=order.job_id,
            dcid=row.dataCollectionId,
            guid=order.guid,
            image_directory=Path(images),
            file_template=row.fileTemplate,
            results_directory=results,
            working_directory=working,
            stop_file=_stop_file(images, order.job_id),
            parameters={key: value or "" for key, value in parameters if key},
        )

    def _ask_to_stop(self, order: StopJob) -> None:
        """Make the stop file. A run that starts later finds it too, so it stays."""
        statement = (
            sa.select(DataCollection.c.imageDirectory)
            .join(ProcessingJob, ProcessingJob.c.dataCollectionId == DataCollection.c.dataCollectionId)
            .where(ProcessingJob.c.processingJobId == order.job_id)
        )

        def look() -> str | None:
            with self._database.read() as session:
                return session.execute(statement).scalar_one_or_none()

        path = _stop_file(patiently(look, self._wait) or "", order.job_id)
        try:
            path.parent.mkdir(exist_ok=True)
            path.touch()
        except OSError as error:
            raise Rejected(f"cannot make {path} ({error.strerror})") from error

    def _start_run(self, task: Task, message: Path) -> None:
        if task.guid in self._alive():
            log.info("simulator: run %s of job %d is under way; its start came again", task.guid, task.job_id)
            message.unlink(missing_ok=True)
            return
        while len(self._alive()) >= MOST_RUNS:
            self._wait(LOOK_SECONDS)
        run = threading.Thread(target=self._run, args=(task, message), name=f"relion-{task.job_id}", daemon=True)
        self._runs = self._alive() | {task.guid: run}
        run.start()

    def _alive(self) -> dict[str, threading.Thread]:
        return {guid: run for guid, run in self._runs.items() if run.is_alive()}

    def _run(self, task: Task, message: Path) -> None:
        """One run, from Zocalo's picking it up to the outcome in ISPyB."""
        program = Program(self._database, task, self._wait)
        try:
            try:
                self._run_program(task, program)
            except DemoEnds:
                raise
            except Exception as error:
                log.exception("simulator: the run of job %d failed", task.job_id)
                Project(task).unmark()
                program.end(Outcome(False, f"processing failure: {type(error).__name__}"))
            message.unlink(missing_ok=True)
        except DemoEnds:
            log.info("simulator: the run of job %d is left to the next demo", task.job_id)

    def _run_program(self, task: Task, program: Program) -> None:
        if not program.find():
            self._wait(self._pace.pickup)
            program.register()
        elif program.ended():
            return  # a start that came again after the end
        placed = self._take_place(task)
        try:
            self._wait(self._pace.queue)
            program.begin()
            outcome = Relion(task, program, self._pace, self._wait).run()
            program.end(outcome)
            log.info("simulator: job %d: %s", task.job_id, outcome.message)
        finally:
            if placed:
                self._places.release()

    def _take_place(self, task: Task) -> bool:
        """Wait for a place on the cluster; a run that is to stop needs none."""
        while not self._places.acquire(blocking=False):
            if task.stop_file.exists():
                return False
            self._wait(self._pace.look)
        return True


def parse(message: Path) -> Message:
    """Read a message from its file.

    Raises:
        Rejected: it is none that the simulator knows.
    """
    try:
        body = json.loads(message.read_text())["body"]
        parameters = body["parameters"]
        job_id, guid = parameters["ispyb_process"], parameters.get("guid")
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise Rejected(f"not a message for Zocalo ({type(error).__name__}: {error})") from error
    # Zocalo would let the database read "1; x" as 1; a demo had better show the mistake.
    if type(job_id) is not int:
        raise Rejected(f"ispyb_process is {job_id!r}, not an integer")
    if body.get("recipes") == [STOP_RECIPE]:
        return StopJob(job_id)
    if "recipes" in body:
        raise Rejected(f"unknown recipes: {body['recipes']!r}")
    if guid is None:
        guid = str(uuid.uuid5(uuid.NAMESPACE_URL, message.name))  # the same one when the message is taken up again
    if not isinstance(guid, str) or not 0 < len(guid) <= LONGEST_GUID or "/" in guid or guid.startswith("."):
        raise Rejected(f"guid is {guid!r}, which names no directory")
    return StartJob(job_id, guid)


def _stop_file(image_directory: str, job_id: int) -> Path:
    path = stop_file(image_directory, job_id)
    if path is None:
        raise Rejected(f"job {job_id} is not in ISPyB, or its images are in no visit's directory")
    return path


def _messages(folder: Path) -> list[Path]:
    return sorted(folder.glob("[!.]*.json"))
