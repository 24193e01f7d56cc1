"""How Alembic reaches the database: by the connection, and in the transaction, of who calls it."""

from alembic import context

from clustering_pipeline.storage.database import SCHEMA, VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    version_table_schema=SCHEMA,
)
context.run_migrations()
