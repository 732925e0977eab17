"""MariaDB users with exactly the rights that ``docs/grants.sql`` gives, from which tests may take some away."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from string import Template

import sqlalchemy as sa

from tests.support.environments import Environment, execute

GRANTS = Path(__file__).parent.parent.parent / "docs" / "grants.sql"
PASSWORD = "s3cret-Pa55word"  # of every user made here, and of every wrong login: it must never be printed


def grant(environment: Environment, name: str) -> tuple[Environment, Environment]:
    """The same place as seen by the service's user ``name``, and by the user of ``synchweb-em migrate``."""
    filled = Template(GRANTS.read_text()).substitute(
        ISPYB=ispyb_of(environment),
        SCHEMA=environment.schema.replace("_", r"\_"),
        CLIENTS="%",
        SERVICE_USER=name,
        SERVICE_PASSWORD=PASSWORD,
        MIGRATE_USER=f"{name}_migrate",
        MIGRATE_PASSWORD=PASSWORD,
    )
    statements = re.sub(r"^--.*$", "", filled, flags=re.MULTILINE).split(";")
    execute(environment, *(statement for statement in statements if statement.strip()))
    url = sa.make_url(environment.database_url)
    service = url.set(username=name, password=PASSWORD)
    migrating = url.set(username=f"{name}_migrate", password=PASSWORD, database="")
    return (
        replace(environment, database_url=service.render_as_string(hide_password=False)),
        replace(environment, database_url=migrating.render_as_string(hide_password=False)),
    )


def ispyb_of(environment: Environment) -> str:
    """The name of ISPyB's database."""
    return sa.make_url(environment.database_url).database or ""
