"""A data collection that a person makes, how one was recorded, and its comments: on MariaDB."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.access.identity import Person
from app.access.policy import OtherProposal
from app.data_collections import service as data_collections
from app.data_collections.acquisition import Acquisition
from app.data_collections.movies import FilesDoNotAnswer, MoviesNotFound, MoviesRequest
from app.data_collections.repository import DataCollectionNotFound
from app.data_collections.rules import DataCollection, MoviesInvalid
from app.data_collections.service import CommentsInvalid, DataCollectionExists
from app.db import Database
from app.errors import EMError
from app.filesystem.looks import NoAnswer
from app.ispyb import tables
from app.resources import Resources
from app.visits.repository import VisitNotFound
from app.visits.rules import ProcessingNotAllowed, VisitRef
from tests.api.conftest import MakeVisit
from tests.factories import MadeVisit, make_collection
from tests.support import rows
from tests.support.services import ServiceThread
from tests.system.support import at_once

STAFF = Person("ada", staff=True)
STRANGER = Person("eve", person_id=2**31 - 1)
EPU = MoviesRequest("raw", software="EPU", suffix="tiff")
ORIGIN = "Made by hand"


@pytest.fixture
def resources(service: ServiceThread) -> Resources:
    """What use cases work with."""
    return service.resources


def create(resources: Resources, visit: MadeVisit, request: MoviesRequest = EPU, **changes: Any) -> DataCollection:
    """Make EPU's movies in ``raw`` a data collection, or as the changes say."""
    given: dict[str, Any] = {"person": STAFF, "origin": ORIGIN} | changes
    return data_collections.create_collection(resources, ref=VisitRef.parse(visit.name), request=request, **given)


def collections_of(database: Database, visit: MadeVisit) -> list[int]:
    """The data collections of a visit."""
    table = tables.DataCollection.c
    with database.read() as session:
        found = session.execute(sa.select(table.dataCollectionId).where(table.SESSIONID == visit.session_id))
        return list(found.scalars())


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """What is sent to the database meanwhile."""
    sent: list[str] = []

    def note(*arguments: Any) -> None:
        sent.append(arguments[2])

    sa.event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        sa.event.remove(database.engine, "before_cursor_execute", note)


# Making one.
def test_one_is_made_with_its_group(resources: Resources, database: Database, visit: MadeVisit) -> None:
    made = create(resources, visit, comments="Good ice\nmostly é")

    row = rows.row(database, tables.DataCollection, made.dcid)
    group = rows.row(database, tables.DataCollectionGroup, row["dataCollectionGroupId"])
    session = rows.row(database, tables.BLSession, visit.session_id)
    wanted = {
        "SESSIONID": visit.session_id,
        "imageDirectory": f"{visit.directory}/raw/",
        "fileTemplate": "GridSquare_*/Data/*.tiff",
        "imageSuffix": "tiff",
        "imagePrefix": "GridSquare",
        "dataCollectionNumber": 1,
        "endTime": session["endDate"],
        "comments": "Good ice\nmostly é",
    }
    assert {name: row[name] for name in wanted} == wanted
    assert row["startTime"] is not None
    assert (group["sessionId"], group["experimentType"], group["comments"]) == (visit.session_id, "EM", ORIGIN)


def test_serialems_movies_beside_epus_are_another(resources: Resources, database: Database, visit: MadeVisit) -> None:
    first = create(resources, visit)
    second = create(resources, visit, MoviesRequest("raw", software="SerialEM", suffix="tiff"))

    assert collections_of(database, visit) == [first.dcid, second.dcid]
    assert second.file_template == "Frames/*.tiff"


def test_the_same_movies_twice_are_a_conflict_that_names_the_first(
    resources: Resources, database: Database, visit: MadeVisit
) -> None:
    made = create(resources, visit)

    with pytest.raises(DataCollectionExists) as refused:
        create(resources, visit, MoviesRequest("./raw//", software="EPU", suffix="tiff"))

    assert refused.value.context == {"dataCollectionId": made.dcid}
    assert collections_of(database, visit) == [made.dcid]


def test_one_that_other_software_wrote_counts(resources: Resources, database: Database, visit: MadeVisit) -> None:
    dcid = make_collection(database, visit)

    with pytest.raises(DataCollectionExists):
        create(resources, visit)

    assert collections_of(database, visit) == [dcid]


