"""A fictional retailer's assortment and its opening stock."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random
from typing import Final, NamedTuple

from trueup.sandbox.dialects import Dialect
from trueup.sandbox.sheets import SourceRow

LOCATIONS: Final = ("BERLIN-DC", "LEEDS-DC", "STORE-01")
"""Two warehouses, which hold every item, and a shop, which holds most."""

_STORE = "STORE-01"
_DIGITS_ONLY_EVERY = 17
_VARIANT_EVERY = 6


@dataclass(slots=True, eq=False, kw_only=True)
class Item(SourceRow):
    """One item of the assortment, a row of the items file."""

    sku: str
    description: str
    gtin: str
    """A valid GTIN-8, -12, -13 or -14, or empty."""
    unit_price: Decimal
    currency: str
    weight_g: int
    category: str

    def cells(self, dialect: Dialect) -> dict[str, str]:
        """The text of each field."""
        return {
            "sku": self.sku,
            "description": self.description,
            "gtin": self.gtin,
            "unit_price": dialect.amount(self.unit_price, self.currency),
            "currency": self.currency,
            "weight": str(self.weight_g),
            "category": self.category,
        }


@dataclass(slots=True, eq=False, kw_only=True)
class StockCount(SourceRow):
    """What was counted of one item at one location, a row of the stock count."""

    sku: str
    location_code: str
    quantity: int
    counted_at: datetime

    def cells(self, dialect: Dialect) -> dict[str, str]:
        """The text of each field."""
        return {
            "sku": self.sku,
            "location_code": self.location_code,
            "counted_quantity": str(self.quantity),
            "counted_at": dialect.moment(self.counted_at),
        }


def gtin_check_digit(body: str) -> str:
    """The check digit of a GTIN of any length, by the GS1 rule: weights 3 and 1 from the right, modulo 10."""
    weighted = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(body)))
    return str(-weighted % 10)


def build_assortment(rng: Random, count: int) -> list[Item]:
    """Make `count` items. No two SKUs are the same once only letters and digits are left and case is forgotten."""
    skus = _skus(rng, count)
    gtins: set[str] = set()
    items = []
    for position, sku in enumerate(skus):
        family = _family_of(rng, sku)
        gtin = _gtin(rng, position)
        while gtin and gtin in gtins:
            gtin = _gtin(rng, position)
        gtins.add(gtin)
        items.append(
            Item(
                sku=sku,
                description=_describe(rng, family),
                gtin=gtin,
                unit_price=_price(rng),
                currency="GBP" if rng.random() < 0.08 else "EUR",
                weight_g=rng.randrange(20, 9000, 5),
                category=family.category,
            )
        )
    return items


def count_stock(rng: Random, items: Sequence[Item], day: date) -> list[StockCount]:
    """Count every item at both warehouses and most of them in the shop, on the evening of `day`."""
    rows = []
    for place, location in enumerate(LOCATIONS):
        counted_at = datetime.combine(day, time(18 + place), UTC)
        for item in items:
            if location == _STORE and rng.random() < 0.3:
                continue
            counted_at += timedelta(seconds=rng.randrange(2, 9))
            quantity = 0 if rng.random() < 0.06 else rng.randrange(1, 60 if location == _STORE else 900)
            rows.append(StockCount(sku=item.sku, location_code=location, quantity=quantity, counted_at=counted_at))
    return rows


class _Family(NamedTuple):
    prefix: str
    category: str
    nouns: tuple[str, ...]
    details: tuple[str, ...]


_FAMILIES: Final = (
    _Family(
        "HW",
        "Hardware",
        ("shelf bracket", "hinge", "drawer runner", "wall plug", "threaded rod", "hook", "door stop", "tape measure"),
        (' 10" x 4", zinc plated', ", steel", ' 3/8"', " M8; set of 12", " 40 mm", ", brass, self-closing", " 5 m"),
    ),
    _Family(
        "KT",
        "Kitchen",
        ("mug", "serving bowl", "bread knife", "whisk", "cake tin", "tea towel", "oil cruet", "pepper mill"),
        (", stoneware", " 26 cm, up to 250 °C", "; set of 2", ", hand-washed, blue", " ½ litre", " | gift box"),
    ),
    _Family(
        "GD",
        "Garden",
        ("hand fork", "planter", "watering can", "bird feeder", "hose reel", "trellis", "lantern", "bench cushion"),
        (", terracotta", " 9 l", ', "weathered" finish', " 120 x 40 cm", "; incl. fittings", ", galvanised"),
    ),
    _Family(
        "TX",
        "Textiles",
        ("throw", "cushion cover", "bath mat", "curtain", "apron", "table runner", "wash glove", "blanket"),
        (", linen", " 50 x 50 cm", ", wool/cotton", "; pack of 4", ", undyed", " 140 x 200 cm, fringed"),
    ),
    _Family(
        "LT",
        "Lighting",
        ("table lamp", "string of lights", "pendant", "candle holder", "wall light", "reading light", "lampshade"),
        (", E27, max. 40 W", " 2700 K", ' 12" shade', ", opal glass", "; without bulb", ", brushed nickel"),
    ),
    _Family(
        "PA",
        "Paper",
        ("notebook", "greeting card", "wrapping paper", "calendar", "envelope", "stamp set", "desk pad"),
        (" A5 | dotted", ", 80 g", " 70 cm x 2 m", "; pack of 10", ', "Merci"', ", recycled", " A4, ruled"),
    ),
)

_COLLECTIONS: Final = (
    *("Harbour", "Oakley Mill", "Winterfold", "Basic", "Pebble", "Heron", "Studio", "Lindale", "Marlow", "Tern"),
    *("Küstenweg", "Crème", "Göteborg", "Señal", "Fjällvik", "Brûlée", "Øresund", "Façade", "Jardín", "Grünwald"),
)


def _skus(rng: Random, count: int) -> list[str]:
    """Distinct also as plain numbers, so that leading zeros are all that a digits-only SKU can lose."""
    numbers = rng.sample(range(120, 89_999), count)
    skus: list[str] = []
    for position, number in enumerate(numbers):
        earlier = skus[rng.randrange(len(skus))] if skus and position % _VARIANT_EVERY == 0 else ""
        if "-" in earlier and f"{earlier}-B" not in skus and not earlier.endswith("-B"):
            skus.append(f"{earlier}-B")
        elif position % _DIGITS_ONLY_EVERY == 3:
            skus.append(f"{number:05d}")
        else:
            skus.append(f"{rng.choice(_FAMILIES).prefix}-{number:05d}")
    return skus


def _family_of(rng: Random, sku: str) -> _Family:
    return next((family for family in _FAMILIES if sku.startswith(family.prefix)), rng.choice(_FAMILIES))


def _describe(rng: Random, family: _Family) -> str:
    detail = rng.choice(family.details) if rng.random() < 0.7 else ""
    return f"{rng.choice(_COLLECTIONS)} {rng.choice(family.nouns)}{detail}"


def _price(rng: Random) -> Decimal:
    whole = rng.choice((rng.randrange(1, 12), rng.randrange(4, 45), rng.randrange(20, 180)))
    return Decimal(whole) + Decimal(rng.choice(("0.00", "0.49", "0.50", "0.95", "0.99", "0.25")))


def _gtin(rng: Random, position: int) -> str:
    """Mostly GTIN-13 of the 952 range, which GS1 keeps for examples; some other lengths; some items without."""
    remainder = position % 25
    if remainder in (4, 15):
        return ""
    prefix, length = {7: ("952", 8), 11: ("4", 12), 19: ("1952", 14), 22: ("04", 13)}.get(remainder, ("952", 13))
    digits = length - len(prefix) - 1
    body = prefix + f"{rng.randrange(10**digits):0{digits}d}"
    return body + gtin_check_digit(body)
