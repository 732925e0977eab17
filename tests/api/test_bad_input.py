"""Bad input: each kind is refused by a 4xx problem that names the field as the client wrote it, and leaves no row."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from app.db import Database
from app.ispyb import tables
from app.processing_jobs import relion
from app.processing_jobs.idempotency import idempotency
from app.slots import slot
from tests.api.conftest import MakeVisit
from tests.api.test_documentation import PROBLEM, operations
from tests.factories import (
    MadeVisit,
    launch_body,
    make_class,
    make_class_group,
    make_collection,
    make_ctf,
    make_file,
    make_job,
    make_motion,
    make_movie,
    make_picker,
    make_program,
    parameters,
)
from tests.support import rows

Refused = Callable[..., dict[str, Any]]
JSON = {"Content-Type": "application/json"}
EPU = {"acquisitionSoftware": "EPU", "imageSuffix": "tiff"}


def counts(database: Database) -> dict[str, int]:
    """How many rows each table has that a launch writes."""
    written = (*rows.COUNTED, idempotency, slot)
    columns = [sa.select(sa.func.count()).select_from(table).scalar_subquery().label(table.name) for table in written]
    with database.read() as session:
        return dict(session.execute(sa.select(*columns)).one()._mapping)


@pytest.fixture
def refused(client: httpx.Client, database: Database) -> Refused:
    """Sends what must be refused with this status, naming exactly these fields, and must leave no row."""

    def send(method: str, path: str, status: int | set[int], *fields: str, **content: Any) -> dict[str, Any]:
        before = counts(database)
        answer = client.request(method, path, **content)
        assert answer.status_code in ({status} if isinstance(status, int) else status), answer.text[:500]
        problem: dict[str, Any] = answer.json()
        assert (answer.headers["content-type"], problem["status"]) == (PROBLEM, answer.status_code)
        named = {re.sub(r"\.\d+$", "", error["field"]) for error in problem.get("errors", ())}  # of a list, the list
        assert named == set(fields), answer.text[:500]
        assert all(error["message"] for error in problem["errors"])
        assert re.fullmatch(r"[A-Z'].*\.", problem["detail"]), "a sentence"
        assert counts(database) == before
        return problem

    return send


def raw(place: str, token: str) -> bytes:
    """A good launch as JSON text, with ``token`` at one place of it, which may be text that no encoder writes."""
    body = launch_body()
    parent, _, name = place.rpartition(".")
    (body[parent] if parent else body)[name] = "@@"
    return json.dumps(body).replace('"@@"', token).encode()


def shown(value: object) -> str:
    """A case as its test's name shows it."""
    return ascii(value)[:40]


VISITS = (
    "cm28212 nonsense CM28212-1 cm28212-1%20 cm28212-1%0A cm28212-1%00 cm１-1 cm-1 cm28212--1 cm28212-99999999999 "
    f"cm99999999999-1 {'c' * 200} %27%20OR%201=1 %FF%FE"
)
IDS = f"0 -1 {10**20} {'9' * 5000} abc 1.5 1e3 true %00 1%20OR%201=1"
ADDRESSES = [("visit", "cm999999999-1", 404), ("dcid", "2000000000", 404), ("jobId", "2000000000", 404)]
ADDRESSES += [(name, value, 422) for name in ("dcid", "jobId") for value in IDS.split()]
ADDRESSES += [("visit", value, 422) for value in VISITS.split()]


@pytest.mark.parametrize(("name", "value", "status"), ADDRESSES, ids=shown)
def test_what_the_address_names_is_not_there(
    client: httpx.Client, refused: Refused, name: str, value: str, status: int
) -> None:
    for operation in operations(client):
        if name in operation.path_ids:
            refused(operation.method, operation.path.format(**{name: value}), status, name, **operation.good_request)


PAGES = [(name, value) for name in ("page", "limit") for value in ["", *f"-1 0 1.5 abc NaN %00 {10**20}".split()]]


