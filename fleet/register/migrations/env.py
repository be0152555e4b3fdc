"""Alembic's entry: runs the migrations on the connection that migrate.py made. No other way in."""

from alembic import context

from fleet.register.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
