"""The API's document says what the service does, and the frame around all routes keeps its promises."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from app.db import Database
from app.http import dependencies
from app.logging import request_id
from tests.api.conftest import MakeVisit
from tests.factories import MadeVisit, launch_body, make_collection, make_job, parameters
from tests.support import rows
from tests.support.services import API, ServiceThread

PROBLEM = "application/problem+json"
NUMBERS = ("dcid", "jobId", "programId", "imageNumber", "classificationId", "attachmentId")  # in addresses
COMMITTED = Path(__file__).parents[2] / "openapi.json"


class Operation(NamedTuple):
    """One method at one address, as the document has it."""

    method: str
    path: str
    document: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def path_ids(self) -> set[str]:
        """``visit``, ``dcid``, ``jobId``: what its address names."""
        return set(re.findall(r"\{(\w+)\}", self.path))

    @property
    def query(self) -> set[str]:
        """The names of its query parameters."""
        return {given["name"] for given in self.document.get("parameters", ()) if given["in"] == "query"}

    @property
    def takes_input(self) -> bool:
        return bool(self.document.get("parameters") or self.document.get("requestBody"))

    @property
    def good_request(self) -> dict[str, Any]:
        """What has to be sent there, apart from what the address names."""
        if "imageDirectory" in self.query:
            return {"params": {"imageDirectory": "raw", "acquisitionSoftware": "EPU", "imageSuffix": "tiff"}}
        if self.path.endswith("/resend"):
            return {"json": {"reason": "the broker lost it"}}
        if self.document.get("requestBody"):
            body = launch_body(ifBlocked="restart")
            return {
                "json": body if "visit" in self.path_ids else {name: body[name] for name in body if name != "movies"}
            }
        return {}


def document(client: httpx.Client) -> dict[str, Any]:
    """The document as the service gives it."""
    answer: dict[str, Any] = client.get("/openapi.json").json()
    return answer


def operations(client: httpx.Client) -> list[Operation]:
    """Every operation of the native API, its path relative to the client's base."""
    return [
        Operation(method.upper(), path.removeprefix(API), described)
        for path, methods in document(client)["paths"].items()
        if path.startswith(API)
        for method, described in methods.items()
    ]


def examples(content: dict[str, Any], schemas: dict[str, Any]) -> Iterator[Any]:
    """The examples of a body: at the body itself, or in its schema."""
    schema = content["schema"]
    schema = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    if "example" in content:
        yield content["example"]
    yield from (example["value"] for example in content.get("examples", {}).values())
    yield from schema.get("examples", ())


