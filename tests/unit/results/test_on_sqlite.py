"""The demo runs on SQLite: every query that MariaDB is asked in words of its own is answered there too."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from app.access.identity import Person
from app.db import Database
from app.filesystem.looks import Looks
from app.ispyb import sqlite
from app.resources import Resources
from app.results import attachments, classification, ctf, drift, motion, picking, progress, series, statistics
from app.results.progress import Progress
from app.results.rules import ClassSort, CtfKind
from app.settings import DatabaseSettings, Settings
from app.visits.rules import VisitRef
from tests.factories import (
    make_attachment,
    make_class,
    make_class_group,
    make_ctf,
    make_picker,
    make_visit,
)
from tests.support.runs import MORNING, Run, make_run

STAFF = Person("staff", staff=True)


class Demo(NamedTuple):
    """A program on SQLite."""

    resources: Resources
    run: Run


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """A program with three images."""
    settings = Settings(
        share_seconds=0,
        database=DatabaseSettings(url=f"sqlite:///{tmp_path}/em.sqlite"),
        visit_directory=f"{tmp_path}/dls/{{beamline}}/data/{{year}}/{{visit}}",
    )
    database = Database(settings)
    sqlite.tables().create_all(database.engine)
    run = make_run(database, make_visit(database, tmp_path / "dls"))
    for number, minutes, defocus in ((1, 1, 11837.1), (2, 9, 20000.0), (3, 5, None)):
        image = run.image(number, created=MORNING + timedelta(minutes=minutes))
        make_ctf(database, run.program, image, estimatedDefocus=defocus)
        make_picker(database, run.program, image)
    yield Demo(Resources(settings, database, Looks(threads=4, deadline=2)), run)
    database.dispose()


def test_one_image(demo: Demo) -> None:
    resources, run = demo

    assert motion.get_motion(resources, STAFF, run.program, 2).total_motion == 12.5
    assert motion.find_fft_of_movie(resources, STAFF, run.dcid, 2, corrected=False) is None
    assert drift.get_drift(resources, STAFF, run.program, 2).x == []
    assert ctf.get_ctf(resources, STAFF, run.program, 2).estimated_defocus == 20000.0
    assert picking.get_picking(resources, STAFF, run.program, 2).number_of_particles == 300


def test_all_images(demo: Demo) -> None:
    resources, run = demo

    assert [row[0] for row in ctf.list_ctf_summary(resources, STAFF, run.program)] == [1, 3, 2]
    for page in (series.list_motion, series.list_ctf, series.list_particles):
        assert page(resources, STAFF, run.program, after=0, limit=2).columns["imageNumber"] == [1, 2]


def test_progress(demo: Demo) -> None:
    resources, run = demo

    found = progress.find_progress(resources, STAFF, [run.program])

    assert found == {run.program: Progress(2, 3, 2, 3, 2, 3)}


def test_statistics(demo: Demo) -> None:
    resources, run = demo
    ref = VisitRef.parse(run.visit.name)

    histogram = statistics.ctf_histogram(resources, STAFF, ref, CtfKind.DEFOCUS)

    assert [(text, count) for text, count in histogram.bins if count] == [("11808", 1), ("19844", 1)]
    assert statistics.drift_statistics(resources, STAFF, ref).frames == []


def test_classes_and_attachments(demo: Demo) -> None:
    resources, run = demo
    make_class(run.database, make_class_group(run.database, run.program))
    make_attachment(run.database, run.program, run.file("ice.json", b"{}"))

    classes = classification.list_classes(resources, STAFF, run.program, "2D", ClassSort.PARTICLES, page=1, per_page=9)
    (attachment,) = attachments.look_at(
        resources, run.program, attachments.list_attachments(resources, STAFF, run.program), json=True
    )

    assert classes.total == 1
    assert attachment.content == "{}"
