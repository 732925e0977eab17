"""RELION's stand-in: a real wrapper for ``zocalo.wrap`` that does what the demo's simulator does.

Its rows it writes itself, as ISPyB's connector would; signs of life and the outcome go through Zocalo alone.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zocalo.wrapper import BaseWrapper  # type: ignore[import-not-found]

from app.db import Database
from app.settings import Settings
from app.simulator import rows
from app.simulator.project import Task
from app.simulator.relion import Pace, Relion
from app.simulator.results import Result

SETTLES = 0.5  # seconds
ARRIVED = "arrived.json"  # in the working directory: what the recipe brought


class RelionStandIn(BaseWrapper):  # type: ignore[misc]
    """One run, told by its recipe what to do."""

    def run(self) -> bool:
        """Whether the run succeeded."""
        parameters = self.recwrap.recipe_step["job_parameters"]
        environment = self.recwrap.environment
        task = _task(parameters, environment["ID"])
        task.working_directory.mkdir(parents=True, exist_ok=True)
        arrived = {"job_parameters": parameters, "environment": environment}
        (task.working_directory / ARRIVED).write_text(json.dumps(arrived))
        pace = Pace(float(os.environ["STAND_IN_SECONDS_PER_MOVIE"]))
        record = _Record(self, task.dcid, int(environment["ispyb_autoprocprogram_id"]))
        success = Relion(task, record, pace, time.sleep).run().success
        # zocalo.wrap says it too, but then leaves at once. workflows sends without confirmation, and what is on its way
        # to a quorum queue when the connection ends is lost now and then. The first outcome is final.
        (self.success if success else self.failure)("finished")
        time.sleep(SETTLES)
        return success


class _Record:
    """Results as rows, and for each movie a sign of life."""

    def __init__(self, wrapper: BaseWrapper, dcid: int, program_id: int) -> None:
        settings = Settings.model_validate({"database": {"url": os.environ["STAND_IN_DATABASE"]}})
        self._database = Database(settings, pool_size=1)
        self._wrapper = wrapper
        self._dcid = dcid
        self._program_id = program_id

    def processed(self) -> Mapping[str, int]:
        """None: a run begins in a directory of its own."""
        return {}

    def add(self, result: Result, message: str) -> None:
        """Write one movie's results, then say so."""
        self._database.write(lambda session: rows.insert(session, self._dcid, self._program_id, result))
        self._wrapper.update({"message": message})


def _task(parameters: Mapping[str, Any], guid: str) -> Task:
    images = Path(parameters["image_directory"])
    given: dict[str, str] = parameters["ispyb_parameters"]
    return Task(
        job_id=int(parameters["ispyb_process"]),
        dcid=int(parameters["dcid"]),
        guid=guid,
        image_directory=images,
        file_template=str(Path(given["import_images"]).relative_to(images)),
        results_directory=Path(parameters["results_directory"]),
        working_directory=Path(parameters["working_directory"]),
        stop_file=Path(parameters["stop_file"]),
        parameters=given,
    )
