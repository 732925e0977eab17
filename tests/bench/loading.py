"""Fills an ISPyB with a facility's worth of rows, and a visit with what the operations ask for."""

from __future__ import annotations

import os
import random
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from app.db import Database
from app.ispyb import tables
from app.processing_jobs.tables import launch
from tests.bench.sizes import LAUNCHES, Plan, Sizes
from tests.factories import (
    make_ctf,
    make_file,
    make_job,
    make_motion,
    make_movie,
    make_picker,
    make_program,
    make_visit,
)
from tests.servers.mariadb import MariaDB
from tests.support import environments, facility, walk
from tests.support.environments import Environment, Servers
from tests.support.facility import Facility
from tests.support.facility_rows import PARAMETERS

JOBS, MOVIES = 7, 3  # of a data collection as most are: its jobs, and the movies of each
IMAGE = 200_000  # bytes of a snapshot
BATCH = 100_000  # jobs whose parameters are loaded at once
POOL = 6 * 2**30  # bytes of MariaDB's buffer pool, if half of the machine's memory is as much
LOADING, SERVING = "innodb_flush_log_at_trx_commit = 2", "innodb_flush_log_at_trx_commit = 1"


@dataclass(frozen=True)
class Loaded:
    """A full ISPyB, and what to ask for in it.

    Args:
        rows: of ISPyB's largest tables.
        usual_dcid: a data collection with a few jobs; ``usual_program`` is of one of them, with a few movies.
        fresh: data collections on which nothing was ever launched, each with a movie.
        seconds: that loading took.
    """

    environment: Environment
    facility: Facility
    rows: dict[str, int]
    usual_dcid: int
    usual_program: int
    fresh: tuple[int, ...]
    seconds: float