@pytest.mark.parametrize(("name", "value"), [*PAGES, ("limit", "501")])
def test_a_page_that_cannot_be(
    client: httpx.Client, database: Database, refused: Refused, visit: MadeVisit, name: str, value: str
) -> None:
    dcid = make_collection(database, visit)
    program = make_program(database, make_job(database, dcid))
    lists = [
        operation.path.format(visit=visit.name, dcid=dcid, programId=program)
        for operation in operations(client)
        if "page" in operation.query
    ]

    assert len(lists) >= 2
    for path in lists:
        refused("GET", f"{path}?{name}={value}", 422, name)


NOT_PROCESSED = [
    ({"ended_hours_ago": 24.1}, "ended on"),  # the grace period has 24
    ({"ended_hours_ago": 10_000}, "ended on"),
    ({"archived": 1}, "archived"),
    ({"startDate": None}, "no start date"),
]


@pytest.mark.parametrize(("columns", "reason"), NOT_PROCESSED, ids=shown)
def test_a_visit_that_may_not_be_processed(
    client: httpx.Client, database: Database, refused: Refused, new_visit: MakeVisit, columns: Any, reason: str
) -> None:
    visit = new_visit(**columns)
    dcid = make_collection(database, visit)

    by_files = refused("POST", f"/visits/{visit.name}/launch", 409, "visit", json=launch_body())
    by_dcid = refused("POST", f"/data-collections/{dcid}/launch", 409, "visit", json={"parameters": parameters()})

    assert reason in by_files["detail"]
    assert by_dcid["detail"] == by_files["detail"]
    assert client.get(f"/data-collections/{dcid}/launch-check").json()["action"] == "none"


DIRECTORIES = [
    "", "../cm1-1", "raw/../../x", "/etc", "/", "VISIT1/raw", "VISIT/../x", "r" * 256, "r" * 250, "raw/映画",
    "raw/\x81", "raw\0", "raw\n", "GridSquare_*", "raw/[ab]",
]  # fmt: skip
TEMPLATES = [
    "", "../raw/*.tiff", "*/../../*.tiff", "/etc/*.tiff", "VISIT/raw/*.tiff", "**/*.tiff", "GridSquare_**/Data/*.tiff",
    "Data/*.sh", "Data/*", "Data.tiff/", "Data/[ab].tiff", "Data/{a,b}.tiff", "Data\\*.tiff", "d" * 251 + ".tiff",
    "映画/*.tiff", "Data/\0.tiff", "Data/*\n.tiff",
]  # fmt: skip
BAD_MOVIES: list[tuple[dict[str, str], str]] = [
    *(({"imageDirectory": text, **EPU}, "imageDirectory") for text in DIRECTORIES),
    *(({"imageDirectory": "raw", "fileTemplate": text}, "fileTemplate") for text in TEMPLATES),
    (EPU, "imageDirectory"),
    ({"imageDirectory": "raw"}, "acquisitionSoftware imageSuffix"),
    ({"imageDirectory": "raw", "acquisitionSoftware": "EPU"}, "imageSuffix"),
    ({"imageDirectory": "raw", "imageSuffix": "tiff"}, "acquisitionSoftware"),
    ({"imageDirectory": "raw", "imageSuffix": "tiff", "fileTemplate": "*.tiff"}, "fileTemplate"),
    ({"imageDirectory": "raw", **EPU, "fileTemplate": "*.tiff"}, "fileTemplate"),
    *(({"imageDirectory": "raw", **EPU, "acquisitionSoftware": t}, "acquisitionSoftware") for t in ("epu", "E" * 200)),
    *(({"imageDirectory": "raw", **EPU, "imageSuffix": text}, "imageSuffix") for text in ("jpg", ".tiff", "../*")),
]


@pytest.mark.parametrize(("movies", "fields"), BAD_MOVIES, ids=lambda case: shown(case).replace("imageDirectory", "in"))
def test_movies_that_cannot_be_meant(refused: Refused, visit: MadeVisit, movies: dict[str, str], fields: str) -> None:
    movies = {name: text.replace("VISIT", str(visit.directory)) for name, text in movies.items()}

    names = [f"movies.{field}" for field in fields.split()]
    refused("POST", f"/visits/{visit.name}/launch", 422, *names, json=launch_body(movies=movies))
    refused("GET", f"/visits/{visit.name}/launch-check", 422, *fields.split(), params=movies)


