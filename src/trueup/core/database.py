"""Connections, roles and the refusal to start on a database that could lose what it acknowledged.

Two roles: `trueup_owner` owns the tables and migrates; `trueup_app` is what every session of ours runs as. The login
user of the connection string is a member of both (of one's own PostgreSQL, the user needs CREATEROLE once).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.conninfo import make_conninfo
from psycopg_pool import AsyncConnectionPool

from trueup.core import embedded, migrations
from trueup.core.errors import DatabaseUnreachable, StartRefused
from trueup.core.settings import Settings

OWNER = "trueup_owner"
APP = "trueup_app"
_VERSION_MIN = 160000
# One number in the advisory space, so that two processes never migrate at once.
_MIGRATION_LOCK = 7_205_759_403
_TIMEOUTS = {
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
    "timezone": "UTC",
}

Connection = AsyncConnection[tuple[Any, ...]]


def session(url: str, role: str = APP, **settings: str) -> str:
    """Return the connection string for a session of ours: role, timeouts and keepalives set from the first byte."""
    options = " ".join(f"-c {name}={value}" for name, value in {"role": role, **_TIMEOUTS, **settings}.items())
    return make_conninfo(
        url,
        options=options,
        application_name="trueup",
        connect_timeout=10,
        keepalives=1,
        keepalives_idle=30,
        keepalives_interval=10,
        keepalives_count=3,
        tcp_user_timeout=30_000,
    )


async def connect(url: str, role: str = APP, **settings: str) -> Connection:
    """Open one session of ours, in autocommit. Raises DatabaseUnreachable with the server's words."""
    try:
        return await AsyncConnection.connect(session(url, role, **settings), autocommit=True)
    except psycopg.OperationalError as error:
        raise DatabaseUnreachable(f"no connection to the database: {str(error).strip()}") from error


@asynccontextmanager
async def open_pool(url: str, size: int = 6) -> AsyncIterator[AsyncConnectionPool[Connection]]:
    """Keep `size` sessions for reads; they see committed data only and cannot write."""
    pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
        session(url, default_transaction_read_only="on"),
        min_size=1,
        max_size=size,
        open=False,
        kwargs={"autocommit": True},
        check=None,
        name="reads",
    )
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close()


def prepare(settings: Settings) -> tuple[str, embedded.Embedded | None]:
    """Bring a database to where Trueup can serve on it: started, checked, with roles, migrated.

    Returns its URL and the embedded server (None with `--database`). Raises StartRefused or DatabaseUnreachable.
    """
    server = None
    url = settings.database
    if url is None:
        server = embedded.start(settings.home, fast_and_unsafe=settings.unsafe)
        create_database(server.url("postgres"), "trueup")
        url = server.url()
    refuse_unsafe(url, unsafe=settings.unsafe)
    migrate(url)
    return url, server


def create_database(admin_url: str, name: str) -> None:
    """Create a database where it does not exist yet."""
    with _admin(admin_url) as connection:
        if connection.execute("select 1 from pg_database where datname = %s", [name]).fetchone():
            return
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))


def refuse_unsafe(url: str, *, unsafe: bool = False) -> None:
    """Refuse a server that is too old, a replica, or could lose an acknowledged commit.

    unsafe: let the durability settings pass (negative controls only). Source: DESIGN section 6.
    """
    with _admin(url) as connection:
        version = int(_show(connection, "server_version_num"))
        if version < _VERSION_MIN:
            raise StartRefused(
                f"PostgreSQL 16 or newer is needed; this server is {_show(connection, 'server_version')}"
            )
        if connection.execute("select pg_is_in_recovery()").fetchone() == (True,):
            raise StartRefused("this server is a replica; point --database at the primary")
        if _show(connection, "server_encoding") != "UTF8":
            raise StartRefused(
                "the database must be encoded in UTF8; create it with `create database ... encoding 'UTF8'`"
            )
        off = [name for name in ("fsync", "full_page_writes") if _show(connection, name) == "off"]
        off += ["synchronous_commit"] if _show(connection, "synchronous_commit") in ("off", "local") else []
        if off and not unsafe:
            raise StartRefused(
                f"{', '.join(off)} would let the server lose orders it acknowledged; "
                "set it to on (alter system set ... = on; select pg_reload_conf()) and start again"
            )


def migrate(url: str) -> None:
    """Make the roles, then run the migrations that are missing, one process at a time.

    Raises StartRefused with the server's words when the user of the URL may not.
    """
    with _admin(url) as connection:
        connection.execute("select pg_advisory_lock(%s)", [_MIGRATION_LOCK])
        try:
            _make_roles(connection)
            if not _is_current(connection):
                migrations.upgrade(url)
            connection.execute("select journal_extend()")
        except psycopg.Error as error:
            raise StartRefused(
                f"the database could not be prepared: {error.diag.message_primary or error}. "
                "The user of --database needs CREATEROLE and must own the database, once."
            ) from error


def _make_roles(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    for role in (OWNER, APP):
        if not connection.execute("select 1 from pg_roles where rolname = %s", [role]).fetchone():
            connection.execute(sql.SQL("create role {} nologin").format(sql.Identifier(role)))
        # Whoever creates a role may administer it from PostgreSQL 16 on, but not yet act as it.
        if connection.execute("select pg_has_role(current_user, %s, 'set')", [role]).fetchone() != (True,):
            connection.execute(
                sql.SQL("grant {} to current_user with inherit true, set true").format(sql.Identifier(role))
            )
    name = connection.info.dbname
    if connection.execute("select has_database_privilege(%s, %s, 'create')", [OWNER, name]).fetchone() != (True,):
        connection.execute(
            sql.SQL("grant create on database {} to {}").format(sql.Identifier(name), sql.Identifier(OWNER))
        )
        connection.execute(sql.SQL("grant create, usage on schema public to {}").format(sql.Identifier(OWNER)))


def _is_current(connection: psycopg.Connection[tuple[Any, ...]]) -> bool:
    if connection.execute("select to_regclass('public.alembic_version')").fetchone() == (None,):
        return False
    return connection.execute("select version_num from alembic_version").fetchone() == (migrations.newest(),)


def _admin(url: str) -> psycopg.Connection[tuple[Any, ...]]:
    try:
        return psycopg.connect(url, autocommit=True, connect_timeout=10)
    except psycopg.OperationalError as error:
        raise DatabaseUnreachable(f"no connection to the database: {str(error).strip()}") from error


def _show(connection: psycopg.Connection[tuple[Any, ...]], name: str) -> str:
    row = connection.execute(sql.SQL("show {}").format(sql.Identifier(name))).fetchone()
    return str(row[0]) if row else ""
