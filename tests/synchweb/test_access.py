"""Nobody sees another's data on any route of either face: every one of the application's document is asked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest
import sqlalchemy as sa

from app.ispyb import tables
from tests.factories import launch_body
from tests.synchweb.replay import Stage, read_cases, token

OPEN = {"/healthz", "/readyz", "/metrics"}  # tell nothing of any visit
SCHEMAS = {"synchwebDataCollectionSchema", "synchwebRelionSchema", "getParametersSchema"}  # tell what anybody may know
# Of visit cm31111-7, which lab_user is on.
MINE = {
    "visit": "cm31111-7",
    "dcid": "9000001",
    "id": "9000001",
    "jobId": "900003",
    "programId": "90000001",
    "imageNumber": "1",
    "t": "1",
    "type": "2D",
    "classificationId": "900001",
    "attachId": "90000002",
    "attachmentId": "90000002",
}
STRANGERS = {
    "lab_loner": "without any visit",
    "lab_other": "with a visit of another proposal",
    "lab_partial": "with another visit of the same proposal",
    "mx_admin": "staff of other beamlines",
}
QUERIES = {
    "checkLaunch": {"imageDirectory": "raw", "acquisitionSoftware": "EPU", "imageSuffix": "tiff"},
    "synchwebCtfStatistics": {"visit": "cm31111-7"},
    "synchwebMotionStatistics": {"visit": "cm31111-7"},
}
FORM = json.loads(read_cases()["relion_start_frontend_payload"]["request"]["body"])
BODIES: dict[str, Any] = {
    "launch": launch_body("raw2"),
    "launchDataCollection": {"parameters": launch_body()["parameters"]},
    "resendProcessingJob": {"reason": "the broker lost it"},
    "synchwebStart": FORM,
    "synchwebNewDataCollection": {"acquisitionSoftware": "EPU", "imageDirectory": "raw-3_b", "imageSuffix": "mrc"},
    "synchwebComments": {"comments": "mine now"},
    "synchwebMovieStatuses": {"ids": ["9000001", "9000002"]},
    "synchwebScipion": {},
}


class Operation(NamedTuple):
    """One method at one address."""

    method: str
    path: str
    ident: str

    def ask(self, client: httpx.Client, headers: dict[str, str], **changes: str) -> httpx.Response:
        """A request about what is lab_user's."""
        values = MINE | changes
        if self.path.endswith("/classification/image/{id}"):
            values["id"] = values["classificationId"]
        if self.ident in ("synchwebStart", "launchDataCollection"):
            values |= {"id": "9000002", "dcid": "9000002"}  # nothing blocks it
        unknown = set(re.findall(r"\{(\w+)\}", self.path)) - set(values)
        assert not unknown, f"add {unknown} of {self.path} to MINE"
        body = BODIES.get(self.ident)
        if self.method != "GET" and "stop" not in self.path:
            assert body is not None, f"add a body for {self.ident} to BODIES"
        if body is not None and "/v1/" not in self.path:
            body = body | {"prop": "cm31111"}
        query = {} if "/v1/" in self.path or self.method != "GET" else {"prop": "cm31111"}
        return client.request(
            self.method,
            self.path.format(**values),
            params=query | QUERIES.get(self.ident, {}),
            headers=headers,
            **({} if body is None else {"json": body}),
        )


def operations_of(client: httpx.Client) -> list[Operation]:
    """Every operation of both faces, as the service's document has them."""
    document = client.get("/api/em/v1/openapi.json").json()
    return [
        Operation(method.upper(), path, described["operationId"])
        for path, methods in document["paths"].items()
        for method, described in methods.items()
        if path not in OPEN
    ]


@pytest.fixture
def operations(browser: httpx.Client) -> list[Operation]:
    return operations_of(browser)


@pytest.fixture(scope="session")
def loner(stage: Stage) -> None:
    with stage.engine.begin() as connection:
        connection.execute(sa.insert(tables.Person).values(personId=90009, login="lab_loner"))


@pytest.fixture(autouse=True)
def unchanged(stage: Stage, loner: None) -> Iterator[None]:
    with stage.kept():
        yield


def headers_of(spec: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(spec)}"}


def test_these_requests_are_good_ones(operations: list[Operation], browser: httpx.Client, stage: Stage) -> None:
    """Else a refusal would prove nothing."""
    wrong = {}
    for operation in operations:
        with stage.kept():
            answer = operation.ask(browser, headers_of("lab_user"))
        expected = {"synchwebScipion": 410, "launchDataCollection": 202, "launch": 202, "stopProcessingJob": 202}
        expected["resendProcessingJob"] = 403  # that is for staff
        if answer.status_code != expected.get(operation.ident, 200):
            wrong[operation.ident] = (answer.status_code, answer.text[:200])

    assert len(operations) >= 50
    assert wrong == {}


@pytest.mark.parametrize("login", STRANGERS)
def test_a_stranger_gets_nothing_on_any_route(
    operations: list[Operation], browser: httpx.Client, stage: Stage, login: str
) -> None:
    before = stage.counts()

    answers = {operation: operation.ask(browser, headers_of(login)) for operation in operations}

    told = {}
    for operation, answer in answers.items():
        expected = 404 if "/v1/" in operation.path else 403
        if operation.ident in SCHEMAS | {"synchwebScipion"}:
            expected = 410 if operation.ident == "synchwebScipion" else 200
        if answer.status_code != expected or (expected == 403 and set(answer.json()) != {"status", "message"}):
            told[operation.ident] = (answer.status_code, answer.text[:200])
    assert told == {}
    assert stage.counts() == before


