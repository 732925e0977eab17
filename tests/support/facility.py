"""An ISPyB as large as a facility's, made in seconds: MariaDB's sequences write the rows, not Python.

All that a test asks for lies in one visit, the last, and is named in ``Facility``; the rest is there to be in the way.
The same sizes give the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from tests.support import facility_rows
from tests.support.facility_sizes import CLASSES, SMALL_PROGRAM, Rows, Sizes


@dataclass(frozen=True)
class Facility:
    """What to ask for in it.

    Args:
        staff: the login of somebody who may see every visit on a microscope.
        member: of somebody who is on the visit, and on a few others.
        outsider: of somebody who is on other visits only.
        directory: the visit's own. Data collection ``dcid`` has its movies in ``directories[dcid]``.
        dcid: the data collection that the biggest program works on; it has one job.
        listed_dcid: one with many jobs: with a program that has ended or runs, and without any.
        waiting_job: a listed job without a program.
        stopped_job: a listed job that was asked to stop, and has ended.
        running: other data collections of the visit, each with one job, which runs.
        idle: others, each with one job, which has ended.
        program_id: the biggest program, of ``job_id``; it runs.
        movies: how many it has; ``middle_movie`` is the id of one of them, and of what was found in it.
        class_id: of that program, like ``attachment_id``.
        files: what its first and last movie, that class and that attachment name.
    """

    visit: str
    session_id: int
    proposal: str
    staff: str
    member: str
    outsider: str
    directory: str
    directories: Mapping[int, str]
    dcid: int
    job_id: int
    listed_dcid: int
    listed_jobs: tuple[int, ...]
    waiting_job: int
    stopped_job: int
    running: tuple[tuple[int, int], ...]
    idle: tuple[int, ...]
    program_id: int
    movies: int
    middle_movie: int
    class_id: int
    attachment_id: int
    files: tuple[str, ...]


def fill(
    database_url: str,
    *,
    schema: str | None = None,
    dls: str = "/dls",
    data_collections: int = 200_000,
    jobs: int = 400_000,
    movies: int = 50_000,
    programs: int | None = None,
    launches: int = 100_000,
) -> Facility:
    """Fill an ISPyB that has its tables but no rows, and our own tables in ``schema``.

    Args:
        schema: ``None`` if there are no tables of our own.
        dls: the folder that plays /dls. Nothing is written there.
        movies: of the biggest program.
        programs: others with movies; if left out so many that together they have twice as many movies.
        launches: of the past, sent and ended.
    """
    if programs is None:
        programs = max(4, -(-2 * movies // SMALL_PROGRAM))
    sizes = Sizes(data_collections, jobs, movies, programs, launches)
    if sizes.other_collections < sizes.visits or sizes.other_jobs < 10 * programs:
        raise ValueError("too small: each visit needs a data collection, each program a job")
    # The percent signs are SQL's own.
    engine = sa.create_engine(database_url, isolation_level="AUTOCOMMIT", execution_options={"no_parameters": True})
    try:
        with engine.connect() as connection:
            _fill(connection, sizes, schema, dls)
    finally:
        engine.dispose()
    return _facility(sizes, dls)


def _fill(connection: sa.Connection, sizes: Sizes, schema: str | None, dls: str) -> None:
    if connection.exec_driver_sql("SELECT 1 FROM Proposal LIMIT 1").first() is not None:
        raise ValueError("the database has proposals already")
    # Without these checks MariaDB builds a table that is empty page by page, sorted. UTC knows no hour that is missing.
    connection.exec_driver_sql("SET foreign_key_checks = 0, unique_checks = 0, time_zone = '+00:00'")
    # As on a real server; ISPyB's Python package has lost it, and image 40,000 would not fit.
    connection.exec_driver_sql("ALTER TABLE MotionCorrection MODIFY imageNumber SMALLINT UNSIGNED")
    _write(connection, facility_rows.of_ispyb(sizes, dls))
    if schema is not None:
        connection.exec_driver_sql(f"USE `{schema}`")
        _write(connection, facility_rows.of_ours(sizes, dls))


def _write(connection: sa.Connection, parts: Iterable[Rows]) -> None:
    tables = set()
    for rows in parts:
        connection.exec_driver_sql(rows.sql)
        tables.add(f"`{rows.table}`")
    # The server would count the rows itself, but some time later.
    connection.exec_driver_sql(f"ANALYZE TABLE {', '.join(sorted(tables))}").all()


def _facility(sizes: Sizes, dls: str) -> Facility:
    listed = (*sizes.listed_jobs, sizes.jobs - 1)
    proposal = f"cm{20000 + sizes.proposals}"
    directory = f"{dls}/m12/data/2026/{proposal}-4"
    own = range(sizes.other_collections + 1, sizes.data_collections + 1)
    on_visit = {1 + (sizes.visits * 7 + k * 131) % (sizes.persons - 2) for k in range(1, 6)}
    outsider = next(person for person in range(31, sizes.persons) if person not in on_visit)
    group = 4 * sizes.programs + 1  # the biggest program's first
    folder = f"{dls}/m12/processed/relion"
    images = [
        f"{folder}/{name}"
        for movie in (sizes.small_movies + 1, sizes.small_movies + sizes.movies)
        for name in (
            f"micrograph_{movie}.jpeg",
            f"fft_{movie}.jpeg",
            f"fft_corrected_{movie}.jpeg",
            f"ctf_{movie}.jpeg",
            f"picked_{movie}.jpeg",
            f"drift_{movie}.json",
        )
    ]
    return Facility(
        visit=f"{proposal}-4",
        session_id=sizes.visits,
        proposal=proposal,
        staff="user1",
        member=f"user{sizes.persons}",
        outsider=f"user{outsider}",
        directory=directory,
        directories={dcid: f"{directory}/raw_{dcid - sizes.other_collections}" for dcid in own},
        dcid=sizes.data_collections,
        job_id=sizes.jobs,
        listed_dcid=sizes.data_collections - 1,
        listed_jobs=listed,
        waiting_job=listed[3],
        stopped_job=listed[1],
        running=tuple((dcid, sizes.jobs - sizes.data_collections + dcid) for dcid in own[1:-2:2]),
        idle=tuple(own[0:-2:2]),
        program_id=sizes.jobs,
        movies=sizes.movies,
        middle_movie=sizes.small_movies + sizes.movies // 2,
        class_id=(group - 1) * CLASSES + 1,
        attachment_id=sizes.jobs + 3,
        files=(*images, f"{folder}/class_{group}_1.jpeg", f"{folder}/result_3.json"),
    )