def prepare(mariadb: MariaDB) -> None:
    """Give the server the memory that one of this size has; the tests' own is small, and can be changed as it runs."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for setting in (
        f"innodb_buffer_pool_size = {min(POOL, memory // 2)}",
        f"innodb_log_file_size = {2**30}",
        "max_connections = 600",
    ):
        mariadb.execute(f"SET GLOBAL {setting}")


def load(mariadb: MariaDB, servers: Servers, name: str, dls: Path, sizes: Sizes, plan: Plan) -> Loaded:
    """Make databases of their own and fill them.

    Args:
        dls: the folder that plays /dls.
    """
    begun = time.monotonic()
    # MariaDB writes its log at every commit as long as it is served, not while rows are made that can be made again.
    mariadb.execute(f"SET GLOBAL {LOADING}")
    environment = environments.create(servers, name, dls)
    made = facility.fill(
        environment.database_url,
        schema=environment.schema,
        dls=str(dls),
        data_collections=sizes.data_collections,
        jobs=sizes.jobs,
        movies=sizes.movies,
        programs=sizes.programs,
        launches=min(LAUNCHES, sizes.jobs // 4),
    )
    with closing(_Filler(environment, made)) as filler:
        filler.add_parameters(plan.parameter_seconds)
        program = filler.add_jobs(made.idle[0])
        dcids = filler.add_visit(plan.fresh)
        filler.put_files()
        rows = filler.count()
    mariadb.execute(f"SET GLOBAL {SERVING}")
    return Loaded(
        environment=environment,
        facility=made,
        rows=rows,
        usual_dcid=made.idle[0],
        usual_program=program,
        fresh=tuple(dcids),
        seconds=time.monotonic() - begun,
    )


class _Filler:
    """Adds to what every facility has."""

    def __init__(self, environment: Environment, made: Facility) -> None:
        self._environment = environment
        self._facility = made
        self._database = Database(
            environment.settings(database={"url": environment.database_url, "statement_timeout": 300}), pool_size=2
        )

    def close(self) -> None:
        self._database.dispose()

    def add_parameters(self, seconds: float) -> None:
        """Those of jobs that have none yet, for as many as can be had in this time."""
        keys = ", ".join(f"'{key}'" for key in PARAMETERS)
        values = ", ".join(f"'{value.format(dls=self._environment.dls)}'" for value in PARAMETERS.values())
        end = time.monotonic() + seconds
        others = self._facility.listed_jobs[0] - 1
        for first in range(1, others + 1, BATCH):
            last = min(first + BATCH - 1, others)
            with self._database.engine.begin() as connection:
                connection.exec_driver_sql("SET foreign_key_checks = 0, unique_checks = 0")
                connection.exec_driver_sql(
                    "INSERT INTO ProcessingJobParameter (processingJobId, parameterKey, parameterValue) "
                    f"SELECT STRAIGHT_JOIN n.seq, ELT(k.seq, {keys}), ELT(k.seq, {values}) "
                    f"FROM seq_{first}_to_{last} AS n JOIN seq_1_to_{len(PARAMETERS)} AS k "
                    "WHERE MOD(n.seq, 20) <> 0"  # a facility has them for every twentieth already
                )
            if time.monotonic() > end:
                break
        with self._database.engine.begin() as connection:
            connection.exec_driver_sql("ANALYZE TABLE ProcessingJobParameter").all()

    def add_jobs(self, dcid: int) -> int:
        """Make it a data collection with a few jobs, of which the last runs; the last program."""
        database, program = self._database, 0
        for number in range(2, JOBS + 1):
            last = number == JOBS
            job = make_job(database, dcid, age_hours=JOBS - number + 1)
            program = make_program(database, job, status=None if last else 1)
            for image in range(1, MOVIES + 1):
                motion = make_motion(database, program, make_movie(database, dcid, image), image)
                make_ctf(database, program, motion, estimatedResolution=4.1, astigmatism=30.0, astigmatismAngle=20.0)
                make_picker(database, program, motion)
        return program

    def add_visit(self, fresh: int) -> list[int]:
        """A visit of which every data collection waits to be launched on; these."""
        database = self._database
        with database.read() as session:
            person = tables.Person.c
            member = session.execute(sa.select(person.personId).where(person.login == self._facility.member)).scalar()
        assert member is not None
        visit = make_visit(database, self._environment.dls, members=[member])
        groups, collections = tables.DataCollectionGroup, tables.DataCollection
        directories = [f"{visit.directory}/raw_{number}" for number in range(1, fresh + 1)]
        for directory in directories:
            make_file(Path(directory) / "GridSquare_1" / "Data" / "movie_1.tiff")
        with database.engine.begin() as connection:
            group = tables.inserted_id(
                connection.execute(sa.insert(groups).values(sessionId=visit.session_id, experimentType="EM"))
            )
            rows = [
                {
                    "SESSIONID": visit.session_id,
                    "dataCollectionGroupId": group,
                    "imageDirectory": f"{directory}/",
                    "fileTemplate": "GridSquare_*/Data/*.tiff",
                    "imagePrefix": "GridSquare",
                    "imageSuffix": "tiff",
                    "dataCollectionNumber": 1,
                }
                for directory in directories
            ]
            connection.execute(sa.insert(collections), rows)
            ids = sa.select(collections.c.dataCollectionId).where(collections.c.SESSIONID == visit.session_id)
            return sorted(connection.execute(ids).scalars())

    def put_files(self) -> None:
        """What the rows name: movies, images of the usual size, and the sentinels of jobs that run."""
        walk.put_files(self._facility)
        picture = random.Random(1).randbytes(IMAGE)
        for file in self._facility.files:
            if file.endswith(".jpeg"):
                Path(file).write_bytes(picture)
        jobs = [job for _, job in self._facility.running]
        with self._database.read() as session:
            wanted = sa.select(launch.c.results_directory).where(launch.c.job_id.in_(jobs))
            directories = session.execute(wanted).scalars().all()
        for directory in directories:
            make_file(Path(directory) / "RUNNING_RELION_IT")

    def count(self) -> dict[str, int]:
        """The rows of the tables that grow."""
        wanted = (
            tables.DataCollection,
            tables.ProcessingJob,
            tables.ProcessingJobParameter,
            tables.AutoProcProgram,
            tables.Movie,
        )
        with self._database.read() as session:
            return {
                table.name: session.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
                for table in wanted
            }
