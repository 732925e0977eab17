"""Which texts can be a data collection's comments."""

from __future__ import annotations

import pytest

from app.data_collections.rules import COMMENTS, comments_misfit
from app.ispyb import tables


def test_the_limit_is_the_columns() -> None:
    assert COMMENTS == tables.DataCollection.c.comments.type.length  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "text", ["", "Good ice", "two\nlines\r\n\tand a tab", 'é µ "quoted" </tag>', "€" * COMMENTS, "\n" * COMMENTS]
)
def test_what_fits(text: str) -> None:
    assert comments_misfit(text) is None


@pytest.mark.parametrize(
    "text",
    ["x" * (COMMENTS + 1), "\n" * (COMMENTS + 1), "a\0b", "\x1b[0m", "\x7f", "映", "😀", "\ud800"],
    ids=lambda text: ascii(text)[:10],
)
def test_what_does_not_fit(text: str) -> None:
    assert comments_misfit(text)