def test_many_at_once_make_one(resources: Resources, database: Database, visit: MadeVisit) -> None:
    def press(_: int) -> tuple[bool, object]:
        try:
            return True, create(resources, visit).dcid
        except DataCollectionExists as error:
            return False, error.context["dataCollectionId"]

    answers = at_once(16, press)

    (dcid,) = collections_of(database, visit)
    assert sorted(answers) == [(False, dcid)] * 15 + [(True, dcid)]


@pytest.mark.parametrize(
    ("movies", "error"),
    [
        (MoviesRequest("nothing", software="EPU", suffix="tiff"), MoviesNotFound),
        (MoviesRequest("raw", software="EPU", suffix="eer"), MoviesNotFound),
        (MoviesRequest("raw\n", software="EPU", suffix="tiff"), MoviesInvalid),
        (MoviesRequest("../raw", software="EPU", suffix="tiff"), MoviesInvalid),
        (MoviesRequest("x" * 250, software="EPU", suffix="tiff"), MoviesInvalid),
    ],
    ids=str,
)
def test_movies_that_are_not_there_or_cannot_be_make_none(
    resources: Resources, database: Database, visit: MadeVisit, movies: MoviesRequest, error: type[EMError]
) -> None:
    with pytest.raises(error):
        create(resources, visit, movies)

    assert collections_of(database, visit) == []


