"""The form that makes a data collection."""

from __future__ import annotations

from typing import Any

import pytest

from app.data_collections.movies import MoviesRequest
from app.synchweb.forms import MOVIE_FIELDS, FormInvalid, check_dc_form, dc_schema
from tests.unit.synchweb.recorded import cases, expected, posted

NEW = cases("dc_new_")
DIALOG = posted(NEW["dc_new_ok_frontend_payload"])


def wrong(form: dict[str, Any]) -> dict[str, str]:
    """The fields that are refused, with their messages."""
    try:
        check_dc_form(form)
    except FormInvalid as error:
        return {one.field: one.message for one in error.errors}
    return {}


def test_the_form_is_as_recorded_in_the_order_on_the_screen() -> None:
    schema = dc_schema()

    assert schema == expected("dc_schema")
    assert list(schema) == list(expected("dc_schema"))


@pytest.mark.parametrize("name", ["dc_new_no_body", "dc_new_form_body", "dc_new_invalid_before_session"])
def test_a_form_without_fields_is_refused_on_those_that_are_required(name: str) -> None:
    assert wrong(posted(NEW[name])) == dict.fromkeys(MOVIE_FIELDS, "is required")


def test_values_that_cannot_be_are_refused_on_each_field() -> None:
    assert wrong(posted(NEW["dc_new_invalid_values"])) == {
        "acquisitionSoftware": "must be one of EPU, SerialEM",
        "imageDirectory": "may have letters, digits, '_' and '-' only",
        "imageSuffix": "must be one of tif, tiff, mrc, eer",
    }


def test_what_the_dialog_posts_says_which_movies_are_meant() -> None:
    form = check_dc_form(DIALOG)

    assert form.movies == MoviesRequest("raw-3_b", software="EPU", suffix="mrc")
    assert form.comments is None


@pytest.mark.parametrize(
    "directory", ["", None, "../etc", "raw/sub", "/dls", "a b", "raw*", "é", ".", "..", "\n", "a\n\n", 5, True, []]
)
def test_no_directory(directory: object) -> None:
    assert set(wrong(DIALOG | {"imageDirectory": directory})) == {"imageDirectory"}


@pytest.mark.parametrize("value", ["epu", "EPU ", 0, True, [], {}])
def test_no_acquisition_software(value: object) -> None:
    assert wrong(DIALOG | {"acquisitionSoftware": value}) == {"acquisitionSoftware": "must be one of EPU, SerialEM"}


def test_comments_are_taken_if_some_are_given() -> None:
    assert check_dc_form(DIALOG | {"comments": "Good ice\nµ é"}).comments == "Good ice\nµ é"


@pytest.mark.parametrize(
    "comments", [5, True, [], ["a"], {}, "x" * 1025, "映", "a\0b", "\ud800"], ids=lambda value: repr(value)[:9]
)
def test_comments_that_ispyb_cannot_store_are_refused(comments: object) -> None:
    assert set(wrong(DIALOG | {"comments": comments})) == {"comments"}


def test_what_is_only_shown_is_ignored_and_so_is_what_is_unknown() -> None:
    assert check_dc_form(DIALOG | {"voltage": "x", "fileTemplate": "/etc/*", "no_such_field": []}) == check_dc_form(
        DIALOG
    )
