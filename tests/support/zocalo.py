"""A facility in small: the service with its relay, and Zocalo's published services at the broker's other end."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa

from app.db import Database
from app.processing_jobs.rules import ENDED
from app.zocalo import transport as transports
from app.zocalo.messages import STOP, headers
from app.zocalo.outbox import outbox
from tests.factories import MadeVisit, launch_body, make_visit
from tests.servers.broker import Broker
from tests.servers.reaper import Reaper
from tests.servers.zocalo import Zocalo
from tests.support import environments
from tests.support.environments import Environment, Servers
from tests.support.services import ServiceThread

WAIT = 120.0  # seconds; on an idle machine nothing here takes ten
LOOK_SECONDS = 0.1
ORDER = ("pending", "submitted", "queued", "running", "stopping")  # a job's states before its end


@dataclass(frozen=True)
class Facility:
    """All that a test needs of it."""

    environment: Environment
    broker: Broker
    zocalo: Zocalo
    service: ServiceThread
    client: httpx.Client

    @property
    def database(self) -> Database:
        """ISPyB, and our tables."""
        return self.service.resources.database

    def visit(self, collections: int = 1, movies: int = 3) -> MadeVisit:
        """A visit with so many image directories, `raw1` and so on, each with so many movies of one grid square."""
        names = [
            f"raw{directory}/GridSquare_1/Data/movie_{movie}.tiff"
            for directory in range(1, collections + 1)
            for movie in range(1, movies + 1)
        ]
        visit = make_visit(self.database, self.environment.dls, movies=names)
        (visit.directory / "tmp").mkdir()  # every visit has one; without it Zocalo can make no stop file
        return visit

    def launch(self, visit: MadeVisit, directory: str = "raw1", **changes: Any) -> dict[str, Any]:
        """Launch the movies of one image directory; the answer."""
        answer = self.client.post(f"/visits/{visit.name}/launch", json=launch_body(directory, **changes))
        assert answer.status_code == 202, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def stop(self, job: int) -> int:
        """Ask that a job stops; the answer's status."""
        return self.client.post(f"/processing-jobs/{job}/stop").status_code

    def job(self, job: int) -> dict[str, Any]:
        """A job as the API shows it."""
        body: dict[str, Any] = self.client.get(f"/processing-jobs/{job}").raise_for_status().json()
        return body

    def wait(self, job: int, *states: str, timeout: float = WAIT) -> dict[str, Any]:
        """Poll until the job is in one of these states; on its way it may never go back."""
        end = time.monotonic() + timeout
        seen: list[str] = []
        while True:
            body = self.job(job)
            if body["state"] not in seen[-1:]:
                seen.append(body["state"])
            assert [state for state in ORDER if state in seen] == [state for state in seen if state in ORDER], seen
            if body["state"] in states:
                return body
            assert body["state"] not in ENDED, body
            assert time.monotonic() < end, f"{body}\n{self.zocalo.said()}"
            time.sleep(LOOK_SECONDS)

    def wait_ended(self, job: int) -> dict[str, Any]:
        """The same for any end."""
        return self.wait(job, *ENDED)

    def wait_programs(self, job: int, number: int) -> list[dict[str, Any]]:
        """Wait until Zocalo has registered so many programs."""
        until(lambda: len(self.job(job)["programs"]) >= number)
        programs: list[dict[str, Any]] = self.job(job)["programs"]
        return programs

    def results(self, job: dict[str, Any], kind: str = "motion") -> int:
        """How many images the job's programs have results of this kind for, all together."""
        found = 0
        for program in job["programs"]:
            answer = self.client.get(f"/programs/{program['autoProcProgramId']}/{kind}").raise_for_status()
            found += len(answer.json()["columns"]["imageNumber"])
        return found

    def publish(self, body: str, vhost: str | None = None) -> None:
        """Give a message to Zocalo as other software would."""
        settings = self.environment.settings()
        if vhost is not None:
            settings = self.environment.settings(broker={"url": self.environment.servers.stomp_url(vhost)})
        transport = transports.create(settings.broker)
        transport.connect()
        transport.send(body, headers("somebody", "not-ours"))
        transport.close()

    def take(self, queue: str, number: int, vhost: str | None = None) -> list[dict[str, Any]]:
        """Wait for so many messages on a queue that no service reads, and take them."""
        taken: list[dict[str, Any]] = []
        vhost = vhost or self.environment.vhost

        def enough() -> bool:
            taken.extend(message["payload"] for message in self.broker.messages(vhost, queue))
            return len(taken) >= number

        until(enough, timeout=WAIT + number)
        return taken

    def waiting(self, queue: str) -> int:
        """How many messages wait on a queue."""
        return self.broker.count(self.environment.vhost, queue)

    def metrics(self) -> str:
        """What the service tells Prometheus."""
        return self.client.get(f"http://127.0.0.1:{self.service.port}/metrics").text

    def stop_messages(self, job: int) -> list[dict[str, Any]]:
        """The stop messages that were written for a job."""
        statement = sa.select(outbox.c.body).where(outbox.c.job_id == job, outbox.c.kind == STOP).order_by(outbox.c.id)
        with self.database.read() as session:
            return [json.loads(body) for body in session.execute(statement).scalars()]


@contextmanager
def facility(
    servers: Servers,
    reaper: Reaper,
    name: str,
    dls: Path,
    *,
    seconds_per_movie: float = 0.1,
    repeat_seconds: float = 2,
) -> Iterator[Facility]:
    """Build one; no service of Zocalo runs yet.

    Args:
        repeat_seconds: after which a stop is repeated.
    """
    environment = environments.create(servers, name, dls)
    broker = Broker(servers.stomp_port, servers.amqp_port, servers.management_url)
    zocalo = Zocalo(reaper, broker, environment.vhost, environment.database_url, seconds_per_movie=seconds_per_movie)
    with (
        ServiceThread(environment.settings(stop={"repeat_seconds": repeat_seconds})) as service,
        service.client() as client,
    ):
        try:
            yield Facility(environment, broker, zocalo, service, client)
        finally:
            zocalo.stop()


def until(condition: Any, timeout: float = WAIT) -> None:
    """Wait for something that is not in the API."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "not in time"
        time.sleep(LOOK_SECONDS)


def snapshot(directory: Path) -> dict[str, tuple[int, int, str]]:
    """Every file and link below a directory: its size, when it was changed, where it points."""
    return {
        str(path.relative_to(directory)): (
            path.lstat().st_size,
            path.lstat().st_mtime_ns,
            str(path.readlink()) if path.is_symlink() else "",
        )
        for path in directory.rglob("*")
    }
