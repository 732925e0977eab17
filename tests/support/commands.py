"""``synchweb-em``'s commands with an environment of their own: in this process, or for another."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from typing import NamedTuple
from unittest import mock

from app import __main__


class Ended(NamedTuple):
    """How a command ended: its exit code, what it said, and the lines of its complaints."""

    code: int
    out: str
    err: list[str]


def environ_with(settings: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with these settings and no others."""
    return {name: value for name, value in os.environ.items() if not name.startswith("EM_")} | dict(settings)


def run(settings: Mapping[str, str], *arguments: str) -> Ended:
    """Run a command here, with nothing in its way to standard error."""
    out, err, root = StringIO(), StringIO(), logging.getLogger()
    with (
        mock.patch.dict(os.environ, environ_with(settings), clear=True),
        mock.patch.object(root, "handlers", []),
        mock.patch.object(root, "level", logging.WARNING),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            code = __main__.main(arguments)
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Ended(code, out.getvalue(), err.getvalue().splitlines())
