"""What SynchWeb's frontend does in a user's hands, request by request, against the demo with SynchWeb's tokens."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from app import main, migrating
from app.access import tokens
from app.db import Database, local_now
from app.ispyb import sandbox
from app.ispyb.tables import Person, SWOnceToken
from app.settings import Settings
from app.simulator.zocalo import SimulatedZocalo
from tests.support.services import DemoProcess, ServiceThread

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

KEY = "the-frontends-key-" * 4
VISIT, PROPOSAL = "cm28212-1", "cm28212"


class Frontend:
    """Asks as the frontend does: ``prop`` in the query of a GET, inside the body of a POST."""

    def __init__(self, client: httpx.Client, login: str) -> None:
        token = tokens.issue(login, SecretStr(KEY), seconds=3600)
        self._client = client
        self._headers = {"Authorization": f"Bearer {token}"}

    def ask(self, path: str, **query: str | int) -> httpx.Response:
        return self._client.get(f"/api/em/{path}", params={"prop": PROPOSAL, **query}, headers=self._headers)

    def get(self, path: str, **query: str | int) -> Any:
        answer = self.ask(path, **query)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json"), answer.text
        return answer.json()

    def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        return self._client.post(f"/api/em/{path}", json=body | {"prop": PROPOSAL}, headers=self._headers)

    def image(self, path: str) -> bytes:
        answer = self.ask(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("image/")
        assert "max-age=1209600" in answer.headers["cache-control"], f"{path} is a placeholder"
        return answer.content

    def jobs(self, dcid: object) -> list[dict[str, Any]]:
        answer = self.get(f"jobs/{dcid}", currentPage=1, pageSize=500)
        assert answer["total"] == len(answer["data"])
        rows: list[dict[str, Any]] = answer["data"]
        return rows

    def wait(self, dcid: object, job: object, *words: str) -> dict[str, Any]:
        """Poll the list until this job has one of these words. The tutorial takes a minute at its own pace."""
        end = time.monotonic() + 180
        while True:
            row = next(row for row in self.jobs(dcid) if row["processingJobId"] == str(job))
            if row["processingStatusDescription"] in words:
                return row
            assert time.monotonic() < end, row
            time.sleep(0.2)


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServiceThread]:
    """What ``make run`` starts, but with SynchWeb's tokens, and a movie takes a twentieth of a second."""
    monkeypatch.setattr(
        main, "_demo", lambda settings, database: [SimulatedZocalo(settings, database, seconds_per_movie=0.05)]
    )
    settings = Settings.model_validate(
        {
            "database": {"url": f"sqlite:///{tmp_path}/em.sqlite"},
            "broker": {"url": f"embedded://{tmp_path}/spool"},
            "visit_directory": f"{tmp_path}/dls/{{beamline}}/data/{{year}}/{{visit}}",
            "stop": {"repeat_seconds": 2},
            "auth": {"modes": ("synchweb", "onetime"), "jwt_key": KEY},
        }
    )
    database = Database(settings)
    migrating.upgrade(database)
    sandbox.create(database, settings)
    database.dispose()
    with ServiceThread(settings) as service:
        yield service


@pytest.fixture
def make_run(tmp_path: Path) -> Iterator[httpx.Client]:
    """The very command, in a process of its own and at its own pace, with SynchWeb's tokens."""
    environ = {"EM_AUTH__MODES": "synchweb,onetime", "EM_AUTH__JWT_KEY": KEY}
    with (
        DemoProcess(environ, tmp_path) as demo,
        httpx.Client(base_url=f"http://127.0.0.1:{demo.port}", timeout=30, trust_env=False) as client,
    ):
        yield client


@pytest.fixture
def client(demo: ServiceThread) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{demo.port}", timeout=30) as client:
        yield client