@pytest.mark.parametrize("missing", [{"imageDirectory": "raw/none"}, {"imageSuffix": "mrc"}], ids=shown)
def test_movies_that_do_not_exist(refused: Refused, visit: MadeVisit, missing: dict[str, str]) -> None:
    body = launch_body(movies={"imageDirectory": "raw", **EPU} | missing)

    refused("POST", f"/visits/{visit.name}/launch", 422, "movies.imageDirectory", json=body)


LINKS = [
    ("raw/away", ".", "raw/away", "GridSquare_*/Data/*.tiff", "imageDirectory"),
    ("raw", ".", "raw", "GridSquare_*/Data/*.tiff", "imageDirectory"),
    ("raw/GridSquare_9", "GridSquare_1", "raw", "GridSquare_*/Data/*.tiff", "fileTemplate"),
    ("raw/GridSquare_9/Data", "GridSquare_1/Data", "raw", "GridSquare_*/Data/*.tiff", "fileTemplate"),
    ("raw/away", ".", "raw", "away/GridSquare_1/Data/*.tiff", "fileTemplate"),
    ("raw/a.tiff", "GridSquare_1/Data/a.tiff", "raw", "*.tiff", "fileTemplate"),
    ("raw/a.tiff", "GridSquare_1/Data/a.tiff", "raw", "a.tiff", "fileTemplate"),
]


@pytest.mark.parametrize(("link", "to", "directory", "template", "field"), LINKS)
@pytest.mark.parametrize("into_another_visit", [False, True], ids=["anywhere", "another-visit"])
def test_links_to_movies_outside_of_the_visit(
    refused: Refused, new_visit: MakeVisit, tmp_path: Path, into_another_visit: bool, link: str, to: str,
    directory: str, template: str, field: str,
) -> None:  # fmt: skip
    visit = new_visit(movies=[])
    outside = new_visit().directory if into_another_visit else tmp_path
    make_file(outside / "GridSquare_1/Data/a.tiff")
    (visit.directory / link).parent.mkdir(parents=True, exist_ok=True)
    (visit.directory / link).symlink_to(outside / to)

    movies = {"imageDirectory": directory, "fileTemplate": template}
    refused("POST", f"/visits/{visit.name}/launch", 422, f"movies.{field}", json=launch_body(movies=movies))
    refused("GET", f"/visits/{visit.name}/launch-check", 422, field, params=movies)


@pytest.mark.parametrize("target", ["/etc/passwd", "/nonexistent", "../../../cm1-1/processing/gain.mrc"])
def test_a_link_to_a_gain_reference_outside_of_the_visit(refused: Refused, visit: MadeVisit, target: str) -> None:
    (visit.directory / "processing/away.mrc").symlink_to(target)
    body = launch_body(parameters=parameters(gainReferenceFile="away.mrc"))

    refused("POST", f"/visits/{visit.name}/launch", 422, "parameters.gainReferenceFile", json=body)


UP = "../" * 12
STORED = [
    *(("imageDirectory", text) for text in (None, "", "/etc/", "DLS/raw/", "/etc/cm1-1/raw/", "x/cm1-1/raw/")),
    *(("imageDirectory", text) for text in (f"DLS/{UP}etc/cm1-1/raw/", "VISIT/away/")),
    *(("fileTemplate", text) for text in (None, "", "../away/*/Data/*.tiff", f"{UP}etc/*", f"{UP}none/*.tiff")),
]


