"""Results as columns for plotting, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app.db import Database
from tests.factories import MadeVisit, make_ctf, make_motion, make_picker
from tests.support.runs import SUMMER, Run, make_run


@pytest.fixture
def run(database: Database, visit: MadeVisit) -> Run:
    """A program that has found nothing yet."""
    return make_run(database, visit)


def pages(client: httpx.Client, path: str, limit: int) -> Iterator[dict[str, list[Any]]]:
    after: int | None = 0
    while after is not None:
        body = client.get(path, params={"limit": limit, "after": after}).json()
        yield body["columns"]
        after = body["next"]


@pytest.mark.parametrize("limit", [1, 2, 5, 6, 10_000])
@pytest.mark.parametrize("kind", ["motion", "ctf", "particles"])
def test_a_series_comes_page_by_page_in_the_order_of_its_rows(
    client: httpx.Client, run: Run, kind: str, limit: int
) -> None:
    numbers = [3, 1, 2, None, 4, 3]
    for number in numbers:
        motion = run.image(number)
        make_ctf(run.database, run.program, motion)
        make_picker(run.database, run.program, motion)

    found = list(pages(client, f"{run.path}/{kind}", limit))

    assert [number for page in found for number in page["imageNumber"]] == numbers
    assert len(found) == -(-len(numbers) // limit)
    assert all(len(column) == len(page["imageNumber"]) for page in found for column in page.values())


@pytest.mark.parametrize("kind", ["motion", "ctf", "particles"])
def test_a_long_page_is_compressed_when_asked(
    client: httpx.Client, run: Run, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.http.packing.LEAST", 100)
    for number in range(1, 31):
        motion = run.image(number)
        make_ctf(run.database, run.program, motion)
        make_picker(run.database, run.program, motion)

    plain, short = (
        client.get(f"{run.path}/{kind}", headers={"accept-encoding": encoding}) for encoding in ("identity", "gzip")
    )

    assert "content-encoding" not in plain.headers
    assert short.headers["content-encoding"] == "gzip"
    assert int(short.headers["content-length"]) < int(plain.headers["content-length"])
    assert short.json() == plain.json()


def test_the_columns_of_each_series(client: httpx.Client, run: Run) -> None:
    motion = run.image(1, created=SUMMER, totalMotion=2.5, averageMotionPerFrame=0.25, dosePerFrame=1.5, doseWeight=0.0)
    make_ctf(
        run.database, run.program, motion, astigmatism=247.02, astigmatismAngle=-0.04, estimatedResolution=4.12,
        estimatedDefocus=11837.1, ccValue=0.15,
    )  # fmt: skip
    make_picker(run.database, run.program, motion, numberOfParticles=316, particleDiameter=18.5)

    motions, ctfs, particles = (client.get(f"{run.path}/{kind}").json() for kind in ("motion", "ctf", "particles"))

    both = {"imageNumber": [1], "createdTimeStamp": ["2026-07-15T09:30:00+01:00"]}
    assert motions == {
        "columns": both
        | {"totalMotion": [2.5], "averageMotionPerFrame": [0.25], "dosePerFrame": [1.5], "doseWeight": [0.0]},
        "next": None,
    }
    assert ctfs["columns"] == both | {
        "astigmatism": [247.02],
        "astigmatismAngle": [-0.04],
        "estimatedResolution": [4.12],
        "estimatedDefocus": [11837.1],
        "ccValue": [0.15],
    }
    assert particles["columns"] == both | {"numberOfParticles": [316], "particleDiameter": [18.5]}


def test_rows_without_movie_or_motion_are_in_the_series(client: httpx.Client, run: Run) -> None:
    make_motion(run.database, run.program, None, 5)
    make_ctf(run.database, run.program, None, estimatedDefocus=None)
    make_picker(run.database, run.program, None)

    motions, ctfs, particles = (
        client.get(f"{run.path}/{kind}").json()["columns"] for kind in ("motion", "ctf", "particles")
    )

    assert (motions["imageNumber"], motions["createdTimeStamp"]) == ([5], [None])
    assert (ctfs["imageNumber"], ctfs["estimatedDefocus"]) == ([None], [None])
    assert (particles["imageNumber"], particles["numberOfParticles"]) == ([None], [300])


def test_a_series_without_rows_and_one_that_is_at_its_end_are_empty(client: httpx.Client, run: Run) -> None:
    before = client.get(f"{run.path}/ctf").json()
    make_ctf(run.database, run.program, run.image(1))

    after = client.get(f"{run.path}/ctf", params={"after": 2**32 - 1}).json()

    assert before == after
    assert (before["columns"]["imageNumber"], before["next"]) == ([], None)


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 10_001}, {"after": -1}, {"after": 2**32}, {"after": "x"}])
def test_a_page_that_cannot_be_is_refused(client: httpx.Client, run: Run, query: dict[str, Any]) -> None:
    answer = client.get(f"{run.path}/motion", params=query)

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, next(iter(query)))
