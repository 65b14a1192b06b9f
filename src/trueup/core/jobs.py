"""Long and periodic work, run by procrastinate on the same database. No deadline ever lives here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trueup.core.database import session

if TYPE_CHECKING:
    from procrastinate import App

_STATEMENT_TIMEOUT = "15min"


def make_app(url: str) -> App:
    """Return a procrastinate app on this database; it is imported here because only servers need it."""
    from procrastinate import App, PsycopgConnector

    connector = PsycopgConnector(conninfo=session(url, statement_timeout=_STATEMENT_TIMEOUT), min_size=1, max_size=3)
    return App(connector=connector, worker_defaults={"delete_jobs": "successful", "install_signal_handlers": False})
