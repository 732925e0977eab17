"""What we tell Zocalo: bodies and headers. Each body is one JSON object with integers as integers."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass

START, STOP = "start", "stop"


@dataclass(frozen=True)
class StartJob:
    """Run this job. ``guid`` becomes Zocalo's recipe id and the last part of the results directory."""

    job_id: int
    guid: str
    kind = START

    def body(self) -> str:
        """The message: Zocalo takes the recipe ``ispyb-`` + ``ProcessingJob.recipe``."""
        return json.dumps({"parameters": {"ispyb_process": self.job_id, "guid": self.guid}})


@dataclass(frozen=True)
class StopJob:
    """Stop what runs for this job. Without a guid: it would overwrite the start's entry in Zocalo's logbook.

    Args:
        file: the stop file to make. Then the message does not name the job: some dispatchers start a run for every
            message that does (cryoemservices 1.5.1: its filter replaces the recipes).
    """

    job_id: int
    file: str | None = None
    kind = STOP
    guid = None

    def body(self) -> str:
        """The message for the recipe ``relion-stop``, or for ``relion-stop-file``."""
        if self.file is not None:
            return json.dumps({"recipes": ["relion-stop-file"], "parameters": {"stop_file": self.file}})
        return json.dumps({"recipes": ["relion-stop"], "parameters": {"ispyb_process": self.job_id}})


Message = StartJob | StopJob


def headers(login: str, message_id: str) -> dict[str, str]:
    """The headers of every message: Zocalo's own names, SynchWeb's, and an id that a repeated send keeps."""
    host = socket.gethostname()
    return {
        "content-type": "application/json",
        "persistent": "true",
        "zocalo.go.user": login,
        "zocalo.go.host": host,
        "synchweb.user": login,
        "synchweb.host": host,
        "synchweb.message.id": message_id,
    }
