"""The demo's microscope: movies that keep arriving in the EPU visit."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from app.access.identity import ANYBODY
from app.db import Database
from app.ispyb import sandbox
from app.settings import Settings
from app.simulator.waiting import DemoEnds, patiently
from app.visits import repository as visits
from app.visits.repository import VisitNotFound
from app.visits.rules import VisitRef

log = logging.getLogger(__name__)


class Microscope:
    """Adds a movie every few seconds, and a grid square after every few movies, until there are enough.

    Args:
        interval: seconds between two movies.
        most: how many movies there may be in all.
    """

    def __init__(self, settings: Settings, database: Database, *, interval: float = 4.0, most: int = 300) -> None:
        self._settings = settings
        self._database = database
        self._interval = interval
        self._most = most
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="microscope", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout: float = 10.0) -> None:
        """End; movies that are there stay."""
        self._ending.set()
        self._thread.join(timeout)

    def _wait(self, seconds: float) -> None:
        if self._ending.wait(seconds):
            raise DemoEnds

    def _run(self) -> None:
        try:
            directory = patiently(self._find_directory, self._wait)
            for number in range(1, self._most + 1):
                movie = directory / sandbox.epu_movie(number)
                if not movie.exists():
                    self._wait(self._interval)
                    _expose(movie)
        except DemoEnds:
            return
        except (VisitNotFound, OSError) as error:
            log.warning("simulator: no more movies for %s: %s", sandbox.EPU, error)

    def _find_directory(self) -> Path:
        with self._database.read() as session:
            visit = visits.get_visit(session, self._settings, ANYBODY, VisitRef.parse(sandbox.EPU))
        directory = visit.directory(self._settings.visit_directory)
        assert directory is not None  # the sandbox gave the visit a start date
        return directory


def _expose(movie: Path) -> None:
    """Write a movie so that it appears whole."""
    movie.parent.mkdir(parents=True, exist_ok=True)
    draft = movie.with_name(f".{movie.name}")
    draft.write_bytes(sandbox.MOVIE)
    draft.rename(movie)
