"""Alembic's entry: connect with psycopg as `trueup_owner` and run the versions."""

from __future__ import annotations

import psycopg
from alembic import context
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

_URL = context.config.attributes.get("url") or ""


def _connect() -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(_URL, options="-c role=trueup_owner", application_name="trueup migrate")


if context.is_offline_mode():
    context.configure(dialect_name="postgresql", literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    engine = create_engine("postgresql+psycopg://", creator=_connect, poolclass=NullPool)
    with engine.connect() as bind:
        context.configure(connection=bind)
        with context.begin_transaction():
            context.run_migrations()
