"""The database's own guard: the application writes through the door or not at all, others are recorded."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql
from tests.conftest import stocked
from tests.requests import order_of, rows

from trueup.authority.standing import SYSTEM
from trueup.core import journal
from trueup.core.database import APP, OWNER, connect, session
from trueup.core.door import Door

GOVERNED = "select distinct tgrelid::regclass::text from pg_trigger where tgname = 'door_only' order by 1"


def as_role(url: str, role: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(session(url, role), autocommit=True)


def governed(url: str) -> list[str]:
    with as_role(url, APP) as connection:
        return [str(name) for (name,) in connection.execute(GOVERNED)]


def refusal_of(connection: psycopg.Connection[tuple[object, ...]], statement: sql.Composed) -> str:
    try:
        connection.execute(statement)
    except psycopg.Error as error:
        return str(error.sqlstate)
    return "it was carried out"


ATTEMPTS = {
    "insert": "insert into {table} ({column}) select {column} from {table} where false",
    "update": "update {table} set {column} = {column}",
    "delete": "delete from {table}",
    "truncate": "truncate {table} cascade",
}


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_the_application_writes_no_governed_table_directly(url: str, attempt: str):
    tables = governed(url)
    assert set("""journal orders order_line order_key stock_balance stock_claim stock_movement stock_expiring cases
               item location customer person actor policy epoch""".split()) <= set(tables)  # fmt: skip
    with as_role(url, APP) as connection:
        for table in tables:
            column = str(
                connection.execute(
                    """select attname from pg_attribute
                    where attrelid = %s::regclass and attnum > 0 and attgenerated = '' and attidentity = ''
                    order by attnum limit 1""",
                    [table],
                ).fetchone()[0]  # type: ignore[index]
            )
            statement = sql.SQL(ATTEMPTS[attempt]).format(table=sql.Identifier(table), column=sql.Identifier(column))
            state = refusal_of(connection, statement)
            assert state == "42501", f"{attempt} of {table}: {state}"
        assert connection.execute("select * from bypass").fetchall() == []


def test_every_table_of_business_state_is_governed(url: str):
    operational = {
        "alembic_version", "batch", "bypass", "case_watch", "change_impact", "check_result", "crosswalk", "door_key",
        "notice", "order_fingerprint", "password", "quarantined_command", "refused_command", "seal", "sign_in_failure",
        "sign_in_link", "storyline_cursor", "web_session",
    }  # fmt: skip
    with as_role(url, APP) as connection:
        listed = connection.execute(
            "select relname from pg_class where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace"
        )
        tables = {str(name) for (name,) in listed}
    open_ = tables - set(governed(url)) - operational
    assert not {name for name in open_ if not name.startswith(("migration_", "procrastinate_"))}


FORBIDDEN = [
    f"{verb} {table}{rest}"
    for table in ("journal", "journal_0")
    for verb, rest in (("update", " set name = 'x'"), ("delete from", ""), ("truncate", ""))
]


async def test_the_journal_can_be_neither_changed_nor_shortened(door: Door, url: str):
    await stocked(door, MUG=10)
    with as_role(url, APP) as connection:
        for statement in FORBIDDEN:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
        connection.execute("begin")
        connection.execute("insert into batch (id, process, commands) values (gen_random_uuid(), 'test', 1)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("update journal set name = 'x'")


async def test_a_batch_row_of_another_transaction_opens_nothing(door: Door, url: str):
    await stocked(door, MUG=10)
    with as_role(url, APP) as connection:
        connection.execute("insert into batch (id, process, commands) values (gen_random_uuid(), 'test', 1)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="submit a command"):
            connection.execute("update stock_balance set on_hand = 99")


@pytest.mark.parametrize(
    ("statement", "operation", "relation"),
    [
        ("update stock_balance set safety = safety", "UPDATE", "stock_balance"),
        ("delete from order_key", "DELETE", "order_key"),
        ("truncate case_subject", "TRUNCATE", "case_subject"),
        ("delete from journal", "DELETE", "journal"),
        ("delete from journal_0", "DELETE", "journal_0"),
        ("update journal_0 set actor = 'nobody'", "UPDATE", "journal_0"),
    ],
)
async def test_what_the_owner_writes_is_recorded(door: Door, url: str, statement: str, operation: str, relation: str):
    await stocked(door, MUG=10)
    with as_role(url, OWNER) as connection:
        connection.execute(statement)
        with pytest.raises(psycopg.errors.InsufficientPrivilege), as_role(url, APP) as application:
            application.execute("delete from bypass")
    found = await rows(url, "select login, role, operation, relation, statement from bypass")
    assert found == [("postgres", OWNER, operation, relation, statement)]


async def test_what_passes_the_door_is_no_bypass(door: Door, url: str):
    await stocked(door, MUG=10)
    assert (await door.submit(SYSTEM, order_of(MUG=1), "one")).status == "applied"
    assert await rows(url, "select * from bypass") == []


async def test_a_session_of_ours_is_the_application_with_timeouts(url: str):
    connection = await connect(url)
    wanted = ("role", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "timezone")
    shown = [await (await connection.execute(f"show {name}")).fetchone() for name in wanted]
    await connection.close()
    assert shown == [(APP,), ("30s",), ("10s",), ("1min",), ("UTC",)]


async def test_reading_needs_no_door(door: Door, url: str):
    await stocked(door, MUG=10)
    connection = await connect(url)
    assert await journal.head(connection) > 0
    await connection.close()
