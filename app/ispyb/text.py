"""What text ISPyB's columns can hold."""

from __future__ import annotations

# Lengths of ISPyB's columns, from ispyb.sqlalchemy (schema 5.2.0).
IMAGE_DIRECTORY = FILE_TEMPLATE = 255


def misfit(text: str, length: int) -> str | None:
    """Why this text cannot be stored in a column of this length, or ``None`` if it can.

    MariaDB's ``latin1``, in which ISPyB's tables are, is Windows code page 1252.
    """
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        return "must not contain control characters"
    try:
        text.encode("cp1252")
    except UnicodeEncodeError as error:
        return f"has a character at position {error.start + 1} that ISPyB cannot store (it keeps Western European text)"
    return f"is longer than {length} characters" if len(text) > length else None
