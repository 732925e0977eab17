"""What is in the database, for tests to compare."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa

from app.db import Database
from app.ispyb import tables
from app.processing_jobs.tables import launch, stop_request
from app.zocalo.outbox import outbox

COUNTED = (
    tables.DataCollectionGroup,
    tables.DataCollection,
    tables.ProcessingJob,
    tables.ProcessingJobParameter,
    tables.AutoProcProgram,
    launch,
    stop_request,
    outbox,
)


def counts(database: Database) -> dict[str, int]:
    """How many rows each table has that we write."""
    with database.read() as session:
        return {
            table.name: session.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() for table in COUNTED
        }


def row(database: Database, table: sa.Table, ident: int) -> dict[str, Any]:
    """One row by its primary key."""
    key = next(iter(table.primary_key))
    columns = [column for column in table.c if column.name != "jobUuid"]
    with database.read() as session:
        return dict(session.execute(sa.select(*columns).where(key == ident)).one()._mapping)


def parameters(database: Database, job_id: int) -> dict[str, str]:
    """A job's parameters as they are stored."""
    table = tables.ProcessingJobParameter.c
    with database.read() as session:
        rows = session.execute(
            sa.select(table.parameterKey, table.parameterValue).where(table.processingJobId == job_id)
        )
        return {row.parameterKey: row.parameterValue for row in rows}


def jobs_of(database: Database, dcid: int) -> list[int]:
    """The jobs of a data collection."""
    table = tables.ProcessingJob.c
    with database.read() as session:
        return list(
            session.execute(
                sa.select(table.processingJobId).where(table.dataCollectionId == dcid).order_by(table.processingJobId)
            ).scalars()
        )


def messages(database: Database, dcid: int) -> list[dict[str, Any]]:
    """The bodies of a data collection's messages that are to be sent or were sent, in order."""
    with database.read() as session:
        rows = session.execute(
            sa.select(outbox.c.body)
            .where(outbox.c.order_key == dcid, outbox.c.cancelled_at.is_(None))
            .order_by(outbox.c.id)
        ).scalars()
        return [json.loads(body) for body in rows]
