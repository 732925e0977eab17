"""``ctf/summary``: fifty thousand rows, written without a dictionary for each."""

from __future__ import annotations

import json
from datetime import datetime

from app.synchweb import results

MORNING = datetime(2021, 6, 8, 9, 5, 7)


def test_rows_are_objects_of_texts() -> None:
    sent = results.summary([(1, MORNING, 305.25, 4.12, 11837.1), (2, MORNING, 1e-7, 512.0, -0.0)])

    assert json.loads(sent) == [
        {
            "imageNumber": "1",
            "createdTimeStamp": "2021-06-08 09:05:07",
            "astigmatism": "30.525",
            "estimatedResolution": "4.12",
            "estimatedDefocus": "1.18371",
        },
        {
            "imageNumber": "2",
            "createdTimeStamp": "2021-06-08 09:05:07",
            "astigmatism": "0.00000001",
            "estimatedResolution": "512",
            "estimatedDefocus": "0",
        },
    ]


def test_what_is_not_known_is_null() -> None:
    (row,) = json.loads(results.summary([(None, None, None, None, None)]))

    assert set(row.values()) == {None}


def test_no_rows_are_an_empty_list() -> None:
    assert results.summary([]) == b"[]"


def test_it_is_written_as_other_answers_are() -> None:
    sent = results.summary([(1, MORNING, 1.0, 2.0, 3.0)])

    assert sent == json.dumps(json.loads(sent), separators=(",", ":")).encode()
