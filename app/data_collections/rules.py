"""Decisions about data collections: which files one means, and where its results will lie."""

from __future__ import annotations

import os
import posixpath
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from app.errors import FieldError, Invalid
from app.ispyb.text import FILE_TEMPLATE, IMAGE_DIRECTORY, misfit

SUFFIXES = ("tif", "tiff", "mrc", "eer")
TEMPLATES = {"EPU": "GridSquare_*/Data/*.{suffix}", "SerialEM": "Frames/*.{suffix}"}
PREFIXES = {"EPU": "GridSquare", "SerialEM": "Frames"}
COMMENTS = 1024  # characters of DataCollection.comments

# As Zocalo's filter finds the visit in a path (python-relion, relion.zocalo.ispyb_recipe_tools), greedy.
VISIT_IN_PATH = re.compile(r"^(.*/([a-z][a-z][0-9]+-[0-9]+))/")


class MoviesInvalid(Invalid):
    """This does not say which movies are meant, or they lie where they must not."""


class NoMoviesDirectory(Invalid):
    """The data collection has no directory that Zocalo could derive the results directory from."""


@dataclass(frozen=True)
class Movies:
    """A set of movies: all files below ``directory`` that match ``template``.

    Args:
        directory: absolute, without a slash at its end.
        template: relative to it, ``GridSquare_*/Data/*.tiff``.
    """

    directory: str
    template: str

    @property
    def suffix(self) -> str:
        """``tif``, ``tiff``, ``mrc`` or ``eer``."""
        return suffix_of(self.template)

    @property
    def software(self) -> str:
        """``EPU`` or ``SerialEM``."""
        return software_of(f"{posixpath.basename(self.directory)}/{self.template}")

    @property
    def import_images(self) -> str:
        """The pattern that RELION's import gets."""
        return f"{self.directory}/{self.template}"


@dataclass(frozen=True)
class DataCollection:
    """A data collection (a DCID) as ISPyB has it. Times have offsets."""

    dcid: int
    session_id: int
    image_directory: str | None
    file_template: str | None
    image_prefix: str | None
    image_suffix: str | None
    number: int | None
    start: datetime | None
    end: datetime | None
    run_status: str | None
    comments: str | None


def suffix_of(template: str) -> str:
    """The extension of a template, in lower case."""
    return template.rpartition(".")[2].lower()


def software_of(template: str) -> str:
    """SerialEM writes into a folder named ``Frames``, EPU into grid squares; other layouts are EPU's as well."""
    return "SerialEM" if any(part.startswith("Frames") for part in template.split("/")[:-1]) else "EPU"


def parse_movies(
    visit_directory: Path,
    image_directory: str,
    *,
    software: str | None = None,
    suffix: str | None = None,
    template: str | None = None,
    prefix: str = "",
) -> Movies:
    """Read what a client says about its movies.

    Args:
        visit_directory: what ``image_directory`` is relative to, and must not leave.
        prefix: what stands before the fields' names in the client's request.

    Raises:
        MoviesInvalid: naming every field that is wrong.
    """
    errors: list[FieldError] = []
    directory = ""
    try:
        directory = _directory(visit_directory, image_directory)
    except ValueError as error:
        errors.append(FieldError("imageDirectory", str(error)))
    given = software is not None or suffix is not None
    if template is not None and given:
        errors.append(FieldError("fileTemplate", "give either this or acquisitionSoftware with imageSuffix, not both"))
    elif template is None:
        if software not in TEMPLATES:
            errors.append(
                FieldError("acquisitionSoftware", f"must be one of {', '.join(TEMPLATES)} (or give fileTemplate)")
            )
        if suffix not in SUFFIXES:
            errors.append(FieldError("imageSuffix", f"must be one of {', '.join(SUFFIXES)} (or give fileTemplate)"))
    cleaned = ""
    if template is not None and not given:
        try:
            cleaned = _template(template)
        except ValueError as error:
            errors.append(FieldError("fileTemplate", str(error)))
    if errors:
        raise MoviesInvalid(
            "That does not say which movies are meant. Nothing was changed; correct the fields named.",
            errors=[FieldError(prefix + error.field, error.message) for error in errors],
        )
    return Movies(directory, cleaned or TEMPLATES[software or "EPU"].format(suffix=suffix))