@pytest.mark.parametrize("spec", [None, "lab_user|expired", "lab_user|hs256", "lab_user|wrongkey", "nobody_here"])
def test_without_a_good_token_every_route_asks_to_log_in(
    operations: list[Operation], browser: httpx.Client, stage: Stage, spec: str | None
) -> None:
    before = stage.counts()
    headers = {} if spec is None else headers_of(spec)

    answers = {operation.ident: operation.ask(browser, headers).status_code for operation in operations}

    assert {ident: status for ident, status in answers.items() if status != 401} == {}
    assert stage.counts() == before


def test_the_proposal_that_is_named_must_be_the_objects_own(operations: list[Operation], browser: httpx.Client) -> None:
    for login in ("lab_user", "em_admin"):
        for operation in (one for one in operations if "/v1/" not in one.path and one.method == "GET"):
            if operation.ident in SCHEMAS:
                continue
            path = operation.path.format(
                **{**MINE, "id": "900001" if "classification/image" in operation.path else "9000001"}
            )
            for named in ("bi8", "cm3111", "cm31111 ", "cm%", "'"):
                query = QUERIES.get(operation.ident, {}) | {"prop": named}
                answer = browser.get(path, params=query, headers=headers_of(login))
                assert answer.status_code in (400, 403), (operation.ident, named, answer.text[:200])


@pytest.mark.parametrize("addition", [{"visit": "bi8-1"}, {"id": "1"}, {"visit": "cm31111-10"}, {"prop": "bi8"}])
def test_an_argument_of_ones_own_opens_nothing(
    operations: list[Operation], browser: httpx.Client, addition: dict[str, str]
) -> None:
    for login in ("lab_other", "lab_partial"):
        for operation in operations:
            if operation.method != "GET" or operation.ident in SCHEMAS | set(QUERIES):
                continue
            path = operation.path.format(
                **{**MINE, "id": "900001" if "classification/image" in operation.path else "9000001"}
            )
            answer = browser.get(path, params={"prop": "cm31111"} | addition, headers=headers_of(login))
            assert answer.status_code in (400, 403, 404), (operation.ident, answer.text[:200])


@pytest.mark.parametrize("login", STRANGERS)
def test_a_stranger_gets_no_image_and_no_attachment(
    operations: list[Operation], browser: httpx.Client, login: str
) -> None:
    files = [one for one in operations if re.search("image|snapshot|fft|file|attachment/", one.path)]
    assert len(files) >= 15

    for operation in files:
        for number in ("1", "2", "3", "30000"):
            changes = {"imageNumber": number, "classificationId": f"90000{number[0]}"}
            for attachment in ("90000001", "90000003", "90000005"):
                changes |= {"attachId": attachment, "attachmentId": attachment}
                answer = operation.ask(browser, headers_of(login), **changes)
                assert answer.status_code in (403, 404), (operation.ident, changes)
                assert answer.headers["content-type"].partition(";")[0].endswith("json")


def test_images_and_attachments_are_reached_only_under_their_own_program(browser: httpx.Client) -> None:
    """A native address names two things; one's own program opens nobody else's file."""
    mine, theirs = "90000010", "90000001"
    partial = headers_of("lab_partial")
    base = f"/api/em/v1/programs/{mine}"

    own = browser.get(f"{base}/attachments/90000009/file", headers=partial)
    others = [
        browser.get(f"{base}/attachments/90000002/file", headers=partial),
        browser.get(f"{base}/classification/900001/image", headers=partial),
        browser.get(f"/api/em/v1/programs/{theirs}/attachments/90000009/file", headers=partial),
    ]

    assert own.status_code == 200
    assert [answer.status_code for answer in others] == [404, 404, 404]


def test_staff_see_every_visit_on_a_microscope(operations: list[Operation], browser: httpx.Client) -> None:
    reads = [one for one in operations if one.method == "GET" and "stop" not in one.path]

    answers = {one.ident: one.ask(browser, headers_of("em_admin")).status_code for one in reads}

    assert {ident: status for ident, status in answers.items() if status != 200} == {}


def test_what_is_beside_ones_own_is_told_by_aps_alone(browser: httpx.Client) -> None:
    """As recorded, and no more than numbers and outcomes of the same proposal."""

    def ask(login: str, ids: list[str]) -> Any:
        return browser.post("/api/em/aps", json={"ids": ids, "prop": "cm31111"}, headers=headers_of(login))

    beside, alone = ask("lab_partial", ["9000010", "9000001"]), ask("lab_partial", ["9000001"])

    assert beside.json()[1] == {
        "ID": "9000001",
        "MC": {"1": "1", "2": "1", "3": "1"},
        "CTF": {"1": "1", "2": "1", "3": "1"},
    }
    assert (alone.status_code, set(alone.json())) == (403, {"status", "message"})
    assert ask("lab_other", ["9999", "9000001"]).status_code == 403
