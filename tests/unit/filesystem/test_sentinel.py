"""What is seen in a run's directory."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.filesystem.sentinel import Sentinel, SentinelLook, look

MORNING, NOON, EVENING = (datetime(2021, 6, 8, hour, tzinfo=UTC) for hour in (8, 12, 18))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The empty project directory of a run that began in the morning."""
    directory = tmp_path / "6f0b0d5e"
    directory.mkdir()
    touch(directory, MORNING)
    return directory


def touch(path: Path, moment: datetime) -> Path:
    """Set the time of a file or directory; of a link itself, not of what it leads to."""
    os.utime(path, (moment.timestamp(), moment.timestamp()), follow_symlinks=False)
    return path


def put(directory: Path, name: str, moment: datetime, *, directory_at: datetime = MORNING) -> None:
    """A file of this time, in a directory of that time."""
    (directory / name).touch()
    touch(directory / name, moment)
    touch(directory, directory_at)


def test_an_empty_directory_is_evidence_too(run: Path) -> None:
    assert look(run) == SentinelLook(directory=True, sentinels=(), newest=MORNING)


@pytest.mark.parametrize(
    "name", ["RUNNING_RELION_IT", "RUNNING_PIPELINER_PREPROCESS", "RUNNING_PIPELINER_CLASS2D_ITER0"]
)
def test_a_sentinel_and_since_when_it_is_there(run: Path, name: str) -> None:
    put(run, name, NOON)

    assert look(run) == SentinelLook(True, (Sentinel(name, NOON),), NOON)


def test_sentinels_come_in_the_order_of_their_names(run: Path) -> None:
    put(run, "RUNNING_RELION_IT", MORNING)
    put(run, "RUNNING_PIPELINER_B", EVENING)
    put(run, "RUNNING_PIPELINER_A", NOON)

    found = look(run)

    assert [sentinel.name for sentinel in found.sentinels] == [
        "RUNNING_PIPELINER_A", "RUNNING_PIPELINER_B", "RUNNING_RELION_IT",
    ]  # fmt: skip
    assert found.newest == EVENING


def test_the_list_of_submitted_jobs_is_a_sign_of_life_and_no_sentinel(run: Path) -> None:
    put(run, "RELION_IT_SUBMITTED_JOBS", NOON)

    assert look(run) == SentinelLook(True, (), NOON, has_run=True)


def test_a_change_of_the_directory_is_a_sign_of_life(run: Path) -> None:
    put(run, "RUNNING_RELION_IT", MORNING, directory_at=EVENING)

    assert look(run).newest == EVENING


@pytest.mark.parametrize(
    "name", ["default_pipeline.star", "running_relion_it", "NOT_RUNNING_RELION_IT", ".RUNNING_X", "RUNNING", "note.txt"]
)
def test_other_files_say_nothing(run: Path, name: str) -> None:
    put(run, name, EVENING)

    assert look(run) == SentinelLook(True, (), MORNING)


def test_a_sentinel_may_be_a_link_that_leads_nowhere(run: Path) -> None:
    (run / "RUNNING_RELION_IT").symlink_to("nowhere")
    touch(run / "RUNNING_RELION_IT", NOON)
    touch(run, MORNING)

    assert look(run) == SentinelLook(True, (Sentinel("RUNNING_RELION_IT", NOON),), NOON)


def test_times_are_in_utc(run: Path) -> None:
    put(run, "RUNNING_RELION_IT", NOON)

    found = look(run)

    assert found.newest is not None
    assert found.newest.tzinfo is UTC
    assert found.sentinels[0].since.tzinfo is UTC


@pytest.mark.parametrize(
    "path",
    ["missing", "missing/deeper", "file", "file/deeper", "dangling"],
)
def test_no_directory_is_no_sign_of_a_run(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")

    assert look(tmp_path / path) == SentinelLook(directory=False)


def scanning(monkeypatch: pytest.MonkeyPatch, then: Callable[[], None]) -> None:
    """Do something between the moment at which a directory was read and the look at its files."""
    real = os.scandir

    class Scanned:
        def __init__(self, path: Any) -> None:
            with real(path) as entries:
                self._entries = list(entries)
            then()

        def __enter__(self) -> Any:
            return iter(self._entries)

        def __exit__(self, *_: object) -> None:
            return None

    monkeypatch.setattr("os.scandir", Scanned)


def test_a_sentinel_that_is_removed_meanwhile_does_not_take_its_directory_with_it(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # RELION removes its sentinels when it ends: just then somebody is sure to look.
    put(run, "RUNNING_RELION_IT", NOON)
    put(run, "RUNNING_PIPELINER_A", NOON)
    scanning(monkeypatch, (run / "RUNNING_RELION_IT").unlink)

    found = look(run)

    assert found.directory is True
    assert [sentinel.name for sentinel in found.sentinels] == ["RUNNING_PIPELINER_A"]


def test_a_directory_that_is_removed_meanwhile_is_not_there(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.scandir

    def scandir(path: Any) -> Any:
        run.rmdir()
        return real(path)

    monkeypatch.setattr("os.scandir", scandir)

    assert look(run) == SentinelLook(directory=False)


@pytest.mark.parametrize(
    "error",
    [PermissionError(13, "Permission denied"), OSError(5, "Input/output error"), OSError(116, "Stale file handle")],
    ids=str,
)
@pytest.mark.parametrize("call", ["os.scandir", "os.stat"])
def test_a_directory_that_cannot_be_read_is_an_error_and_not_a_missing_one(
    run: Path, monkeypatch: pytest.MonkeyPatch, call: str, error: OSError
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(call, fail)
        with pytest.raises(OSError, match=str(error.strerror)) as caught:
            look(run)

    assert caught.value is error