@pytest.mark.parametrize(("column", "text"), STORED)
def test_a_stored_data_collection_that_does_not_say_where_or_leads_away(
    database: Database, refused: Refused, visit: MadeVisit, tmp_path: Path, column: str, text: str | None
) -> None:
    make_file(tmp_path / "GridSquare_1/Data/a.tiff")
    (visit.directory / "away").symlink_to(tmp_path)
    here = {"VISIT": str(visit.directory), "DLS": str(visit.directory.parents[3])}
    stored = text and re.sub("VISIT|DLS", lambda match: here[match[0]], text)
    dcid = make_collection(database, visit, **{column: stored})

    refused("POST", f"/data-collections/{dcid}/launch", 422, column, json={"parameters": parameters()})
    refused("GET", f"/data-collections/{dcid}/launch-check", 422, column)


SCHEMA = relion.json_schema((200, 300))["properties"]
TYPES = {name: {one["type"] for one in entry.get("anyOf", [entry])} for name, entry in SCHEMA.items()}
HUGE = "1" + "0" * 400
NO_NUMBER = f'true "0.8" [0.8] {{}} NaN Infinity -Infinity 1e400 -1e400 {HUGE} -{HUGE} -1 0 1e308 ""'
NO_TEXT = r'true 5 [] {} NaN "" "\ud800" "\udfffx" "a\u0000b"' + f' "{"x" * 256}"'
NO_FILE_NAME = r'null "../../etc/passwd" "/etc/passwd" "a/b.mrc" "a\\b.mrc" "." ".." ".a" "-a" "\u0020a" "映.mrc" "a\n"'
UNKNOWN_NAMES = (  # among them the pipeline's and Python's
    "pixelSize if_blocked ifblocked recipe \0 \ud800 movies.image_directory movies.directory movies.a\udfff "
    "parameters.pixelsize parameters.pixel_size parameters.angpix parameters.extract_box_size parameters.\ud800"
)
WRONG = {
    **{f"parameters.{name}": NO_NUMBER for name, types in TYPES.items() if types & {"number", "integer"}},
    **{f"parameters.{name}": '1 0 "true" [] {} null NaN' for name, types in TYPES.items() if types == {"boolean"}},
    "parameters.gainReferenceFile": f"{NO_TEXT} {NO_FILE_NAME}",
    "movies.imageDirectory": f"{NO_TEXT} null",
    **dict.fromkeys(("movies.acquisitionSoftware", "movies.imageSuffix", "movies.fileTemplate"), NO_TEXT),
    **dict.fromkeys(("movies", "parameters"), 'null [] "raw" 5 true'),
    "ifBlocked": r'"stop" "" null true 1 [] "\ud800"',
    "replaces": f'"1" 1 {{}} true ["1"] [-1] [0] [1.5] [true] [null] [[]] [{HUGE}] [{"7," * 100}8]',
    **dict.fromkeys(UNKNOWN_NAMES.split(" "), "1"),
}
WRONG_VALUES = [(place, token) for place, tokens in WRONG.items() for token in tokens.split()]


@pytest.mark.parametrize(("place", "token"), WRONG_VALUES, ids=shown)
def test_a_value_or_a_name_that_cannot_be(refused: Refused, visit: MadeVisit, place: str, token: str) -> None:
    # A name that is not Unicode cannot be repeated: the object that has it is named.
    field = re.sub(r"\.?[a-z]*[\ud800-\udfff]", "", place) or "body"

    refused("POST", f"/visits/{visit.name}/launch", 422, field, content=raw(place, token), headers=JSON)


CANNOT_RUN: list[tuple[dict[str, Any], str]] = [
    ({"pixelSize": None}, "pixelSize"),
    ({"minimumDiameter": None, "maximumDiameter": None}, "minimumDiameter maximumDiameter"),
    ({"minimumDiameter": 180}, "minimumDiameter"),
    ({"voltage": 250}, "voltage"),
    ({"maximumDiameter": 1024}, "maskDiameter boxSize"),
    ({"motionCorrectionBinning": 3, "boxSize": 255}, "motionCorrectionBinning boxSize"),
    ({"pixelSize": 0, "dosePerFrame": 6, "voltage": "300"}, "pixelSize dosePerFrame voltage"),
]


