"""What ``EM.php`` answered, wrote and sent to those who change something, the service does too."""

from __future__ import annotations

import httpx
import pytest

from tests.synchweb.replay import Stage, read_cases

CASES = {name: case for name, case in read_cases().items() if case["request"]["method"] != "GET"}


@pytest.mark.parametrize("name", CASES)
def test_the_answer_the_rows_and_the_message_are_as_recorded(stage: Stage, browser: httpx.Client, name: str) -> None:
    assert stage.play(browser, CASES[name]) == []
