"""Use cases that only SynchWeb's pages ask for: summaries, progress, images by movie, and what is in attachments."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from app.access.identity import Person
from app.access.policy import OtherProposal
from app.data_collections.repository import DataCollectionNotFound
from app.db import Database
from app.errors import NotFound
from app.filesystem.looks import Looks
from app.ispyb import tables
from app.ispyb.tables import inserted_id
from app.resources import Resources
from app.results import attachments, classification, ctf, drift, motion, picking, progress, series
from app.results.attachments import AttachmentNotFound
from app.results.classification import ClassNotFound
from app.results.programs import ImageNotFound, ProgramNotFound
from app.results.progress import Progress
from app.results.rules import ClassSort
from tests.api.conftest import MakeVisit
from tests.factories import (
    MadeVisit,
    make_attachment,
    make_class,
    make_class_group,
    make_ctf,
    make_motion,
    make_movie,
    make_picker,
)
from tests.support.runs import MORNING, Run, make_run
from tests.support.services import ServiceThread

STAFF = Person("staff", staff=True)
NOBODY = Person("nobody", person_id=0)


@pytest.fixture
def resources(service: ServiceThread) -> Resources:
    """What use cases work with."""
    return service.resources


@pytest.fixture
def run(database: Database, visit: MadeVisit) -> Run:
    """A program that has found nothing yet."""
    return make_run(database, visit)


# The summary of CTF estimations.


def test_the_summary_is_ordered_by_the_time_of_the_movie(resources: Resources, run: Run) -> None:
    for number, minutes in ((1, 5), (2, 1), (3, 3), (4, 1), (None, 2)):
        image = run.image(number, created=MORNING + timedelta(minutes=minutes))
        make_ctf(run.database, run.program, image, astigmatism=247.02, estimatedResolution=4.12)
    for number in (9, 8):
        make_ctf(run.database, run.program, make_motion(run.database, run.program, None, number), estimatedDefocus=None)

    rows = ctf.list_ctf_summary(resources, STAFF, run.program)

    assert [row[0] for row in rows] == [8, 9, 2, 4, None, 3, 1]
    assert rows[0] == (8, None, None, None, None)
    zone = resources.settings.zone
    assert rows[-1] == (1, (MORNING + timedelta(minutes=5)).replace(tzinfo=zone), 247.02, 4.12, 12000.0)


def test_a_program_without_estimations_has_an_empty_summary(resources: Resources, run: Run) -> None:
    assert ctf.list_ctf_summary(resources, STAFF, run.program) == []


# Images by the movie.


def test_the_fft_of_a_movie_is_found_by_the_movies_number(resources: Resources, run: Run) -> None:
    movie = make_movie(run.database, run.dcid, 5)
    columns = {"fftFullPath": "/x/fft.png", "fftCorrectedFullPath": "/x/corrected.png"}
    make_motion(run.database, run.program, movie, 1, **columns)
    make_motion(run.database, run.program, movie, 1, fftFullPath="/x/second.png")

    def find(number: int, *, corrected: bool) -> str | None:
        return motion.find_fft_of_movie(resources, STAFF, run.dcid, number, corrected=corrected)

    assert (find(5, corrected=False), find(5, corrected=True)) == ("/x/fft.png", "/x/corrected.png")
    run.image(6)
    assert find(6, corrected=False) is None
    make_movie(run.database, run.dcid, 7)
    for number in (1, 7):
        with pytest.raises(ImageNotFound):
            find(number, corrected=False)
    with pytest.raises(DataCollectionNotFound):
        motion.find_fft_of_movie(resources, NOBODY, run.dcid, 5, corrected=False)


# Particles.


def test_whether_the_image_of_the_particles_is_there(resources: Resources, run: Run) -> None:
    paths = [str(run.file("pick.jpg")), f"{run.visit.directory}/missing.jpg", None, "/etc/hostname"]
    for number, path in enumerate(paths):
        make_picker(run.database, run.program, run.image(number), summaryImageFullPath=path)

    found = [picking.get_picking(resources, STAFF, run.program, number) for number in range(4)]

    assert [picking.has_summary_image(resources, one) for one in found] == [True, False, False, False]


def test_while_files_hang_nobody_knows_whether_it_is_there(
    resources: Resources, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_picker(run.database, run.program, run.image(1), summaryImageFullPath=str(run.file("pick.jpg")))
    slow = Resources(resources.settings, resources.database, Looks(threads=4, deadline=0.1))
    found = picking.get_picking(resources, STAFF, run.program, 1)
    real = os.path.realpath

    def wait(path: str) -> str:
        time.sleep(0.4)
        return real(path)

    monkeypatch.setattr(os.path, "realpath", wait)

    assert picking.has_summary_image(slow, found) is None


# Classes.


def test_a_batch_without_classes_has_a_row_that_is_not_counted(resources: Resources, run: Run) -> None:
    batch = make_class_group(run.database, run.program, batchNumber=1)
    make_class_group(run.database, run.program, batchNumber=2)
    ids = [make_class(run.database, batch, particlesPerClass=particles) for particles in (5, 7)]

    def rows(sort: ClassSort, page: int = 1, per_page: int = 10) -> tuple[int, list[Any]]:
        found = classification.list_classes(
            resources, STAFF, run.program, "2D", sort, page=page, per_page=per_page, empty_groups=True
        )
        return found.total, [(one.batch_number, one.particle_classification_id) for one in found.rows]

    assert rows(ClassSort.PARTICLES) == (2, [(1, ids[1]), (1, ids[0]), (2, None)])
    assert rows(ClassSort.RESOLUTION) == (2, [(2, None), (1, ids[0]), (1, ids[1])])
    assert rows(ClassSort.PARTICLES, page=2, per_page=2) == (2, [(2, None)])
    assert rows(ClassSort.PARTICLES, page=9) == (2, [])


# Attachments.


def test_what_is_in_json_files_comes_along(resources: Resources, run: Run) -> None:
    names = {
        "ice.json": b'{"data": "\xc3\xa9"}',
        "UPPER.JSON": b"{}",
        "bad.json": b'"\xff\xfe"',
        "report.pdf": b"%PDF",
        "large.json": b" " * (attachments.LARGEST_JSON + 1),
    }
    for name, content in names.items():
        make_attachment(run.database, run.program, run.file(name, content))
    make_attachment(run.database, run.program, run.visit.directory / "missing.json")
    make_attachment(run.database, run.program, run.file("deleted.json"), deleted=1)

    listed = attachments.list_attachments(resources, STAFF, run.program)
    seen = attachments.look_at(resources, run.program, listed, json=True)
    unread = attachments.look_at(resources, run.program, listed, json=False)

    assert [one.exists for one in listed] == [None] * 6
    assert [(one.file_name, one.exists, one.content) for one in seen] == [
        ("ice.json", True, '{"data": "é"}'),
        ("UPPER.JSON", True, "{}"),
        ("bad.json", True, '"��"'),
        ("report.pdf", True, None),
        ("large.json", True, None),
        ("missing.json", False, None),
    ]
    assert [one.exists for one in unread] == [True] * 5 + [False]
    assert {one.content for one in unread} == {None}


def test_while_files_hang_attachments_are_unknown_after_one_deadline(
    resources: Resources, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        make_attachment(run.database, run.program, run.file(f"{number}.json"))
    slow = Resources(resources.settings, resources.database, Looks(threads=4, deadline=0.2))
    listed = attachments.list_attachments(resources, STAFF, run.program)
    real = os.path.realpath

    def wait(path: str) -> str:
        time.sleep(0.5)
        return real(path)

    monkeypatch.setattr(os.path, "realpath", wait)
    begun = time.monotonic()

    seen = attachments.look_at(slow, run.program, listed, json=True)

    assert [one.exists for one in seen] == [None] * 5
    assert time.monotonic() - begun < 0.4


# Progress.


def test_progress_tells_the_newest_image_and_the_highest_of_each_step(resources: Resources, run: Run) -> None:
    minutes = {1: 1, 2: 9, 3: 5, 30000: 5}
    images = {
        number: run.image(number, created=MORNING + timedelta(minutes=offset)) for number, offset in minutes.items()
    }
    for number in (1, 3):
        make_ctf(run.database, run.program, images[number])
    make_picker(run.database, run.program, images[30000])
    make_picker(run.database, run.program, images[3])

    found = progress.find_progress(resources, STAFF, [run.program])

    assert found == {
        run.program: Progress(mc_latest=2, mc_max=30000, ctf_latest=3, ctf_max=3, pick_latest=30000, pick_max=30000)
    }


def test_rows_without_number_or_movie_do_not_disturb_progress(resources: Resources, run: Run) -> None:
    run.image(None, created=MORNING + timedelta(days=1))
    make_motion(run.database, run.program, None, 8)
    run.image(4)
    make_ctf(run.database, run.program, run.image(None))
    make_picker(run.database, run.program, None)

    found = progress.find_progress(resources, STAFF, [run.program])

    assert found == {run.program: Progress(mc_latest=4, mc_max=8)}


def test_progress_is_asked_for_many_programs_in_one_statement(
    resources: Resources, run: Run, database: Database, new_visit: MakeVisit
) -> None:
    person = database.write(
        lambda session: inserted_id(session.execute(sa.insert(tables.Person).values(givenName="ada")))
    )
    ada = Person("ada", person_id=person)
    mine, other = make_run(database, new_visit(members=[person])), make_run(database, new_visit(members=[person]))
    for one, number in ((run, 1), (mine, 2), (other, 3)):
        one.image(number)
    empty = make_run(database, mine.visit).program
    sent: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        sent.append(statement)

    sa.event.listen(database.engine, "before_cursor_execute", note)
    wanted = [run.program, mine.program, other.program, empty, *range(2_000_000_000, 2_000_000_496)]
    found = progress.find_progress(resources, ada, wanted)
    sa.event.remove(database.engine, "before_cursor_execute", note)

    assert len(sent) == 1
    assert {program: one.mc_max for program, one in found.items()} == {mine.program: 2, other.program: 3}
    assert progress.find_progress(resources, STAFF, []) == {}


# Who may see it.


def test_every_use_case_tells_hidden_from_absent(resources: Resources, run: Run) -> None:
    image = run.image(1)
    make_ctf(run.database, run.program, image)
    make_picker(run.database, run.program, image)
    one = make_class(run.database, make_class_group(run.database, run.program))
    file = make_attachment(run.database, run.program, run.file("ice.json"))
    here = resources
    of_program: list[Callable[[Person, int], object]] = [
        lambda person, program: motion.get_motion(here, person, program, 1),
        lambda person, program: motion.find_snapshot(here, person, program, 1),
        lambda person, program: motion.find_fft(here, person, program, 1, corrected=True),
        lambda person, program: drift.get_drift(here, person, program, 1),
        lambda person, program: ctf.get_ctf(here, person, program, 1),
        lambda person, program: ctf.find_ctf_image(here, person, program, 1),
        lambda person, program: ctf.list_ctf_summary(here, person, program),
        lambda person, program: picking.get_picking(here, person, program, 1),
        lambda person, program: picking.find_picking_image(here, person, program, 1),
        lambda person, program: classification.list_classes(
            here, person, program, "2D", ClassSort.PARTICLES, page=1, per_page=1
        ),
        lambda person, program: attachments.list_attachments(here, person, program),
        lambda person, program: series.list_motion(here, person, program, after=0, limit=1),
        lambda person, program: series.list_ctf(here, person, program, after=0, limit=1),
        lambda person, program: series.list_particles(here, person, program, after=0, limit=1),
    ]

    for ask in of_program:
        hides(ask, run.program, ProgramNotFound)
    hides(lambda person, ident: classification.find_class_image(here, person, ident), one, ClassNotFound)
    hides(lambda person, ident: attachments.find_attachment_file(here, person, ident), file, AttachmentNotFound)


def hides(ask: Callable[[Person, int], object], ident: int, missing: type[NotFound]) -> None:
    """Somebody on the visit gets an answer, others do not, and it is known why."""
    ask(STAFF, ident)
    with pytest.raises(missing) as hidden:
        ask(NOBODY, ident)
    with pytest.raises(missing) as absent:
        ask(STAFF, 2_000_000_000)
    assert (hidden.value.hidden, absent.value.hidden) == (True, False)
    with pytest.raises(OtherProposal):
        ask(Person("staff", staff=True, proposal="bi8"), ident)