def test_files_that_do_not_answer_make_none(
    resources: Resources, database: Database, visit: MadeVisit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hangs(*_: object) -> None:
        raise NoAnswer("it hangs")

    monkeypatch.setattr(resources.looks, "run", hangs)

    with pytest.raises(FilesDoNotAnswer, match="it hangs"):
        create(resources, visit)

    assert collections_of(database, visit) == []


@pytest.mark.parametrize("changes", [{"ended_hours_ago": 25}, {"archived": 1}], ids=str)
def test_a_visit_that_is_over_gets_none(
    resources: Resources, database: Database, new_visit: MakeVisit, changes: dict[str, Any]
) -> None:
    visit = new_visit(**changes)

    with pytest.raises(ProcessingNotAllowed):
        create(resources, visit)

    assert collections_of(database, visit) == []


def test_a_visit_without_an_end_is_not_over(resources: Resources, database: Database, new_visit: MakeVisit) -> None:
    visit = new_visit(endDate=None)

    made = create(resources, visit)

    assert rows.row(database, tables.DataCollection, made.dcid)["endTime"] is None


def test_a_visit_of_others_gets_none(resources: Resources, database: Database, visit: MadeVisit) -> None:
    with pytest.raises(VisitNotFound) as refused:
        create(resources, visit, person=STRANGER)

    assert refused.value.hidden
    assert collections_of(database, visit) == []


@pytest.mark.parametrize("comments", ["x" * 1025, "映"], ids=ascii)
def test_comments_that_do_not_fit_make_none(
    resources: Resources, database: Database, visit: MadeVisit, comments: str
) -> None:
    with pytest.raises(CommentsInvalid):
        create(resources, visit, comments=comments)

    assert collections_of(database, visit) == []


# Comments.
@pytest.mark.parametrize(
    "text", ["new text é _FLAG_", "", "two\nlines\tand a tab", "€" * 1024, None], ids=lambda t: ascii(t)[:9]
)
def test_comments_are_replaced_or_cleared(
    resources: Resources, database: Database, visit: MadeVisit, text: str | None
) -> None:
    dcid, other = make_collection(database, visit, comments="old"), make_collection(database, visit, comments="old")

    data_collections.set_comments(resources, STAFF, dcid, text)

    assert rows.row(database, tables.DataCollection, dcid)["comments"] == text
    assert rows.row(database, tables.DataCollection, other)["comments"] == "old"


@pytest.mark.parametrize("text", ["x" * 1025, "映", "a\0b"], ids=lambda text: ascii(text)[:9])
def test_comments_that_do_not_fit_are_refused(
    resources: Resources, database: Database, visit: MadeVisit, text: str
) -> None:
    dcid = make_collection(database, visit, comments="old")

    with pytest.raises(CommentsInvalid) as refused:
        data_collections.set_comments(resources, STAFF, dcid, text)

    assert [error.field for error in refused.value.errors] == ["comments"]
    assert rows.row(database, tables.DataCollection, dcid)["comments"] == "old"


def test_nobody_comments_on_what_is_not_theirs(resources: Resources, database: Database, visit: MadeVisit) -> None:
    dcid = make_collection(database, visit, comments="old")

    with pytest.raises(DataCollectionNotFound):
        data_collections.set_comments(resources, STRANGER, dcid, "new")
    with pytest.raises(OtherProposal):
        data_collections.set_comments(resources, Person("ada", staff=True, proposal="cm1"), dcid, "new")

    assert rows.row(database, tables.DataCollection, dcid)["comments"] == "old"


# How one was recorded.
RECORDED: dict[str, Any] = {
    "startTime": datetime(2026, 11, 1, 9, 5, 7),
    "endTime": datetime(2036, 11, 30, 9, 0, 0),
    "imageSizeX": 5760,
    "imageSizeY": 4092,
    "pixelSizeOnImage": 0.831,
    "numberOfImages": 5000,
    "numberOfPasses": 40,
    "exposureTime": 4.1,
    "totalExposedDose": 41.3,
    "voltage": 300.0,
    "magnification": 105000.0,
    "phasePlate": 1,
    "c2lens": 50.5,
    "c2aperture": 50.0,
    "objAperture": 100.0,
    "beamSizeAtSampleX": 600.0,
    "beamSizeAtSampleY": 615.5,
    "slitGapHorizontal": 20.0,
    "DETECTORMODE": "Counted",
    "comments": "Good é",
}


def test_how_one_was_recorded(resources: Resources, database: Database, visit: MadeVisit) -> None:
    dcid = make_collection(database, visit, **RECORDED)

    found = data_collections.get_acquisition(resources, STAFF, dcid)

    assert found == Acquisition(
        dcid=dcid,
        group_id=rows.row(database, tables.DataCollection, dcid)["dataCollectionGroupId"],
        visit=found.visit,
        start=RECORDED["startTime"],
        end=RECORDED["endTime"],
        image_directory=f"{visit.directory}/raw/",
        image_suffix="tiff",
        file_template="GridSquare_*/Data/*.tiff",
        image_size_x=5760,
        image_size_y=4092,
        pixel_size=0.831,
        movies=5000,
        frames=40,
        exposure_time=4.1,
        total_dose=41.3,
        voltage=300,
        magnification=105000,
        phase_plate=1,
        c2_lens=50.5,
        c2_aperture=50,
        objective_aperture=100,
        beam_size_x=600,
        beam_size_y=615.5,
        slit_width=20,
        detector_mode="Counted",
        comments="Good é",
    )
    assert str(found.visit.ref) == visit.name


def test_its_attachments_and_its_comments_are_counted_apart(
    resources: Resources, database: Database, visit: MadeVisit
) -> None:
    dcid, other = make_collection(database, visit), make_collection(database, visit)

    def work(session: Session) -> None:
        person = session.execute(sa.select(sa.func.min(tables.Person.c.personId))).scalar_one()
        for one in (dcid, dcid, other):
            session.execute(
                sa.insert(tables.DataCollectionFileAttachment).values(dataCollectionId=one, fileFullPath="/a")
            )
        for one in (dcid, dcid, dcid, other):
            session.execute(
                sa.insert(tables.DataCollectionComment).values(
                    dataCollectionId=one, personId=person, comments="c", createTime=RECORDED["startTime"]
                )
            )

    database.write(work)

    found = data_collections.get_acquisition(resources, STAFF, dcid)

    assert (found.attachment_count, found.comment_count) == (2, 3)


def test_a_time_that_is_none_is_not_told(resources: Resources, database: Database, visit: MadeVisit) -> None:
    dcid = make_collection(database, visit, endTime=None)
    with database.engine.begin() as connection:
        connection.execute(sa.text("SET SESSION sql_mode = ''"))
        connection.execute(
            sa.update(tables.DataCollection)
            .where(tables.DataCollection.c.dataCollectionId == dcid)
            .values(startTime=sa.text("'0000-00-00 00:00:00'"))
        )
        connection.execute(sa.text("SET SESSION sql_mode = DEFAULT"))

    found = data_collections.get_acquisition(resources, STAFF, dcid)

    assert (found.start, found.end) == (None, None)


def test_it_is_one_statement(resources: Resources, database: Database, visit: MadeVisit) -> None:
    dcid = make_collection(database, visit)

    with statements(database) as sent:
        data_collections.get_acquisition(resources, STAFF, dcid)

    assert len(sent) == 1


def test_nobody_sees_what_is_not_theirs(resources: Resources, database: Database, visit: MadeVisit) -> None:
    dcid = make_collection(database, visit)

    with pytest.raises(DataCollectionNotFound) as hidden:
        data_collections.get_acquisition(resources, STRANGER, dcid)
    with pytest.raises(DataCollectionNotFound) as missing:
        data_collections.get_acquisition(resources, STAFF, 2**31 - 1)

    assert (hidden.value.hidden, missing.value.hidden) == (True, False)
