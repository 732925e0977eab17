"""What was recorded from ``EM.php``, for functions that need no server."""

from __future__ import annotations

import json
from typing import Any

from tests.synchweb.replay import RECORDED, Case, read_cases

DLS = "/dls"
CASES = read_cases()


def cases(prefix: str) -> dict[str, Case]:
    """The recorded cases whose names begin so."""
    return {name: case for name, case in CASES.items() if name.startswith(prefix)}


def expected(name: str) -> Any:
    """What was answered."""
    return CASES[name]["expect"]["json"]


def posted(case: Case) -> dict[str, Any]:
    """The fields of a request's body; none where it is no JSON object."""
    body = json.loads(case["request"]["body"] or "{}") if "json" in case["request"].get("contentType", "json") else {}
    return body if isinstance(body, dict) else {}


def rows(table: str) -> list[dict[str, Any]]:
    """The rows of a table that all cases start from."""
    tables: list[dict[str, Any]] = json.loads((RECORDED / "rows.json").read_text().replace("{dls}", DLS))
    return [row for one in tables if one["table"] == table for row in one["rows"]]


def row(table: str, key: str, ident: int) -> dict[str, Any]:
    """One of them."""
    (found,) = (row for row in rows(table) if row[key] == ident)
    return found
