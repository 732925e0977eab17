"""A scheduler for Zocalo's cluster submission service that runs jobs here: a few at once, the rest wait."""

from __future__ import annotations

import itertools
import logging
import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

PLACES = 2
LOOK_SECONDS = 0.05
HOLD = "hold"  # while a file of this name is in the cluster's folder, no further job begins

_numbers = itertools.count(1)
_places = threading.Semaphore(PLACES)


def submit(params: Any, working_directory: Path, logger: logging.Logger, **_: Any) -> int:
    """Queue a job; its number.

    Args:
        params: Zocalo's ``JobSubmissionParameters``.
    """
    number = next(_numbers)
    folder = Path(os.environ["STAND_IN_CLUSTER"])
    threading.Thread(target=_run, args=(folder, number, params.commands, working_directory), daemon=True).start()
    logger.info("job %d waits for a place", number)
    return number


def _run(folder: Path, number: int, commands: str, working_directory: Path) -> None:
    with _places:
        while (folder / HOLD).exists():
            time.sleep(LOOK_SECONDS)
        with (folder / f"{number}.log").open("wb") as log:
            finished = subprocess.run(["bash", "-c", commands], cwd=working_directory, stdout=log, stderr=log)
        # Appears whole, and only when the job has ended.
        draft = folder / f"{number}.draft"
        draft.write_text(str(finished.returncode))
        draft.rename(folder / f"{number}.exit")
