"""How Alembic meets the catalogue: the connection is handed in, and SQLite alters tables by copying them."""

from alembic import context

from fettle.storage.tables import Table

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Table.metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
