"""The detector's gain reference: a file in the visit's ``processing`` folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.filesystem.movies import is_below


@dataclass(frozen=True)
class GainLook:
    """Whether the gain reference is there, and whether a link takes it out of the visit."""

    exists: bool
    outside: bool = False


def path_of(visit_directory: Path, file_name: str) -> Path:
    """Where a gain reference of this name lies."""
    return visit_directory / "processing" / file_name


def look(path: Path, *, within: Path) -> GainLook:
    """Look for a gain reference that must stay in a visit directory."""
    if not is_below(path, [within]):
        return GainLook(exists=path.exists(), outside=True)
    return GainLook(exists=path.is_file())
