"""What a guard or a rule stopped is kept beside the journal, once, without personal words, and not for ever."""

from datetime import timedelta

import msgspec
from tests.conftest import START, stocked
from tests.proof import prove
from tests.requests import order_of, person, rows

from trueup.authority.standing import SYSTEM
from trueup.core import refused
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.orders.cancel import CancelOrder
from trueup.parties.state import Contact
from trueup.worker import tidy_now

KEPT = "select verb, guard, rule, ended, subject from refused_command order by at, verb, guard"


async def test_what_a_guard_and_what_a_rule_refused_are_kept_and_what_went_through_is_not(door: Door, url: str):
    await stocked(door, MUG=5)
    auditor = await person(door, "Ada", "Auditor")
    placed = await door.submit(SYSTEM, order_of(MUG=2), "fits")
    assert placed.status == "applied"
    assert (await door.submit(SYSTEM, order_of(MUG=9), "short")).status == "refused"
    order = placed.result["order"]
    assert (await door.submit(auditor, CancelOrder(order=order), "not hers")).status == "refused"
    assert await rows(url, KEPT) == [
        ("orders.cancel", "role_guard", "authority.not_allowed", "refused", order),
        ("orders.place", "rule", "stock.short", "refused", ""),
    ]
    await prove(url)


async def test_a_repeated_key_is_not_kept_twice_and_a_rehearsal_keeps_nothing(door: Door, url: str):
    await stocked(door, MUG=5)
    for _ in range(3):
        assert (await door.submit(SYSTEM, order_of(MUG=9), "short")).status == "refused"
    assert (await door.submit(SYSTEM, order_of(MUG=8), "short")).refusal is not None
    rehearsed = await door.rehearse([(SYSTEM, order_of(MUG=9))])
    assert rehearsed[0].outcome.status == "refused"
    assert len(await rows(url, KEPT)) == 1


async def test_no_personal_word_of_a_refused_command_is_kept(door: Door, url: str):
    await stocked(door, MUG=5)
    order = msgspec.structs.replace(
        order_of(MUG=9), contact=Contact(name="Erika Mustermann", email="erika@example.org")
    )
    assert (await door.submit(SYSTEM, order, "short")).status == "refused"
    (body,) = (await rows(url, "select convert_from(body, 'utf8') from refused_command"))[0]
    assert "Erika" not in body
    assert "example.org" not in body
    assert '"contact":"per_' in body
    assert await rows(url, "select count(*) from person") == [(0,)]


async def test_what_was_refused_is_read_in_order_page_by_page_and_forgotten_after_thirty_days(door: Door, url: str):
    await stocked(door, MUG=1)
    await door.submit_all(SYSTEM, [(f"short {n}", order_of(MUG=9)) for n in range(5)])
    connection = await connect(url)
    try:
        day = timedelta(days=1)
        first = await refused.read(connection, START - day, START + day, limit=3)
        rest = await refused.read(connection, START - day, START + day, (first[-1].at, first[-1].id), limit=3)
        assert sorted(row.key for row in (*first, *rest)) == [f"short {n}" for n in range(5)]
    finally:
        await connection.close()
    assert len(await rows(url, KEPT)) == 5
    await tidy_now(url)
    assert await rows(url, KEPT) == []
