"""Kits and their parts, units of measure, unit costs, and how a site works within its bands."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import expect_all, stocked
from tests.proof import prove
from tests.requests import rows

from trueup.authority.publish import PublishPolicy
from trueup.authority.standing import SYSTEM
from trueup.catalogue.cost import RecordCost, cost_at
from trueup.catalogue.operate import OperateSite, SiteBands
from trueup.catalogue.register import KitPart, RegisterItem, RegisterLocation
from trueup.catalogue.state import Catalogue, Item
from trueup.catalogue.units import in_words, to_base
from trueup.core.batch import roundtrip
from trueup.core.clock import TurnedClock
from trueup.core.database import Connection, connect
from trueup.core.door import Door
from trueup.core.errors import Refusal
from trueup.core.money import Amount
from trueup.core.quantity import Quantity
from trueup.core.verb import State


def kit(sku: str = "SET", *parts: tuple[str, str], phantom: bool = True) -> RegisterItem:
    made = tuple(KitPart(sku=part, quantity=Quantity(count)) for part, count in parts)
    return RegisterItem(sku=sku, name="Set", kind="kit", phantom=phantom, components=made)


async def refused(door: Door, command: RegisterItem | RegisterLocation | OperateSite | RecordCost) -> str:
    outcome = await door.submit(SYSTEM, command, str(hash(f"{command}")))
    assert outcome.refusal is not None, outcome
    return outcome.refusal.rule


async def load(connection: Connection, catalogue: Catalogue, now: datetime) -> None:
    """Load what was wanted since the last time, as a batch does."""
    loading = catalogue.load(lock=False, now=now)
    statements = next(loading)
    while True:
        try:
            statements = loading.send(await roundtrip(connection, statements))
        except StopIteration:
            return


async def test_a_phantom_kit_brings_its_parts_along(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=1, CUP=1)
    expect_all([await door.submit(SYSTEM, kit("SET", ("MUG", "2"), ("CUP", "0.5")), "kit")])
    catalogue = State((Catalogue,))
    connection = await connect(url)
    try:
        catalogue.of(Catalogue).want_item("SET")
        await load(connection, catalogue.of(Catalogue), clock.now())
        found = catalogue.of(Catalogue).item("SET")
        assert found is not None
        assert {(catalogue.of(Catalogue).items[part.item].sku, part.quantity) for part in found.components} == {
            ("MUG", Decimal(2)),
            ("CUP", Decimal("0.5")),
        }
        # Loaded again, it asks for what was wanted since, and keeps what it had.
        catalogue.of(Catalogue).want_every_location()
        await load(connection, catalogue.of(Catalogue), clock.now())
        assert catalogue.of(Catalogue).location("MAIN") is not None
        assert catalogue.of(Catalogue).item("SET") is found
    finally:
        await connection.close()
    await prove(url)


async def test_it_refuses_parts_that_cannot_be(door: Door, url: str):
    await stocked(door, MUG=1)
    expect_all(
        [
            await door.submit(SYSTEM, kit("SET", ("MUG", "1")), "kit"),
            await door.submit(SYSTEM, RegisterItem(sku="FREIGHT", name="Freight", kind="charge"), "charge"),
        ]
    )
    wrong = (
        kit("BAD", ("NONE", "1")),
        kit("BAD", ("BAD", "1")),
        kit("BAD", ("SET", "1")),
        kit("BAD", ("FREIGHT", "1")),
        kit("BAD", ("MUG", "0")),
        kit("BAD", ("MUG", "1"), ("MUG", "1")),
    )
    for command in wrong:
        assert await refused(door, command) == "catalogue.component"
    assert await refused(door, kit("BAD")) == "catalogue.phantom"
    parts = (KitPart(sku="MUG", quantity=Quantity(1)),)
    assert await refused(door, RegisterItem(sku="BAD", name="Bad", components=parts)) == "catalogue.not_a_kit"
    assert await rows(url, "select count(*) from item where sku = 'BAD'") == [(0,)]
    await prove(url)


async def test_a_part_of_a_kit_stays_something_with_stock(door: Door, url: str):
    await stocked(door, MUG=1, CUP=1)
    expect_all([await door.submit(SYSTEM, kit("SET", ("MUG", "1")), "kit")])
    assert await refused(door, kit("MUG", ("CUP", "1"))) == "catalogue.is_part"
    assert await refused(door, RegisterItem(sku="MUG", name="Mug", kind="charge")) == "catalogue.is_part"
    # In one batch, too: the kit that makes CUP a part, and CUP as a phantom.
    outcomes = await door.submit_all(SYSTEM, [("one", kit("PAIR", ("CUP", "2"))), ("two", kit("CUP", ("MUG", "1")))])
    assert sorted(outcome.status for outcome in outcomes) == ["applied", "refused"]
    await prove(url)


async def test_units_expiry_and_places_that_cannot_be_are_refused(door: Door, url: str):
    await stocked(door, MUG=1)
    for units in ({"case": Quantity(0)}, {"each": Quantity(2)}):
        assert await refused(door, RegisterItem(sku="MUG", name="Mug", units=units)) == "catalogue.unit"
    assert await refused(door, RegisterItem(sku="MUG", name="Mug", expires=True)) == "catalogue.expiry"
    assert await refused(door, RegisterLocation(code="X", name="X", timezone="Mars/Base")) == "catalogue.timezone"
    half = RegisterLocation(code="X", name="X", latitude=Quantity("50"))
    off = RegisterLocation(code="X", name="X", latitude=Quantity("91"), longitude=Quantity("0"))
    assert [await refused(door, half), await refused(door, off)] == ["catalogue.position"] * 2
    assert await rows(url, "select units, expires from item") == [(None, False)]
    assert await rows(url, "select code from location") == [("MAIN",)]


async def test_everything_about_item_and_place_is_kept(door: Door, url: str):
    item = RegisterItem(
        sku="MUG", name="Mug", tax_class="reduced", tracking="lot", expires=True, lead_days=5,
        units={"pallet": Quantity("480"), "case": Quantity("24")},
    )  # fmt: skip
    place = RegisterLocation(
        code="SHOP", name="Shop", kind="store", groups=("north", "a b"), timezone="Europe/Berlin",
        latitude=Quantity("52.52"), longitude=Quantity("13.4"), postcode="10115", cutoff="12:30", handling_days=1,
        capacity_per_day=40, open=False, pickup=True,
    )  # fmt: skip
    expect_all(await door.submit_all(SYSTEM, [("item", item), ("place", place)]))
    assert await rows(url, "select tax_class, tracking, expires, lead_days, units, components, fields from item") == [
        ("reduced", "lot", True, 5, {"case": "24", "pallet": "480"}, None, None)
    ]
    kept = await rows(url, "select groups, timezone, latitude, cutoff, capacity_per_day, open, pickup from location")
    assert kept == [(["a b", "north"], "Europe/Berlin", Decimal("52.52"), "12:30", 40, False, True)]
    # Registered again without them, what the site operates stays; the rest is replaced.
    expect_all([await door.submit(SYSTEM, RegisterLocation(code="SHOP", name="Shop", kind="store"), "again")])
    kept = await rows(url, "select groups, cutoff, capacity_per_day, open, pickup from location")
    assert kept == [([], "12:30", 40, False, False)]
    await prove(url)


MUG = Item(id="itm_1", sku="MUG", name="Mug", kind="good", units={"case": Decimal(24), "third": Decimal("0.3333333")})


def test_units_are_exact_or_refused():
    assert to_base(MUG, Decimal(2), "case") == 48
    assert to_base(MUG, Decimal("2.5"), None) == to_base(MUG, Decimal("2.5"), "each") == Decimal("2.5")
    unknown = to_base(MUG, Decimal(1), "pallet")
    assert isinstance(unknown, Refusal)
    assert "each, case, third" in unknown.fix
    assert isinstance(to_base(MUG, Decimal("1"), "third"), Refusal)
    assert in_words(MUG, Decimal(48), "case") == "2 case (48 each)"
    assert in_words(MUG, Decimal(1), "case") == "1 each"


@given(st.integers(0, 10**9), st.decimals(Decimal("0.001"), 10**6, places=3))
def test_units_go_there_and_back(count: int, factor: Decimal):
    item = Item(id="itm_1", sku="MUG", name="Mug", kind="good", units={"box": factor})
    base = to_base(item, Decimal(count), "box")
    assert isinstance(base, Decimal)
    assert base / factor == count


async def test_the_latest_cost_in_effect_holds(door: Door, url: str):
    await stocked(door, MUG=1, CUP=1)
    first = date(2026, 1, 1)

    def cost(amount: str, day: date, source: str = "list") -> RecordCost:
        return RecordCost(sku="MUG", currency="EUR", cost=Amount(amount), effective_from=day, source=source)

    later = first + timedelta(days=31)
    outcomes = await door.submit_all(
        SYSTEM, [("a", cost("4.10", first)), ("b", cost("4.50", later)), ("c", cost("4.10", first))]
    )
    assert [outcome.status for outcome in outcomes] == ["applied", "applied", "merged"]
    corrected = await door.submit(SYSTEM, cost("4.00", first, "invoice 7"), "d")
    assert corrected.status == "applied"
    (mug,), (cup,) = await rows(url, "select id from item order by sku desc")
    connection = await connect(url)
    try:
        for day, expected in (
            (first - timedelta(days=1), {}),
            (first, {mug: Decimal("4.00")}),
            (later - timedelta(days=1), {mug: Decimal("4.00")}),
            (later, {mug: Decimal("4.50")}),
        ):
            assert await cost_at(connection, [mug, cup], "EUR", day) == expected
        assert await cost_at(connection, [mug], "USD", later) == {}
    finally:
        await connection.close()
    assert await refused(door, cost("-1", first)) == "catalogue.cost"
    await prove(url)


async def test_a_site_works_within_its_band(door: Door, url: str):
    await stocked(door, MUG=1)
    bands = {"capacity_min": 10, "capacity_max": 100, "cutoff_earliest": "12:00", "cutoff_latest": "18:00"}
    document = PublishPolicy(policy_kind="site_bands", policy_name="MAIN", document=bands, reason="lease")
    expect_all([await door.submit(SYSTEM, document, "bands")])
    wrong = (
        OperateSite(location="MAIN", capacity_per_day=9),
        OperateSite(location="MAIN", capacity_per_day=101),
        OperateSite(location="MAIN", capacity_per_day=None),
        OperateSite(location="MAIN", cutoff="18:01"),
    )
    for command in wrong:
        outcome = await door.submit(SYSTEM, command, str(hash(f"{command}")))
        assert outcome.refusal is not None
        assert outcome.refusal.rule == "catalogue.outside_band"
        assert "site_bands/MAIN" in outcome.refusal.fix
        assert "Operations Process Owner decides" in outcome.refusal.fix
    assert await rows(url, "select capacity_per_day, cutoff, version from location") == [(None, "15:00", 1)]
    right = OperateSite(location="MAIN", capacity_per_day=100, cutoff="18:00", open=False)
    outcomes = [await door.submit(SYSTEM, right, key) for key in ("one", "two")]
    assert [outcome.status for outcome in outcomes] == ["applied", "merged"]
    assert await rows(url, "select capacity_per_day, cutoff, open from location") == [(100, "18:00", False)]
    await prove(url)


def test_a_band_that_holds_nothing_is_no_policy():
    with pytest.raises(ValueError, match="capacity_min"):
        SiteBands(capacity_min=5, capacity_max=4)
