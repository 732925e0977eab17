"""What ``EM.php`` answered to those who only look, the service answers too."""

from __future__ import annotations

import httpx
import pytest

from tests.synchweb.replay import Stage, read_cases

CASES = {name: case for name, case in read_cases().items() if case["request"]["method"] == "GET"}


@pytest.mark.parametrize("name", CASES)
def test_the_answer_is_as_recorded(stage: Stage, browser: httpx.Client, name: str) -> None:
    assert stage.play(browser, CASES[name]) == []


def test_nothing_that_was_recorded_is_left_out() -> None:
    posts = [name for name in read_cases() if name not in CASES]

    assert (len(CASES), len(posts)) == (135, 60)
