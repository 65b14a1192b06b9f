"""Plant faults of known kinds and counts in a clean history.

1. Returns without a purchase first, in credit documents.
2. Every (customer, SKU) that any credit document names is then closed: an order with such a line stays clean, so that
   no reading of a faulty row can change which returns are covered.
3. Each other kind takes orders that are still free; an order that was taken carries that one kind and no other.
4. Faults in items, customers and the stock count take rows that no other fault has.

What a fault does to the sums is settled here: an order's total is what it would be without the fault, except that
charges, negative quantities and fractions of a yen are real to the system that wrote them and are in the total.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from random import Random
from typing import Final, TypeVar

from trueup.sandbox.answer_key import (
    BAD_GTIN,
    CHARGE_AS_ITEM,
    CURRENCY_DECIMALS,
    DUPLICATE_ROW,
    ENCODING,
    MIXED_DATE_FORMAT,
    NEGATIVE_QUANTITY,
    ORPHAN_CUSTOMER,
    RETURN_WITHOUT_PURCHASE,
    SKU_SPELLING,
    TOTAL_MISMATCH,
    UNREADABLE_VALUE,
    Planted,
)
from trueup.sandbox.catalogue import Item, StockCount, gtin_check_digit
from trueup.sandbox.clientele import Customer
from trueup.sandbox.dialects import GERMAN_DATES, ISO_DATES, Dialect
from trueup.sandbox.misreadings import misspellings, mojibake, other_date_forms, unreadable_quantities
from trueup.sandbox.order_history import Order, OrderLine, price_in
from trueup.sandbox.return_faults import plant_returns_without_purchase, returned_goods
from trueup.sandbox.sheets import SourceRow

CHARGES: Final = (
    ("POST", "Postage", "4.90"),
    ("DOT", "Dotcom postage", "6.50"),
    ("GIFTWRAP", "Gift wrapping", "2.50"),
    ("ADJUST", "Adjustment", "1.25"),
    ("BANK CHARGES", "Bank charges", "15.00"),
    ("FEE-COD", "Cash on delivery fee", "3.90"),
    ("CARRIAGE", "Carriage, bulky goods", "24.00"),
)
"""(code, description, amount in euros) of what the legacy system sold as if it were an item."""

_Row = TypeVar("_Row", bound=SourceRow)


class ExportTooSmall(ValueError):
    """The export has fewer rows that could carry a kind of fault than were asked for."""


@dataclass(frozen=True, slots=True)
class History:
    """The clean rows of an export before anything is planted; planting changes them in place."""

    items: list[Item]
    customers: list[Customer]
    documents: list[Order]
    """Orders and credit documents, by date."""
    stock: list[StockCount]


def plant_faults(rng: Random, history: History, rates: Mapping[str, int], dialect: Dialect) -> list[OrderLine]:
    """Plant `rates[kind]` rows of every kind of fault and return the order lines in their order in the file.

    Raises ExportTooSmall when the history has too few rows that could carry a kind.
    """
    returns = rates[RETURN_WITHOUT_PURCHASE]
    _demand(RETURN_WITHOUT_PURCHASE, returns, plant_returns_without_purchase(rng, history, returns))
    closed = returned_goods(history.documents)
    free = [
        order
        for order in history.documents
        if order.kind == "order" and all((order.customer_id, line.sku) not in closed for line in order.lines)
    ]
    rng.shuffle(free)
    _plant_bad_gtins(rng, history.items, rates[BAD_GTIN])
    _plant_currency_decimals(rng, free, rates[CURRENCY_DECIMALS])
    _plant_encoding(rng, free, history.customers, rates[ENCODING], dialect)
    _plant_mixed_dates(rng, free, rates[MIXED_DATE_FORMAT], dialect)
    _plant_negative_quantities(rng, free, rates[NEGATIVE_QUANTITY])
    _plant_sku_spellings(rng, free, history.stock, rates[SKU_SPELLING])
    _plant_unreadable_values(rng, free, history.stock, rates[UNREADABLE_VALUE], dialect)
    _plant_total_mismatches(rng, free, rates[TOTAL_MISMATCH])
    _plant_orphans(rng, free, history.customers, rates[ORPHAN_CUSTOMER])
    _plant_charges(rng, free, rates[CHARGE_AS_ITEM])
    doubled = _take(free, DUPLICATE_ROW, rates[DUPLICATE_ROW])
    lines = [line for document in history.documents for line in document.lines]
    _plant_duplicates(rng, doubled, lines)
    return lines


# --- who carries a fault -----------------------------------------------------------------------------------------


def _take(free: list[Order], kind: str, count: int, fits: Callable[[Order], object] = bool) -> list[Order]:
    """Take `count` fitting orders out of those still free."""
    taken: list[Order] = []
    kept: list[Order] = []
    for order in free:
        (taken if len(taken) < count and fits(order) else kept).append(order)
    free[:] = kept
    _demand(kind, count, len(taken))
    return taken


def _pick(rng: Random, kind: str, count: int, rows: Sequence[_Row], fits: Callable[[_Row], object]) -> list[_Row]:
    """Pick `count` fitting rows that are still clean."""
    fitting = [row for row in rows if row.planted is None and fits(row)]
    _demand(kind, count, min(count, len(fitting)))
    return rng.sample(fitting, count)


def _demand(kind: str, wanted: int, found: int) -> None:
    if found < wanted:
        raise ExportTooSmall(
            f"{kind}: {wanted} rows of one sort are needed and only {found} can carry the fault;"
            " ask for fewer, or for more orders, items or customers"
        )


# --- items and customers -----------------------------------------------------------------------------------------


def _plant_bad_gtins(rng: Random, items: Sequence[Item], count: int) -> None:
    chosen = _pick(rng, BAD_GTIN, count, items, lambda item: len(item.gtin) == 13)
    for number, item in enumerate(chosen):
        if number % 3 == 0:
            digit = str((int(gtin_check_digit(item.gtin[:-1])) + rng.randrange(1, 10)) % 10)
            written, why = item.gtin[:-1] + digit, "wrong check digit"
        elif number % 3 == 1:
            written = rng.choice((item.gtin[:11], item.gtin + "00", item.gtin[:9]))
            why = "wrong length"
        else:
            place = rng.randrange(3, 12)
            written = item.gtin[:place] + rng.choice("OISB") + item.gtin[place + 1 :]
            why = "letter in the number"
        item.planted = Planted(BAD_GTIN, f"{why}: {written} for {item.gtin}", {"gtin": written})


_CUSTOMER_TEXTS = ("name", "street", "city")


def _plant_encoding(
    rng: Random, free: list[Order], customers: Sequence[Customer], count: int, dialect: Dialect
) -> None:
    """Half in customers, half in descriptions of order lines; of each, half as bytes where the file is UTF-8."""
    in_customers = count // 2
    rows: list[tuple[SourceRow, tuple[str, ...]]] = [
        (customer, _CUSTOMER_TEXTS)
        for customer in _pick(rng, ENCODING, in_customers, customers, lambda row: _can_be_garbled(row, _CUSTOMER_TEXTS))
    ]
    for order in _take(free, ENCODING, count - in_customers, _garbled_line):
        line = _garbled_line(order)
        if line is not None:
            rows.append((line, ("description",)))
    for number, (row, fields) in enumerate(rows):
        texts = _texts(row, fields)
        if number % 2 == 0 and dialect.encoding != "cp1252":
            row.planted = Planted(ENCODING, "bytes are cp1252 in a UTF-8 file", as_cp1252=True)
        else:
            garbled = {name: mojibake(text) or text for name, text in texts.items()}
            row.planted = Planted(ENCODING, "UTF-8 read as cp1252: " + " / ".join(garbled.values()), garbled)


def _texts(row: SourceRow, fields: tuple[str, ...]) -> dict[str, str]:
    return {name: str(getattr(row, name)) for name in fields}


def _can_be_garbled(row: SourceRow, fields: tuple[str, ...]) -> bool:
    """Whether an accent is there to lose, and every text survives the wrong reading."""
    texts = _texts(row, fields).values()
    return any(not text.isascii() for text in texts) and all(mojibake(text) is not None for text in texts)


def _garbled_line(order: Order) -> OrderLine | None:
    return next((line for line in order.lines if _can_be_garbled(line, ("description",))), None)


# --- orders ------------------------------------------------------------------------------------------------------


def _plant_mixed_dates(rng: Random, free: list[Order], count: int, dialect: Dialect) -> None:
    own = {ISO_DATES: 0, GERMAN_DATES: 1}[dialect.date_format]
    for order in _take(free, MIXED_DATE_FORMAT, count, lambda order: order.placed_at.day > 12):
        forms = other_date_forms(order.placed_at)
        written = rng.choice([form for place, form in enumerate(forms) if place != own])
        detail = f"{written} for {dialect.moment(order.placed_at)}"
        order.planted = Planted(MIXED_DATE_FORMAT, detail, {"order_date": written})


def _plant_total_mismatches(rng: Random, free: list[Order], count: int) -> None:
    for order in _take(free, TOTAL_MISMATCH, count, lambda order: order.total > 20):
        right = order.total
        if order.currency == "JPY":
            order.total += rng.choice((1, -1)) * Decimal(rng.randrange(5, 20 if order.total < 1000 else 900))
        else:
            order.total += rng.choice((1, -1)) * Decimal(rng.choice((5, 10, 90, 100, rng.randrange(5, 1900)))) / 100
        detail = f"total {order.total} where lines, freight and discount make {right}"
        order.planted = Planted(TOTAL_MISMATCH, detail)


def _plant_orphans(rng: Random, free: list[Order], customers: Sequence[Customer], count: int) -> None:
    numbers = [int(customer.customer_id) for customer in customers]
    known = set(numbers)
    unknown = [number for number in range(101, max(numbers) + 400) if number not in known]
    for order in _take(free, ORPHAN_CUSTOMER, count):
        detail = f"no such customer; the order was {order.customer_id}'s"
        order.customer_id = f"{rng.choice(unknown):05d}"
        order.planted = Planted(ORPHAN_CUSTOMER, detail)


_FRACTIONS = (Decimal("0.50"), Decimal("0.25"), Decimal("0.75"), Decimal("0.10"))


def _plant_currency_decimals(rng: Random, free: list[Order], count: int) -> None:
    """Half in unit prices whose line amount is whole again, half in an order's freight and with it in its total."""
    in_lines = count // 2
    for order in _take(free, CURRENCY_DECIMALS, in_lines, _even_yen_line):
        line = _even_yen_line(order)
        if line is not None:
            line.unit_price += Decimal("0.50")
            line.amount = line.quantity * line.unit_price
            order.add_up()
            line.planted = Planted(CURRENCY_DECIMALS, f"JPY {line.unit_price} a unit; the yen has no decimals")
    for order in _take(free, CURRENCY_DECIMALS, count - in_lines, lambda order: order.currency == "JPY"):
        order.freight += rng.choice(_FRACTIONS)
        order.add_up()
        order.planted = Planted(CURRENCY_DECIMALS, f"JPY {order.total} in total; the yen has no decimals")


