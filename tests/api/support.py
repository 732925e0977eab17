"""What tests of launches share."""

from __future__ import annotations

from typing import Any

import httpx
import sqlalchemy as sa

from app.db import Database
from app.zocalo.outbox import outbox
from tests.factories import (
    MadeVisit,
    launch_body,
    make_program,
)


def launch(client: httpx.Client, visit: MadeVisit, **changes: Any) -> dict[str, Any]:
    """Launch EPU's movies in ``raw``, or as the changes say; the answer."""
    answer = client.post(f"/visits/{visit.name}/launch", json=launch_body(**changes))
    assert answer.status_code == 202, answer.text
    body: dict[str, Any] = answer.json()
    return body


def start_it(database: Database, job_id: int) -> None:
    """As if the relay had sent the start and Zocalo had picked it up."""
    mark_sent(database, job_id)
    make_program(database, job_id)


def mark_sent(database: Database, job_id: int) -> None:
    """As if the relay had sent what waits for this job."""
    now = sa.func.utc_timestamp()
    database.write(
        lambda session: session.execute(
            sa.update(outbox)
            .where(outbox.c.job_id == job_id, outbox.c.open == 1)
            .values(open=None, attempted_at=now, sent_at=now)
        )
    )