@pytest.mark.parametrize(("changes", "fields"), CANNOT_RUN, ids=shown)
def test_parameters_that_relion_cannot_run_with(
    database: Database, refused: Refused, visit: MadeVisit, changes: dict[str, Any], fields: str
) -> None:
    names, bad = [f"parameters.{field}" for field in fields.split()], parameters(**changes)

    refused("POST", f"/visits/{visit.name}/launch", 422, *names, json=launch_body(parameters=bad))
    dcid = make_collection(database, visit)
    refused("POST", f"/data-collections/{dcid}/launch", 422, *names, json={"parameters": bad})


def test_all_fields_at_fault_are_named_at_once(refused: Refused, visit: MadeVisit) -> None:
    body, fields = (
        launch_body("../x", parameters=parameters(voltage=250)),
        ("movies.imageDirectory", "parameters.voltage"),
    )

    refused("POST", f"/visits/{visit.name}/launch", 422, *fields, json=body)


GOOD = json.dumps(launch_body()).encode()
NESTED = b"[" * 100_000
BODIES = {
    "array": b"[]", "launch-in-an-array": b"[" + GOOD + b"]", "string": b'"launch"', "number": b"5", "true": b"true",
    "null": b"null", "nan": b"NaN", "empty": b"", "spaces": b"  ", "truncated": GOOD[:-1], "two": GOOD * 2,
    "comma": GOOD[:-1] + b",}", "text": b"movies=raw", "not-utf-8": GOOD.replace(b"raw", b"\xff\xfe"),
    "nested": NESTED, "nested-and-closed": NESTED + b"]" * 100_000, "nested-objects": b'{"a":' * 100_000,
    "nested-value": raw("parameters.pixelSize", "[" * 100_000), "control-character": GOOD.replace(b"raw", b"raw\n"),
    "5000-digits": raw("parameters.pixelSize", "1" * 5000), "minus-5000-digits": raw("replaces", f"[-{'1' * 5000}]"),
}  # fmt: skip


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_body_that_is_no_object(database: Database, refused: Refused, visit: MadeVisit, body: bytes) -> None:
    for path in (f"/visits/{visit.name}/launch", f"/data-collections/{make_collection(database, visit)}/launch"):
        refused("POST", path, 422, "body", content=body, headers=JSON)