def _even_yen_line(order: Order) -> OrderLine | None:
    if order.currency != "JPY":
        return None
    return next((line for line in order.lines if line.quantity % 2 == 0 and line.unit_price), None)


# --- order lines -------------------------------------------------------------------------------------------------


def _plant_negative_quantities(rng: Random, free: list[Order], count: int) -> None:
    def stays_positive(order: Order) -> bool:
        cheapest = min(line.amount for line in order.lines)
        return len(order.lines) > 1 and cheapest > 0 and order.total > 2 * cheapest

    for order in _take(free, NEGATIVE_QUANTITY, count, stays_positive):
        line = min(order.lines, key=lambda line: line.amount)
        line.quantity, line.amount = -line.quantity, -line.amount
        order.add_up()
        line.planted = Planted(NEGATIVE_QUANTITY, f"{line.quantity} units in an ordinary order")


def _plant_sku_spellings(rng: Random, free: list[Order], stock: Sequence[StockCount], count: int) -> None:
    """A fifth in the stock count, the others in order lines."""
    in_stock = count // 5
    rows: list[StockCount | OrderLine] = [*_pick(rng, SKU_SPELLING, in_stock, stock, lambda row: misspellings(row.sku))]
    rows += [rng.choice(order.lines) for order in _take(free, SKU_SPELLING, count - in_stock)]
    for row in rows:
        written = rng.choice(misspellings(row.sku))
        row.planted = Planted(SKU_SPELLING, f"[{written}] for [{row.sku}]", {"sku": written})


