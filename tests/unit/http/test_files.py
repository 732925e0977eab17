"""Answers that are files: types, names, caching, conditions, ranges, and what happens when a file goes away."""

from __future__ import annotations

import asyncio
import logging
import os
import struct
import threading
import time
from collections.abc import Callable
from email.message import Message
from email.utils import formatdate
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest
from fastapi import Request
from fastapi.responses import Response

from app.errors import BehindTheEnd
from app.filesystem import served
from app.filesystem.looks import Looks
from app.filesystem.served import FileMissing, FileUnavailable
from app.http import files
from app.resources import Resources
from app.settings import Settings

MODIFIED = 1_700_000_000  # seconds
FORTNIGHT = "private, max-age=1209600"


class Answer(NamedTuple):
    """What a response sends."""

    status: int
    headers: dict[str, str]
    body: bytes
    complete: bool


def request(headers: dict[str, str] | None = None) -> Request:
    raw = [(name.lower().encode(), value.encode("latin1")) for name, value in (headers or {}).items()]
    return Request({"type": "http", "method": "GET", "path": "/x", "query_string": b"", "headers": raw})


def send(response: Response) -> Answer:
    """Everything that a server would be told."""
    messages: list[Any] = []

    async def collect(message: Any) -> None:
        messages.append(message)

    async def wait() -> Any:
        await asyncio.sleep(20)

    asyncio.run(response({"type": "http", "method": "GET"}, wait, collect))
    start, *parts = messages
    headers = {name.decode(): value.decode("latin1") for name, value in start["headers"]}
    body = b"".join(part.get("body", b"") for part in parts)
    return Answer(start["status"], headers, body, bool(parts) and not parts[-1].get("more_body", False))


