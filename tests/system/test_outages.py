"""What else can go down: the database under load, and a file system that hangs."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from app.db import Database
from app.filesystem import movies, sentinel
from app.ispyb import tables
from app.processing_jobs.tables import launch
from app.zocalo.outbox import outbox
from tests.factories import launch_body, make_collection, make_program, make_visit, parameters
from tests.servers.mariadb import MariaDB
from tests.servers.reaper import Reaper
from tests.support import environments
from tests.support.environments import Environment, Servers
from tests.support.services import ServiceProcess, ServiceThread

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]


def halves(database: Database) -> list[int]:
    """Jobs of which not everything was written: launch record, parameters and message belong to each."""
    job = tables.ProcessingJob.c.processingJobId
    parameter = tables.ProcessingJobParameter.c.processingJobId
    complete = sa.and_(
        job.in_(sa.select(launch.c.job_id)), job.in_(sa.select(outbox.c.job_id)), job.in_(sa.select(parameter))
    )
    with database.read() as session:
        return list(session.execute(sa.select(job).where(~complete)).scalars())


def test_a_database_that_restarts_under_load_costs_503s_and_nothing_else(
    servers: Servers, reaper: Reaper, tmp_path: Path
) -> None:
    mariadb = MariaDB(reaper)
    mariadb.start()
    environment = environments.create(servers._replace(mariadb_port=mariadb.port), "outage", tmp_path)
    database = Database(environment.settings(), pool_size=4)
    visit = make_visit(database, environment.dls)
    # More than are launched on until the end.
    dcids = [make_collection(database, visit, imageDirectory=f"{visit.directory}/raw{n}/") for n in range(1600)]
    answers: list[tuple[float, int, int | None]] = []
    ending = threading.Event()

    def load(client: httpx.Client, mine: list[int]) -> None:
        for dcid in mine:
            if ending.is_set():
                return
            answer = client.post(f"/data-collections/{dcid}/launch", json={"parameters": parameters()})
            job = answer.json()["processingJobId"] if answer.status_code == 202 else None
            answers.append((time.monotonic(), answer.status_code, job))
            answers.append((time.monotonic(), client.get(f"/data-collections/{dcid}").status_code, None))
            time.sleep(0.02)

    with ServiceProcess(environment.environ, tmp_path / "log") as service, service.client() as client:
        threads = [threading.Thread(target=load, args=(client, dcids[n::4])) for n in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(1.5)
        mariadb.kill()
        time.sleep(2)
        alive = httpx.get(f"http://127.0.0.1:{service.port}/healthz", trust_env=False).status_code
        ready = httpx.get(f"http://127.0.0.1:{service.port}/readyz", trust_env=False).status_code
        mariadb.start()
        returned = time.monotonic()
        time.sleep(6)
        ending.set()
        for thread in threads:
            thread.join(30)

    seen = Counter(status for _, status, _ in answers)
    late = Counter(status for when, status, _ in answers if when > returned + 5)
    accepted = {job for _, _, job in answers if job is not None}
    with database.read() as session:
        jobs = set(session.execute(sa.select(tables.ProcessingJob.c.processingJobId)).scalars())
    assert (alive, ready) == (200, 503)
    assert set(seen) == {200, 202, 503}
    assert set(late) <= {200, 202}
    assert late[200] > 0
    assert accepted <= jobs
    assert halves(database) == []
    database.dispose()


def test_a_visit_whose_files_hang_is_unknown_and_others_are_served(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging, release = threading.Event(), threading.Event()
    settings = environment.settings(relay={"enabled": False}, files={"deadline": 0.3})
    with ServiceThread(settings) as service, service.client() as client:
        database = service.resources.database
        slow, quick = make_visit(database, environment.dls), make_visit(database, environment.dls)
        jobs = []
        for visit in (slow, quick):
            job = client.post(f"/visits/{visit.name}/launch", json=launch_body()).json()
            make_program(database, job["processingJobId"])
            jobs.append(job["processingJobId"])
        looked = sentinel.look

        def look(directory: Path) -> sentinel.SentinelLook:
            if directory.is_relative_to(slow.directory):
                hanging.set()
                release.wait(60)
            return looked(directory)

        monkeypatch.setattr(sentinel, "look", look)
        try:
            begun = time.monotonic()
            answers = [client.get(f"/processing-jobs/{jobs[0]}") for _ in range(30)]
            took = time.monotonic() - begun
            threads = service.resources.looks.threads
            other = client.get(f"/processing-jobs/{jobs[1]}").json()
        finally:
            release.set()

    assert hanging.is_set()
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["sentinels"]["checked"] for answer in answers} == {"unknown"}
    assert {answer.json()["state"] for answer in answers} == {"running"}
    assert took < 30 * 0.3  # one look waited for the deadline; those behind it were not begun
    assert threads <= 8
    assert other["sentinels"]["checked"] == "absent"


def test_a_new_launch_where_files_hang_is_refused_for_now_and_a_known_collection_is_not(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    settings = environment.settings(relay={"enabled": False}, files={"deadline": 0.3})
    with ServiceThread(settings) as service, service.client() as client:
        database = service.resources.database
        visit = make_visit(database, environment.dls)
        dcid = make_collection(database, visit)
        monkeypatch.setattr(movies, "look", lambda *_, **__: release.wait(60))
        try:
            body = launch_body(movies={"imageDirectory": "raw", "fileTemplate": "Other_*/*.tiff"})
            new = client.post(f"/visits/{visit.name}/launch", json=body)
            known = client.post(f"/data-collections/{dcid}/launch", json={"parameters": parameters()})
        finally:
            release.set()

    assert (new.status_code, new.json()["type"]) == (503, "files-do-not-answer")
    assert known.status_code == 202
    assert "files-unknown" in [warning["code"] for warning in known.json()["warnings"]]
