"""Whatever is sent to SynchWeb's face: an answer in its form, and nothing changed."""

from __future__ import annotations

import json
import random
from typing import Any

import httpx
import pytest

from tests.synchweb.replay import Stage, token
from tests.synchweb.test_access import FORM

HEADERS = {"Authorization": f"Bearer {token('lab_user')}"}
NEW = {"acquisitionSoftware": "EPU", "imageDirectory": "raw-3_b", "imageSuffix": "mrc"}
POSTS: dict[str, dict[str, Any]] = {
    "relion/start/9000002": FORM,
    "dc/new/cm31111-7": NEW,
    "dc/comments/9000001": {"comments": "better"},
    "aps": {"ids": ["9000001"], "prop": "cm31111"},
    "process/scipion/session/cm31111-7": {},
}
BODIES = [
    b"", b"null", b"[]", b"[1, 2]", b'"text"', b"1", b"NaN", b"{", b"\xff\xfe", b"\x00", b"[" * 100_000,
    b'{"prop": ["cm31111"]}', b'{"prop": {"a": 1}}', b'{"prop": 7}', b'{"prop": true}', b'{"prop": "\\ud800"}',
    b'{"ids": {"a": 1}}', b'{"ids": [null, [], {}, "x", -1, 1e400, "9999999999999999999"]}', b'{"comments": ["x"]}',
    b'{"comments": "\\ud800"}', b'{"comments": "\\u0000"}', b'{"comments": "\xf0\x9f\x98\x80"}', b'{"visit": ["x"]}',
    b'{"visit": "' + b"1" * 10_000 + b'"}',
]  # fmt: skip
VALUES: list[Any] = [
    None, True, 0, -1, 10**30, 1e308, float("inf"), float("nan"), "", " ", "0.831\n", "\0", "é", "😀", "\ud800",
    "٣", "1e5", "x" * 5000, [], ["EPU"], {}, {"a": [1]}, "../x", "NaN", "0x10", "1_000", "+1", "true", "TRUE", "none",
]  # fmt: skip


def send(browser: httpx.Client, path: str, content: bytes, kind: str = "application/json") -> httpx.Response:
    return browser.post(f"/api/em/{path}", content=content, headers=HEADERS | {"Content-Type": kind})


def in_form(answer: httpx.Response) -> bool:
    """Whether the frontend can show it."""
    body = answer.json()
    message = body.get("message")
    texts = list(message.values()) if isinstance(message, dict) else [message]
    return body.get("status") == answer.status_code and all(isinstance(text, str) and text for text in texts)


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("body", BODIES, ids=lambda body: ascii(body[:24]))
def test_a_body_that_is_none_is_refused(stage: Stage, browser: httpx.Client, path: str, body: bytes) -> None:
    before = stage.counts()

    with stage.kept():
        for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded", "nonsense"):
            answer = send(browser, path, body, kind)
            assert answer.status_code in ((200, 400) if path == "aps" else (400, 410)), answer.text
            assert answer.status_code == 200 or in_form(answer)
            assert stage.counts() == before


@pytest.mark.parametrize("path", ["relion/start/9000002", "dc/new/cm31111-7"])
def test_a_field_that_cannot_be_is_named(stage: Stage, browser: httpx.Client, path: str) -> None:
    chance = random.Random(path)
    for field in sorted(set(POSTS[path]) - {"prop"}):
        for value in chance.sample(VALUES, 12):
            with stage.kept():
                answer = send(browser, path, json.dumps(POSTS[path] | {field: value}).encode())
                assert answer.status_code in (200, 400), (field, value, answer.text)
                assert answer.status_code == 200 or in_form(answer)


@pytest.mark.parametrize("seed", range(20))
def test_a_form_in_which_anything_stands_anywhere_breaks_nothing(
    stage: Stage, browser: httpx.Client, seed: int
) -> None:
    chance = random.Random(seed)
    for path, fields in POSTS.items():
        odd = {name: chance.choice([value, *VALUES]) for name, value in fields.items()} | {"prop": "cm31111"}
        with stage.kept():
            answer = send(browser, path, json.dumps(odd).encode())
            assert answer.status_code in (200, 400, 410), (path, odd, answer.text)
            assert answer.status_code == 200 or in_form(answer)


def test_a_body_that_is_too_large_is_refused_in_synchwebs_form(stage: Stage, browser: httpx.Client) -> None:
    answer = send(browser, "relion/start/9000002", b"{" + b" " * 1_000_001)

    assert (answer.status_code, in_form(answer)) == (413, True)


@pytest.mark.parametrize(
    "query",
    ["prop=cm31111&page=x&per_page=-1", "page=0&per_page=0", "currentPage=99999999999", "pageSize=1e9", "sort_by=%00",
     "n=x&t=y", "ty=%ff", "prop=%ff", "prop="],
)  # fmt: skip
def test_a_query_that_cannot_be_is_as_none(stage: Stage, browser: httpx.Client, query: str) -> None:
    paths = (
        "jobs/9000001",
        "classification/90000001/type/2D",
        "mc/fft/image/9000001",
        "stats/ctf",
        "ctf/summary/90000001",
    )
    for path in paths:
        answer = browser.get(f"/api/em/{path}?{query}", headers=HEADERS)
        assert answer.status_code in (200, 400), (path, answer.text)


@pytest.mark.parametrize("query", ["imageNumber=x", "imageNumber=1.5", "imageNumber=", "imageNumber=-1"])
def test_an_image_number_in_the_query_that_cannot_be_is_refused(
    stage: Stage, browser: httpx.Client, query: str
) -> None:
    for path in ("mc/snapshot/90000001", "ctf/image/90000001", "picker/image/90000001", "mc/drift/90000001"):
        answer = browser.get(f"/api/em/{path}?{query}", headers=HEADERS)
        assert answer.status_code in (200, 400)
        assert answer.status_code == 200 or in_form(answer)