@pytest.fixture
def resources(tmp_path: Path) -> Resources:
    """A root at the test's own folder."""
    settings = Settings.model_validate({"files": {"roots": str(tmp_path)}})
    return Resources(settings, cast(Any, None), Looks(threads=8, deadline=2))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A file of ten bytes."""
    return put(tmp_path / "image.png", b"0123456789")


def put(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    os.utime(path, ns=(0, MODIFIED * 10**9 + 5))
    return path


def get(resources: Resources, path: Path, **headers: str) -> Answer:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return send(files.image(request(sent), resources, str(path), "snapshot"))


def download(resources: Resources, path: Path, **headers: str) -> Answer:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return send(files.attachment(request(sent), resources, str(path), "attachment"))


def test_an_image_is_kept_for_a_fortnight(resources: Resources, image: Path) -> None:
    answer = get(resources, image)

    assert (answer.status, answer.body) == (200, b"0123456789")
    assert answer.headers == {
        "content-type": "image/png",
        "content-length": "10",
        "cache-control": FORTNIGHT,
        "accept-ranges": "bytes",
        "etag": f'"{MODIFIED * 10**9 + 5:x}-a"',
        "last-modified": formatdate(MODIFIED, usegmt=True),
        "x-content-type-options": "nosniff",
    }


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("x.jpg", "image/jpg"),
        ("x.jpeg", "image/jpeg"),
        ("x.JPEG", "image/JPEG"),
        ("x.y.Png", "image/Png"),
        ("x", "application/octet-stream"),
        ("x.", "application/octet-stream"),
        ("x.p g", "application/octet-stream"),
        ("x.png\r\nX-Evil: 1", "application/octet-stream"),
        ("x.html;charset=utf-7", "application/octet-stream"),
        ("x.é", "application/octet-stream"),
        ("x." + "a" * 21, "application/octet-stream"),
    ],
)
def test_the_type_of_an_image_is_its_extension(resources: Resources, tmp_path: Path, name: str, kind: str) -> None:
    answer = get(resources, put(tmp_path / name, b"x"))

    assert answer.headers["content-type"] == kind
    assert "x-evil" not in answer.headers


def test_an_attachment_is_a_download_that_is_asked_for_again(resources: Resources, tmp_path: Path) -> None:
    answer = download(resources, put(tmp_path / "ice_report.PDF", b"%PDF"))

    assert (answer.status, answer.body) == (200, b"%PDF")
    assert answer.headers["content-type"] == "application/PDF"  # as EM.php had it
    assert answer.headers["cache-control"] == "private, no-cache"
    assert (
        answer.headers["content-disposition"]
        == "attachment; filename=\"ice_report.PDF\"; filename*=UTF-8''ice_report.PDF"
    )


@pytest.mark.parametrize(
    "name",
    [
        "with space and ,comma.star",
        'quote".json',
        "semicolon;.json",
        "back\\slash.json",
        "é µ Å 粒.json",
        "per%cent%22.json",
        "'single'.json",
        "noextension",
        ".hidden",
    ],
)
def test_a_browser_saves_an_attachment_under_its_own_name(resources: Resources, tmp_path: Path, name: str) -> None:
    answer = download(resources, put(tmp_path / name, b"x"))

    read = Message()
    read["content-disposition"] = answer.headers["content-disposition"].replace('filename="', 'ignored="')
    assert read.get_content_disposition() == "attachment"
    assert read.get_filename() == name
    plain = answer.headers["content-disposition"].split("; ")[1]
    assert plain.isascii()
    assert plain.count('"') == 2


@pytest.mark.parametrize("name", ["a\r\nSet-Cookie: x=1\r\n\r\n.json", "a\n.json", "a\x7f.json", "a\t.json"])
def test_a_name_cannot_write_headers(resources: Resources, tmp_path: Path, name: str) -> None:
    answer = download(resources, put(tmp_path / name, b"x"))

    disposition = answer.headers["content-disposition"]
    assert "set-cookie" not in answer.headers
    assert not any(ord(character) < 32 or ord(character) > 126 for character in disposition)
    assert "%0D" not in disposition
    assert "%0A" not in disposition


@pytest.mark.parametrize(
    "header",
    [
        {"if_none_match": "{etag}"},
        {"if_none_match": "W/{etag}"},
        {"if_none_match": '"other", {etag}'},
        {"if_none_match": "*"},
        {"if_modified_since": "{modified}"},
        {"if_modified_since": "Sun, 06 Nov 2044 08:49:37 GMT"},
        {"if_none_match": "{etag}", "if_modified_since": "Sun, 06 Nov 1994 08:49:37 GMT"},
        {"if_none_match": "{etag}", "range": "bytes=0-1"},
    ],
)
def test_what_the_browser_has_is_not_sent_again(resources: Resources, image: Path, header: dict[str, str]) -> None:
    first = get(resources, image)
    known = {"etag": first.headers["etag"], "modified": first.headers["last-modified"]}

    answer = get(resources, image, **{name: value.format(**known) for name, value in header.items()})

    assert (answer.status, answer.body) == (304, b"")
    kept = {name: first.headers[name] for name in ("etag", "last-modified", "cache-control")}
    assert {name: answer.headers.get(name) for name in kept} == kept


@pytest.mark.parametrize(
    "header",
    [
        {"if_none_match": '"other"'},
        {"if_none_match": ""},
        {"if_none_match": "nonsense"},
        {"if_modified_since": "Sun, 06 Nov 1994 08:49:37 GMT"},
        {"if_modified_since": "yesterday"},
        {"if_modified_since": "Sun, 99 Nov 1994 08:49:37 GMT"},
        {"if_modified_since": "Sun, 06 Nov 99999999999 08:49:37 GMT"},
        {"if_none_match": '"other"', "if_modified_since": "Sun, 06 Nov 2044 08:49:37 GMT"},
    ],
)
def test_what_the_browser_does_not_have_is_sent(resources: Resources, image: Path, header: dict[str, str]) -> None:
    answer = get(resources, image, **header)

    assert (answer.status, answer.body) == (200, b"0123456789")


def test_a_file_that_was_written_anew_is_another(resources: Resources, image: Path) -> None:
    first = get(resources, image)
    image.write_bytes(b"9876543210")
    os.utime(image, ns=(0, MODIFIED * 10**9 + 6))  # within the same second

    answer = get(resources, image, if_none_match=first.headers["etag"])

    assert (answer.status, answer.body) == (200, b"9876543210")


@pytest.mark.parametrize(
    ("asked", "body", "told"),
    [
        ("bytes=0-0", b"0", "bytes 0-0/10"),
        ("bytes=2-4", b"234", "bytes 2-4/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=7-99", b"789", "bytes 7-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=-99", b"0123456789", "bytes 0-9/10"),
        ("BYTES=2-4", b"234", "bytes 2-4/10"),
        ("bytes=0-999999999999999999", b"0123456789", "bytes 0-9/10"),
    ],
)
@pytest.mark.parametrize("at_once", [True, False], ids=["small", "large"])
def test_a_part_is_sent_where_one_is_asked_for(
    resources: Resources,
    image: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: str,
    body: bytes,
    told: str,
    at_once: bool,
) -> None:
    in_parts(monkeypatch, not at_once)

    answer = get(resources, image, range=asked)

    assert (answer.status, answer.body, answer.headers["content-range"]) == (206, body, told)
    assert answer.headers["content-length"] == str(len(body))
    assert answer.complete


def in_parts(monkeypatch: pytest.MonkeyPatch, wanted: bool = True) -> None:
    """Treat a file of ten bytes as a large one."""
    if wanted:
        find = served.find
        monkeypatch.setattr(served, "find", lambda *given, **more: find(*given, **{**more, "most": 3}))
        monkeypatch.setattr(files, "CHUNK", 4)


@pytest.mark.parametrize(
    "asked",
    ["bytes=0-1,4-5", "bytes=", "bytes=-", "bytes=4-2", "lines=1-2", "bytes=a-b", "bytes=1-2-3", "bytes=١-٢", "0-1"],
)
def test_a_range_that_cannot_be_read_or_several_are_ignored(resources: Resources, image: Path, asked: str) -> None:
    sent = Request({"type": "http", "path": "/x", "headers": [(b"range", asked.encode("utf-8"))]})

    answer = send(files.image(sent, resources, str(image), "snapshot"))

    assert (answer.status, answer.body) == (200, b"0123456789")
    assert "content-range" not in answer.headers


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=99-"])
def test_a_range_behind_the_end_is_told_the_size(resources: Resources, image: Path, asked: str) -> None:
    with pytest.raises(BehindTheEnd) as refused:
        get(resources, image, range=asked)

    assert refused.value.context == {"fileSize": 10}


@pytest.mark.parametrize("asked", ["bytes=0-", "bytes=-1"])
def test_an_empty_file_has_no_parts(resources: Resources, tmp_path: Path, asked: str) -> None:
    empty = put(tmp_path / "empty.png", b"")

    assert (get(resources, empty).status, get(resources, empty).body) == (200, b"")
    with pytest.raises(BehindTheEnd):
        get(resources, empty, range=asked)


@pytest.mark.parametrize(
    ("condition", "status"),
    [("{etag}", 206), ("{modified}", 206), ('"other"', 200), ("W/{etag}", 200), ("Sun, 06 Nov 1994 08:49:37 GMT", 200)],
)
def test_a_part_of_a_file_that_is_not_the_same_any_more_is_not_sent(
    resources: Resources, image: Path, condition: str, status: int
) -> None:
    first = get(resources, image)
    known = condition.format(etag=first.headers["etag"], modified=first.headers["last-modified"])

    assert get(resources, image, range="bytes=0-1", if_range=known).status == status


def test_a_large_file_is_sent_part_by_part(resources: Resources, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_parts(monkeypatch)

    answer = get(resources, image)

    assert (answer.status, answer.body, answer.complete) == (200, b"0123456789", True)
    assert answer.headers["content-length"] == "10"
    assert answer.headers["content-type"] == "image/png"


def removed(image: Path) -> None:
    image.unlink()


def rewritten(image: Path) -> None:
    image.write_bytes(b"9876543210")


@pytest.mark.parametrize("change", [removed, rewritten], ids=lambda change: change.__name__)
def test_a_large_file_that_changes_meanwhile_is_cut_off_and_logged(
    resources: Resources,
    image: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    change: Callable[[Path], None],
) -> None:
    in_parts(monkeypatch)
    response = files.image(request(), resources, str(image), "snapshot")
    change(image)

    answer = send(response)

    assert (answer.body, answer.complete) == (b"", False)
    assert "cut off" in caplog.text


def test_a_large_file_whose_file_system_hangs_meanwhile_is_cut_off(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    in_parts(monkeypatch)
    settings = Settings.model_validate({"files": {"roots": str(tmp_path)}})
    resources = Resources(settings, cast(Any, None), Looks(threads=8, deadline=0.2))
    response = files.image(request(), resources, str(image), "snapshot")
    read, begun = served._read, threading.Event()

    def hang_after_the_first(descriptor: int, start: int, length: int) -> bytes:
        if begun.is_set():
            time.sleep(0.5)
        begun.set()
        return read(descriptor, start, length)

    monkeypatch.setattr(served, "_read", hang_after_the_first)
    with caplog.at_level(logging.WARNING):
        answer = send(response)

    assert (answer.body, answer.complete) == (b"0123", False)
    assert "cut off" in caplog.text


def test_a_missing_file_is_an_error_for_the_native_api_and_a_placeholder_for_synchweb(
    resources: Resources, tmp_path: Path
) -> None:
    missing = str(tmp_path / "missing.png")

    for path in (missing, None, "/etc/hostname"):
        with pytest.raises(FileMissing):
            files.image(request(), resources, path, "snapshot")
        answer = send(files.image_or_placeholder(request(), resources, path, "snapshot"))
        assert (answer.status, answer.headers["content-type"]) == (200, "image/png")
        assert answer.headers["cache-control"] == "no-store"
        assert "etag" not in answer.headers


def test_a_found_file_needs_no_placeholder(resources: Resources, image: Path) -> None:
    answer = send(files.image_or_placeholder(request(), resources, str(image), "snapshot"))

    assert (answer.body, answer.headers["cache-control"]) == (b"0123456789", FORTNIGHT)


def test_no_answer_is_an_error_of_its_own_and_a_placeholder_too(
    resources: Resources, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: str, flags: int) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "open", fail)

    with pytest.raises(FileUnavailable):
        files.image(request(), resources, str(image), "snapshot")
    assert send(files.image_or_placeholder(request(), resources, str(image), "snapshot")).status == 200


def test_the_placeholder_is_a_picture() -> None:
    answer = send(files.placeholder())

    assert answer.body.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", answer.body[16:24]) == (400, 300)
    assert len(answer.body) < 5000


def test_a_time_that_http_cannot_tell_is_left_out(resources: Resources, image: Path) -> None:
    os.utime(image, ns=(0, 2**62))

    answer = get(resources, image, if_modified_since="Sun, 06 Nov 2044 08:49:37 GMT")

    assert answer.status in (200, 304)
    assert "etag" in answer.headers
