"""What a run is told, and the files that RELION and its wrapper leave: all that happens on disk."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.filesystem.sentinel import RUNNING, SUBMITTED_JOBS

SENTINEL = f"{RUNNING}RELION_IT"
OPTIONS_FILE = "relion_it_options.py"
LINK = "relion"
IMPORT, MOTION, CTF, PICK = "Import/job001", "MotionCorr/job002", "CtfFind/job003", "AutoPick/job004"


@dataclass(frozen=True)
class Task:
    """One run, as Zocalo's recipe describes it to the wrapper.

    Args:
        guid: Zocalo's recipe id, the last component of both directories.
        stop_file: whoever wants this run to stop makes this file.
        parameters: the job's, as ISPyB stores them.
    """

    job_id: int
    dcid: int
    guid: str
    image_directory: Path
    file_template: str
    results_directory: Path
    working_directory: Path
    stop_file: Path
    parameters: Mapping[str, str]

    @property
    def stop_after_ctf(self) -> bool:
        """Whether no particles are to be picked."""
        return self.flag("stop_after_ctf_estimation")

    def flag(self, key: str) -> bool:
        """A parameter that is true or false; SynchWeb's form writes ``1`` and ``0``."""
        return bool(_typed(self.parameters.get(key, "")))

    def number(self, key: str, default: float) -> float:
        """A parameter that is a number."""
        value = _typed(self.parameters.get(key, ""))
        return default if isinstance(value, str | bool) else float(value)


class Project:
    """RELION's project directory: the results directory of one run."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self.directory = task.results_directory

    @property
    def jobs(self) -> tuple[str, ...]:
        """RELION's own jobs."""
        return (IMPORT, MOTION, CTF) if self._task.stop_after_ctf else (IMPORT, MOTION, CTF, PICK)

    @property
    def stop_asked(self) -> bool:
        """Whether the stop file is there."""
        return self._task.stop_file.exists()

    def prepare(self) -> None:
        """Make the directories and links that the wrapper makes, and say that RELION runs."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._task.working_directory.mkdir(parents=True, exist_ok=True)
        (self.directory / SENTINEL).touch()
        if (self.directory / SUBMITTED_JOBS).exists():
            return  # taken up again: the link may show a newer run by now
        # The newest run of any data collection of this image directory takes the link.
        latest = self.directory.parents[1] / LINK
        _link(latest, Path(os.path.relpath(self.directory, latest.parent)))
        _link(self.directory / "Movies", self._task.image_directory)
        (self.directory / OPTIONS_FILE).write_text(self._options())
        for job in self.jobs:
            (self.directory / job).mkdir(parents=True, exist_ok=True)
        (self.directory / "default_pipeline.star").write_text(self._pipeline())
        (self.directory / SUBMITTED_JOBS).write_text("".join(f"{job}/\n" for job in self.jobs))

    def find_movies(self) -> list[str]:
        """The movies that are there now, relative to the image directory."""
        # As the shell does it: a file that begins with a dot is none.
        return sorted(glob.glob(self._task.file_template, root_dir=self._task.image_directory))

    def output(self, job: str, movie: str, ending: str) -> Path:
        """Where one of RELION's jobs writes what it makes of a movie."""
        return (self.directory / job / "Movies" / movie).with_name(Path(movie).stem + ending)

    def end(self, success: bool) -> None:
        """Mark RELION's jobs, and say that it no longer runs."""
        for job in self.jobs:
            (self.directory / job / f"RELION_JOB_EXIT_{'SUCCESS' if success else 'ABORTED'}").touch()
        self.unmark()

    def unmark(self) -> None:
        """Say that RELION no longer runs."""
        for sentinel in self.directory.glob(f"{RUNNING}*"):
            sentinel.unlink(missing_ok=True)

    def _options(self) -> str:
        """Every parameter by the wrapper's rule of reading them, for the record."""
        given = dict(self._task.parameters)
        given["import_images"] = f"Movies/{self._task.file_template}"
        return "".join(f"{key} = {_typed(value)!r}\n" for key, value in given.items())

    def _pipeline(self) -> str:
        rows = "".join(f"{job}/ None relion.{job.partition('/')[0].lower()} Running\n" for job in self.jobs)
        names = ("ProcessName", "ProcessAlias", "ProcessTypeLabel", "ProcessStatusLabel")
        columns = "".join(f"_rlnPipeLine{name} #{number}\n" for number, name in enumerate(names, 1))
        return (
            f"\ndata_pipeline_general\n\n_rlnPipeLineJobCounter {len(self.jobs) + 1}\n\n"
            f"data_pipeline_processes\n\nloop_\n{columns}{rows}"
        )


def _typed(text: str) -> bool | int | float | str:
    """A stored parameter, as the wrapper reads it."""
    if text.isascii() and text.isdigit():
        return int(text)
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return float(text)
    except ValueError:
        return text


def _link(link: Path, target: Path) -> None:
    """Make or move a link in one step; anything else of that name stays."""
    if link.exists() and not link.is_symlink():
        return
    draft = link.with_name(f".{link.name}-{target.name}")
    draft.unlink(missing_ok=True)
    draft.symlink_to(target)
    draft.rename(link)
