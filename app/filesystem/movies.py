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

    ``*`` and ``?`` match within one level and not a leading dot, as the shell and RELION's import have it.

    Args:
        within: folders that links must not lead out of.
    """
    if not is_below(directory, within):
        return MovieLook(outside=directory)
    unreadable: list[Path] = []
    for movie in _matches(directory, template.split("/"), unreadable):
        return MovieLook(movie=movie) if is_below(movie, within) else MovieLook(outside=movie)
    return MovieLook(unreadable=unreadable[0] if unreadable else None)


def is_below(path: Path, folders: Sequence[Path]) -> bool:
    """Whether a path, with its links followed, is one of these folders or lies below one."""
    real = Path(os.path.realpath(path))
    return any(real.is_relative_to(os.path.realpath(folder)) for folder in folders)


def _matches(directory: Path, parts: Sequence[str], unreadable: list[Path]) -> Iterator[Path]:
    part, rest = parts[0], parts[1:]
    if not re.search(r"[*?]", part):
        path = directory / part
        try:
            found = path.is_dir() if rest else path.is_file()
        except OSError:
            unreadable.append(path)
            return
        if found:
            yield from _matches(path, rest, unreadable) if rest else [path]
        return
    pattern = re.compile(re.escape(part).replace(r"\*", "[^/]*").replace(r"\?", "[^/]"), re.DOTALL)
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if not pattern.fullmatch(entry.name) or (entry.name.startswith(".") and not part.startswith(".")):
                    continue
                if rest and entry.is_dir():
                    yield from _matches(Path(entry.path), rest, unreadable)
                elif not rest and entry.is_file():
                    yield Path(entry.path)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError:
        unreadable.append(directory)
