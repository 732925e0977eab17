"""Hands recipes' parameters to the published wrapper for RELION, as far as its options, and tells what it made of them.

Run by the tests in Zocalo's environment: a list of ``job_parameters`` comes in as JSON, what was made of each goes out.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
from typing import Any, ClassVar
from unittest.mock import MagicMock, patch

# It draws histograms while RELION runs, with libraries that are large and of no use here.
sys.modules["relion.cryolo_relion_it.icebreaker_histogram"] = MagicMock()

from relion.zocalo import wrapper  # type: ignore[import-not-found]  # noqa: E402

UNKNOWN = re.compile(r"Unrecognised option '([^']*)'")


class _FarEnough(Exception):
    """The wrapper has read its parameters; next it would start RELION."""


class _Options(wrapper.RelionItOptions):  # type: ignore[misc]
    """RELION's options, which remember what they were given last."""

    given: ClassVar[dict[str, Any]] = {}

    def update_from(self, other: dict[str, Any]) -> None:
        type(self).given = dict(other)
        super().update_from(dict(other))


def read(parameters: dict[str, Any]) -> dict[str, Any]:
    """What the published wrapper makes of these parameters."""
    instance = wrapper.RelionWrapper()
    instance.status_thread = MagicMock()
    instance.recwrap = MagicMock(recipe_step={"job_parameters": parameters})
    instance.start_relion = lambda **_: None
    said = io.StringIO()
    with (
        contextlib.redirect_stdout(said),
        patch.object(wrapper, "RelionItOptions", _Options),
        patch.object(wrapper.relion, "Project", side_effect=_FarEnough),
    ):
        try:
            instance.run()
        except _FarEnough:
            error = None
        except Exception as raised:
            error = repr(raised)
    given = _Options.given
    return {
        "error": error,
        "given": given,
        "types": {key: type(value).__name__ for key, value in given.items()},
        "unknown": sorted(set(UNKNOWN.findall(said.getvalue())) & given.keys()),
    }


if __name__ == "__main__":
    json.dump([read(parameters) for parameters in json.load(sys.stdin)], sys.stdout)
