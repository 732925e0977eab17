"""What programs found, over HTTP: values, pages and nulls."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.db import Database
from tests.factories import (
    MadeVisit,
    make_attachment,
    make_class,
    make_class_group,
    make_ctf,
    make_initial_model,
    make_job,
    make_motion,
    make_picker,
    make_program,
)
from tests.support.runs import SUMMER, Run, make_run
from tests.support.services import API

PROBLEM = "application/problem+json"


@pytest.fixture
def run(database: Database, visit: MadeVisit) -> Run:
    """A program that has found nothing yet."""
    return make_run(database, visit)


# One image.


def test_the_motion_of_an_image(client: httpx.Client, run: Run) -> None:
    run.image(
        7,
        created=SUMMER,
        firstFrame=1,
        lastFrame=40,
        dosePerFrame=1.03,
        doseWeight=0.0,
        totalMotion=12.3457,
        averageMotionPerFrame=-0.001,
        patchesUsedX=5,
        patchesUsedY=6,
        comments="é",
        micrographSnapshotFullPath="/x/a.jpeg",
        fftFullPath="/x/b.png",
    )

    body = client.get(f"{run.path}/motion/7").json()

    here = f"{API}{run.path}/motion/7"
    assert body == {
        "imageNumber": 7,
        "createdTimeStamp": "2026-07-15T09:30:00+01:00",
        "firstFrame": 1,
        "lastFrame": 40,
        "dosePerFrame": 1.03,
        "doseWeight": 0.0,
        "totalMotion": 12.3457,
        "averageMotionPerFrame": -0.001,
        "patchesUsedX": 5,
        "patchesUsedY": 6,
        "comments": "é",
        "links": {"drift": f"{here}/drift", "snapshot": f"{here}/snapshot", "fft": f"{here}/fft", "fftCorrected": None},
    }


def test_the_ctf_of_an_image(client: httpx.Client, run: Run) -> None:
    values = {
        "boxSizeX": 512.0,
        "boxSizeY": 512.0,
        "minResolution": 30.0,
        "maxResolution": 5.0,
        "minDefocus": 5000.0,
        "maxDefocus": 50000.0,
        "defocusStepSize": 100.0,
        "astigmatism": 247.02,
        "astigmatismAngle": 83.17,
        "estimatedResolution": 4.12,
        "estimatedDefocus": 11837.1,
        "amplitudeContrast": 0.1,
        "ccValue": 1.234e-05,
        "comments": None,
    }
    ctf_id = make_ctf(run.database, run.program, run.image(2), fftTheoreticalFullPath="/x/c.png", **values)

    body = client.get(f"{run.path}/ctf/2").json()

    image = f"{API}{run.path}/ctf/2/image"
    rest = {"ctfId": ctf_id, "imageNumber": 2, "createdTimeStamp": "2026-01-15T09:30:00Z"}
    assert body == values | rest | {"links": {"image": image}}


def test_the_particles_of_an_image(client: httpx.Client, run: Run) -> None:
    make_picker(run.database, run.program, run.image(3), particleDiameter=18.5, numberOfParticles=0)

    body = client.get(f"{run.path}/particles/3").json()

    assert body == {
        "imageNumber": 3,
        "createdTimeStamp": "2026-01-15T09:30:00Z",
        "particleDiameter": 18.5,
        "numberOfParticles": 0,
        "links": {"image": None},
    }


def test_rows_of_nothing_but_nulls_are_results_too(client: httpx.Client, run: Run) -> None:
    motion = make_motion(run.database, run.program, None, 1, totalMotion=None)
    make_ctf(run.database, run.program, motion, estimatedDefocus=None)
    make_picker(run.database, run.program, motion, numberOfParticles=None)

    bodies = [client.get(f"{run.path}/{kind}/1").json() for kind in ("motion", "ctf", "particles")]

    for body in bodies:
        values = {name: value for name, value in body.items() if name not in ("imageNumber", "ctfId", "links")}
        assert body["imageNumber"] == 1
        assert set(values.values()) == {None}


def test_of_several_results_of_an_image_the_first_is_shown(client: httpx.Client, run: Run) -> None:
    first, second = run.image(1, totalMotion=1.0), run.image(1, totalMotion=2.0)
    for motion, number in ((second, 10), (first, 20)):
        make_ctf(run.database, run.program, motion, estimatedDefocus=number)
        make_picker(run.database, run.program, motion, numberOfParticles=number)

    assert client.get(f"{run.path}/motion/1").json()["totalMotion"] == 1.0
    assert client.get(f"{run.path}/ctf/1").json()["estimatedDefocus"] == 10
    assert client.get(f"{run.path}/particles/1").json()["numberOfParticles"] == 10


def test_a_program_shows_its_own_results_where_another_had_the_same_movies(
    client: httpx.Client, run: Run, database: Database
) -> None:
    other = make_program(database, make_job(database, run.dcid))
    motion = run.image(1, totalMotion=1.0)
    make_ctf(database, other, motion, estimatedDefocus=500)

    assert client.get(f"/programs/{other}/motion/1").status_code == 404
    assert client.get(f"/programs/{other}/ctf/1").json()["estimatedDefocus"] == 500
    assert client.get(f"{run.path}/ctf/1").status_code == 404


RESULTS = ("motion/{}", "ctf/{}", "particles/{}", "motion/{}/snapshot", "motion/{}/fft", "motion/{}/fft-corrected")


@pytest.mark.parametrize("result", [*RESULTS, "ctf/{}/image", "particles/{}/image"])
def test_an_image_that_has_not_come_is_not_found(client: httpx.Client, run: Run, result: str) -> None:
    run.image(None)

    answer = client.get(f"{run.path}/{result.format(99)}")

    assert (answer.status_code, answer.headers["content-type"]) == (404, PROBLEM)
    assert answer.json()["type"] == "image-not-found"
    assert answer.json()["imageNumber"] == 99


# Drift.


@pytest.fixture
def drift_plot(run: Run) -> Callable[[bytes], str]:
    """Writes the plot of image 1, and says where its drift is in the API."""

    def write(content: bytes) -> str:
        run.image(1, driftPlotFullPath=str(run.file("drift.json", content)))
        return f"{run.path}/motion/1/drift"

    return write


def test_the_drift_is_read_from_the_file_of_its_plot(client: httpx.Client, drift_plot: Callable[[bytes], str]) -> None:
    path = drift_plot(b'{"data": [{"x": [0, 0.5, NaN, 1], "y": [0, -1e-7, null, 2]}, {"x": [9]}], "layout": {}}')

    assert client.get(path).json() == {"x": [0.0, 0.5, None, 1.0], "y": [0.0, -1e-7, None, 2.0]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nonsense",
        b"[]",
        b"{}",
        b"5",
        b"null",
        b'{"data": []}',
        b'{"data": {}}',
        b'{"data": [5]}',
        b'{"data": [{"x": [1]}]}',
        b'"\xff\xfe',
        b"[" * 100_000,
        b'{"data": [{"x": [1], "y": [1]}]}' + b" " * 5_000_001,
    ],
    ids=["empty", "text", "list", "object", "number", "null", "no-trace", "trace-object", "trace-number", "no-y",
         "bytes", "deep", "large"],
)  # fmt: skip
def test_a_plot_that_cannot_be_read_is_no_drift_and_is_logged(
    client: httpx.Client, drift_plot: Callable[[bytes], str], caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    answer = client.get(drift_plot(content))

    assert (answer.status_code, answer.json()) == (200, {"x": [], "y": []})
    assert "is no plot that can be read" in caplog.text


def test_a_plot_of_other_things_than_numbers_has_no_numbers(
    client: httpx.Client, drift_plot: Callable[[bytes], str]
) -> None:
    path = drift_plot(b'{"data": [{"x": {"bdata": "AAAA"}, "y": ["1", true, 10000000000000000000000]}]}')

    assert client.get(path).json() == {"x": [], "y": [None, None, 1e22]}


def test_no_plot_and_no_image_are_no_drift(client: httpx.Client, run: Run) -> None:
    run.image(1)
    run.image(2, driftPlotFullPath=f"{run.visit.directory}/missing.json")
    run.image(3, driftPlotFullPath="/etc/hostname")

    answers = [client.get(f"{run.path}/motion/{number}/drift") for number in (1, 2, 3, 99)]

    assert [(answer.status_code, answer.json()) for answer in answers] == [(200, {"x": [], "y": []})] * 4


# Classes.


def test_classes_are_sorted_and_paged(client: httpx.Client, run: Run) -> None:
    group = make_class_group(run.database, run.program, batchNumber=3, numberOfParticlesPerBatch=50000, symmetry="C1")
    make_class_group(run.database, run.program, batchNumber=4)  # without classes
    other = make_class_group(run.database, run.program, "3D")
    values = [(3000, 9.53), (9000, 0.0), (None, 12.125), (4000, None), (4000, 9.53)]
    ids = [
        make_class(run.database, group, particlesPerClass=particles, estimatedResolution=resolution)
        for particles, resolution in values
    ]
    make_class(run.database, other)

    def order(**query: Any) -> list[int]:
        body = client.get(f"{run.path}/classification", params=query).json()
        assert body["total"] == 5
        return [ids.index(item["particleClassificationId"]) for item in body["items"]]

    assert order() == order(sort="particles", type="2D") == [1, 3, 4, 0, 2]
    assert order(sort="resolution") == [3, 0, 4, 2, 1]
    assert [order(limit=2, page=page) for page in (1, 2, 3, 4)] == [[1, 3], [4, 0], [2], []]


def test_a_class_with_its_batch_and_its_initial_model(client: httpx.Client, run: Run) -> None:
    group = make_class_group(
        run.database, run.program, "3D", batchNumber=2, numberOfParticlesPerBatch=50000, numberOfClassesPerBatch=4,
        symmetry="C4",
    )  # fmt: skip
    values = {
        "classNumber": 2,
        "particlesPerClass": 20000,
        "classDistribution": 0.6,
        "rotationAccuracy": 0.7,
        "translationAccuracy": 0.4,
        "estimatedResolution": 4.44,
        "overallFourierCompleteness": 0.99,
    }
    ident = make_class(run.database, group, classImageFullPath="/x/class.jpeg", **values)
    make_initial_model(run.database, ident, resolution=14.999, numberOfParticles=12345)
    make_initial_model(run.database, ident, resolution=1.0, numberOfParticles=1)  # only the first is shown

    body = client.get(f"{run.path}/classification", params={"type": "3D"}).json()

    assert body["total"] == 1
    assert body["items"] == [
        values
        | {
            "particleClassificationId": ident,
            "type": "3D",
            "batchNumber": 2,
            "numberOfParticlesPerBatch": 50000,
            "numberOfClassesPerBatch": 4,
            "symmetry": "C4",
            "initialModelResolution": 14.999,
            "initialModelParticles": 12345,
            "links": {"image": f"{API}{run.path}/classification/{ident}/image"},
        }
    ]


@pytest.mark.parametrize("query", [{"type": "4D"}, {"sort": "size"}, {"limit": 501}, {"page": 0}])
def test_classes_that_cannot_be_asked_for_are_refused(client: httpx.Client, run: Run, query: dict[str, Any]) -> None:
    answer = client.get(f"{run.path}/classification", params=query)

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, next(iter(query)))


# Attachments.


def test_attachments_say_whether_they_are_there(client: httpx.Client, run: Run) -> None:
    there, missing = run.file("ice/report.pdf"), run.visit.directory / "processed/ice/missing.log"
    columns = {"fileType": "Result", "importanceRank": 2, "recordTimeStamp": SUMMER}
    first = make_attachment(run.database, run.program, there, **columns)
    make_attachment(run.database, run.program, there, deleted=1)
    second = make_attachment(run.database, run.program, missing, fileType=None)
    third = make_attachment(run.database, run.program, missing, fileName=None)
    fourth = make_attachment(run.database, run.program, Path("/etc/hostname"))

    body = client.get(f"{run.path}/attachments").json()

    assert body["total"] == 4
    assert body["items"][0] == {
        "autoProcProgramAttachmentId": first,
        "fileName": "report.pdf",
        "filePath": str(there),
        "fileType": "Result",
        "importanceRank": 2,
        "recordTimeStamp": "2026-07-15T09:30:00+01:00",
        "exists": True,
        "links": {"file": f"{API}{run.path}/attachments/{first}/file"},
    }
    rest = [(item["autoProcProgramAttachmentId"], item["exists"], item["filePath"]) for item in body["items"][1:]]
    assert rest == [(second, False, str(missing)), (third, False, None), (fourth, False, "/etc/hostname")]


def test_attachments_come_in_pages(client: httpx.Client, run: Run) -> None:
    ids = [make_attachment(run.database, run.program, run.file(f"{number}.json")) for number in range(5)]

    bodies = [client.get(f"{run.path}/attachments", params={"limit": 2, "page": page}).json() for page in (1, 2, 3, 4)]

    assert [body["total"] for body in bodies] == [5] * 4
    found = [[item["autoProcProgramAttachmentId"] for item in body["items"]] for body in bodies]
    assert found == [ids[:2], ids[2:4], ids[4:], []]


def test_an_attachment_is_downloaded_under_its_name(client: httpx.Client, run: Run) -> None:
    path = run.file("ice/with space and ,comma.star", b"data_")
    ident = make_attachment(run.database, run.program, path)

    answer = client.get(f"{run.path}/attachments/{ident}/file")

    assert (answer.status_code, answer.content) == (200, b"data_")
    assert answer.headers["content-type"] == "application/star"
    assert 'filename="with space and ,comma.star"' in answer.headers["content-disposition"]
