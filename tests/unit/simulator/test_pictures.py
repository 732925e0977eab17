"""The pictures open, differ, and stay the same."""

from collections.abc import Callable
from pathlib import Path

import pytest

from app.simulator import pictures
from tests.support.png import read_png


@pytest.mark.parametrize("draw", [pictures.micrograph, pictures.power_spectrum, pictures.class_average])
def test_a_picture_opens_and_is_the_same_for_the_same_seed(draw: Callable[[str], bytes], tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(draw("a"))

    assert read_png(tmp_path / "a.png") == (64, 64)
    assert draw("a") == draw("a")
    assert draw("a") != draw("b")


def test_picks_are_drawn_into_the_same_micrograph() -> None:
    assert pictures.micrograph("a", picks=5) != pictures.micrograph("a")
