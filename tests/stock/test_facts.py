"""Facts about stock post as reported; what does not fit goes to the shortage account and is one case. Behaviour 37."""

from __future__ import annotations

from tests.conftest import START, stocked
from tests.proof import prove
from tests.requests import adjust, figures, order_of, rows

from trueup.authority.standing import SYSTEM
from trueup.core.door import Door
from trueup.core.quantity import Quantity
from trueup.stock.count import CountedLine, CountStock


def count(reference: str, **units: int) -> CountStock:
    lines = tuple(CountedLine(sku, Quantity(found)) for sku, found in units.items())
    return CountStock(location="MAIN", lines=lines, reference=reference, counted_at=START)


async def test_what_is_missing_beyond_on_hand_goes_to_the_shortage_account(door: Door, url: str):
    await stocked(door, MUG=3)
    outcome = await door.submit(SYSTEM, adjust(-5), "lost")
    assert (outcome.status, outcome.result["on_hand"]) == ("applied", "0")
    moves = await rows(
        url,
        """select from_account::text, to_account::text, quantity::int from stock_movement
        where reason = 'found' order by number""",
    )
    assert moves == [("on_hand", "adjustment", 3), ("shortage", "adjustment", 2)]
    assert await rows(url, "select kind, subjects from cases") == [("stock_short", 1)]
    await prove(url)


async def test_a_count_that_breaks_several_promises_opens_one_case(door: Door, url: str):
    await stocked(door, MUG=10, PLATE=10, BOWL=10)
    await door.submit(SYSTEM, order_of(MUG=8, PLATE=8, BOWL=1), "order")
    outcome = await door.submit(SYSTEM, count("C-1", MUG=5, PLATE=2, BOWL=9), "count")
    assert outcome.status == "applied", outcome.refusal
    assert await rows(url, "select subjects, status from cases") == [(2, "open")]
    assert (await figures(url, "PLATE"))["owed"] == 6
    again = await door.submit(SYSTEM, count("C-2", MUG=4, PLATE=2, BOWL=9), "count again")
    assert again.result["changed"] == 1
    assert await rows(url, "select subjects from cases") == [(2,)], "the same item is one subject"
    await prove(url)


async def test_two_adjustments_in_one_batch_share_one_case(door: Door, url: str):
    await stocked(door, MUG=10, PLATE=10)
    await door.submit(SYSTEM, order_of(MUG=8, PLATE=8), "order")
    outcomes = await door.submit_all(SYSTEM, [("a", adjust(-5)), ("b", adjust(-5, "PLATE")), ("c", adjust(-1))])
    assert {outcome.status for outcome in outcomes} == {"applied"}
    assert await rows(url, "select subjects from cases") == [(2,)]
    await prove(url)


async def test_a_count_of_what_the_book_says_changes_nothing(door: Door, url: str):
    await stocked(door, MUG=10)
    assert (await door.submit(SYSTEM, count("C-1", MUG=10), "count")).status == "merged"
    assert (await door.submit(SYSTEM, count("C-2", MUG=-1), "less than none")).status == "refused"
    lines = (CountedLine("MUG", Quantity(1)), CountedLine("MUG", Quantity(2)))
    twice = CountStock(location="MAIN", lines=lines, reference="C-3", counted_at=START)
    assert (await door.submit(SYSTEM, twice, "twice")).status == "refused"
    await prove(url)
