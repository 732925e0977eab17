"""Which files are shown, whatever a row of the database names."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.filesystem import served
from app.filesystem.looks import Looks, NoAnswer
from app.filesystem.served import File, FileChanged, FileMissing, FileUnavailable, NoFile

DEADLINE = 2.0  # seconds


class Place:
    """A root with a visit in it, and a secret beside it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "dls"
        self.visit = self.root / "m12/data/2026/cm31111-7"
        self.visit.mkdir(parents=True)
        self.image = self.visit / "image.png"
        self.image.write_bytes(b"image")
        self.secret = folder / "secret.png"
        self.secret.write_bytes(b"secret")
        self.looks = Looks(threads=8, deadline=DEADLINE)

    def find(self, path: object, **more: int) -> File | NoFile:
        return served.find(self.looks, [self.root], str(path), "snapshot", **more)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """For the tests to put files into."""
    return Place(tmp_path)


def content(found: File | NoFile) -> bytes | None:
    assert isinstance(found, File)
    return found.content


def why(found: File | NoFile) -> str | None:
    assert isinstance(found, NoFile)
    return found.why


def test_a_file_below_a_root_is_read(place: Place) -> None:
    os.utime(place.image, ns=(0, 1_700_000_000_123_456_789))

    found = place.find(place.image)

    status = place.image.stat()
    assert found == File(str(place.image), 5, 1_700_000_000_123_456_789, (status.st_dev, status.st_ino), b"image")


def test_a_large_file_is_found_without_its_content(place: Place) -> None:
    assert content(place.find(place.image, most=5)) == b"image"
    assert content(place.find(place.image, most=4)) is None


def test_an_empty_file_is_a_file(place: Place) -> None:
    place.image.write_bytes(b"")

    assert content(place.find(place.image)) == b""
    assert content(place.find(place.image, most=0)) == b""


