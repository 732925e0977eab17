"""How Alembic reaches our tables: on the connection, and in the schema, that app.migrating passes in."""

from alembic import context

config = context.config
connection = config.attributes["connection"]
schema = config.attributes["schema"]

context.configure(connection=connection, version_table_schema=schema, transactional_ddl=False)
with context.begin_transaction():
    context.run_migrations(schema=schema)
