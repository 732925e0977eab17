"""What people see: text that is safe for any terminal, and JSON for programs."""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from typing import Any, TextIO

from app.client.http import Failed


def say(*lines: str) -> None:
    """Lines for standard output."""
    _write(sys.stdout, "".join(f"{clean(line)}\n" for line in lines))


def complain(*lines: str) -> None:
    """Lines for standard error."""
    _write(sys.stderr, "".join(f"{clean(line)}\n" for line in lines))


def rewrite(line: str, width: int) -> None:
    """Put this line in the place of the one that the terminal's cursor is on; an empty one wipes it."""
    line = clean(line).replace("\n", " ")[: width - 1]
    _write(sys.stderr, f"\r{line:<{width - 1}}" + ("" if line else "\r"))


def show_json(value: Any) -> None:
    """JSON on standard output; only ASCII, so that no terminal's encoding can spoil it."""
    _write(sys.stdout, json.dumps(value, indent=2) + "\n")


def show_failure(failure: Failed, *, as_json: bool) -> None:
    """Why it did not work: the sentence, one line per field at fault, and what may help."""
    if as_json and failure.problem is not None:
        show_json(failure.problem)
    errors = (failure.problem or {}).get("errors") or []
    fields = [f"  {error.get('field')}: {error.get('message')}" for error in errors]
    complain(failure.sentence, *fields, *getattr(failure, "__notes__", []))


def clean(text: str) -> str:
    """Text without control characters: what stands in the database must not steer a terminal."""
    return "".join("?" if unicodedata.category(char).startswith("C") and char != "\n" else char for char in text)


def _write(stream: TextIO, text: str) -> None:
    encoding = stream.encoding or "utf-8"
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except BrokenPipeError:
        # Whoever read this has gone ('| head'). Python would complain once more at exit if the pipe stayed.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
