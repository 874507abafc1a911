"""Alembic runs this for every command; the connection and its transaction are the caller's."""

from alembic import context

from mlengine.stores.database.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
