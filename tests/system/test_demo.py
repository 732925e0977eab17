"""The demo on SQLite: the same button, the same rules, and a run from press to success."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app import main, migrating
from app.db import Database
from app.ispyb import sandbox
from app.settings import Settings
from app.simulator.zocalo import SimulatedZocalo
from tests.factories import MadeVisit, make_collection, make_visit, parameters
from tests.support import rows
from tests.support.services import ServiceThread
from tests.system.support import press_at_once, statuses

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

TUTORIAL = {
    "movies": {"imageDirectory": "raw", "acquisitionSoftware": "SerialEM", "imageSuffix": "tiff"},
    "parameters": parameters(voltage=200, sphericalAberration=1.4),
}


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServiceThread]:
    """What ``make run`` starts, but that a movie takes a twentieth of a second."""
    monkeypatch.setattr(
        main, "_demo", lambda settings, database: [SimulatedZocalo(settings, database, seconds_per_movie=0.05)]
    )
    with ServiceThread(new_sandbox(tmp_path)) as service:
        yield service


@pytest.fixture
def idle_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServiceThread]:
    """The same, but nothing picks jobs up: a run without movies would end, and free the next launch, within a race."""
    monkeypatch.setattr(main, "_demo", lambda settings, database: [])
    with ServiceThread(new_sandbox(tmp_path)) as service:
        yield service


def new_sandbox(folder: Path) -> Settings:
    """The settings of a demo whose database was just made."""
    settings = Settings.model_validate(
        {
            "database": {"url": f"sqlite:///{folder}/em.sqlite"},
            "broker": {"url": f"embedded://{folder}/spool"},
            "visit_directory": f"{folder}/dls/{{beamline}}/data/{{year}}/{{visit}}",
            "stop": {"repeat_seconds": 2},
        }
    )
    database = Database(settings)
    migrating.upgrade(database)
    sandbox.create(database, settings)
    database.dispose()
    return settings


def wait_for(client: httpx.Client, job_id: int, *states: str, seconds: float = 40) -> dict[str, Any]:
    """Poll until the job is in one of these states; what was answered then."""
    end = time.monotonic() + seconds
    while True:
        status: dict[str, Any] = client.get(f"/processing-jobs/{job_id}").json()
        if status["state"] in states:
            return status
        assert time.monotonic() < end, status
        time.sleep(0.05)


def test_the_tutorial_goes_from_press_to_success_where_it_was_announced(demo: ServiceThread) -> None:
    with demo.client() as client:
        launched = client.post("/visits/cm28212-1/launch", json=TUTORIAL).json()
        seen = {"pending"}
        while (status := client.get(f"/processing-jobs/{launched['processingJobId']}").json())["state"] != "succeeded":
            seen.add(status["state"])
            time.sleep(0.05)

    results = Path(launched["resultsDirectory"])
    assert seen <= {"pending", "submitted", "queued", "running"}
    assert "running" in seen
    assert (results / "relion_it_options.py").is_file()
    assert not list(results.glob("RUNNING_*"))
    assert status["reason"] == "RELION has finished."
    assert [program["processingStatus"] for program in status["programs"]] == [1]


def test_a_restart_ends_the_old_run_and_the_new_one_succeeds(demo: ServiceThread) -> None:
    with demo.client() as client:
        first = client.post("/visits/cm28212-1/launch", json=TUTORIAL).json()["processingJobId"]
        wait_for(client, first, "running")
        again = TUTORIAL | {"ifBlocked": "restart", "replaces": [first]}

        second = client.post("/visits/cm28212-1/launch", json=again).json()

        old = wait_for(client, first, "stopped")
        new = wait_for(client, second["processingJobId"], "succeeded")
    assert second["stoppedJobs"] == [first]
    assert old["stop"]["replacedBy"] == second["processingJobId"]
    assert new["launch"]["replaces"] == [first]


def test_fifty_clients_on_sqlite_make_one_job_and_no_error(idle_demo: ServiceThread, rounds: int) -> None:
    database = idle_demo.resources.database
    for number in range(rounds):
        visit = made_visit(idle_demo)
        dcid = make_collection(database, visit, imageDirectory=f"{visit.directory}/raw{number}/")

        answers = press_at_once(idle_demo.port, 50, f"/data-collections/{dcid}/launch", {"parameters": parameters()})

        assert statuses(answers) == {202: 1, 409: 49}
        assert len(rows.jobs_of(database, dcid)) == 1


def made_visit(demo: ServiceThread) -> MadeVisit:
    """A visit of its own in the demo's folder."""
    root = Path(demo.resources.settings.visit_directory.partition("{")[0])
    return make_visit(demo.resources.database, root)
