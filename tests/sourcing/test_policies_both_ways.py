"""Every choice of the routing policy, switched and sourced both ways through the door: behaviours 1, 2, 10, 11, 21."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
import pytest
from tests.conftest import stocked
from tests.proof import prove
from tests.requests import rows
from tests.sourcing.words import act, assigned, by, parts, placed, publish, stands, wanted
from tests.stock.depth import account, balance

from trueup import worker
from trueup.authority.standing import SYSTEM
from trueup.catalogue.register import RegisterItem, RegisterLocation
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.fields import CustomFields, FieldRule
from trueup.core.quantity import Quantity
from trueup.house import build
from trueup.orders.channel import Channel
from trueup.orders.workflow import Workflow
from trueup.sourcing.policy import CostBand, Costs, Group, LocationFilter, OrderFilter, Routing, Rule, When
from trueup.sourcing.reject import RejectPart
from trueup.stock.receive import ReceivedLine, ReceiveStock
from trueup.storyline import settled

BERLIN = {"latitude": Quantity("52.52"), "longitude": Quantity("13.40")}


class Place(NamedTuple):
    """A place of the shop below: where it is, and what a rule may ask of it."""

    latitude: str
    longitude: str
    more: dict[str, Any]


PLACES = {
    "MUNICH": Place("48.14", "11.58", {"groups": ("south",), "capacity_per_day": 3, "cutoff": "08:30",
                                       "fields": {"bays": 1}}),
    "HAMBURG": Place("53.55", "9.99", {"groups": ("north",), "kind": "store", "capacity_per_day": 9,
                                       "fields": {"bays": 4}}),
    "LEIPZIG": Place("51.34", "12.37", {"groups": ("east",), "capacity_per_day": 5}),
}  # fmt: skip


async def three_places(door: Door, **stock: dict[str, int]) -> None:
    """Munich is 504 km from Berlin, Hamburg 255, Leipzig 149; so many mugs each: 9, 5 and 3 unless said otherwise."""
    await publish(door, "location", CustomFields(fields=(FieldRule(name="bays", type="number"),)))
    for code, units in {"MUNICH": {"MUG": 9}, "HAMBURG": {"MUG": 5}, "LEIPZIG": {"MUG": 3}, **stock}.items():
        await stocked(door, location=code, **units)
    for code, place in PLACES.items():
        where = {"latitude": Quantity(place.latitude), "longitude": Quantity(place.longitude)}
        outcome = await act(door, RegisterLocation(code=code, name=code, **where, **place.more))  # type: ignore[arg-type]
        assert outcome.refusal is None, outcome.refusal
    await publish(door, "web", Channel(locations=tuple(PLACES)))


async def berlin(door: Door, units: int = 3, key: str = "berlin", **more: Any) -> str:
    """Order mugs to Berlin; return the order."""
    outcome = await door.submit(SYSTEM, msgspec.structs.replace(wanted(MUG=units), **BERLIN, **more), key)
    assert outcome.status == "applied", outcome.refusal
    return str(outcome.result["order"])


async def goes(door: Door, order: str) -> list[tuple[str, int]]:
    """Source an order of one line; return the units by location, in the order of choice."""
    return [(code, int(lines["1"])) for code, lines in parts(await assigned(door, order))]


NEAR_IS_DEAR = Costs(bands=(CostBand(200, Decimal(9)), CostBand(300, Decimal(4))), parcel=Decimal(6))


@pytest.mark.parametrize(
    ("sort", "costs", "first"),
    [
        (("most_stock",), Costs(), "MUNICH"),  # 9 mugs before 5 and 3
        (("priority",), Costs(), "HAMBURG"),  # ranked first, below
        (("distance",), Costs(), "LEIPZIG"),  # 149 km before 255 and 504
        (("cost",), NEAR_IS_DEAR, "HAMBURG"),  # 4.00 in the band to 300 km; Leipzig 9.00, Munich beyond them 6.00
        (("cost",), Costs(), "HAMBURG"),  # without bands all cost the same: by the code
        (("cost", "most_stock"), Costs(), "MUNICH"),  # the second sort breaks the tie
        (("remaining_capacity",), Costs(), "HAMBURG"),  # takes 9 more orders today; Leipzig 5, Munich 3
        (("field:bays",), Costs(), "MUNICH"),  # 1 before 4; Leipzig says nothing and comes last
        (("field:nothing", "distance"), Costs(), "LEIPZIG"),  # no place has it
    ],
)
async def test_which_location_comes_first_is_the_rules_sort(
    door: Door, url: str, sort: tuple[str, ...], costs: Costs, first: str
):
    """Behaviour 1: each place could serve the order of three alone."""
    await three_places(door)
    rule = Rule("sorted", sort=sort, ranking=("HAMBURG", "LEIPZIG"), otherwise="partial")
    await publish(door, "default", msgspec.structs.replace(by(rule), costs=costs))
    assert await goes(door, await berlin(door)) == [(first, 3)]
    await prove(url)


@pytest.mark.parametrize(("taken", "first"), [(0, "LEIPZIG"), (3, "MUNICH")])
async def test_remaining_capacity_is_what_is_left_of_today(door: Door, url: str, taken: int, first: str):
    """Munich takes 3 orders a day, Leipzig 5 of which some are gone: 5 before 3, and 3 before 2."""
    await three_places(door, HAMBURG={"MUG": 0})
    only = Rule("Leipzig", where=LocationFilter(codes=("LEIPZIG",)), otherwise="partial")
    await publish(door, "default", by(only))
    for number in range(taken):
        assert await goes(door, await berlin(door, 1, f"before {number}")) == [("LEIPZIG", 1)]
    await publish(door, "default", by(Rule("room", sort=("remaining_capacity",), otherwise="partial")))
    await comes(door, "LEIPZIG", 3)
    assert await goes(door, await berlin(door)) == [(first, 3)]
    await prove(url)


async def comes(door: Door, code: str, units: int) -> None:
    """Receive mugs."""
    receipt = ReceiveStock(location=code, lines=(ReceivedLine("MUG", Quantity(units)),), reference="more")
    assert (await act(door, receipt)).refusal is None


FILTERS: list[tuple[str, LocationFilter, list[tuple[str, int]]]] = [
    ("no filter: most stock first", LocationFilter(), [("MUNICH", 3)]),
    ("groups", LocationFilter(groups=("north", "east")), [("HAMBURG", 3)]),
    ("another group", LocationFilter(groups=("east",)), [("LEIPZIG", 3)]),
    ("kinds: Hamburg is a store", LocationFilter(kinds=("store",)), [("HAMBURG", 3)]),
    ("kinds: the others are warehouses", LocationFilter(kinds=("warehouse",)), [("MUNICH", 3)]),
    ("codes", LocationFilter(codes=("LEIPZIG", "HAMBURG")), [("HAMBURG", 3)]),
    ("255 km are near enough, 504 are not", LocationFilter(distance_km_max=300), [("HAMBURG", 3)]),
    ("149 km are, 255 are not", LocationFilter(distance_km_max=200), [("LEIPZIG", 3)]),
    ("cut-off: Munich's was at 8:30, and it is 9", LocationFilter(cutoff=True), [("HAMBURG", 3)]),
    ("cut-off: it does not matter", LocationFilter(cutoff=False), [("MUNICH", 3)]),
    ("7 stay: Munich gives 2 of 9, Hamburg and Leipzig nothing", LocationFilter(keep=Decimal(7)), [("MUNICH", 2)]),
    ("4 stay: Munich gives 5 of 9", LocationFilter(keep=Decimal(4)), [("MUNICH", 3)]),
]


@pytest.mark.parametrize(("why", "where", "expected"), FILTERS, ids=[why for why, _, _ in FILTERS])
async def test_which_locations_are_asked_is_the_rules_filter(
    door: Door, url: str, why: str, where: LocationFilter, expected: list[tuple[str, int]]
):
    """Behaviours 1 and 11: an order of three; what a filter leaves out is not asked, though it has most."""
    await three_places(door)
    await publish(door, "default", by(Rule("filtered", where=where, otherwise="partial")))
    assert await goes(door, await berlin(door)) == expected
    await prove(url)


@pytest.mark.parametrize(("heeded", "fourth"), [(True, "HAMBURG"), (False, "MUNICH")])
async def test_whether_a_rule_heeds_capacity(door: Door, url: str, heeded: bool, fourth: str):
    """Munich takes three orders a day; 9 mugs less three leave it the most, 6 before 5."""
    await three_places(door)
    rule = Rule("room or not", where=LocationFilter(capacity=heeded), otherwise="partial")
    await publish(door, "default", by(rule))
    found = [await goes(door, await berlin(door, 1, f"order {number}")) for number in range(4)]
    assert found == [[("MUNICH", 1)]] * 3 + [[(fourth, 1)]]
    await prove(url)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({}, [("MUNICH", {"1": "1", "2": "1"})]),
        ({"categories": ("cups",)}, []),  # nothing else: mugs are, pens are not, and the order goes whole
        ({"categories": ("cups", "pens")}, [("MUNICH", {"1": "1", "2": "1"})]),
        ({"not_categories": ("pens",)}, []),
        ({"not_categories": ("plates",)}, [("MUNICH", {"1": "1", "2": "1"})]),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
async def test_which_goods_a_rule_ships(
    door: Door, url: str, where: dict[str, Any], expected: list[tuple[str, dict[str, str]]], whole: bool
):
    """A mug and a pen; by an order that goes whole, or one whose pen waits."""
    await three_places(door, MUNICH={"MUG": 9, "PEN": 1})
    for sku, category in (("MUG", "cups"), ("PEN", "pens")):
        assert (await act(door, RegisterItem(sku=sku, name=sku, category=category))).refusal is None
    rule = Rule("goods", where=LocationFilter(**where), complete="order" if whole else "any", otherwise="partial")
    await publish(door, "default", by(rule))
    found = parts(await assigned(door, await placed(door, MUG=1, PEN=1)))
    assert found == (expected or ([] if whole else [("MUNICH", {"1": "1"})]))
    await prove(url)


@pytest.mark.parametrize(
    ("drop_ship", "otherwise", "outcome", "expected", "owed", "held"),
    [
        (True, "backorder", "backordered", [("MAIN", {"1": "10", "2": "5"}), ("SUP", {"1": "2"})], ("SUP", 3), 0),
        (False, "backorder", "backordered", [("MAIN", {"1": "10", "2": "5"})], ("SUP", 5), 0),
        (True, "partial", "partly", [("MAIN", {"1": "10", "2": "5"}), ("SUP", {"1": "2"})], ("MAIN", 3), 0),
        (False, "partial", "partly", [("MAIN", {"1": "10", "2": "5"})], ("MAIN", 3), 2),
        (True, "queue", "queued", [], ("MAIN", 3), 2),
    ],
)  # fmt: skip
async def test_a_supplier_is_asked_and_owes_what_is_short_where_the_rule_says_so(
    door: Door,
    url: str,
    drop_ship: bool,
    otherwise: Any,
    outcome: str,
    expected: Any,
    owed: tuple[str, int],
    held: int,
):
    """Behaviour 11: 15 + 5; main has 10 + 10, the supplier 2. What nobody owes waits where it was captured.

    held: what the order still reserves at the supplier. Allocated, reserved and owed are never more than 15.
    """
    await stocked(door, location="MAIN", X=10, Y=10)
    await stocked(door, location="SUP", X=2)
    assert (await act(door, RegisterLocation(code="SUP", name="Sup", kind="supplier"))).refusal is None
    await publish(door, "web", Channel(locations=("MAIN", "SUP"), short="backorder"))
    rule = Rule("rule", where=LocationFilter(drop_ship=drop_ship), otherwise=otherwise, backorder_at=("SUP",))
    await publish(door, "default", by(rule))
    order = await placed(door, X=15, Y=5)
    result = await assigned(door, order)
    assert (result["outcome"], parts(result)) == (outcome, expected)
    assert await owed_at(url, order) == {owed[0]: owed[1]}
    assert (await stands(url, "X", "SUP"))["reserved"] == held, "what another place owes is not held here as well"
    await prove(url)


async def owed_at(url: str, order: str) -> dict[str, int]:
    """Return the units of an order that wait, by location."""
    found = await rows(
        url,
        """select l.code, sum(p.quantity)::int from stock_peg p join location l on l.id = p.location
        where p.holder = %s group by l.code having sum(p.quantity) <> 0""",
        order,
    )
    return dict(found)


@pytest.mark.parametrize(("otherwise", "outcome"), [("partial", "partly"), ("backorder", "backordered")])
async def test_a_pickup_that_is_short_waits_at_its_store_whoever_else_owes(
    door: Door, url: str, otherwise: Any, outcome: str
):
    """Behaviour 2: five of a store that has four; the fifth is owed there, though the rule lets MAIN owe."""
    await stocked(door, location="MAIN", MUG=9)
    await stocked(door, location="STORE", MUG=4)
    await publish(door, "web", Channel(locations=("MAIN", "STORE"), short="backorder"))
    rule = Rule("rule", where=LocationFilter(codes=("MAIN",)), otherwise=otherwise, backorder_at=("MAIN",))
    await publish(door, "default", by(rule))
    pickup = msgspec.structs.replace(wanted(MUG=5), delivery="pickup", location="STORE")
    order = str((await act(door, pickup)).result["order"])
    result = await assigned(door, order)
    assert (result["outcome"], parts(result)) == (outcome, [("STORE", {"1": "4"})])
    assert await owed_at(url, order) == {"STORE": 1}
    assert (await stands(url, "MUG", "MAIN"))["allocated"] == 0
    await prove(url)


@pytest.mark.parametrize(("otherwise", "stock"), [("partial", 9), ("backorder", 9), ("backorder", 3)])
async def test_a_pickup_that_its_store_rejected_is_a_persons_to_decide(
    door: Door, url: str, otherwise: Any, stock: int
):
    """Behaviours 2 and 21: nobody else may serve it, and the store is not asked again; so nothing is kept for it there.

    With three of five on the shelf two are owed there until the store says that it cannot find the three either.
    """
    await stocked(door, location="MAIN", MUG=9)
    await stocked(door, location="STORE", MUG=stock)
    await publish(door, "web", Channel(locations=("MAIN", "STORE"), short="backorder"))
    await publish(door, "default", by(Rule("rule", otherwise=otherwise, backorder_at=("MAIN",))))
    pickup = msgspec.structs.replace(wanted(MUG=5), delivery="pickup", location="STORE")
    order = str((await act(door, pickup)).result["order"])
    part = (await assigned(door, order))["fulfilment_orders"][0]["fulfilment_order"]
    assert await owed_at(url, order) == ({} if stock == 9 else {"STORE": 2})
    assert (await act(door, RejectPart(order=order, fulfilment_order=part, reason="no_capacity"))).refusal is None
    result = await assigned(door, order, "after")
    assert (result["outcome"], parts(result)) == ("queued", [])
    assert await rows(url, "select queue from sourcing_queue where order_id = %s", order) == [("unsourced",)]
    assert await owed_at(url, order) == {}
    free = await rows(url, "select sum(on_hand - reserved - allocated)::int from stock_balance")
    assert free == [(9 + stock,)], "what it cannot have is everybody's"
    tried = await rows(url, "select body from sourcing_decision where order_id = %s order by at desc limit 1", order)
    assert "rejected before" in str(tried)
    await prove(url)


@pytest.mark.parametrize("where", [
    LocationFilter(keep=Decimal(2)), LocationFilter(categories=("plates",)), LocationFilter(not_categories=("cups",)),
    LocationFilter(codes=("MAIN",)), LocationFilter(kinds=("supplier",)), LocationFilter(cutoff=True),
    LocationFilter(distance_km_max=1), LocationFilter(groups=("north",)), LocationFilter(),
])  # fmt: skip
async def test_a_pickup_comes_from_its_store_whatever_the_rule_asks_of_others(
    door: Door, url: str, where: LocationFilter
):
    """Behaviour 2: all five units come from the chosen store, whatever the strategy."""
    await stocked(door, location="MAIN", MUG=9)
    await stocked(door, location="STORE", MUG=5)
    assert (await act(door, RegisterItem(sku="MUG", name="Mug", category="cups"))).refusal is None
    assert (await act(door, RegisterLocation(code="STORE", name="Store", cutoff="08:00"))).refusal is None
    await publish(door, "web", Channel(locations=("MAIN", "STORE")))
    await publish(door, "default", by(Rule("rule", where=where, otherwise="partial")))
    pickup = msgspec.structs.replace(wanted(MUG=5), delivery="pickup", location="STORE")
    order = str((await act(door, pickup)).result["order"])
    assert parts(await assigned(door, order)) == [("STORE", {"1": "5"})]
    await prove(url)


async def test_who_waits_at_a_place_keeps_its_turn_and_is_not_told_so_again(door: Door, url: str, clock: TurnedClock):
    """Behaviours 11 and 13: a location owes two orders; sourcing the first again does not put it behind the second."""
    await stocked(door, location="MAIN", MUG=0)
    await publish(door, "web", Channel(short="backorder"))
    rule = Rule("rule", otherwise="backorder", backorder_at=("MAIN",))
    await publish(door, "default", Routing(groups=(Group("all", (rule,)),), when=When(every_minutes=1)))
    first = await placed(door, "first", MUG=2)
    clock.turn(timedelta(minutes=1))
    second = await placed(door, "second", MUG=1)
    await settled(door, url, build())
    turns = "select holder, quantity::int, since from stock_waiting order by since"
    before, decided = await rows(url, turns), await rows(url, "select count(*) from sourcing_decision")
    assert [(holder, units) for holder, units, _ in before] == [(first, 2), (second, 1)]
    clock.turn(timedelta(minutes=1))
    assert await worker.notice_now(url, door, SOURCE) == 2
    assert await rows(url, "select count(*) from sourcing_decision") == decided
    assert await rows(url, turns) == before
    await assigned(door, first)
    assert await rows(url, turns) == before, "who asks is answered, and its turn is kept"
    await prove(url)


SOURCE = next(notice for notice in worker.NOTICES if notice.name == "source")


REJECTIONS = [
    ("damaged", {"on_hand": 2, "damaged": 2}, 0),
    ("quality", {"on_hand": 2, "quality": 2}, 0),
    ("not_found", {"on_hand": 2}, 2),
    ("no_capacity", {"on_hand": 4}, 0),
    ("closed", {"on_hand": 4}, 0),
    ("other", {"on_hand": 4}, 0),
]


@pytest.mark.parametrize(("reason", "left", "lost"), REJECTIONS, ids=[reason for reason, _, _ in REJECTIONS])
async def test_why_a_location_rejects_says_where_the_goods_are(
    door: Door, url: str, reason: Any, left: dict[str, int], lost: int
):
    """Behaviour 21: A has four mugs and rejects two; B has three, and gets the order. lost: units booked out."""
    await stocked(door, location="A", MUG=4)
    await stocked(door, location="B", MUG=3)
    await publish(door, "web", Channel(locations=("A", "B")))
    order = await placed(door, MUG=2)
    part = (await assigned(door, order))["fulfilment_orders"][0]
    assert part["location"] == "A"
    rejected = await act(door, RejectPart(order=order, fulfilment_order=part["fulfilment_order"], reason=reason))
    assert rejected.refusal is None, rejected.refusal
    assert await balance(url, "MUG", "A") == left
    assert await account(url, "adjustment") == lost
    await settled(door, url, build())
    assert await balance(url, "MUG", "A") == left, "two more are there, and it is not asked again"
    assert await balance(url, "MUG", "B") == {"on_hand": 3, "allocated": 2}
    await prove(url)


@pytest.mark.parametrize(
    ("sort", "sequence"),
    [
        (("first_in",), ["plain", "late", "early", "urgent"]),
        (("promise",), ["early", "late", "plain", "urgent"]),  # without a promise last, the first in before
        (("priority",), ["urgent", "plain", "late", "early"]),
        (("priority", "promise"), ["urgent", "early", "late", "plain"]),
    ],
)
async def test_in_which_sequence_orders_are_sourced_is_the_groups_sort(
    door: Door, url: str, clock: TurnedClock, sort: Any, sequence: list[str]
):
    """Four orders of one mug; A, B and C take one order a day each, in this order, and D what comes after them."""
    for code in ("A", "B", "C", "D"):
        await stocked(door, location=code, MUG=4)
        if code != "D":
            assert (await act(door, RegisterLocation(code=code, name=code, capacity_per_day=1))).refusal is None
    await publish(door, "web", Channel(locations=("A", "B", "C", "D")))
    rule = Rule("ranked", sort=("priority",), ranking=("A", "B", "C", "D"), otherwise="partial")
    group = Group("all", (rule,), sort=sort)
    await publish(door, "default", Routing(groups=(group,), when=When(on_placement=False, every_minutes=1)))
    wishes: dict[str, dict[str, Any]] = {
        "plain": {}, "late": {"promised_at": clock.now() + timedelta(days=9)},
        "early": {"promised_at": clock.now() + timedelta(days=2)}, "urgent": {"priority": 7},
    }  # fmt: skip
    orders = {}
    for name, wish in wishes.items():
        clock.turn(timedelta(seconds=10))
        outcome = await door.submit(SYSTEM, msgspec.structs.replace(wanted(MUG=1), **wish), name)
        orders[str(outcome.result["order"])] = name
    clock.turn(timedelta(seconds=20))
    assert await worker.notice_now(url, door, SOURCE) == 4
    found = await rows(
        url, "select order_id from fulfilment_order f join location l on l.id = f.location order by l.code"
    )
    assert [orders[order] for (order,) in found] == sequence
    await prove(url)


ORDERS: dict[str, dict[str, Any]] = {
    "plain": {}, "french": {"ship_country": "FR"}, "dear": {}, "app": {"channel": "app"},
    "urgent": {"priority": 5}, "collected": {"delivery": "pickup", "location": "B"}, "wholesale": {"type": "wholesale"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("orders", "meant"),
    [
        (OrderFilter(), set(ORDERS)),
        (OrderFilter(channels=("app",)), {"app"}),
        (OrderFilter(types=("wholesale", "rental")), {"wholesale"}),
        (OrderFilter(deliveries=("pickup",)), {"collected"}),
        (OrderFilter(countries=("FR", "BE")), {"french"}),
        (OrderFilter(priority_min=5), {"urgent"}),
        (OrderFilter(priority_min=6), set()),
        (OrderFilter(total_min=Decimal(20)), {"dear"}),
        (OrderFilter(countries=("FR",), channels=("app",)), set()),
    ],
)  # fmt: skip
async def test_which_orders_a_group_means(door: Door, url: str, orders: OrderFilter, meant: set[str]):
    """A mug each at 10.00, and two in the dear order; who is not meant is the next group's."""
    await stocked(door, MUG=99)
    await stocked(door, location="B", MUG=9)
    for channel in ("web", "app"):
        await publish(door, channel, Channel(locations=("MAIN", "B")))
    await publish(door, "wholesale", Workflow())
    rule = Rule("any", otherwise="partial")
    await publish(door, "default", Routing(groups=(Group("meant", (rule,), orders), Group("rest", (rule,)))))
    groups = {}
    for name, wish in ORDERS.items():
        units = 2 if name == "dear" else 1
        outcome = await door.submit(SYSTEM, msgspec.structs.replace(wanted(MUG=units), **wish), name)
        assert outcome.refusal is None, outcome.refusal
        order = str(outcome.result["order"])
        await assigned(door, order)
        found = await rows(url, "select order_group from sourcing_decision where order_id = %s", order)
        groups[name] = found[0][0]
    assert groups == {name: "meant" if name in meant else "rest" for name in ORDERS}
    await prove(url)
