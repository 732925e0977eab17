"""The demo on SQLite: the same button, the same rules, and a run from press to success."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from app import main, migrating
from app.db import Database
from app.ispyb import sandbox
from app.ispyb.tables import AutoProcProgramAttachment, ParticleClassification, ParticleClassificationGroup
from app.settings import Settings
from app.simulator.zocalo import SimulatedZocalo
from tests.factories import MadeVisit, make_collection, make_visit, parameters
from tests.support import commands, rows
from tests.support.png import read_png
from tests.support.services import DemoProcess, ServiceThread, api_client
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


def test_the_finished_tutorial_has_classes_with_images_and_attachments(demo: ServiceThread) -> None:
    with demo.client() as client:
        launched = client.post("/visits/cm28212-1/launch", json=TUTORIAL).json()
        status = wait_for(client, launched["processingJobId"], "succeeded")
    results = Path(launched["resultsDirectory"])
    (program,) = [program["autoProcProgramId"] for program in status["programs"]]

    group, each, row = ParticleClassificationGroup.c, ParticleClassification.c, AutoProcProgramAttachment.c
    with demo.resources.database.read() as session:
        classes = session.execute(
            sa.select(group.type, each.classImageFullPath)
            .join(ParticleClassification, each.particleClassificationGroupId == group.particleClassificationGroupId)
            .where(group.programId == program)
        ).all()
        attachments = session.execute(
            sa.select(row.fileType, row.filePath, row.fileName).where(row.autoProcProgramId == program)
        ).all()

    assert {kind for kind, _ in classes} == {"2D", "3D"}
    for _, image in classes:
        assert Path(image).is_relative_to(results)
        assert read_png(image) == (64, 64)
    assert {kind for kind, _, _ in attachments} == {"Graph", "Result", "Log"}
    for kind, folder, name in attachments:
        path = Path(folder) / name
        assert path.is_relative_to(results)
        assert path.stat().st_size > 0
        assert kind != "Graph" or json.loads(path.read_text()).keys() == {"data", "layout"}


def test_what_somebody_else_sees_can_be_tried(tmp_path: Path) -> None:
    environ = {"EM_AUTH__MODES": "synchweb,onetime", "EM_AUTH__JWT_KEY": "k" * 64}

    with DemoProcess(environ, tmp_path) as demo, api_client(demo.port) as client:
        seen: dict[str | None, list[int]] = {None: statuses_of_visits(client, {})}
        for login in sandbox.PEOPLE:
            token = commands.run(environ, "token", login).out.strip()
            seen[login] = statuses_of_visits(client, {"Authorization": f"Bearer {token}"})

    assert seen == {
        None: [401, 401],
        sandbox.USER: [200, 200],
        sandbox.GUEST: [404, 200],
        sandbox.STAFF: [200, 200],
    }
    assert "$(synchweb-em token rsx12345)" in demo.said()


def statuses_of_visits(client: httpx.Client, headers: dict[str, str]) -> list[int]:
    """How the tutorial and the EPU visit are answered."""
    visits = (sandbox.TUTORIAL, sandbox.EPU)
    return [client.get(f"/visits/{visit}", headers=headers).status_code for visit in visits]


def test_without_other_modes_the_demo_asks_for_no_token(tmp_path: Path) -> None:
    with DemoProcess({"EM_GRACE_HOURS": "soon"}, tmp_path) as demo:  # no other setting reaches it
        said = demo.said()
        with api_client(demo.port) as client:
            answer = client.get(f"/visits/{sandbox.TUTORIAL}")

    assert answer.status_code == 200
    assert "token" not in said


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