def _plant_unreadable_values(
    rng: Random, free: list[Order], stock: Sequence[StockCount], count: int, dialect: Dialect
) -> None:
    """A quarter in the stock count, the others in order lines, there mostly in the quantity."""
    in_stock = count // 4
    for counted in _pick(rng, UNREADABLE_VALUE, in_stock, stock, bool):
        written = rng.choice(unreadable_quantities(counted.quantity))
        detail = f"counted quantity [{written}] for {counted.quantity}"
        counted.planted = Planted(UNREADABLE_VALUE, detail, {"counted_quantity": written})
    for order in _take(free, UNREADABLE_VALUE, count - in_stock):
        line = rng.choice(order.lines)
        if rng.random() < 0.3:
            written, right = rng.choice(("n/a", "#REF!", "tbc")), dialect.amount(line.unit_price, line.currency)
            line.planted = Planted(UNREADABLE_VALUE, f"unit price [{written}] for {right}", {"unit_price": written})
        else:
            written = rng.choice(unreadable_quantities(line.quantity))
            detail = f"quantity [{written}] for {line.quantity}"
            line.planted = Planted(UNREADABLE_VALUE, detail, {"quantity": written})


def _plant_charges(rng: Random, free: list[Order], count: int) -> None:
    for order in _take(free, CHARGE_AS_ITEM, count):
        code, description, euros = rng.choice(CHARGES)
        price = price_in(order.currency, Decimal(euros))
        line = OrderLine(
            order_number=order.number,
            sku=code,
            description=description,
            quantity=1,
            unit_price=price,
            amount=price,
            currency=order.currency,
            planted=Planted(CHARGE_AS_ITEM, f"{code} is a charge, not an item"),
        )
        order.lines.insert(rng.choice((0, len(order.lines), len(order.lines))), line)
        order.add_up()


def _plant_duplicates(rng: Random, orders: Sequence[Order], lines: list[OrderLine]) -> None:
    """Repeat one line of each order in the file: half right behind the original, half anywhere later."""
    for number, order in enumerate(orders):
        line = rng.choice(order.lines)
        detail = f"repeats the line of order {line.order_number} for {line.sku}"
        place = lines.index(line) + 1
        if number % 2:
            place = rng.randrange(place, len(lines) + 1)
        lines.insert(place, replace(line, planted=Planted(DUPLICATE_ROW, detail)))
