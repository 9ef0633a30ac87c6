"""Alembic's entry: it runs on the connection that `theoros.db.migrate` hands it, inside that caller's transaction."""

from __future__ import annotations

from alembic import context

from theoros.db.schema import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
context.run_migrations()