def dialog(schema: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """What the dialog posts: every field, typed where the user has not touched it, as text where they have."""
    typed: dict[str, Callable[[Any], Any]] = {"boolean": lambda value: value, "integer": int, "real": float}
    fields = {}
    for name, rules in schema.items():
        value = rules.get("default", "")
        fields[name] = typed.get(rules.get("type", ""), str)(value) if value != "" else ""
    return fields | changes


EDITED = {
    "voltage": "200",
    "angpix": "0.885",
    "motioncor_doseperframe": "1.277",
    "autopick_LoG_diam_min": "150",
    "autopick_LoG_diam_max": "180",
    "mask_diameter": "198",
    "extract_boxsize": "246",
    "extract_small_boxsize": "64",
}


@pytest.mark.timeout(240)
def test_a_visit_is_processed_looked_at_stopped_and_processed_again(make_run: httpx.Client) -> None:
    user = Frontend(make_run, "rsx12345")

    # The visit's page: no data collection yet, so the dialog makes one.
    form = dialog(user.get("dc/schema"), {"acquisitionSoftware": "SerialEM"})
    missing = user.post(f"dc/new/{VISIT}", form | {"imageDirectory": "raw9"})
    made = user.post(f"dc/new/{VISIT}", form)
    dcid = made.json()["id"]
    assert (missing.status_code, set(missing.json()["message"])) == (
        400,
        {"acquisitionSoftware", "imageDirectory", "imageSuffix"},
    )
    collection = user.get(f"dc/{dcid}")
    assert (collection["archived"], collection["acquisitionSoftware"]) == ("0", "SerialEM")
    assert user.jobs(dcid) == []

    # The dialog that starts RELION.
    schema = user.get("relion/schema")
    assert list(user.get("relion/schema/")) == list(schema)
    wrong = user.post(f"relion/start/{dcid}", dialog(schema, EDITED | {"angpix": "0,885", "mask_diameter": ""}))
    assert (wrong.status_code, set(wrong.json()["message"])) == (400, {"angpix", "mask_diameter"})
    started = user.post(f"relion/start/{dcid}", dialog(schema, EDITED))
    assert started.status_code == 200, started.text
    job = started.json()["message"]["parameters"]["ispyb_process"]
    assert isinstance(job, int)
    assert user.post(f"relion/start/{dcid}", dialog(schema, EDITED)).status_code == 400

    # The page polls while it runs, and shows the panels.
    row = user.wait(dcid, job, "running")
    program = row["autoProcProgramId"]
    row = user.wait(dcid, job, "success")
    latest = row["mcLatest"]
    assert (row["mcMax"], row["ctfMax"], row["pickMax"]) == ("24", "24", "24")
    look_at_panels(user, program, latest)

    # Reprocess with the same parameters, as the dialog fills itself from them, and stop it.
    parameters = user.get(f"relion/parameters/{job}")
    assert all(isinstance(value, str) for name, value in parameters.items() if name != "wantGainReferenceFile")
    again = user.post(f"relion/start/{dcid}", dialog(schema, parameters))
    assert again.status_code == 200, again.text
    second = again.json()["message"]["parameters"]["ispyb_process"]
    user.wait(dcid, second, "running")
    stopped = user.get(f"relion/stop/{second}")
    assert stopped["message"]["parameters"]["ispyb_process"] == str(second)
    user.wait(dcid, second, "failure")
    assert user.get(f"relion/stop/{second}")["message"] == stopped["message"]
    same = user.get(f"relion/parameters/{second}")
    assert {name: same[name] for name in same if name != "import_images"} == {
        name: parameters[name] for name in parameters if name != "import_images"
    }
    assert [one["processingJobId"] for one in user.jobs(dcid)] == [str(job), str(second)]
    comments = user.post(f"dc/comments/{dcid}", {"comments": "Good ice é"})
    assert (comments.json(), user.get(f"dc/{dcid}")["comments"]) == ({"updated": str(dcid)}, "Good ice é")


def look_at_panels(user: Frontend, program: str, image: str) -> None:
    """Everything that the page of one job asks for."""
    assert user.get(f"mc/{program}/n/{image}")["imageNumber"] == image
    drift = user.get(f"mc/drift/{program}/n/{image}")
    assert len(drift["xAxis"]) == len(drift["yAxis"]) > 10
    assert float(user.get(f"ctf/{program}/n/{image}")["estimatedResolution"]) > 2
    summary = user.get(f"ctf/summary/{program}")
    assert len(summary) == 24
    picked = user.get(f"picker/{program}/n/{image}")
    assert (picked["summaryImageFullPath"], int(picked["numberOfParticles"]) > 0) == (1, True)
    for path in ("mc/snapshot", "ctf/image", "picker/image"):
        assert user.image(f"{path}/{program}/n/{image}") != user.image(f"{path}/{program}/n/1")
    for kind in ("2D", "3D"):
        found = user.get(f"classification/{program}/type/{kind}", page=1, per_page=8, sort_by="particles")
        assert found["total"] >= 4
        for one in found["classes"]:
            user.image(f"classification/image/{one['particleClassificationId']}")
    attachments = user.get(f"attachments/{program}")
    plots = [json.loads(one["JSON"]) for one in attachments if one["fileType"] == "Graph"]
    assert plots
    assert {"data", "layout"} <= set(plots[0])
    for one in attachments:
        saved = user.ask(f"attachment/{one['autoProcProgramAttachmentId']}")
        assert saved.content == Path(one["file"]).read_bytes()
        assert saved.headers["content-disposition"].startswith("attachment;")
    assert user.ask("classification/image/null").status_code == 404
    assert user.get("stats/ctf", visit=VISIT, ty="resolution")["histograms"][0]["label"] == "m12: Resolution (A)"


def test_somebody_of_another_visit_is_refused_in_words(client: httpx.Client) -> None:
    user, other = Frontend(client, "rsx12345"), Frontend(client, "mgx23456")
    form = dialog(user.get("dc/schema"), {"acquisitionSoftware": "SerialEM"})
    dcid = user.post(f"dc/new/{VISIT}", form).json()["id"]

    refused = [other.ask(f"dc/{dcid}"), other.ask(f"jobs/{dcid}"), other.post(f"dc/new/{VISIT}", form)]

    assert [answer.status_code for answer in refused] == [403, 403, 403]
    assert all(isinstance(answer.json()["message"], str) for answer in refused)


def test_staff_start_and_stop_for_others(client: httpx.Client) -> None:
    staff = Frontend(client, "klx34567")
    dcid = staff.post(f"dc/new/{VISIT}", dialog(staff.get("dc/schema"), {"acquisitionSoftware": "SerialEM"})).json()[
        "id"
    ]
    started = staff.post(f"relion/start/{dcid}", dialog(staff.get("relion/schema"), EDITED)).json()
    job = started["message"]["parameters"]["ispyb_process"]
    headers = {"Authorization": f"Bearer {tokens.issue('klx34567', SecretStr(KEY), seconds=60)}"}

    assert staff.get(f"relion/stop/{job}")["message"]["recipe"] == "relion-stop"

    seen = client.get(f"/api/em/v1/processing-jobs/{job}", headers=headers).json()
    assert (seen["launch"]["launchedBy"], seen["stop"]["requestedBy"]) == ("klx34567", "klx34567")
    assert seen["launch"]["face"] == "synchweb"


def test_a_download_is_opened_with_a_one_time_token(demo: ServiceThread, client: httpx.Client) -> None:
    user = Frontend(client, "rsx12345")
    made = user.post(f"dc/new/{VISIT}", dialog(user.get("dc/schema"), {"acquisitionSoftware": "SerialEM"}))
    address = f"/em/dc/{made.json()['id']}?prop={PROPOSAL}"

    def sign(age: int, text: str) -> None:
        """As SynchWeb's /api/download/sign does."""
        now = sa.func.datetime(local_now(), f"-{age} seconds")
        person = sa.select(Person.c.personId).where(Person.c.login == "rsx12345").scalar_subquery()
        values = {"token": text, "validity": address, "personId": person, "recordTimeStamp": now}
        demo.resources.database.write(lambda session: session.execute(sa.insert(SWOnceToken).values(values)))

    sign(0, "fresh")
    sign(30, "stale")

    answers = [client.get(f"/api{address}&token={text}").status_code for text in ("fresh", "fresh", "stale", "none")]

    assert answers == [200, 400, 400, 400]
