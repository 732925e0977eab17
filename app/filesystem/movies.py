"""Do raw movies exist? The look stops at the first one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class MovieLook:
    """What a look for movies saw.

    Args:
        movie: the first one found.
        outside: a directory or movie whose real path leaves the folders that it must stay in.
        unreadable: a directory that could not be read; without a movie, nothing is known then.
    """

    movie: Path | None = None
    outside: Path | None = None
    unreadable: Path | None = None

    @property
    def exists(self) -> bool | None:
        """Whether there is at least one movie; ``None`` if that could not be seen."""
        return True if self.movie else None if self.unreadable else False


def look(directory: Path, template: str, *, within: Sequence[Path]) -> MovieLook:
    """Look for the first movie that matches ``template`` below ``directory``.

    ``*`` and ``?`` match within one level and not a leading dot, as the shell and RELION's import have it. Links among
    the directories that match are all followed and checked, since RELION follows them all; of the movies only the
    first is looked at, for there may be tens of thousands.

    Args:
        within: folders that links must not lead out of.
    """
    if not is_below(directory, within):
        return MovieLook(outside=directory)
    *levels, last = template.split("/")
    unreadable: list[Path] = []
    directories = [directory]
    for level in levels:
        directories = [found for parent in directories for found in _matches(parent, level, unreadable, folders=True)]
        for found in directories:
            if found.is_symlink() and not is_below(found, within):
                return MovieLook(outside=found)
    for parent in directories:
        for movie in _matches(parent, last, unreadable, folders=False):
            return MovieLook(movie=movie) if is_below(movie, within) else MovieLook(outside=movie)
    return MovieLook(unreadable=unreadable[0] if unreadable else None)


def is_below(path: Path, folders: Sequence[Path]) -> bool:
    """Whether a path, with its links followed, is one of these folders or lies below one."""
    real = Path(os.path.realpath(path))
    return any(real.is_relative_to(os.path.realpath(folder)) for folder in folders)


def _matches(parent: Path, name: str, unreadable: list[Path], *, folders: bool) -> Iterator[Path]:
    """The folders or files in a directory whose names match, one by one."""
    path = parent
    try:
        if not re.search(r"[*?]", name):
            path = parent / name
            if path.is_dir() if folders else path.is_file():
                yield path
            return
        pattern = re.compile(re.escape(name).replace(r"\*", "[^/]*").replace(r"\?", "[^/]"), re.DOTALL)
        with os.scandir(parent) as entries:
            for entry in entries:
                if not pattern.fullmatch(entry.name) or (entry.name.startswith(".") and not name.startswith(".")):
                    continue
                if entry.is_dir() if folders else entry.is_file():
                    yield Path(entry.path)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError:
        unreadable.append(path)