def composed(content: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """The example that documentation tools make of the examples of a body's members."""
    members = schemas[content["schema"]["$ref"].rpartition("/")[2]]["properties"]
    return {name: member["examples"][0] for name, member in members.items() if "examples" in member}


def test_every_operation_has_a_name_of_its_own_a_summary_and_a_tag(client: httpx.Client) -> None:
    described = [operation for methods in document(client)["paths"].values() for operation in methods.values()]

    names = [operation.get("operationId") for operation in described]

    assert len(described) >= 15
    assert all(re.fullmatch(r"[a-z]+([A-Z][A-Za-z]*)*", name or "") for name in names)
    assert len(set(names)) == len(names)
    assert [operation["operationId"] for operation in described if not operation.get("summary")] == []
    assert [operation["operationId"] for operation in described if not operation.get("tags")] == []


def test_every_operation_documents_its_error_answers_as_problems(client: httpx.Client) -> None:
    found = operations(client)

    missing = {}
    for operation in found:
        # What takes no input cannot be asked wrongly.
        expected = (
            {"401", "503"} | ({"422"} if operation.takes_input else set()) | ({"404"} if operation.path_ids else set())
        )
        problems = {
            status for status, answer in operation.document["responses"].items() if PROBLEM in answer.get("content", {})
        }
        missing[operation.name] = expected - problems

    assert {name: statuses for name, statuses in missing.items() if statuses} == {}


def test_no_error_answer_is_documented_in_another_form(client: httpx.Client) -> None:
    found = operations(client)

    others = [
        (operation.name, status)
        for operation in found
        for status, answer in operation.document["responses"].items()
        if status[0] in "45" and set(answer.get("content", {})) != {PROBLEM}
    ]

    assert others == []


def test_every_reference_in_the_document_leads_somewhere(client: httpx.Client) -> None:
    whole = document(client)

    references = set(re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', json.dumps(whole)))

    assert references
    assert references <= set(whole["components"]["schemas"])


def test_every_request_body_has_an_example(client: httpx.Client) -> None:
    schemas = document(client)["components"]["schemas"]

    without = [
        operation.name
        for operation in operations(client)
        if (body := operation.document.get("requestBody"))
        and not list(examples(body["content"]["application/json"], schemas))
    ]

    assert without == []


def test_the_examples_of_request_bodies_are_accepted_as_they_stand(
    client: httpx.Client, database: Database, new_visit: MakeVisit
) -> None:
    schemas = document(client)["components"]["schemas"]
    found = operations(client)

    answers = []
    for operation in found:
        content = operation.document.get("requestBody", {}).get("content", {}).get("application/json")
        for example in (*examples(content, schemas), composed(content, schemas)) if content else ():
            path = operation.path.format(**ids_of_a_tutorial(database, new_visit()))
            answers.append((operation.name, client.request(operation.method, path, json=example)))

    assert len(answers) >= 2
    refused = [(name, answer.status_code, answer.text) for name, answer in answers if answer.status_code != 202]
    # What is good to be sent again was lost before; that this job was not is the only thing wrong.
    assert {(name, code) for name, code, _ in refused} == {("POST /processing-jobs/{jobId}/resend", 409)}, refused


def ids_of_a_tutorial(database: Database, visit: MadeVisit) -> dict[str, Any]:
    """What an example of a launch can be sent to."""
    collection = make_collection(database, visit, fileTemplate="Frames/*.tiff", imageDirectory=f"{visit.directory}/x/")
    return {"visit": visit.name, "dcid": collection, "jobId": make_job(database, make_collection(database, visit))}


def test_the_parameters_of_a_job_can_be_sent_again_with_all_their_digits(
    client: httpx.Client, visit: MadeVisit
) -> None:
    sent = parameters(pixelSize=0.9735000000000001, dosePerFrame=1 / 3, sphericalAberration=1e-05, maskDiameter=0.1)
    job_id = client.post(f"/visits/{visit.name}/launch", json=launch_body(parameters=sent)).json()["processingJobId"]

    answer = client.get(f"/processing-jobs/{job_id}/parameters").json()

    assert answer["other"] == {}
    assert {name: answer["parameters"].get(name) for name in sent} == sent


def test_the_examples_of_path_and_query_are_of_the_type_that_they_document(client: httpx.Client) -> None:
    given = [parameter for operation in operations(client) for parameter in operation.document.get("parameters", ())]

    ids = {
        (parameter["name"], str(example))
        for parameter in given
        if parameter["in"] == "path"
        for example in parameter["schema"].get("examples", ["missing"])
    }

    assert {name for name, _ in ids} == {"visit", *NUMBERS}
    assert all(example.isdigit() if name in NUMBERS else example == "cm28212-1" for name, example in ids)


def test_the_committed_document_is_the_one_that_the_service_gives(client: httpx.Client) -> None:
    committed = json.loads(COMMITTED.read_text("utf-8"))

    assert committed == document(client), "run 'make openapi' (synchweb-em openapi > openapi.json) and commit it"


@pytest.mark.parametrize("path", ["/", "/visit/cm28212-1", "/processing-jobs", "/visits/cm28212-1/launch/now", "/%00"])
def test_an_unknown_address_is_a_problem(client: httpx.Client, path: str) -> None:
    answer = client.get(path)

    problem = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (404, PROBLEM)
    assert (problem["type"], problem["status"]) == ("route-not-found", 404)
    assert "/api/em/v1/openapi.json" in problem["detail"]


def test_a_wrong_method_is_a_problem_that_names_the_right_ones(client: httpx.Client, database: Database) -> None:
    before = rows.counts(database)

    answers = {}
    for operation in operations(client):
        path = operation.path.format(visit="cm28212-1", **dict.fromkeys(NUMBERS, 1))
        for method in ("PUT", "PATCH", "DELETE", "GET" if operation.method == "POST" else "POST"):
            answers[f"{method} {operation.path}"] = client.request(method, path)

    kinds = {(answer.status_code, answer.headers["content-type"], answer.json()["type"]) for answer in answers.values()}
    assert kinds == {(405, PROBLEM, "method-not-allowed")}
    assert {answer.headers.get("allow") for answer in answers.values()} == {"GET", "POST"}
    assert rows.counts(database) == before


def test_an_id_of_the_proxy_is_echoed_with_every_kind_of_answer(client: httpx.Client) -> None:
    headers = {"X-Request-ID": "proxy-4711.a_b"}

    answers = [
        client.get("/relion/parameters-schema", headers=headers),
        client.get("/nothing-here", headers=headers),
        client.get("/visits/nonsense", headers=headers),
        client.post("/visits/cm28212-1/launch", headers=headers, content=b"x" * 1_000_001),
    ]

    assert [answer.status_code for answer in answers] == [200, 404, 422, 413]
    assert [answer.headers.get_list("x-request-id") for answer in answers] == [["proxy-4711.a_b"]] * 4


@pytest.mark.parametrize(
    "given",
    [None, b"", b"two words", b"x" * 65, b"\xe9", b"semi;colon", b"<script>"],
    ids=["none", "empty", "space", "long", "not-ascii", "semicolon", "markup"],
)
def test_an_id_is_made_where_none_that_can_be_used_was_sent(client: httpx.Client, given: bytes | None) -> None:
    headers = {} if given is None else {b"X-Request-ID": given}

    first = client.get("/relion/parameters-schema", headers=headers).headers["x-request-id"]
    second = client.get("/relion/parameters-schema", headers=headers).headers["x-request-id"]

    assert re.fullmatch(r"[0-9a-f]{16}", first)
    assert first != second


def test_a_failure_of_our_own_is_a_problem_that_leaks_nothing_and_can_be_found_in_the_log(
    client: httpx.Client,
    service: ServiceThread,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail() -> None:
        raise RuntimeError("secret password")

    monkeypatch.setitem(service.app.dependency_overrides, dependencies._person, fail)
    logged_with: list[str] = []

    def note(record: logging.LogRecord) -> bool:
        if record.exc_info:
            logged_with.append(request_id.get())
        return True

    caplog.handler.addFilter(note)

    answer = client.get("/visits/cm28212-1", headers={"X-Request-ID": "find-me"})

    assert (answer.status_code, answer.headers["content-type"]) == (500, PROBLEM)
    assert answer.json()["type"] == "internal-error"
    assert "secret" not in answer.text
    assert answer.headers.get("x-request-id") == "find-me"
    assert logged_with == ["find-me"]  # once, and under the id that the user was told


def test_the_parameters_schema_accepts_exactly_the_names_of_a_launch(client: httpx.Client) -> None:
    launch = document(client)["components"]["schemas"]["RelionParameters"]

    schema = client.get("/relion/parameters-schema").json()

    assert set(schema["properties"]) == set(launch["properties"])
    assert schema["additionalProperties"] is False
    assert {name for name, entry in schema["properties"].items() if not entry.get("description")} == set()
