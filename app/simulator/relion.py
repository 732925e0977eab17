"""One run of RELION, from its directory to its end: the files and the pace, whoever keeps the record.

``Relion`` is what stands between "start" and "success or failure" of Zocalo's wrapper, and knows neither a database
nor a broker, so that a real ``zocalo.wrapper.BaseWrapper`` can do the same with a record that sends messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from app.data_collections.rules import software_of
from app.simulator import outputs
from app.simulator.project import Project, Task
from app.simulator.results import Result, measure
from app.simulator.waiting import Wait

STARTED = "processing"
SUCCESS = "processing successful"
ABORTED = "processing failure: RELION's jobs were aborted"
NO_MOVIES = "processing failure: no movies found"


@dataclass(frozen=True)
class Pace:
    """How fast the simulator goes. All times follow from one, so that tests can shorten them together; seconds."""

    per_movie: float = 2.0

    @property
    def pickup(self) -> float:
        """Until Zocalo registers a program."""
        return self.per_movie * 0.5

    @property
    def queue(self) -> float:
        """Until the cluster starts it."""
        return self.per_movie * 0.75

    @property
    def look(self) -> float:
        """Between two looks for new movies; a stop is seen as soon."""
        return min(0.5, self.per_movie / 2)

    def silence(self, template: str) -> float:
        """Without a new movie for so long, the run is complete: EPU's grid squares keep arriving."""
        return self.per_movie * (5 if software_of(template) == "EPU" else 1)


class Record(Protocol):
    """Where a run's results are written."""

    def processed(self) -> Mapping[str, int]:
        """The movies, by full path, whose results this run has written, and how many particles each gave."""

    def add(self, result: Result, message: str) -> None:
        """Write one movie's results, all or none of them, and a sign of life."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    success: bool
    message: str


class _StopAsked(Exception):
    """The stop file is there."""


class Relion:
    """One run."""

    def __init__(self, task: Task, record: Record, pace: Pace, wait: Wait) -> None:
        self._task = task
        self._record = record
        self._pace = pace
        self._wait = wait
        self._project = Project(task)

    def run(self) -> Outcome:
        """Process movies until no more arrive, or somebody asks to stop. What was done before is not done again.

        Raises:
            DemoEnds: ``wait`` said so; the files then look like those of a run that was killed.
        """
        self._project.prepare()
        try:
            count = self._process()
        except _StopAsked:
            self._project.end(success=False)
            return Outcome(False, ABORTED)
        self._project.end(success=count > 0)
        return Outcome(True, SUCCESS) if count else Outcome(False, NO_MOVIES)

    def _process(self) -> int:
        """How many movies were processed in all."""
        done = dict(self._record.processed())
        limit = self._pace.silence(self._task.file_template)
        silent = 0.0
        while silent < limit:
            movies = self._project.find_movies()
            movie = next((movie for movie in movies if str(self._task.image_directory / movie) not in done), None)
            if movie is None:
                self._pause(self._pace.look)
                silent += self._pace.look
                continue
            silent = 0.0
            self._pause(self._pace.per_movie)
            result = measure(self._task, self._project, movie, len(done) + 1, sum(done.values()))
            outputs.write(result)  # before the rows that name the files
            self._record.add(result, f"{STARTED}: {len(done) + 1} of {len(movies)} movies")
            done[str(result.movie)] = result.particles.count if result.particles else 0
        return len(done)

    def _pause(self, seconds: float) -> None:
        """Wait, but look for the stop file often."""
        while seconds > 0:
            if self._project.stop_asked:
                raise _StopAsked
            self._wait(min(seconds, self._pace.look))
            seconds -= self._pace.look
        if self._project.stop_asked:
            raise _StopAsked