@pytest.mark.parametrize("name", ["nothing.png", "image.png/inside", "x" * 300, "no/such/folder"])
def test_what_is_not_there_is_missing_without_a_reason(
    place: Place, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert place.find(place.visit / name) == NoFile()
    assert caplog.records == []


def outside(place: Place) -> str:
    return str(place.secret)


def by_dots(place: Place) -> str:
    return f"{place.visit}/../../../../../secret.png"


def by_dots_that_come_back(place: Place) -> str:
    return f"{place.visit}/../cm31111-7/image.png"


def through_a_link(place: Place) -> str:
    (place.visit / "link.png").symlink_to(place.secret)
    return f"{place.visit}/link.png"


def through_a_linked_folder(place: Place) -> str:
    (place.visit / "folder").symlink_to(place.secret.parent)
    return f"{place.visit}/folder/secret.png"


def through_a_chain_of_links(place: Place) -> str:
    (place.visit / "one.png").symlink_to(place.visit / "two.png")
    (place.visit / "two.png").symlink_to("../../../../../secret.png")
    return f"{place.visit}/one.png"


def with_a_nul(place: Place) -> str:
    return f"{place.image}\0.png"


def with_a_nul_that_ends_it(place: Place) -> str:
    return f"{place.secret}\0{place.image}"


def with_a_lone_surrogate(place: Place) -> str:
    return f"{place.visit}/\ud800.png"


def relative(place: Place) -> str:
    return os.path.relpath(place.image)


def nothing(place: Place) -> str:
    return ""


def beside_the_root(place: Place) -> str:
    beside = Path(f"{place.root}-old")
    beside.mkdir()
    (beside / "image.png").write_bytes(b"secret")
    return f"{beside}/image.png"


def the_root_itself(place: Place) -> str:
    return str(place.root)


def a_folder(place: Place) -> str:
    return str(place.visit)


def a_link_to_a_folder(place: Place) -> str:
    (place.visit / "folder.png").symlink_to(place.visit)
    return f"{place.visit}/folder.png"


def a_pipe(place: Place) -> str:
    os.mkfifo(place.visit / "pipe.png")
    return f"{place.visit}/pipe.png"


def a_link_to_a_pipe(place: Place) -> str:
    os.mkfifo(place.visit / "pipe")
    (place.visit / "pipe.png").symlink_to(place.visit / "pipe")
    return f"{place.visit}/pipe.png"


def a_socket(place: Place) -> str:
    path = place.visit / "s"
    with socket.socket(socket.AF_UNIX) as listening:
        here = os.getcwd()
        os.chdir(place.visit)  # the address of a socket has to be short
        try:
            listening.bind("s")
        finally:
            os.chdir(here)
    return str(path)


def a_device(place: Place) -> str:
    (place.visit / "zero.png").symlink_to("/dev/zero")
    return f"{place.visit}/zero.png"


ATTACKS = [
    (outside, "does not lie below"),
    (by_dots, "contains '..'"),
    (by_dots_that_come_back, "contains '..'"),
    (through_a_link, "leads to"),
    (through_a_linked_folder, "leads to"),
    (through_a_chain_of_links, "leads to"),
    (with_a_nul, "cannot be the name"),
    (with_a_nul_that_ends_it, "cannot be the name"),
    (with_a_lone_surrogate, "cannot be the name"),
    (relative, "is not absolute"),
    (nothing, "is not absolute"),
    (beside_the_root, "does not lie below"),
    (the_root_itself, "does not lie below"),
    (a_folder, "is no regular file"),
    (a_link_to_a_folder, "is no regular file"),
    (a_pipe, "is no regular file"),
    (a_link_to_a_pipe, "is no regular file"),
    (a_socket, "is no regular file"),
    (a_device, "leads to"),
]


@pytest.mark.parametrize(("make", "reason"), ATTACKS, ids=lambda given: getattr(given, "__name__", ""))
def test_what_must_not_be_shown_is_not_and_the_log_says_why(
    place: Place, make: Callable[[Place], str], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = make(place)
    begun = time.monotonic()

    found = place.find(path)

    assert reason in (why(found) or "")
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "snapshot" in record.getMessage()
    assert repr(path) in record.getMessage()
    assert reason in record.getMessage()
    assert time.monotonic() - begun < DEADLINE


def test_links_within_the_roots_are_followed(place: Place) -> None:
    (place.visit / "relion").symlink_to(place.visit)
    (place.visit / "link.png").symlink_to("image.png")

    assert content(place.find(place.visit / "relion" / "link.png")) == b"image"


def test_a_root_may_itself_be_a_link(place: Place, tmp_path: Path) -> None:
    (tmp_path / "mount").symlink_to(place.root)
    roots = [tmp_path / "mount"]
    path = f"{tmp_path}/mount/m12/data/2026/cm31111-7/image.png"

    assert content(served.find(place.looks, roots, path, "snapshot")) == b"image"
    assert "does not lie below" in (why(served.find(place.looks, roots, str(place.image), "snapshot")) or "")


def test_every_root_counts(place: Place, tmp_path: Path) -> None:
    roots = [tmp_path / "elsewhere", place.root, Path("/")]

    assert content(served.find(place.looks, roots, str(place.image), "snapshot")) == b"image"
    assert content(served.find(place.looks, roots, str(place.secret), "snapshot")) == b"secret"


def test_a_loop_of_links_leads_to_no_file(place: Place) -> None:
    (place.visit / "loop").symlink_to(place.visit / "loop")

    assert isinstance(place.find(place.visit / "loop"), NoFile)
    assert isinstance(place.find(place.visit / "loop" / "image.png"), NoFile)


def test_a_file_put_in_its_place_while_it_is_opened_is_judged_by_where_it_lies(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder becomes a link after the path was judged, and before the file is opened."""
    folder, real_open = place.visit / "folder", os.open
    folder.mkdir()
    (folder / "secret.png").write_bytes(b"harmless")

    def swap_and_open(path: str, flags: int) -> int:
        folder.rename(place.visit / "away")
        folder.symlink_to(place.secret.parent)
        return real_open(path, flags)

    monkeypatch.setattr(os, "open", swap_and_open)
    found = place.find(folder / "secret.png")

    assert "leads to" in (why(found) or "")


@pytest.mark.parametrize("replacement", ["link", "pipe", "folder"])
def test_something_else_put_in_its_place_while_it_is_opened_is_not_shown(
    place: Place, monkeypatch: pytest.MonkeyPatch, replacement: str
) -> None:
    real_open = os.open

    def swap_and_open(path: str, flags: int) -> int:
        place.image.unlink()
        if replacement == "link":
            place.image.symlink_to(place.secret)
        elif replacement == "pipe":
            os.mkfifo(place.image)
        else:
            place.image.mkdir()
        return real_open(path, flags)

    monkeypatch.setattr(os, "open", swap_and_open)
    begun = time.monotonic()

    assert isinstance(place.find(place.image), NoFile)
    assert time.monotonic() - begun < DEADLINE


def descriptors() -> set[str]:
    return {entry for entry in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{entry}")}


@pytest.mark.parametrize("make", [make for make, _ in ATTACKS], ids=lambda make: make.__name__)
def test_no_file_stays_open(place: Place, make: Callable[[Place], str]) -> None:
    path = make(place)
    before = descriptors()

    place.find(path)
    place.find(place.image)
    place.find(place.image, most=0)

    assert descriptors() == before


@pytest.mark.parametrize(
    ("error", "reason"),
    [(PermissionError(13, "Permission denied"), "may not be read"), (OSError(5, "Input/output error"), "Input/output")],
)
def test_what_the_file_system_refuses_has_a_reason(
    place: Place, monkeypatch: pytest.MonkeyPatch, error: OSError, reason: str
) -> None:
    def refuse(path: str, flags: int) -> int:
        raise error

    monkeypatch.setattr(os, "open", refuse)

    found = served.find_all(place.looks, [place.root], {str(place.image): 0}, "attachment")[str(place.image)]

    assert reason in (why(found) or "")


def test_a_failing_file_system_is_no_answer_but_a_refusing_one_is_a_missing_file(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors: list[OSError] = [PermissionError(13, "Permission denied"), OSError(5, "Input/output error")]

    def refuse(path: str, flags: int) -> int:
        raise errors.pop(0)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(FileMissing):
        served.get(place.looks, [place.root], str(place.image), "snapshot")
    with pytest.raises(FileUnavailable):
        served.get(place.looks, [place.root], str(place.image), "snapshot")


@pytest.mark.parametrize("path", [None, "/nowhere/image.png"])
def test_where_there_is_no_file_the_error_says_of_what(place: Place, path: str | None) -> None:
    with pytest.raises(FileMissing, match="no snapshot to show"):
        served.get(place.looks, [place.root], path, "snapshot")


@pytest.fixture
def hung(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A file system that does not answer until the event is set."""
    back = threading.Event()
    real = os.path.realpath

    def wait(path: str) -> str:
        back.wait(20)
        return real(path)

    monkeypatch.setattr(os.path, "realpath", wait)
    yield back
    back.set()


def test_a_file_system_that_hangs_costs_the_deadline_once_and_two_threads(
    tmp_path: Path, hung: threading.Event
) -> None:
    place = Place(tmp_path)
    looks = Looks(threads=8, deadline=0.2)
    before = descriptors()

    begun = time.monotonic()
    for _ in range(5):
        with pytest.raises(FileUnavailable, match="Try again"):
            served.get(looks, [place.root], str(place.image), "snapshot")

    assert time.monotonic() - begun < 5 * 0.2
    assert looks.threads <= 2
    hung.set()
    end = time.monotonic() + 5
    while True:  # the late looks end, and leave nothing open
        try:
            assert content(served.find(looks, [place.root], str(place.image), "snapshot")) == b"image"
            break
        except NoAnswer:
            assert time.monotonic() < end
            time.sleep(0.01)
    assert descriptors() == before


def test_a_path_that_is_refused_by_its_text_needs_no_file_system(place: Place, hung: threading.Event) -> None:
    assert "does not lie below" in (why(place.find(place.secret)) or "")


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/dls/m12/data/2026/cm31111-7/processed/a/b.png", "/dls/m12/data/2026/cm31111-7"),
        ("/dls/m12/data/2026/cm31111-7/raw/ab1-2/x/b.png", "/dls/m12/data/2026/cm31111-7"),
        ("//dls//m12/data/2026/cm31111-7/b.png", "/dls/m12/data/2026/cm31111-7"),
        ("/dls/m12/scratch/somebody/a/b.png", "/dls/m12/scratch/somebody"),
        ("/dls/b.png", "/dls/b.png"),
        ("/dls/cm31111-7", "/dls/cm31111-7"),
    ],
)
def test_what_hangs_together_is_the_visit_directory_or_a_few_levels(path: str, key: str) -> None:
    assert served.key_of(path, [Path("/dls")]) == f"files of {key}"


def test_many_files_are_found_in_one_look(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []
    real = place.looks.run

    def count(key: str, look: Callable[[], object], **how: Any) -> object:
        runs.append(key)
        return real(key, look, **how)

    monkeypatch.setattr(place.looks, "run", count)
    missing, other = str(place.visit / "missing"), str(place.secret)

    found = served.find_all(place.looks, [place.root], {str(place.image): 9, missing: 9, other: 9}, "attachment")

    assert content(found[str(place.image)]) == b"image"
    assert found[missing] == NoFile()
    assert why(found[other]) is not None
    assert runs == [f"files of {place.visit}"]


def test_parts_of_a_large_file_are_read_one_by_one(place: Place) -> None:
    place.image.write_bytes(b"0123456789")
    file = place.find(place.image, most=0)
    assert isinstance(file, File)

    parts = [served.read(place.looks, [place.root], file, start, 4) for start in (0, 4)]
    rest = served.read(place.looks, [place.root], file, 8, 2)

    assert parts == [b"0123", b"4567"]
    assert rest == b"89"
    with pytest.raises(FileChanged):
        served.read(place.looks, [place.root], file, 8, 4)


def rewritten(place: Place) -> None:
    place.image.write_bytes(b"9876543210")
    os.utime(place.image, ns=(0, 1))


def replaced(place: Place) -> None:
    place.image.rename(place.visit / "old")
    place.image.write_bytes(b"9876543210")


def led_outside(place: Place) -> None:
    place.image.unlink()
    place.image.symlink_to(place.secret)


@pytest.mark.parametrize("change", [rewritten, replaced, led_outside], ids=lambda change: change.__name__)
def test_a_file_that_changes_while_it_is_sent_is_not_sent_on(place: Place, change: Callable[[Place], None]) -> None:
    place.image.write_bytes(b"0123456789")
    os.utime(place.image, ns=(0, 0))
    file = place.find(place.image, most=0)
    assert isinstance(file, File)
    change(place)

    with pytest.raises(FileChanged):
        served.read(place.looks, [place.root], file, 4, 4)


def test_a_file_that_grows_while_it_is_read_is_read_up_to_its_size(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fstat

    def grow(descriptor: int) -> os.stat_result:
        status = real(descriptor)
        with place.image.open("ab") as file:
            file.write(b" and more")
        return status

    monkeypatch.setattr(os, "fstat", grow)

    found = place.find(place.image)

    assert isinstance(found, File)
    assert (found.size, found.content) == (5, b"image")
