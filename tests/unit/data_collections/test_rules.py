"""Which movies a client means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.data_collections.rules import (
    SUFFIXES,
    Movies,
    MoviesInvalid,
    parse_movies,
    same_files,
    software_of,
    suffix_of,
)

VISIT = Path("/dls/m12/data/2021/cm28212-1")


EPU = "GridSquare_*/Data/*.tiff"


def parse(directory: str = "raw", template: str | None = EPU, **overrides: Any) -> Movies:
    """Movies as a client describes them, by directory and template."""
    return parse_movies(VISIT, directory, **({"template": template} | overrides))


def wrong_fields(**given: Any) -> dict[str, str]:
    """The fields that are refused, and why."""
    with pytest.raises(MoviesInvalid) as caught:
        parse(**given)
    return {error.field: error.message for error in caught.value.errors}


# Directories.
@pytest.mark.parametrize(
    ("text", "directory"),
    [
        pytest.param("raw", "raw", id="relative"),
        pytest.param("raw/", "raw", id="trailing slash"),
        pytest.param("raw///", "raw", id="trailing slashes"),
        pytest.param("./raw", "raw", id="dot in front"),
        pytest.param("raw/.", "raw", id="dot behind"),
        pytest.param("./raw/././a/.", "raw/a", id="dots everywhere"),
        pytest.param("raw//a", "raw/a", id="double slash"),
        pytest.param("raw/a/b/c", "raw/a/b/c", id="deep"),
        pytest.param("/dls/m12/data/2021/cm28212-1/raw", "raw", id="absolute"),
        pytest.param("/dls/m12/data/2021/cm28212-1/raw/", "raw", id="absolute with trailing slash"),
        pytest.param("//dls//m12/data/2021/cm28212-1///raw", "raw", id="absolute with double slashes"),
        pytest.param("/dls/m12/./data/2021/cm28212-1/./raw", "raw", id="absolute with dots"),
        pytest.param("/dls/m12/data/2021/cm28212-1", "", id="the visit's directory itself, absolute"),
        pytest.param(".", "", id="the visit's directory itself, a dot"),
        pytest.param("", "", id="the visit's directory itself, nothing"),
        pytest.param("raw/Grid 1", "raw/Grid 1", id="a space is part of a name"),
        pytest.param(" raw ", " raw ", id="also at its ends"),
        pytest.param("raw/...", "raw/...", id="three dots are a name"),
        pytest.param("raw/..a", "raw/..a", id="a name may begin with two dots"),
        pytest.param("raw/a..", "raw/a..", id="a name may end with two dots"),
        pytest.param("raw/Probe_Ä€", "raw/Probe_Ä€", id="Western European"),
        pytest.param("Raw", "Raw", id="case counts"),
        pytest.param("raw\\a", "raw\\a", id="a backslash is part of a name"),
        pytest.param("~", "~", id="a tilde is a name"),
        pytest.param("dls/m12", "dls/m12", id="relative, though it looks like a root"),
    ],
)
def test_a_directory_is_written_in_one_way(text: str, directory: str) -> None:
    movies = parse(text)

    assert movies.directory == f"{VISIT}/{directory}".rstrip("/")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("..", "'..'", id="parent"),
        pytest.param("../cm28212-2/raw", "'..'", id="another visit, climbing"),
        pytest.param("raw/../../cm28212-2", "'..'", id="climbing later"),
        pytest.param("raw/..", "'..'", id="climbing and staying inside"),
        pytest.param("/dls/m12/data/2021/cm28212-1/../cm28212-2", "'..'", id="absolute and climbing"),
        pytest.param("/", "visit's directory", id="root"),
        pytest.param("//", "visit's directory", id="root, twice"),
        pytest.param("/raw", "visit's directory", id="absolute, outside"),
        pytest.param("/etc/passwd", "visit's directory", id="absolute, far outside"),
        pytest.param("/dls/m12/data/2021", "visit's directory", id="above the visit"),
        pytest.param("/dls/m12/data/2021/cm28212-10/raw", "visit's directory", id="a visit whose name begins alike"),
        pytest.param("/dls/m12/data/2021/cm28212-1x", "visit's directory", id="a name that begins alike"),
        pytest.param("/DLS/m12/data/2021/cm28212-1/raw", "visit's directory", id="case counts"),
        pytest.param("raw/GridSquare_*", "wildcards", id="star"),
        pytest.param("raw/?", "wildcards", id="question mark"),
        pytest.param("raw/[ab]", "wildcards", id="brackets"),
        pytest.param("raw\x00", "control characters", id="NUL"),
        pytest.param("raw\n", "control characters", id="newline"),
        pytest.param("raw\x1b[2J", "control characters", id="escape"),
        pytest.param("raw\x7f", "control characters", id="delete"),
        pytest.param("raw/данные", "cannot store", id="Cyrillic"),
        pytest.param("raw/\u200b", "cannot store", id="zero width space"),
        pytest.param("raw/\x81", "cannot store", id="hole in cp1252"),
        pytest.param("raw/\ud800", "cannot store", id="lone surrogate"),
        pytest.param("x" * 256, "longer than 255", id="too long by itself"),
        pytest.param("x" * 1_000_000, "longer than 255", id="far too long"),
        pytest.param("x" * (255 - len(f"{VISIT}/")), "with the visit's directory", id="too long by its trailing slash"),
    ],
)
def test_a_directory_that_leaves_the_visit_or_cannot_be_stored_is_refused(text: str, reason: str) -> None:
    errors = wrong_fields(directory=text)

    assert list(errors) == ["imageDirectory"]
    assert reason in errors["imageDirectory"]


def test_the_longest_directory_fits_its_column_with_a_trailing_slash() -> None:
    movies = parse("x" * (254 - len(f"{VISIT}/")))

    assert len(movies.directory + "/") == 255


# Templates.
@pytest.mark.parametrize(
    ("template", "cleaned", "suffix", "software"),
    [
        (EPU, EPU, "tiff", "EPU"),
        ("Supervisor_*/GridSquare_*/Data/*.tiff", "Supervisor_*/GridSquare_*/Data/*.tiff", "tiff", "EPU"),
        ("Supervisor_????/*/GridSquare_*/Data/*.eer", "Supervisor_????/*/GridSquare_*/Data/*.eer", "eer", "EPU"),
        ("Frames/*.tif", "Frames/*.tif", "tif", "SerialEM"),
        ("session/Frames/*.mrc", "session/Frames/*.mrc", "mrc", "SerialEM"),
        ("*.mrc", "*.mrc", "mrc", "EPU"),
        ("./Frames//*.tif", "Frames/*.tif", "tif", "SerialEM"),
        ("Frames/./*.tif", "Frames/*.tif", "tif", "SerialEM"),
        ("Frames/movie_0001.tif", "Frames/movie_0001.tif", "tif", "SerialEM"),
        ("Frames/*_frameImage.tiff", "Frames/*_frameImage.tiff", "tiff", "SerialEM"),
        ("a.b/*.c.tif", "a.b/*.c.tif", "tif", "EPU"),
        ("Frames/*.TIFF", "Frames/*.TIFF", "tiff", "SerialEM"),
        ("Frames.tif", "Frames.tif", "tif", "EPU"),
        ("x" * 251 + ".tif", "x" * 251 + ".tif", "tif", "EPU"),
    ],
    ids=lambda value: value[:30],
)
def test_a_template_is_relative_and_names_each_level(template: str, cleaned: str, suffix: str, software: str) -> None:
    movies = parse(template=template)

    assert movies == Movies(f"{VISIT}/raw", cleaned)
    assert (movies.suffix, movies.software) == (suffix, software)
    assert movies.import_images == f"{VISIT}/raw/{cleaned}"


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        pytest.param("", "must end in one of .tif, .tiff, .mrc, .eer", id="empty"),
        pytest.param(".", "must end in one of", id="a dot"),
        pytest.param("*", "must end in one of", id="no suffix"),
        pytest.param("tif", "must end in one of", id="only what would be a suffix"),
        pytest.param("Frames.x/tif", "must end in one of", id="the dot stands in a folder"),
        pytest.param("Frames/*", "must end in one of", id="no suffix below a folder"),
        pytest.param("Frames/*.", "must end in one of", id="nothing behind the dot"),
        pytest.param("Frames/*.jpg", "must end in one of", id="unknown suffix"),
        pytest.param("Frames/*.tif.gz", "must end in one of", id="compressed"),
        pytest.param("Frames/*.*", "must end in one of", id="any suffix"),
        pytest.param("Frames/*.tif?", "must end in one of", id="a wildcard in the suffix"),
        pytest.param("Frames/*.tif/", "must end in one of", id="a folder"),
        pytest.param("Frames/*.tif ", "must end in one of", id="a space behind"),
        pytest.param("/Frames/*.tif", "must be relative", id="absolute"),
        pytest.param("/dls/m12/data/2021/cm28212-1/raw/*.tif", "must be relative", id="absolute, though inside"),
        pytest.param("../*.tif", "'..'", id="climbing"),
        pytest.param("Frames/../../*.tif", "'..'", id="climbing later"),
        pytest.param("Frames/..", "'..'", id="parent"),
        pytest.param("**/*.tiff", "must not contain '**'", id="two stars"),
        pytest.param("raw/**/*.tiff", "must not contain '**'", id="two stars in the middle"),
        pytest.param("a**b/*.tiff", "must not contain '**'", id="two stars within a name"),
        pytest.param("**.tiff", "must not contain '**'", id="two stars in the file's name"),
        pytest.param("Frames/[ab]*.tif", "* and ? only", id="brackets"),
        pytest.param("Frames/[!a]*.tif", "* and ? only", id="negated brackets"),
        pytest.param("Frames/*.{tif,tiff}", "* and ? only", id="braces"),
        pytest.param("Frames/\\*.tif", "* and ? only", id="escape"),
        pytest.param("Frames/*\x00.tif", "control characters", id="NUL"),
        pytest.param("Frames/*.tif\n", "control characters", id="newline"),
        pytest.param("кадры/*.tif", "cannot store", id="Cyrillic"),
        pytest.param("\udcff/*.tif", "cannot store", id="lone surrogate"),
        pytest.param("x" * 252 + ".tif", "longer than 255", id="too long"),
    ],
)
def test_a_template_that_says_something_else_is_refused(template: str, reason: str) -> None:
    errors = wrong_fields(template=template)

    assert list(errors) == ["fileTemplate"]
    assert reason in errors["fileTemplate"]


# Acquisition software.
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("software", "template"), [("EPU", "GridSquare_*/Data/*.{}"), ("SerialEM", "Frames/*.{}")], ids=["EPU", "SerialEM"]
)
def test_the_acquisition_software_stands_for_its_template(software: str, template: str, suffix: str) -> None:
    movies = parse(template=None, software=software, suffix=suffix)

    assert movies == Movies(f"{VISIT}/raw", template.format(suffix))
    assert (movies.software, movies.suffix) == (software, suffix)


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        pytest.param({"template": None}, ["acquisitionSoftware", "imageSuffix"], id="neither"),
        pytest.param({"template": None, "software": "EPU"}, ["imageSuffix"], id="no suffix"),
        pytest.param({"template": None, "suffix": "tiff"}, ["acquisitionSoftware"], id="no software"),
        pytest.param({"software": "EPU", "suffix": "tiff"}, ["fileTemplate"], id="both"),
        pytest.param({"software": "EPU"}, ["fileTemplate"], id="template and software"),
        pytest.param({"suffix": "tiff"}, ["fileTemplate"], id="template and suffix"),
        pytest.param({"template": "", "suffix": ""}, ["fileTemplate"], id="both, though empty"),
        pytest.param({"template": "nonsense", "software": "nonsense"}, ["fileTemplate"], id="both, and both wrong"),
        pytest.param(
            {"template": None, "software": "epu", "suffix": "tiff"}, ["acquisitionSoftware"], id="case counts"
        ),
        pytest.param(
            {"template": None, "software": "", "suffix": ""}, ["acquisitionSoftware", "imageSuffix"], id="empty"
        ),
        pytest.param(
            {"template": None, "software": "EPU", "suffix": ".tiff"}, ["imageSuffix"], id="suffix with its dot"
        ),
        pytest.param({"template": None, "software": "EPU", "suffix": "TIFF"}, ["imageSuffix"], id="suffix in capitals"),
        pytest.param({"template": None, "software": "EPU", "suffix": "jpg"}, ["imageSuffix"], id="unknown suffix"),
        pytest.param(
            {"template": None, "software": "EPU", "suffix": "{suffix}"}, ["imageSuffix"], id="suffix as a placeholder"
        ),
        pytest.param(
            {"directory": "..", "template": None}, ["imageDirectory", "acquisitionSoftware", "imageSuffix"], id="all"
        ),
        pytest.param({"directory": "..", "template": ".."}, ["imageDirectory", "fileTemplate"], id="directory too"),
    ],
)
def test_every_field_that_is_wrong_is_named(given: dict[str, Any], fields: list[str]) -> None:
    assert list(wrong_fields(**given)) == fields


def test_fields_are_named_as_the_client_wrote_them() -> None:
    errors = wrong_fields(directory="..", template="..", prefix="movies.")

    assert list(errors) == ["movies.imageDirectory", "movies.fileTemplate"]


@pytest.mark.parametrize(
    ("template", "suffix"), [("*.TIFF", "tiff"), ("a.b/*.eer", "eer"), ("none", "none"), ("", "")], ids=repr
)
def test_suffix_of_a_template(template: str, suffix: str) -> None:
    assert suffix_of(template) == suffix


@pytest.mark.parametrize(
    ("template", "software"),
    [
        ("Frames/*.tif", "SerialEM"),
        ("a/Frames/*.tif", "SerialEM"),
        ("GridSquare_*/Data/*.tiff", "EPU"),
        ("*.tif", "EPU"),
        ("Frames.tif", "EPU"),
        ("NotFrames/*.tif", "EPU"),
    ],
)
def test_software_of_a_template(template: str, software: str) -> None:
    assert software_of(template) == software


@pytest.mark.parametrize(
    ("directory", "software"),
    [("raw/Frames", "SerialEM"), ("raw/Frames/", "SerialEM"), ("raw", "EPU"), ("raw/Frames/later", "EPU")],
)
def test_serial_em_is_known_by_its_folder_also_if_that_is_the_directory(directory: str, software: str) -> None:
    assert parse(directory, "*.tif").software == software


# The same files.
@pytest.mark.parametrize(
    ("directory", "template", "same"),
    [
        pytest.param(f"{VISIT}/raw/", EPU, True, id="with trailing slash"),
        pytest.param(f"{VISIT}/raw", EPU, True, id="without trailing slash"),
        pytest.param(f"{VISIT}/raw//", EPU, False, id="two slashes"),
        pytest.param(f"{VISIT}/raw ", EPU, False, id="space behind the directory"),
        pytest.param(f"{VISIT}/raw/ ", EPU, False, id="space behind the slash"),
        pytest.param(f"{VISIT}/Raw/", EPU, False, id="directory in another case"),
        pytest.param(f"{VISIT}/raw/a/", EPU, False, id="deeper"),
        pytest.param(f"{VISIT}/", EPU, False, id="higher"),
        pytest.param("", EPU, False, id="no directory"),
        pytest.param("/", EPU, False, id="root"),
        pytest.param(None, EPU, False, id="NULL directory"),
        pytest.param(f"{VISIT}/raw/", None, False, id="NULL template"),
        pytest.param(None, None, False, id="NULL both"),
        pytest.param(f"{VISIT}/raw/", "", False, id="no template"),
        pytest.param(f"{VISIT}/raw/", EPU + " ", False, id="space behind the template"),
        pytest.param(f"{VISIT}/raw/", EPU.lower(), False, id="template in another case"),
        pytest.param(f"{VISIT}/raw/", "GridSquare_*/Data/*.tif", False, id="another suffix"),
        pytest.param(f"{VISIT}/raw/", "/" + EPU, False, id="template with a slash in front"),
    ],
)
def test_the_same_files_are_the_same_to_the_letter(directory: str | None, template: str | None, same: bool) -> None:
    movies = parse()

    assert same_files(movies, directory, template) is same
