"""Status buckets: only what is available is promised; requests keep promises, reports post. Behaviours 5 and 37."""

from __future__ import annotations

from tests.conftest import stocked
from tests.proof import prove
from tests.requests import adjust, order_of, person
from tests.stock.depth import account, balance, cases, done, item, places, refused, restate, tell

from trueup.authority.confirm import ConfirmAct
from trueup.authority.publish import PublishPolicy
from trueup.authority.standing import SYSTEM
from trueup.core.door import Door
from trueup.core.quantity import Quantity
from trueup.stock.receive import AdjustStock, ReceivedLine, ReceiveStock


async def test_only_what_is_available_is_promised(door: Door, url: str):
    await stocked(door, MUG=10)
    await done(door, restate(4, "available", "quality"))
    assert await balance(url) == {"on_hand": 6, "quality": 4}
    assert (await tell(door, order_of(MUG=7))).status == "refused"
    assert (await tell(door, order_of(MUG=6))).status == "applied"
    await done(door, restate(1, "quality", "damaged"))
    await done(door, restate(3, "quality", "available"))
    assert await balance(url) == {"on_hand": 9, "reserved": 6, "damaged": 1}
    await prove(url)


async def test_a_request_may_not_take_what_is_promised_and_names_it(door: Door, url: str):
    await stocked(door, MUG=10)
    await done(door, order_of(MUG=8))
    outcome = await tell(door, restate(3, "available", "damaged"))
    assert outcome.refusal is not None
    assert outcome.refusal.rule == "stock.promised"
    assert "8 of them promised" in outcome.refusal.what
    assert await balance(url) == {"on_hand": 10, "reserved": 8}
    assert await refused(door, restate(1, "quality", "available")) == "stock.short"
    assert await refused(door, restate(1, "quality", "quality")) == "stock.quantity"
    assert await refused(door, restate(1, "available", "damaged", lot="L1")) == "stock.not_tracked"
    await done(door, restate(2, "available", "damaged"))
    await prove(url)


async def test_behaviour_5_what_is_found_damaged_is_a_fact_and_what_it_breaks_is_owed(door: Door, url: str):
    await stocked(door, MUG=10)
    await done(door, order_of(MUG=8))
    await done(door, restate(5, "available", "damaged", reported=True))
    assert await balance(url) == {"on_hand": 5, "reserved": 8, "owed": 3, "damaged": 5}
    assert await cases(url) == ["stock_short"]
    await done(door, restate(7, "available", "damaged", reported=True))
    assert await balance(url) == {"reserved": 8, "owed": 8, "damaged": 12}, "what the book lacks is still damaged"
    assert await account(url, "shortage") == -2
    await prove(url)


async def test_behaviour_5_a_count_correction_below_what_is_promised_is_owed(door: Door, url: str):
    await stocked(door, MUG=80)
    await done(door, order_of(MUG=80))
    await done(door, adjust(-60))
    assert await balance(url) == {"on_hand": 20, "reserved": 80, "owed": 60}
    assert await cases(url) == ["stock_short"]
    assert (await tell(door, order_of(MUG=1))).status == "refused"
    await prove(url)


async def test_a_receipt_names_its_bucket_and_its_unit(door: Door, url: str):
    await places(door, "MAIN")
    await item(door, "MUG", units={"case": Quantity(12)})
    lines = (ReceivedLine("MUG", Quantity(2), "case"), ReceivedLine("MUG", Quantity(1), status="damaged"))
    await done(door, ReceiveStock(location="MAIN", lines=lines, reference="N-1"))
    assert await balance(url) == {"on_hand": 24, "damaged": 1}
    wrong = ReceiveStock(location="MAIN", lines=(ReceivedLine("MUG", Quantity(1), "pallet"),), reference="N-2")
    outcome = await tell(door, wrong)
    assert outcome.refusal is not None
    assert (outcome.refusal.rule, outcome.refusal.where) == ("catalogue.unknown_unit", "lines[0].unit")
    await prove(url)


async def test_what_is_damaged_leaves_the_book_by_an_adjustment_of_its_bucket(door: Door, url: str):
    await stocked(door, MUG=5)
    await done(door, restate(2, "available", "damaged"))
    scrap = AdjustStock(location="MAIN", sku="MUG", change=Quantity(-3), reason="scrapped", reference="S-1",
                        status="damaged")  # fmt: skip
    await done(door, scrap)
    assert await balance(url) == {"on_hand": 3}
    assert (await account(url, "scrapped"), await account(url, "shortage")) == (3, -1)
    await prove(url)


async def test_it_refuses_a_reason_that_the_policy_does_not_know_and_posts_nothing(door: Door, url: str):
    await stocked(door, MUG=5)
    whim = AdjustStock(location="MAIN", sku="MUG", change=Quantity(-1), reason="a whim", reference="A-1")
    assert await refused(door, whim) == "stock.unknown_reason"
    assert await balance(url) == {"on_hand": 5}
    document = {"reasons": {"whim": {"units_max": "2", "role_above": "Finance"}}}
    policy = PublishPolicy(policy_kind="adjustment_reasons", policy_name="default", document=document, reason="ours")
    await done(door, policy)
    assert await refused(door, adjust(-1)) == "stock.unknown_reason"
    ours = AdjustStock(location="MAIN", sku="MUG", change=Quantity(-3), reason="whim", reference="A-2")
    lead, finance = await person(door, "Lead", "Fulfilment Lead"), await person(door, "Fin", "Finance")
    held = await door.submit(lead, ours, "above")
    assert held.status == "pending_approval"
    assert await balance(url) == {"on_hand": 5}
    await done(door, ConfirmAct(act=held.result["pending"]), finance)
    assert await balance(url) == {"on_hand": 2}
    await prove(url)


async def test_two_reports_in_one_batch_see_each_other(door: Door, url: str):
    await stocked(door, MUG=5)
    outcomes = await door.submit_all(
        SYSTEM,
        [("a", restate(4, "available", "damaged")), ("b", restate(4, "available", "damaged")),
         ("c", restate(4, "damaged", "available"))],
    )  # fmt: skip
    assert [outcome.status for outcome in outcomes] == ["applied", "refused", "applied"]
    assert await balance(url) == {"on_hand": 5}
    await prove(url)
