"""The journal: gapless, sealed, and whatever is changed behind its back is found."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from tests.conftest import stocked
from tests.proof import prove
from tests.requests import cancel, order_of, rows

from trueup import house
from trueup.authority.standing import SYSTEM
from trueup.core import journal
from trueup.core.checks import run_checks
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.parties.state import Contact


async def traded(door: Door, orders: int = 30) -> None:
    await stocked(door, MUG=1000)
    await door.submit_all(SYSTEM, [(f"order {number}", order_of(MUG=1)) for number in range(orders)])


async def seal(url: str) -> int:
    connection = await connect(url)
    try:
        return await journal.seal(connection)
    finally:
        await connection.close()


async def verified(url: str) -> journal.Verified:
    connection = await connect(url)
    try:
        return await journal.verify(connection)
    finally:
        await connection.close()


async def test_it_verifies_sealed_and_unsealed_rows(door: Door, url: str):
    await traded(door)
    first = await verified(url)
    assert (first.breaks, first.seals, first.sealed_to) == ((), 0, 0)
    assert await seal(url) == 1
    assert await seal(url) == 0, "nothing new to seal"
    await door.submit(SYSTEM, order_of(MUG=1), "one more")
    second = await verified(url)
    assert second.breaks == ()
    assert (second.rows, second.sealed_to) == (first.rows + 3, first.rows)
    assert len(second.head) == 64
    await prove(url)


@pytest.mark.parametrize(
    "tampering",
    [
        "update journal set body = body || '\\x20' where position = 12",
        "update journal set at = at + interval '1 microsecond' where position = 12",
        "update journal set actor = 'act_other' where position = 12",
        "update journal set subject = 'ord_other' where position = 12",
        "delete from journal where position = 12",
        "delete from journal where position = (select max(position) from journal)",
        "delete from journal where position = 1",
        "update journal set position = position + 1000000 where position = 12",
        "update seal set digest = sha256('x') where last = (select min(last) from seal)",
        "delete from seal where last = (select min(last) from seal)",
        "update seal set first = 2 where first = 1",
    ],
)
async def test_tampering_is_found(door: Door, url: str, tampering: str):
    await traded(door)
    await seal(url)
    await door.submit_all(SYSTEM, [(f"later {number}", order_of(MUG=1)) for number in range(5)])
    await seal(url)
    assert (await verified(url)).breaks == ()
    with psycopg.connect(url, autocommit=True) as superuser:
        superuser.execute(tampering)
    assert (await verified(url)).breaks
    if "journal" in tampering:
        assert [table for (table,) in await rows(url, "select relation from bypass")] == ["journal"]


async def test_a_gap_among_unsealed_rows_is_found_by_verify_and_check(door: Door, url: str):
    await traded(door)
    with psycopg.connect(url, autocommit=True) as superuser:
        superuser.execute("delete from journal where position = 20")
    assert [found.position for found in (await verified(url)).breaks] == [20]
    connection = await connect(url)
    failing = {result.name for result in await run_checks(connection, house.CHECKS) if result.failing}
    await connection.close()
    assert "journal.gapless" in failing


async def test_several_sealers_make_one_chain(door: Door, url: str):
    await stocked(door, MUG=1000)
    for turn in range(6):
        placing = door.submit_all(SYSTEM, [(f"{turn} {number}", order_of(MUG=1)) for number in range(40)])
        await asyncio.gather(placing, *(seal(url) for _ in range(4)))
    await seal(url)
    assert (await verified(url)).breaks == ()


async def test_two_seals_cannot_follow_the_same_one(door: Door, url: str):
    await traded(door)
    await seal(url)
    with psycopg.connect(url, autocommit=True) as superuser, pytest.raises(psycopg.errors.UniqueViolation):
        superuser.execute(
            "insert into seal (last, first, previous, digest) select last + 5, first, previous, digest from seal"
        )


async def test_a_timeline_is_the_rows_about_one_subject(door: Door, url: str):
    await stocked(door, MUG=10)
    order = (await door.submit(SYSTEM, order_of(MUG=3), "one")).result["order"]
    await door.submit(SYSTEM, cancel(order, line1=1), "less")
    connection = await connect(url)
    names = [row.name for row in await journal.read(connection, subject=order)]
    await connection.close()
    assert names == ["orders.place", "orders.placed", "stock.reserved",
                     "orders.cancel", "orders.cancelled", "stock.claims_released"]  # fmt: skip


async def test_personal_words_are_never_in_the_journal(door: Door, url: str):
    await stocked(door, MUG=10)
    contact = Contact(name="Wilhelmina Quux", email="w.quux@example.org", phone="+49 30 1234567")
    order = order_of(MUG=1)
    placed = await door.submit(SYSTEM, type(order)(currency="EUR", lines=order.lines, contact=contact), "one")
    assert placed.status == "applied"
    for table, column in (("journal", "body"), ("door_key", "outcome"), ("quarantined_command", "body")):
        found = await rows(url, f"select convert_from({column}, 'utf8') from {table}")
        assert not [text for (text,) in found if text and any(w in text for w in ("Quux", "quux", "1234567"))]
    assert await rows(url, "select name, email from person") == [("Wilhelmina Quux", "w.quux@example.org")]
    again = await door.submit(SYSTEM, type(order)(currency="EUR", lines=order.lines, contact=contact), "one")
    assert again.repeated
    assert again.result == placed.result
    assert len(await rows(url, "select id from person")) == 1
    await prove(url)
