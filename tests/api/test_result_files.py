"""Images and attachments over HTTP: what is shown, what must not be, and what happens while the files hang."""

from __future__ import annotations

import itertools
import logging
import os
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from app.db import Database
from app.filesystem import served
from tests.factories import MadeVisit, make_attachment
from tests.support.runs import SUBJECTS, Run, make_run, show
from tests.support.services import ServiceThread

PROBLEM = "application/problem+json"


@pytest.fixture
def run(database: Database, visit: MadeVisit) -> Run:
    """A program that has found nothing yet."""
    return make_run(database, visit)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_an_image_is_shown_and_can_be_kept(client: httpx.Client, run: Run, subject: str) -> None:
    path = show(run, subject, str(run.file("picture.jpeg", b"0123456789")))

    answer = client.get(path)
    again = client.get(path, headers={"If-None-Match": answer.headers["etag"]})
    part = client.get(path, headers={"Range": "bytes=2-4"})
    behind = client.get(path, headers={"Range": "bytes=10-"})

    kind = "application/jpeg" if subject == "attachment" else "image/jpeg"
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, b"0123456789", kind)
    assert answer.headers["cache-control"].startswith("private, ")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (again.status_code, again.content) == (304, b"")
    assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"234", "bytes 2-4/10")
    assert (behind.status_code, behind.headers["content-type"], behind.json()["status"]) == (416, PROBLEM, 416)
    assert behind.headers["content-range"] == "bytes */10"


def no_path(run: Run) -> None:
    return None


def missing(run: Run) -> str:
    return f"{run.visit.directory}/missing.png"


def outside(run: Run) -> str:
    return "/etc/hostname"


def by_dots(run: Run) -> str:
    return f"{run.visit.directory}/../../../../../../../../../../etc/hostname"


def through_a_link(run: Run) -> str:
    (run.visit.directory / "link.png").symlink_to("/etc/hostname")
    return f"{run.visit.directory}/link.png"


def through_a_linked_folder(run: Run) -> str:
    (run.visit.directory / "folder").symlink_to("/etc")
    return f"{run.visit.directory}/folder/hostname"


def a_pipe(run: Run) -> str:
    os.mkfifo(run.visit.directory / "pipe.png")
    return f"{run.visit.directory}/pipe.png"


def a_folder(run: Run) -> str:
    return str(run.visit.directory)


def relative(run: Run) -> str:
    return "picture.png"


def with_a_nul(run: Run) -> str:
    return f"{run.file('picture.png')}\0.png"


PATHS = [no_path, missing, outside, by_dots, through_a_link, through_a_linked_folder, a_pipe, a_folder, relative]
PATHS += [with_a_nul]
QUIET = (no_path, missing, relative)  # an attachment without a folder is no path at all


@pytest.mark.parametrize(
    ("make", "subject"),
    [(make, subject) for make, subject in itertools.product(PATHS, SUBJECTS)],
    ids=lambda given: getattr(given, "__name__", given),
)
def test_a_row_cannot_lead_to_what_must_not_be_shown(
    client: httpx.Client,
    run: Run,
    caplog: pytest.LogCaptureFixture,
    make: Callable[[Run], str | None],
    subject: str,
) -> None:
    path = show(run, subject, make(run))
    begun = time.monotonic()

    answer = client.get(path)

    assert (answer.status_code, answer.headers["content-type"]) == (404, PROBLEM)
    assert answer.json()["type"] == "file-missing"
    assert "/etc" not in answer.text
    assert time.monotonic() - begun < 2
    if make not in QUIET:
        assert f"program {run.program}" in caplog.text
        assert "is not shown" in caplog.text


@pytest.fixture
def hung_files(service: ServiceThread, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A file system that answers after a second, to requests that wait a fifth of one."""
    monkeypatch.setattr(service.resources.looks, "deadline", 0.2)
    real = os.path.realpath

    def wait(path: str) -> str:
        time.sleep(1)
        return real(path)

    monkeypatch.setattr(os.path, "realpath", wait)
    yield
    monkeypatch.undo()
    looks = service.resources.looks
    end = time.monotonic() + 20
    while looks._hung or looks._running:
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_file_system_that_hangs_is_unavailable_within_the_deadline(
    client: httpx.Client, run: Run, hung_files: None, subject: str
) -> None:
    path = show(run, subject, str(run.file("picture.jpeg")))
    begun = time.monotonic()

    answer = client.get(path)

    assert (answer.status_code, answer.headers["content-type"]) == (503, PROBLEM)
    assert answer.json()["type"] == "file-unavailable"
    assert time.monotonic() - begun < 1


def test_while_files_hang_lists_and_drift_are_answered_without_them(
    client: httpx.Client, run: Run, hung_files: None
) -> None:
    run.image(1, driftPlotFullPath=str(run.file("drift.json", b'{"data": [{"x": [1], "y": [1]}]}')))
    make_attachment(run.database, run.program, run.file("ice.json"))
    begun = time.monotonic()

    drift = client.get(f"{run.path}/motion/1/drift").json()
    (attachment,) = client.get(f"{run.path}/attachments").json()["items"]

    assert drift == {"x": [], "y": []}
    assert attachment["exists"] is None
    assert time.monotonic() - begun < 1


def test_a_large_file_that_cannot_be_read_to_its_end_is_cut_off(
    client: httpx.Client, run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = show(run, "snapshot", str(run.file("picture.tiff", os.urandom(served.WHOLE + 1))))
    whole = client.get(path)
    real = served._read

    def fail_in_the_middle(descriptor: int, start: int, length: int) -> bytes:
        if start >= served.CHUNK:
            raise OSError(5, "Input/output error")
        return real(descriptor, start, length)

    monkeypatch.setattr(served, "_read", fail_in_the_middle)

    with pytest.raises(httpx.RemoteProtocolError):
        client.get(path)
    with caplog.at_level(logging.INFO):
        part = client.get(path, headers={"Range": "bytes=0-9"})

    assert (whole.status_code, len(whole.content)) == (200, served.WHOLE + 1)
    assert part.content == whole.content[:10]
    assert "was cut off" in caplog.text
    assert "unexpected error" not in caplog.text