@pytest.mark.parametrize("kind", [None, "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_body_of_another_content_type(refused: Refused, visit: MadeVisit, kind: str | None) -> None:
    headers = {} if kind is None else {"Content-Type": kind}

    refused("POST", f"/visits/{visit.name}/launch", {415, 422}, "body", content=GOOD, headers=headers)


@pytest.mark.parametrize("size", [1_000_001, 30_000_000])
@pytest.mark.parametrize("chunked", [False, True], ids=["with-length", "chunked"])
def test_a_body_that_is_too_big(
    database: Database, refused: Refused, visit: MadeVisit, size: int, chunked: bool
) -> None:
    job_id = make_job(database, make_collection(database, visit))  # a stop takes no body, and must not happen either

    for path in (f"/visits/{visit.name}/launch", f"/processing-jobs/{job_id}/stop"):
        body = GOOD.ljust(size)
        chunks: Iterator[bytes] = (body[start : start + 65_536] for start in range(0, size, 65_536))
        refused("POST", path, 413, "body", content=chunks if chunked else body, headers=JSON)


@pytest.mark.parametrize("key", [b"", b"two words", b"k" * 129, b"k" * 300, b"k\xc3\xa9", b"\xff", b"a\tb"], ids=shown)
def test_a_broken_idempotency_key(database: Database, refused: Refused, visit: MadeVisit, key: bytes) -> None:
    send: dict[str, Any] = {"json": {"parameters": parameters()}, "headers": {b"Idempotency-Key": key}}

    refused("POST", f"/data-collections/{make_collection(database, visit)}/launch", 422, "Idempotency-Key", **send)
    refused("POST", f"/visits/{visit.name}/launch", 422, "Idempotency-Key", **send | {"json": launch_body()})


def test_a_key_that_was_used_with_another_body(client: httpx.Client, refused: Refused, visit: MadeVisit) -> None:
    path, headers = f"/visits/{visit.name}/launch", {"Idempotency-Key": f"key-{visit.name}"}
    assert client.post(path, json=launch_body(), headers=headers).status_code == 202

    refused("POST", path, 422, "Idempotency-Key", json=launch_body(ifBlocked="restart"), headers=headers)


@pytest.mark.parametrize(
    ("visit", "collection", "job", "program"),
    [
        ({"endDate": None}, {}, {}, {}),
        ({"startDate": None, "endDate": None}, {}, {}, {}),
        ({"visit_number": None, "archived": None}, {}, {}, {}),
        ({}, {"SESSIONID": None, "startTime": None, "imageSuffix": None}, {}, {}),
        ({}, {"imageDirectory": None, "fileTemplate": None}, {}, {}),
        ({}, {}, {"recipe": None, "displayName": None, "automatic": None}, {}),
        ({}, {}, {}, {"processingPrograms": None, "started": False, "recordTimeStamp": None}),
        ({}, {}, {}, {"processingStatus": 1, "started": False, "recordTimeStamp": None}),
        ({}, {"startTime": "0000-00-00"}, {}, {"processingEndTime": "0000-00-00"}),  # MariaDB keeps such dates
    ],
    ids=shown,
)
def test_gaps_in_rows_make_no_route_fail(
    client: httpx.Client, database: Database, new_visit: MakeVisit, visit: Any, collection: Any, job: Any, program: Any
) -> None:
    made = new_visit(**visit)
    dcid = make_collection(database, made, **collection)
    job_id = make_job(database, dcid, **job)
    program_id = make_program(database, job_id, **program)
    nothing = [{"processingJobId": job_id, "parameterKey": key} for key in (None, "angpix", "voltage", "other")]
    database.write(lambda session: session.execute(sa.insert(tables.ProcessingJobParameter), nothing))

    for number in (None, 1):
        motion = make_motion(database, program_id, make_movie(database, dcid, number), number, totalMotion=None)
        make_ctf(database, program_id, motion, estimatedDefocus=None)
        make_picker(database, program_id, motion, numberOfParticles=None)
    one = make_class(database, make_class_group(database, program_id))
    results = {"programId": program_id, "imageNumber": 1, "classificationId": one, "attachmentId": 1}
    ids = {"visit": made.name, "dcid": dcid, "jobId": job_id, **results}
    gets = [operation for operation in operations(client) if operation.method == "GET"]
    answers = {get.path: client.get(get.path.format(**ids), **get.good_request) for get in gets}

    assert {path: answer.text for path, answer in answers.items() if answer.status_code >= 500} == {}
    assert answers["/processing-jobs/{jobId}"].status_code == 200


TOKENS = b'|null|true|-1|1e400|NaN|""|"\\ud800"|"..."|"a\\u0000"|[]|{}|[[{|}]|,|:|"|\\|\xff|\x00|9999999999999|"raw"'


def mutated(chance: random.Random, text: bytes) -> bytes:
    """The text with one to three of its tokens replaced or left out."""
    for _ in range(chance.randint(1, 3)):
        start, end = chance.choice([match.span() for match in re.finditer(rb'"[^"]*"|[\w.-]+|[][{},:]', text)])
        text = text[:start] + chance.choice(TOKENS.split(b"|")) + text[end:]
    return text


@pytest.mark.parametrize("seed", range(4))
def test_nothing_that_looks_like_a_launch_makes_it_fail(client: httpx.Client, visit: MadeVisit, seed: int) -> None:
    chance = random.Random(seed)
    good_one = json.dumps(launch_body(parameters=parameters(voltage=200, useCryolo=True), ifBlocked="restart")).encode()

    bodies = [mutated(chance, good_one) for _ in range(100)]
    answers = [(body, client.post(f"/visits/{visit.name}/launch", content=body, headers=JSON)) for body in bodies]

    assert [(body, answer.text) for body, answer in answers if answer.status_code not in (202, 409, 422)] == []
    assert {answer.headers["content-type"] for _, answer in answers if answer.is_error} == {PROBLEM}