def _directory(visit_directory: Path, text: str) -> str:
    if reason := misfit(text, IMAGE_DIRECTORY):
        raise ValueError(reason)
    if re.search(r"[*?\[\]]", text):
        raise ValueError("must not contain wildcards; they belong into fileTemplate")
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ValueError("must not contain '..'")
    if text.startswith("/"):
        directory = "/" + "/".join(parts)
        if not Path(directory).is_relative_to(visit_directory):
            raise ValueError(f"must lie in the visit's directory, {visit_directory}")
    else:
        directory = posixpath.join(visit_directory, *parts)
    if len(directory) + 1 > IMAGE_DIRECTORY:
        raise ValueError(f"is longer than ISPyB can store ({IMAGE_DIRECTORY} characters with the visit's directory)")
    return directory


def _template(text: str) -> str:
    if reason := misfit(text, FILE_TEMPLATE):
        raise ValueError(reason)
    if text.startswith("/"):
        raise ValueError("must be relative to imageDirectory, such as GridSquare_*/Data/*.tiff")
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ValueError("must not contain '..'")
    if any("**" in part for part in parts):
        raise ValueError(
            "must not contain '**': RELION's import does not descend; name each level, as in */Data/*.tiff"
        )
    if re.search(r"[\[\]{}\\]", text):
        raise ValueError("may have the wildcards * and ? only")
    if not parts or text.endswith("/") or suffix_of(text) not in SUFFIXES or "." not in parts[-1]:
        raise ValueError(f"must end in one of {', '.join('.' + suffix for suffix in SUFFIXES)}")
    return "/".join(parts)


def same_files(movies: Movies, image_directory: str | None, file_template: str | None) -> bool:
    """Whether a stored data collection is these files: exactly, as a file system would compare them."""
    return file_template == movies.template and image_directory in (movies.directory, movies.directory + "/")


def comments_misfit(text: str) -> str | None:
    """Why this cannot be a data collection's comments, or ``None`` if it can. They may have several lines."""
    return misfit(re.sub(r"[\t\r\n]", " ", text), COMMENTS)


def results_directory(image_directory: str, prefix: str | None, number: int | None, guid: str) -> Path | None:
    """Where Zocalo lets RELION run: exactly what its filter computes (``dc_info_to_results_directory``).

    Returns:
        ``None`` if the filter would find no visit in the path, or would leave it.
    """
    return _zocalo_directory("processed", image_directory, prefix, number, guid)


def working_directory(image_directory: str, prefix: str | None, number: int | None, guid: str) -> Path | None:
    """Zocalo's scratch for a run (``dc_info_to_working_directory``)."""
    return _zocalo_directory("tmp/zocalo", image_directory, prefix, number, guid)


def _zocalo_directory(
    below: str, image_directory: str, prefix: str | None, number: int | None, guid: str
) -> Path | None:
    match = VISIT_IN_PATH.search(image_directory)
    if match is None:
        return None
    visit = match[1]
    rest = image_directory[len(visit) + 1 :]
    collection = prefix or ""
    if collection or number:
        collection = f"{collection}_{number or ''}"
    directory = os.path.normpath(os.path.join(visit, below, rest, collection, guid))
    return Path(directory) if Path(directory).is_relative_to(os.path.join(visit, below)) else None


def stop_file(image_directory: str | None, job_id: int) -> Path | None:
    """The file that tells the run of a job to stop, as our recipes name it (deploy/zocalo/recipes): by job, so that it
    can be made before the run has a directory, and for jobs from elsewhere.
    """
    match = VISIT_IN_PATH.search(image_directory or "")
    return None if match is None else Path(match[1]) / "tmp" / f"relion-stop-{job_id}"


def require_results_directory(collection: DataCollection, guid: str) -> Path:
    """The results directory of a run of this data collection.

    Raises:
        NoMoviesDirectory: Zocalo could not find one either.
    """
    directory = None
    if collection.image_directory and collection.file_template:
        directory = results_directory(collection.image_directory, collection.image_prefix, collection.number, guid)
    if directory is None:
        missing = "fileTemplate" if collection.image_directory and not collection.file_template else "imageDirectory"
        raise NoMoviesDirectory(
            f"Data collection {collection.dcid} has no usable {missing} in ISPyB, so RELION cannot be told where its "
            "movies are. Launch by the movies' directory instead, or ask the facility's staff to correct it.",
            errors=[FieldError(missing, "is missing in ISPyB, or does not lie in a visit's directory")],
            dataCollectionId=collection.dcid,
        )
    return directory
