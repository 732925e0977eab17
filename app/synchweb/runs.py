"""A run as SynchWeb's job list shows it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from app.processing_jobs.runs import Run
from app.results.progress import Progress
from app.synchweb.results import time_text

NOTHING = Progress()


def status_word(run: Run) -> str:
    """SynchWeb's five words, and none for an outcome without a start, as ``EM.php`` had it."""
    if run.program_id is None:
        return "failure" if run.stopped else "submitted"
    if run.program_status is None:
        return "queued" if run.start is None else "running"
    if run.start is None:
        return ""
    return {0: "failure", 1: "success"}.get(run.program_status, "")


def row(run: Run, progress: Progress | None) -> dict[str, str | None]:
    """One row. The frontend adds 1 to an image number and wants ``""`` where there is none."""
    found = progress or NOTHING
    return {
        "processingJobId": str(run.job_id),
        "dataCollectionId": str(run.dcid),
        "recordTimestamp": time_text(run.recorded),
        "autoProcProgramId": None if run.program_id is None else str(run.program_id),
        "processingStartTime": time_text(run.start),
        "processingEndTime": time_text(run.end),
        "mcLatest": _number(found.mc_latest),
        "mcMax": _number(found.mc_max),
        "ctfLatest": _number(found.ctf_latest),
        "ctfMax": _number(found.ctf_max),
        "pickLatest": _number(found.pick_latest),
        "pickMax": _number(found.pick_max),
        "fetchTime": time_text(run.now),
        "processingStatusDescription": status_word(run),
    }


def etag(total: int, rows: Sequence[Mapping[str, str | None]]) -> str:
    """What changes with the list, but not with the time at which it is read.

    The frontend reads a job's panels again whenever ``fetchTime`` changes: it should not where nothing has.
    """
    told = [{name: text for name, text in one.items() if name != "fetchTime"} for one in rows]
    return f'W/"{hashlib.sha256(json.dumps([total, told]).encode()).hexdigest()[:24]}"'


def _number(number: int | None) -> str:
    return "" if number is None else str(number)
