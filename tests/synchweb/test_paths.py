"""Rows and requests that name files which are nobody's to see."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from app.filesystem.served import AT_ONCE
from tests.support.services import ServiceThread
from tests.synchweb.replay import Stage, token

HEADERS = {"Authorization": f"Bearer {token('lab_user')}"}
SECRET = b"root:x:0:0:a secret"

# Where ISPyB keeps the path of each image, and the address that shows it.
IMAGES = {
    "mc/snapshot/90000001/n/1": "UPDATE MotionCorrection SET micrographSnapshotFullPath = :path",
    "mc/fft/image/9000001/n/1": "UPDATE MotionCorrection SET fftFullPath = :path",
    "mc/fft/image/9000001/n/1/t/2": "UPDATE MotionCorrection SET fftCorrectedFullPath = :path",
    "ctf/image/90000001/n/1": "UPDATE CTF SET fftTheoreticalFullPath = :path",
    "picker/image/90000001/n/1": "UPDATE ParticlePicker SET summaryImageFullPath = :path",
    "classification/image/900001": "UPDATE ParticleClassification SET classImageFullPath = :path",
}


@pytest.fixture
def outside(stage: Stage, tmp_path: Path) -> Iterator[Path]:
    """A file that lies outside of the visits' folder. All rows are put back afterwards."""
    secret = tmp_path / "secret.png"
    secret.write_bytes(SECRET)
    yield secret
    stage.reset()


def visit_folder(stage: Stage) -> Path:
    return Path(stage.dls) / "m12/data/2026/cm31111-7/processed"


def ways_out(stage: Stage, outside: Path) -> dict[str, str]:
    """Paths that a row may have."""
    folder = visit_folder(stage)
    link, linked = folder / f"link-{outside.parent.name}.png", folder / f"folder-{outside.parent.name}"
    for one, target in ((link, outside), (linked, outside.parent)):
        if not one.is_symlink():
            one.symlink_to(target)
    pipe = folder / f"pipe-{outside.parent.name}.png"
    if not pipe.exists():
        os.mkfifo(pipe)
    up = "../" * (len(folder.parts) - 1)
    return {
        "directly": str(outside),
        "by ..": f"{folder}/{up}{str(outside).lstrip('/')}",
        "by a link": str(link),
        "by a folder's link": str(linked / outside.name),
        "relative": os.path.relpath(outside),
        "a pipe": str(pipe),
        "a folder": str(folder),
        "a device": "/dev/zero",
        "the root itself": stage.dls,
        "another root's beginning": f"{stage.dls}-other/x.png",
        "no path": "\x01",
        "empty": "",
    }


@pytest.mark.parametrize("address", IMAGES)
def test_a_rows_path_that_leads_out_of_the_roots_shows_the_placeholder(
    stage: Stage, browser: httpx.Client, outside: Path, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    answers = {}
    for way, path in ways_out(stage, outside).items():
        with stage.engine.begin() as connection:
            connection.execute(sa.text(IMAGES[address]), {"path": path})
        with caplog.at_level(logging.WARNING):
            caplog.clear()
            answer = browser.get(f"/api/em/{address}", headers=HEADERS)
        told = [record.getMessage() for record in caplog.records if record.name == "app.filesystem.served"]
        answers[way] = (answer.status_code, answer.headers["content-type"], SECRET in answer.content, bool(told))

    silent = {"empty"}
    assert {way: found for way, found in answers.items() if found[:3] != (200, "image/png", False)} == {}
    assert {way for way, found in answers.items() if not found[3]} - silent == set()


def test_an_attachment_that_leads_out_is_neither_listed_nor_sent(
    stage: Stage, browser: httpx.Client, outside: Path
) -> None:
    for way, path in ways_out(stage, outside).items():
        directory, _, name = path.rpartition("/")
        with stage.engine.begin() as connection:
            statement = (
                "UPDATE AutoProcProgramAttachment SET filePath = :d, fileName = :n WHERE autoProcProgramId = 90000001"
            )
            connection.execute(sa.text(statement), {"d": directory, "n": name})
        listed = browser.get("/api/em/attachments/90000001", headers=HEADERS)
        sent = browser.get("/api/em/attachment/90000002", headers=HEADERS)

        assert (listed.status_code, listed.json()) == (200, []), way
        assert (sent.status_code, sent.json()["status"]) == (400, 400), way


@pytest.mark.parametrize(
    "name",
    ["..%2f..%2f..%2fetc%2fpasswd", "..", "%2e%2e/%2e%2e/etc/passwd", "/etc/passwd", "1%00", "1;x", "1%0a", "%d9%a3",
     "-1", "1.0", "1e3", "0x1", "9" * 19, "9" * 5000],
)  # fmt: skip
@pytest.mark.parametrize(
    "route", ["attachment", "attachments", "mc/snapshot", "ctf/image", "classification/image", "mc/fft/image", "dc"]
)
def test_a_request_that_is_no_number_is_not_there(browser: httpx.Client, route: str, name: str) -> None:
    request = browser.build_request("GET", f"/api/em/{route}/1", headers=HEADERS)
    request.url = request.url.copy_with(raw_path=f"/api/em/{route}/{name}".encode())

    answer = browser.send(request)

    assert (answer.status_code, answer.json()["status"]) == (404, 404)


def test_a_hung_mount_shows_the_placeholder_and_keeps_nobody_else_waiting(
    stage: Stage, synchweb: ServiceThread, browser: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs = threading.Event()
    looks = synchweb.resources.looks
    monkeypatch.setattr(looks, "deadline", 0.3)
    monkeypatch.setattr("app.filesystem.served._find", lambda *_: hangs.wait(20))
    before = looks.threads
    try:
        images = [browser.get(f"/api/em/{address}", headers=HEADERS) for address in (*IMAGES, *IMAGES)]
        listed = browser.get("/api/em/attachments/90000001", headers=HEADERS)
        other = browser.get("/api/em/ctf/summary/90000001", headers=HEADERS)
    finally:
        hangs.set()

    assert {(one.status_code, one.headers["cache-control"]) for one in images} == {(200, "no-store")}
    # Whether they are there is not known: listed, without what they hold.
    assert len(listed.json()) == 6
    assert not any("JSON" in row for row in listed.json())
    assert other.status_code == 200
    assert looks.threads - before <= AT_ONCE


def test_an_image_may_be_kept_and_is_asked_for_again_cheaply(stage: Stage, browser: httpx.Client) -> None:
    address = "/api/em/mc/snapshot/90000001/n/1"
    first = browser.get(address, headers=HEADERS)

    again = browser.get(address, headers=HEADERS | {"If-None-Match": first.headers["etag"]})
    since = browser.get(address, headers=HEADERS | {"If-Modified-Since": first.headers["last-modified"]})
    part = browser.get(address, headers=HEADERS | {"Range": "bytes=2-5"})

    assert first.headers["cache-control"] == "private, max-age=1209600"
    assert [(one.status_code, one.content) for one in (again, since)] == [(304, b"")] * 2
    assert (part.status_code, part.content) == (206, first.content[2:6])
    behind = browser.get(address, headers=HEADERS | {"Range": "bytes=999999-"})
    assert (behind.status_code, behind.json()["status"]) == (416, 416)
    assert behind.headers["content-range"] == f"bytes */{len(first.content)}"
