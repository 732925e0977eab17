"""What ``synchweb-em doctor`` said."""

from __future__ import annotations

import io
from dataclasses import dataclass

from app import doctor
from app.settings import Settings
from tests.support.users import PASSWORD


@dataclass(frozen=True)
class Report:
    """Each line's text by its name, and the exit code."""

    code: int
    ok: dict[str, str]
    wrong: dict[str, str]
    look: dict[str, str]


def examine(settings: Settings) -> Report:
    """Run the doctor in this process."""
    out = io.StringIO()
    code = doctor.run(settings, out)
    assert PASSWORD not in out.getvalue()
    return read(code, out.getvalue())


def read(code: int, text: str) -> Report:
    """The lines of a run that ended with this exit code."""
    found: dict[str, dict[str, str]] = {"ok": {}, "WRONG": {}, "LOOK": {}}
    for line in text.splitlines():
        name, _, said = line[6:].partition(": ")
        found[line[:6].strip()][name] = said
    return Report(code, found["ok"], found["WRONG"], found["LOOK"])
