"""Migrations: Alembic's order and bookkeeping around plain `.sql` files, one per room and step.

Expand, then contract: a step that old code cannot run on comes one release after the code that no longer needs it.
Alembic and SQLAlchemy take half a second to import, so they are imported only where a migration really runs.
"""

from __future__ import annotations

from pathlib import Path

import psycopg

_HERE = Path(__file__).parent


def upgrade(url: str) -> None:
    """Run every migration that is missing, as `trueup_owner`, in one transaction. Raises psycopg.Error."""
    from alembic import command
    from alembic.config import Config
    from sqlalchemy.exc import DBAPIError

    config = Config()
    config.set_main_option("script_location", str(_HERE))
    config.attributes["url"] = url
    try:
        command.upgrade(config, "head")
    except DBAPIError as error:
        raise error.orig if isinstance(error.orig, psycopg.Error) else error from None


def newest() -> str:
    """Return the id of the newest migration: the number its file begins with."""
    return max(path.name for path in (_HERE / "versions").glob("[0-9]*.py"))[:4]


def run_sql(name: str) -> None:
    """Run one file of `sql/`."""
    run_text((_HERE / "sql" / name).read_text(encoding="utf-8"))


def run_text(statements: str) -> None:
    """Run SQL; offline it is printed, with colons escaped from SQLAlchemy's parameters."""
    from alembic import context, op
    from sqlalchemy import text

    if context.is_offline_mode():
        op.execute(text(statements.replace(":", "\\:")))
    else:
        driver = op.get_bind().connection.driver_connection
        assert driver is not None
        driver.execute(statements)
