"""The SQL that the service sends, written down and explained: which statements, from where, how MariaDB runs them."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

import app
from app.logging import request_id

SOURCES = Path(app.__file__).parent
PLUMBING = SOURCES / "db.py"  # every statement comes through there
EXPLAINED = ("SELECT", "UPDATE", "DELETE", "WITH")

# Tables that grow for as long as the facility runs. To read one as a whole takes longer every year.
LARGE = frozenset(
    {
        "AutoProcProgram",
        "AutoProcProgramAttachment",
        "BLSession",
        "CTF",
        "CryoemInitialModel",
        "DataCollection",
        "DataCollectionComment",
        "DataCollectionFileAttachment",
        "DataCollectionGroup",
        "MotionCorrection",
        "Movie",
        "ParticleClassification",
        "ParticleClassificationGroup",
        "ParticleClassification_has_CryoemInitialModel",
        "ParticlePicker",
        "Person",
        "ProcessingJob",
        "ProcessingJobParameter",
        "Proposal",
        "SW_onceToken",
        "Session_has_Person",
        "idempotency",
        "launch",
        "outbox",
        "slot",
        "stop_request",
    }
)


@dataclass(frozen=True)
class Statement:
    """One statement as it was sent.

    Args:
        where: the function that sent it, as ``zocalo/outbox.py:claim``.
        request: the id of the request that it was sent for, ``-`` if for none.
    """

    sql: str
    parameters: Any
    where: str
    request: str

    @property
    def verb(self) -> str:
        return self.sql.split(maxsplit=1)[0].upper()


@dataclass
class Recorder:
    """Statements in the order in which they were sent."""

    statements: list[Statement] = field(default_factory=list)

    def take(self) -> list[Statement]:
        """What came since the last time."""
        taken, self.statements = self.statements, []
        return taken

    def of_request(self, ident: str) -> list[Statement]:
        """Those of one request, by its ``X-Request-ID``: others may be answered at the same time."""
        return [statement for statement in self.statements if statement.request == ident]


@contextmanager
def recorded(engine: sa.Engine) -> Iterator[Recorder]:
    """Write down what is sent through this engine. The pool's pings, beginnings and ends are no statements."""
    recorder = Recorder()

    def note(_connection: Any, _cursor: Any, sql: str, parameters: Any, _context: Any, many: bool) -> None:
        if sql in ("START TRANSACTION", "ROLLBACK"):
            return
        values = parameters[0] if many else parameters
        recorder.statements.append(Statement(sql, values, _sender(), request_id.get()))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield recorder
    finally:
        event.remove(engine, "before_cursor_execute", note)


def _sender() -> str:
    """The innermost of the service's own functions that are at work."""
    frame = sys._getframe()
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(SOURCES) and path != PLUMBING:
            return f"{path.relative_to(SOURCES)}:{frame.f_code.co_name}"
        frame = frame.f_back  # type: ignore[assignment]
    return "elsewhere"


@dataclass(frozen=True)
class Plan:
    """How MariaDB runs a statement: ``EXPLAIN FORMAT=JSON``, and which table stands behind each alias."""

    statement: Statement
    tree: dict[str, Any]
    aliases: dict[str, str]

    @property
    def unseen(self) -> bool:
        """Whether MariaDB stopped planning, since it saw that there is no such row: how it would look is not known."""
        message = str(self.tree.get("query_block", {}).get("table", {}).get("message", ""))
        # Where a look at the end of an index says that there is none, that was the whole plan.
        if "No matching min/max row" in json.dumps(self.tree):
            return False
        return message.startswith(("Impossible", "no matching row"))

    def __str__(self) -> str:
        parameters = f"-- with {self.statement.parameters}"
        return "\n".join(
            [f"-- {self.statement.where}", self.statement.sql, parameters, json.dumps(self.tree, indent=2)]
        )


def explain(engine: sa.Engine, statement: Statement) -> Plan | None:
    """Ask the same server for the statement's plan; ``None`` for statements that look for nothing."""
    if statement.verb not in EXPLAINED:
        return None
    # Below SQLAlchemy, where nobody writes it down.
    with closing(engine.raw_connection()) as connection, closing(connection.cursor()) as cursor:
        cursor.execute(f"EXPLAIN FORMAT=JSON {statement.sql}", statement.parameters)
        ((text,),) = cursor.fetchall()
        connection.rollback()
    aliases = {alias: table for table, alias in re.findall(r"(\w+)`? AS `?(\w+)`?", statement.sql) if table in LARGE}
    return Plan(statement, json.loads(text), aliases)


def trouble(plan: Plan, large: Collection[str] = LARGE) -> list[str]:
    """What takes longer with every year: large tables, or their indexes, read as a whole, and their rows sorted."""
    found: list[str] = []
    _look(plan, plan.tree, None, large, found)
    return found


def _look(plan: Plan, node: Any, sort_key: str | None, large: Collection[str], found: list[str]) -> None:
    if isinstance(node, list):
        for item in node:
            _look(plan, item, sort_key, large, found)
    if not isinstance(node, dict):
        return
    for name, child in node.items():
        if name == "table":
            found += _trouble_with(plan, child, sort_key, large)
        if name == "subqueries":  # they stand within what is sorted, but their rows are not
            _look(plan, child, None, large, found)
        else:
            _look(plan, child, child["sort_key"] if name == "filesort" else sort_key, large, found)


def _trouble_with(plan: Plan, table: dict[str, Any], sort_key: str | None, large: Collection[str]) -> list[str]:
    name = str(table.get("table_name", ""))
    name = plan.aliases.get(name, name)
    if name not in large:
        return []
    how, rows = table.get("access_type", ""), table.get("rows")
    out = []
    if how == "index" or how.endswith(("ALL", "_index")):
        out.append(f"reads all of {name} (access {how}, key {table.get('key')}, about {rows} rows)")
    if sort_key is not None:
        out.append(f"sorts rows of {name} by {sort_key} (access {how}, key {table.get('key')}, about {rows} rows)")
    return out
