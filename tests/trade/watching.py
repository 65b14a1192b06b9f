"""What the machine reads of an order after each command, and what it demands of what it sees."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.trade.model import PLACES, STOCKED, Claim, Kind, Order, Shop

from trueup.core.database import Connection
from trueup.sourcing.policy import Group, LocationFilter, Routing, Rule

ORDER_SQL = "select state, total, holds from orders where id = %s"
LINES_SQL = "select line, cancelled, reserved, allocated from order_line where order_id = %s order by line"
CLAIMS_SQL = """select c.line, i.name, l.name, c.kind, sum(c.quantity) from stock_claim c
    join item i on i.id = c.item join location l on l.id = c.location
    where c.holder = %s group by c.line, i.name, l.name, c.kind having sum(c.quantity) <> 0"""
PEGS_SQL = "select line, sum(quantity) from stock_waiting where holder = %s group by line"
PARTS_SQL = """select f.id, l.name, p.line, p.quantity - p.withdrawn - p.rejected - p.shipped
    from fulfilment_order f join fulfilment_line p on p.fulfilment_order = f.id join location l on l.id = f.location
    where f.order_id = %s and f.status in ('open', 'partially_shipped')
        and p.quantity > p.withdrawn + p.rejected + p.shipped order by f.number, p.line"""
QUEUE_SQL = "select queue from sourcing_queue where order_id = %s"


CAPPED = {"C": 2}
"""Fulfilment orders that a location takes in a day."""


@dataclass
class Seen:
    """An order as it is stored. lines: number -> cancelled, reserved, allocated. parts: id -> place, line -> units."""

    state: str
    total: Decimal
    holds: int
    lines: dict[int, tuple[int, int, int]]
    claims: list[Claim]
    pegs: dict[int, int]
    parts: dict[str, tuple[str, dict[int, int]]] = field(default_factory=dict)
    queue: str | None = None

    def by_place(self, kind: Kind) -> Counter[tuple[int, str]]:
        """Units of one kind by line and place."""
        found: Counter[tuple[int, str]] = Counter()
        for claim in self.claims:
            if claim.kind == kind:
                found[claim.line, claim.place] += claim.units
        return found


async def see(reads: Connection, order: str) -> Seen:
    """Read an order."""

    async def rows(sql: str) -> list[tuple[Any, ...]]:
        return await (await reads.execute(sql, [order])).fetchall()

    ((state, total, holds),) = await rows(ORDER_SQL)
    parts: dict[str, tuple[str, dict[int, int]]] = {}
    for id_, place, line, units in await rows(PARTS_SQL):
        parts.setdefault(id_, (place, {}))[1][line] = int(units)
    queue = await rows(QUEUE_SQL)
    return Seen(
        state,
        total,
        holds,
        {line: (int(a), int(b), int(c)) for line, a, b, c in await rows(LINES_SQL)},
        [
            Claim(order, line, item, place, int(units), kind)
            for line, item, place, kind, units in await rows(CLAIMS_SQL)
        ],
        {line: int(units) for line, units in await rows(PEGS_SQL)},
        parts,
        queue[0][0] if queue else None,
    )


def demand_whole(shop: Shop, id_: str, seen: Seen) -> None:
    """Every unit of every line is allocated, reserved, waiting or cancelled; claims and counters say the same."""
    order = shop.orders[id_]
    assert set(seen.lines) == set(order.lines)
    for number, line in order.lines.items():
        cancelled, reserved, allocated = seen.lines[number]
        assert cancelled == line.cancelled, (number, "cancelled", cancelled, line.cancelled)
        if line.good:
            assert reserved + allocated + line.waiting + cancelled == line.units, (number, seen.lines[number], line)
            assert 0 <= seen.pegs.get(number, 0) <= line.waiting, (number, "pegged", seen.pegs, line.waiting)
        claimed = Counter[str]()
        for claim in seen.claims:
            if claim.line == number:
                assert claim.item == line.item
                claimed[claim.kind] += claim.units
        assert (claimed["reservation"], claimed["allocation"]) == (reserved, allocated), number
    owed: Counter[tuple[int, str]] = Counter()
    for place, lines in seen.parts.values():
        for number, units in lines.items():
            owed[number, place] += units
    assert owed == seen.by_place("allocation"), "the locations' parts are what is allocated"
    assert seen.holds == len(order.holds)
    assert seen.total == shop.total(id_)
    assert seen.state == order.state, (seen.state, order.state)


@dataclass(frozen=True)
class How:
    """A way to choose locations: its policy, and what must hold of every decision by it.

    keep: units that stay. whole: all from one location, or nothing. together: the parts of a kit leave from one place.
    """

    rule: Rule
    keep: int = 0
    whole: bool = False
    together: bool = True

    def policy(self) -> Routing:
        """The policy that says so."""
        return Routing(groups=(Group("all", (self.rule,)),))


HOWS = (
    How(Rule("most stock", otherwise="partial")),
    How(Rule("keep one", where=LocationFilter(keep=Decimal(1)), one_first=False, otherwise="partial"), keep=1),
    How(Rule("whole", complete="order", otherwise="queue", queue="by hand"), whole=True),
    How(Rule("kits apart", kits_together=False, otherwise="partial"), together=False),
)


@dataclass(frozen=True)
class Needed:
    """What a decision had to serve: a line's open units, and the places that may give them."""

    line: int
    item: str
    units: int
    kit: int | None
    places: frozenset[str]


