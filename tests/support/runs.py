"""Programs with results and files, and where the API shows them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from app.db import Database
from tests.factories import (
    MadeVisit,
    make_attachment,
    make_class,
    make_class_group,
    make_collection,
    make_ctf,
    make_file,
    make_job,
    make_motion,
    make_movie,
    make_picker,
    make_program,
)

MORNING = datetime(2026, 1, 15, 9, 30)
SUMMER = datetime(2026, 7, 15, 9, 30)


class Run(NamedTuple):
    """A program of a visit, and where its results are in the API."""

    database: Database
    visit: MadeVisit
    dcid: int
    program: int

    @property
    def path(self) -> str:
        return f"/programs/{self.program}"

    def image(self, number: int | None = 1, *, created: datetime = MORNING, **columns: Any) -> int:
        """A motion corrected movie."""
        movie = make_movie(self.database, self.dcid, number, createdTimeStamp=created)
        return make_motion(self.database, self.program, movie, number, **columns)

    def file(self, name: str, content: bytes = b"picture") -> Path:
        """A file among its results."""
        path = make_file(self.visit.directory / "processed" / name)
        path.write_bytes(content)
        return path


def make_run(database: Database, visit: MadeVisit) -> Run:
    dcid = make_collection(database, visit)
    return Run(database, visit, dcid, make_program(database, make_job(database, dcid), status=1))


SUBJECTS = ("snapshot", "fft", "fft-corrected", "ctf", "particles", "class", "attachment")


def show(run: Run, subject: str, path: str | None, number: int = 1) -> str:
    """Where the API shows this file, as an image of this number, a class or an attachment of the program."""
    database, program = run.database, run.program
    columns = {
        "snapshot": "micrographSnapshotFullPath",
        "fft": "fftFullPath",
        "fft-corrected": "fftCorrectedFullPath",
    }
    if subject in columns:
        values: dict[str, Any] = {columns[subject]: path}
        run.image(number, **values)
        return f"{run.path}/motion/{number}/{subject}"
    if subject == "ctf":
        make_ctf(database, program, run.image(number), fftTheoreticalFullPath=path)
        return f"{run.path}/ctf/{number}/image"
    if subject == "particles":
        make_picker(database, program, run.image(number), summaryImageFullPath=path)
        return f"{run.path}/particles/{number}/image"
    if subject == "class":
        ident = make_class(database, make_class_group(database, program), classImageFullPath=path)
        return f"{run.path}/classification/{ident}/image"
    directory, _, name = (path or "/").rpartition("/")
    ident = make_attachment(database, program, Path("/x"), filePath=directory or None, fileName=name or None)
    return f"{run.path}/attachments/{ident}/file"
