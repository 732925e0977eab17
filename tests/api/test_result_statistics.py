"""Statistics over a visit, and the table of drift that ISPyB had until October 2023."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from app.access.identity import Person
from app.db import Database
from app.resources import Resources
from app.results import drift, statistics
from app.results.rules import CtfKind
from app.visits.repository import VisitNotFound
from app.visits.rules import VisitRef
from tests.api.conftest import MakeVisit
from tests.factories import MadeVisit, make_collection, make_ctf, make_job, make_motion, make_movie, make_program
from tests.support.runs import Run, make_run
from tests.support.services import ServiceThread

STAFF = Person("staff", staff=True)
CREATE = """CREATE TABLE MotionCorrectionDrift (motionCorrectionDriftId int unsigned AUTO_INCREMENT PRIMARY KEY,
 motionCorrectionId int unsigned, frameNumber smallint unsigned, deltaX float, deltaY float,
 KEY (motionCorrectionId))"""


@pytest.fixture
def resources(service: ServiceThread) -> Resources:
    """What use cases work with."""
    return service.resources


@pytest.fixture
def run(database: Database, visit: MadeVisit) -> Run:
    """A program that has found nothing yet."""
    return make_run(database, visit)


def forget(database: Database) -> None:
    with database.read() as session:
        drift.forget_table(session)


@pytest.fixture
def drift_table(database: Database) -> Iterator[None]:
    """A server that has not been brought up to date."""
    database.write(lambda session: session.execute(sa.text(CREATE)))
    forget(database)
    yield
    database.write(lambda session: session.execute(sa.text("DROP TABLE IF EXISTS MotionCorrectionDrift")))
    forget(database)


def add_drift(database: Database, motion: int, *frames: tuple[int, float | None, float | None]) -> None:
    rows = [{"motionCorrectionId": motion, "frameNumber": number, "deltaX": x, "deltaY": y} for number, x, y in frames]
    database.write(lambda session: session.execute(sa.insert(drift.MotionCorrectionDrift), rows))


def ref(run: Run) -> VisitRef:
    return VisitRef.parse(run.visit.name)


def add_ctfs(run: Run, *values: float | None, column: str = "estimatedDefocus") -> None:
    for value in values:
        make_ctf(run.database, run.program, run.image(1), **{column: value})


def filled(histogram: statistics.Histogram) -> dict[str, int]:
    return {text: count for text, count in histogram.bins if count}


# Histograms.


@pytest.mark.parametrize(
    ("kind", "column", "values", "counts", "ends"),
    [
        ("defocus", "estimatedDefocus", [11837.1, 20000.0, None], {"11808": 1, "19844": 1}, ("11808", "20008", 51)),
        ("astigmatism", "astigmatism", [247.02, 100.0, 101.9], {"99": 2, "246": 1}, ("99", "249", 51)),
        ("resolution", "estimatedResolution", [4.12, 5.0, 4.122], {"4.104": 1, "4.122": 1, "4.986": 1},
         ("4.104", "5.004", 51)),
        ("resolution", "estimatedResolution", [4.0, 4.0009, 4.0021], {"4.000": 2, "4.002": 1}, ("4.000", "4.003", 4)),
        ("defocus", "estimatedDefocus", [-100.0, 900.0, -81.0], {"-100": 2, "900": 1}, ("-100", "920", 52)),
        ("defocus", "estimatedDefocus", [0.0, 3e38], {"0": 1, "980000000000000000": 1},
         ("0", "1000000000000000000", 51)),
    ],
)  # fmt: skip
def test_a_histogram_has_about_fifty_bins_around_the_values(
    resources: Resources,
    run: Run,
    kind: str,
    column: str,
    values: list[float | None],
    counts: dict[str, int],
    ends: tuple[str, str, int],
) -> None:
    add_ctfs(run, *values, column=column)

    histogram = statistics.ctf_histogram(resources, STAFF, ref(run), CtfKind(kind))

    assert filled(histogram) == counts
    assert (histogram.bins[0][0], histogram.bins[-1][0], len(histogram.bins)) == ends
    assert (histogram.beamline, histogram.unit) == ("m12", "Number" if kind == "astigmatism" else "A")


@pytest.mark.parametrize(
    ("kind", "column", "values", "counts"),
    [
        ("resolution", "estimatedResolution", [4.12], {"4": 1}),
        ("resolution", "estimatedResolution", [4.12, 4.12, None], {"4": 2}),
        ("resolution", "estimatedResolution", [30.5], {"30": 1}),
        ("resolution", "estimatedResolution", [31.0], {}),
        ("astigmatism", "astigmatism", [55.0], {}),
        ("astigmatism", "astigmatism", [0.505], {"0.505": 1}),
        ("defocus", "estimatedDefocus", [9999.0], {"9000": 1}),
        ("defocus", "estimatedDefocus", [-1.0], {}),
        ("defocus", "estimatedDefocus", [None], {}),
        ("defocus", "estimatedDefocus", [], {}),
    ],
)
def test_one_value_or_none_falls_into_the_default_bins(
    resources: Resources, run: Run, kind: str, column: str, values: list[float | None], counts: dict[str, int]
) -> None:
    add_ctfs(run, *values, column=column)

    histogram = statistics.ctf_histogram(resources, STAFF, ref(run), CtfKind(kind))

    assert filled(histogram) == counts
    assert len(histogram.bins) == {"defocus": 61, "astigmatism": 201, "resolution": 31}[kind]


def test_every_value_is_counted_once_whatever_the_steps_are(resources: Resources, run: Run) -> None:
    values = [3 + number * 0.0137 for number in range(40)]
    add_ctfs(run, *values, column="estimatedResolution")

    histogram = statistics.ctf_histogram(resources, STAFF, ref(run), CtfKind.RESOLUTION)

    assert sum(count for _, count in histogram.bins) == 40
    step = float(histogram.bins[1][0]) - float(histogram.bins[0][0])
    for text, count in histogram.bins:
        inside = [value for value in values if float(text) - 1e-5 <= value < float(text) + step + 1e-5]
        assert count <= len(inside)


def test_all_programs_and_data_collections_of_the_visit_count_and_no_others(
    resources: Resources, run: Run, database: Database, new_visit: MakeVisit
) -> None:
    other = make_run(database, new_visit())
    add_ctfs(other, 99999.0)
    add_ctfs(run, 1000.0)
    second = make_collection(database, run.visit)
    program = make_program(database, make_job(database, second))
    motion = make_motion(database, program, make_movie(database, second))
    make_ctf(database, program, motion, estimatedDefocus=2000.0)

    histogram = statistics.ctf_histogram(resources, STAFF, ref(run), CtfKind.DEFOCUS)

    assert filled(histogram) == {"1000": 1, "2000": 1}


def test_statistics_are_for_those_on_the_visit(resources: Resources, run: Run) -> None:
    nobody = Person("nobody", person_id=0)

    for ask in (
        lambda person, visit: statistics.ctf_histogram(resources, person, visit, CtfKind.DEFOCUS),
        lambda person, visit: statistics.drift_statistics(resources, person, visit),
    ):
        with pytest.raises(VisitNotFound) as hidden:
            ask(nobody, ref(run))
        with pytest.raises(VisitNotFound) as absent:
            ask(STAFF, VisitRef("cm", "999999999", 1))
        assert (hidden.value.hidden, absent.value.hidden) == (True, False)


# Drift.


def test_the_drift_comes_from_the_table_where_the_server_has_one(
    client: httpx.Client, run: Run, drift_table: None
) -> None:
    plot = run.file("drift.json", b'{"data": [{"x": [9], "y": [9]}]}')
    with_rows = run.image(1, driftPlotFullPath=str(plot))
    run.image(2, driftPlotFullPath=str(plot))
    frames: list[tuple[int, float | None, float | None]] = [(3, 1.5e-07, 123457.0), (1, 0.0, 0.0), (2, 0.1, -0.25)]
    add_drift(run.database, with_rows, *frames, (4, -1.23457, None))

    rows, plotted = (client.get(f"{run.path}/motion/{number}/drift").json() for number in (1, 2))

    assert (rows["x"], rows["y"][:2], rows["y"][3]) == ([0.0, 0.1, 1.5e-07, -1.23457], [0.0, -0.25], None)
    assert rows["y"][2] == pytest.approx(123457.0)
    assert plotted == {"x": [9.0], "y": [9.0]}


def test_a_table_that_goes_away_while_the_service_runs_is_done_without(
    client: httpx.Client, run: Run, drift_table: None
) -> None:
    path = f"{run.path}/motion/1/drift"
    run.image(1, driftPlotFullPath=str(run.file("drift.json", b'{"data": [{"x": [9], "y": [9]}]}')))
    before = client.get(path).json()
    run.database.write(lambda session: session.execute(sa.text("DROP TABLE MotionCorrectionDrift")))

    assert client.get(path).json() == before == {"x": [9.0], "y": [9.0]}
    assert client.get(path).json() == before


def test_whether_there_is_a_table_is_asked_once(
    client: httpx.Client, run: Run, statements: Callable[[], list[str]]
) -> None:
    run.image(1)
    forget(run.database)
    path = f"{run.path}/motion/1/drift"

    first = [client.get(path).json(), statements()]
    second = [client.get(path).json(), statements()]

    assert len([one for one in first[1] if one.startswith("SHOW TABLES")]) == 1
    assert len(second[1]) == 1


@pytest.fixture
def statements(database: Database) -> Iterator[Callable[[], list[str]]]:
    """What was sent to the database since the last time."""
    sent: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        sent.append(statement)

    def take() -> list[str]:
        taken = list(sent)
        sent.clear()
        return taken

    sa.event.listen(database.engine, "before_cursor_execute", note)
    take()
    yield take
    sa.event.remove(database.engine, "before_cursor_execute", note)


def test_drift_statistics_tell_the_way_from_frame_to_frame(
    resources: Resources, run: Run, drift_table: None, database: Database, new_visit: MakeVisit
) -> None:
    add_drift(database, run.image(1), (1, 0.0, 0.0), (2, 3.0, 4.0), (3, 6.0, 8.0), (0, 100.0, 0.0), (10, 1.0, 1.0))
    add_drift(database, run.image(2), (2, 0.0, 1.0), (1, 0.0, 0.0), (11, 0.0, 0.0), (10, 0.0, None))
    add_drift(database, make_run(database, new_visit()).image(1), (1, 0.0, 0.0), (2, 1000.0, 0.0))

    found = statistics.drift_statistics(resources, STAFF, ref(run))

    assert found.beamline == "m12"
    assert found.frames == ["1-2", "2-3", "10-11"]
    assert found.lowest == [1.0, 5.0, 0.0]
    assert found.average == [3.0, 5.0, 0.0]
    assert found.highest == [5.0, 5.0, 0.0]


def test_without_rows_or_table_there_are_no_drift_statistics(
    resources: Resources, run: Run, drift_table: None, database: Database
) -> None:
    run.image(1)
    empty = statistics.drift_statistics(resources, STAFF, ref(run))
    database.write(lambda session: session.execute(sa.text("DROP TABLE MotionCorrectionDrift")))
    forget(database)

    absent = statistics.drift_statistics(resources, STAFF, ref(run))

    assert empty == absent
    assert (empty.frames, empty.lowest, empty.average, empty.highest) == ([], [], [], [])