def needed(shop: Shop, id_: str, limits: dict[str, int]) -> list[Needed]:
    """Return what of an order is to be sourced now: not allocated, not held; nowhere where it was rejected or full."""
    order = shop.orders[id_]
    full = {place for place, most in limits.items() if shop.loads[place, shop.now.date()] >= most}
    found = []
    for number, line in order.goods().items():
        units = line.open - shop.held_by(id_, number, "allocation")
        if units > 0 and not order.held(number):
            places = frozenset(PLACES) - line.rejected - full
            found.append(Needed(number, line.item, units, line.parent, places))
    return found


def demand_allowed(shop: Shop, id_: str, needs: list[Needed], gains: Counter[tuple[int, str]], how: How) -> None:
    """No more than there was for the order, nowhere where it may not come from, kits and orders whole where asked."""
    by_line = {need.line: need for need in needs}
    taken: Counter[tuple[str, str]] = Counter()
    for (line, place), units in gains.items():
        assert line in by_line, (line, "was not to be sourced: held, or allocated already")
        assert place in by_line[line].places, (line, place, "rejected it, or is full")
        taken[by_line[line].item, place] += units
    for (item, place), units in taken.items():
        free = shop.available_to(id_, item, place, by_line) - how.keep
        assert units <= free, (item, place, f"{units} allocated, {free} were available")
    used = {place for _, place in gains}
    if how.whole:
        assert len(used) <= 1
        assert not used or sum(gains.values()) == sum(need.units for need in needs)
    for block in blocks(needs, how):
        got = {(line, place): units for (line, place), units in gains.items() if line in {n.line for n in block}}
        if len(block) > 1 and got:
            assert len({place for _, place in got}) == 1, "a kit's parts leave from one place"
            assert sum(got.values()) == sum(need.units for need in block)


def demand_enough(shop: Shop, id_: str, needs: list[Needed], gains: Counter[tuple[int, str]], how: How) -> None:
    """What is short is to be had nowhere: no place that may give it has it left."""
    lines = {need.line for need in needs}
    left = {
        (item, place): shop.available_to(id_, item, place, lines) - how.keep for item in STOCKED for place in PLACES
    }
    items = {need.line: need.item for need in needs}
    for (line, place), units in gains.items():
        left[items[line], place] -= units
    short = {need.line: need.units - sum(u for (line, _), u in gains.items() if line == need.line) for need in needs}
    for block in [needs] if how.whole else blocks(needs, how):
        wanting: Counter[str] = Counter()
        for need in block:
            wanting[need.item] += short[need.line]
        for place in frozenset.intersection(*(need.places for need in block)):
            if len(block) > 1 or how.whole:
                served = all(left[item, place] >= units for item, units in wanting.items())
            else:
                served = any(left[item, place] > 0 for item, units in wanting.items() if units)
            assert not any(wanting.values()) or not served, (place, "has it", wanting, left)


def blocks(needs: list[Needed], how: How) -> list[list[Needed]]:
    """Return the lines that must leave together: a kit's parts, every other line alone."""
    found: dict[int, list[Needed]] = {}
    for need in needs:
        found.setdefault(need.kit if how.together and need.kit is not None else -need.line, []).append(need)
    return list(found.values())


def demand_gave_way(shop: Shop, id_: str, seen: Seen, gains: Counter[tuple[int, str]]) -> None:
    """What a line is allocated its reservation gives way to; and to another line that takes what it had reserved."""
    goods = shop.orders[id_].goods()
    had = shop.by_place(id_, "reservation")
    for number, line in goods.items():
        given = sum(units for (of, _), units in gains.items() if of == number)
        reserved = shop.held_by(id_, number, "reservation")
        lost = max(0, reserved - given) - seen.lines[number][1]
        assert lost >= 0, (number, "its reservation gives way")
        robbed = {place for of, place in gains if of != number and goods[of].item == line.item and had[number, place]}
        assert not lost or robbed, (number, "lost its reservation to nobody")
        line.waiting += lost - max(0, given - reserved)


def unallocated(order: Order, seen: Seen) -> int:
    """Return how many units of an order are wanted and not allocated."""
    return sum(line.open - seen.lines[number][2] for number, line in order.goods().items())
