"""Sentinels: the files by which RELION says in its project directory that it is running.

Version 4 of the wrapper writes none, so their absence proves nothing; the directory itself is evidence too.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

SUBMITTED_JOBS = "RELION_IT_SUBMITTED_JOBS"
RUNNING = "RUNNING_"  # RUNNING_RELION_IT, RUNNING_PIPELINER_…


@dataclass(frozen=True)
class Sentinel:
    """One sentinel file and since when it is there."""

    name: str
    since: datetime


@dataclass(frozen=True)
class SentinelLook:
    """What was seen of a run's directory.

    Args:
        directory: whether it exists.
        sentinels: files named ``RUNNING_…``.
        has_run: whether RELION has noted jobs there. Without a sentinel beside it, a run that wrote one is over.
        newest: when something in it was last seen to change.
    """

    directory: bool
    sentinels: tuple[Sentinel, ...] = ()
    newest: datetime | None = None
    has_run: bool = False


def look(directory: Path) -> SentinelLook:
    """Look at the project directory of one run.

    Raises:
        OSError: it is there but cannot be read.
    """
    sentinels, has_run = [], False
    try:
        newest = os.stat(directory).st_mtime
        with os.scandir(directory) as entries:
            for entry in entries:
                if not entry.name.startswith((RUNNING, SUBMITTED_JOBS)):
                    continue
                try:
                    changed = entry.stat(follow_symlinks=False).st_mtime
                except FileNotFoundError:
                    continue  # RELION has just removed it
                newest = max(newest, changed)
                has_run = has_run or entry.name.startswith(SUBMITTED_JOBS)
                if entry.name.startswith(RUNNING):
                    sentinels.append(Sentinel(entry.name, datetime.fromtimestamp(changed, UTC)))
    except (FileNotFoundError, NotADirectoryError):
        return SentinelLook(directory=False)
    found = tuple(sorted(sentinels, key=lambda sentinel: sentinel.name))
    return SentinelLook(True, found, datetime.fromtimestamp(newest, UTC), has_run)
