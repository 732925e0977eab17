"""The gain reference lies in the visit's ``processing`` folder, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.filesystem.gain_reference import GainLook, look, path_of


@pytest.fixture
def visit(tmp_path: Path) -> Path:
    """A visit directory with an empty ``processing``."""
    (tmp_path / "cm28212-1/processing").mkdir(parents=True)
    return tmp_path / "cm28212-1"


def test_its_path() -> None:
    assert path_of(Path("/dls/m12/data/2021/cm28212-1"), "gain.mrc") == Path(
        "/dls/m12/data/2021/cm28212-1/processing/gain.mrc"
    )


def test_it_is_there(visit: Path) -> None:
    path_of(visit, "gain.mrc").touch()

    assert look(path_of(visit, "gain.mrc"), within=visit) == GainLook(exists=True)


def test_it_is_missing(visit: Path) -> None:
    assert look(path_of(visit, "gain.mrc"), within=visit) == GainLook(exists=False)


def test_a_folder_is_no_gain_reference(visit: Path) -> None:
    path_of(visit, "gain.mrc").mkdir()

    assert look(path_of(visit, "gain.mrc"), within=visit) == GainLook(exists=False)


def test_it_may_be_a_link_that_stays_inside(visit: Path) -> None:
    (visit / "raw").mkdir()
    (visit / "raw/gain.mrc").touch()
    path_of(visit, "gain.mrc").symlink_to("../raw/gain.mrc")

    assert look(path_of(visit, "gain.mrc"), within=visit) == GainLook(exists=True)


@pytest.mark.parametrize("there", [True, False])
def test_a_link_must_not_lead_out_of_the_visit(visit: Path, tmp_path: Path, there: bool) -> None:
    if there:
        (tmp_path / "secret").touch()
    path_of(visit, "gain.mrc").symlink_to(tmp_path / "secret")

    assert look(path_of(visit, "gain.mrc"), within=visit) == GainLook(exists=there, outside=True)
