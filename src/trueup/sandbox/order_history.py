"""Two years of a fictional retailer's orders and credit documents, without a fault.

In what is built here every total agrees with its lines, every returned unit was delivered to the same customer some
days before, no order has the same item twice, and amounts have the decimals of their currency.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from random import Random
from typing import Final
from zlib import crc32

from trueup.sandbox.catalogue import Item
from trueup.sandbox.clientele import Customer
from trueup.sandbox.dialects import Dialect
from trueup.sandbox.sheets import SourceRow

DAYS: Final = 730
"""How far the history goes back from its last day."""

_ZERO = Decimal(0)
_FREIGHT = {"EUR": Decimal("4.90"), "GBP": Decimal("3.95"), "JPY": Decimal(800)}
_FREE_FREIGHT_FROM = {"EUR": Decimal(80), "GBP": Decimal(70), "JPY": Decimal(12_000)}
_PER_EURO = {"EUR": Decimal(1), "GBP": Decimal("0.86"), "JPY": Decimal(160)}
_UNIT = {"EUR": Decimal("0.01"), "GBP": Decimal("0.01"), "JPY": Decimal(1)}
_CLERKS = ("KLI", "MSO", "RTA", "WEB", "WEB", "WEB")


@dataclass(slots=True, eq=False, kw_only=True)
class OrderLine(SourceRow):
    """One line of an order or credit document."""

    order_number: str
    sku: str
    description: str
    quantity: int
    """Negative in a credit document."""
    unit_price: Decimal
    amount: Decimal
    currency: str

    def cells(self, dialect: Dialect) -> dict[str, str]:
        """The text of each field."""
        return {
            "order_number": self.order_number,
            "sku": self.sku,
            "description": self.description,
            "quantity": str(self.quantity),
            "unit_price": dialect.amount(self.unit_price, self.currency),
            "line_amount": dialect.amount(self.amount, self.currency),
            "printed": "Y" if crc32(self.sku.encode()) % 3 else "N",
        }


@dataclass(slots=True, eq=False, kw_only=True)
class Order(SourceRow):
    """One order, or one credit document, whose number then starts with `R`."""

    number: str = ""
    """Given once all documents are in the order of their dates."""
    placed_at: datetime
    customer_id: str
    currency: str
    country: str
    freight: Decimal = _ZERO
    discount: Decimal = _ZERO
    total: Decimal = _ZERO
    """Sum of the lines + freight - discount."""
    status: str
    kind: str
    """`order` or `credit`."""
    lines: list[OrderLine] = field(default_factory=list)

    def add_up(self) -> None:
        """Set the total from lines, freight and discount."""
        self.total = sum((line.amount for line in self.lines), _ZERO) + self.freight - self.discount

    def cells(self, dialect: Dialect) -> dict[str, str]:
        """The text of each field."""
        return {
            "order_number": self.number,
            "order_date": dialect.moment(self.placed_at),
            "customer_id": self.customer_id,
            "currency": self.currency,
            "country": self.country,
            "freight": dialect.amount(self.freight, self.currency),
            "discount": dialect.amount(self.discount, self.currency),
            "total": dialect.amount(self.total, self.currency),
            "status": dialect.word(self.status),
            "kind": dialect.word(self.kind),
            "clerk": _CLERKS[crc32(self.number.encode()) % len(_CLERKS)],
        }


def price_in(currency: str, euros: Decimal) -> Decimal:
    """A list price in another currency: pounds to the penny, yen to the ten."""
    if currency == "JPY":
        return (euros * _PER_EURO["JPY"]).quantize(Decimal("1E1"), ROUND_HALF_UP).quantize(Decimal(1))
    return (euros * _PER_EURO[currency]).quantize(_UNIT[currency], ROUND_HALF_UP)


def line_of(order: Order, item: Item, quantity: int, unit_price: Decimal) -> OrderLine:
    """A line for an order; it is not added to it."""
    return OrderLine(
        order_number=order.number,
        sku=item.sku,
        description=item.description,
        quantity=quantity,
        unit_price=unit_price,
        amount=quantity * unit_price,
        currency=order.currency,
    )


def trade(rng: Random, items: Sequence[Item], customers: Sequence[Customer], count: int, until: date) -> list[Order]:
    """Make about `count` documents ending on `until`, one in twenty a credit document, by date."""
    credits = count // 20
    orders = _take_orders(rng, items, customers, count - credits, until)
    documents = orders + _credit(rng, orders, credits, until)
    documents.sort(key=lambda order: order.placed_at)
    _number(rng, documents)
    return documents


def _take_orders(
    rng: Random, items: Sequence[Item], customers: Sequence[Customer], count: int, until: date
) -> list[Order]:
    eager = [rng.uniform(0.1, 1.6) ** 2 for _ in customers]
    buyers = rng.choices(customers, eager, k=count)
    moments = sorted(_moment(rng, until) for _ in range(count))
    latest: dict[str, Order] = {}
    orders = []
    for customer, placed_at in zip(buyers, moments, strict=True):
        order = Order(
            placed_at=placed_at,
            customer_id=customer.customer_id,
            currency=customer.currency,
            country=customer.country,
            status=_status(rng, until, placed_at),
            kind="order",
        )
        earlier = latest.get(customer.customer_id)
        if earlier is not None and rng.random() < 0.015:
            _fill_again(order, earlier)
        else:
            _fill(rng, order, items)
        latest[customer.customer_id] = order
        orders.append(order)
    return orders


def _moment(rng: Random, until: date) -> datetime:
    day = until - timedelta(days=rng.randrange(DAYS))
    return datetime.combine(day, time(6), UTC) + timedelta(seconds=rng.randrange(17 * 3600))


def _status(rng: Random, until: date, placed_at: datetime) -> str:
    age = (until - placed_at.date()).days
    if rng.random() < 0.02:
        return "cancelled"
    return "delivered" if age > 7 else "shipped" if age > 2 else "open"


def _fill(rng: Random, order: Order, items: Sequence[Item]) -> None:
    size = rng.choice((1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 8))
    for item in rng.sample(items, size):
        price = price_in(order.currency, item.unit_price)
        if rng.random() < 0.06:
            price = (price * Decimal("0.9")).quantize(_UNIT[order.currency], ROUND_HALF_UP)
        order.lines.append(line_of(order, item, _quantity(rng), price))
    if rng.random() < 0.012:
        gift = rng.choice(items)
        if all(line.sku != gift.sku for line in order.lines):
            order.lines.append(line_of(order, gift, 1, _ZERO))
    goods = sum((line.amount for line in order.lines), _ZERO)
    order.freight = _ZERO if goods >= _FREE_FREIGHT_FROM[order.currency] else _FREIGHT[order.currency]
    if rng.random() < 0.15:
        share = Decimal(rng.choice(("0.05", "0.10")))
        order.discount = (goods * share).quantize(_UNIT[order.currency], ROUND_HALF_UP)
    order.add_up()


def _fill_again(order: Order, earlier: Order) -> None:
    """The same basket a second time, which people do, and which is no duplicate."""
    for line in earlier.lines:
        order.lines.append(
            OrderLine(
                order_number="",
                sku=line.sku,
                description=line.description,
                quantity=line.quantity,
                unit_price=line.unit_price,
                amount=line.amount,
                currency=line.currency,
            )
        )
    order.freight, order.discount = earlier.freight, earlier.discount
    order.add_up()


def _quantity(rng: Random) -> int:
    if rng.random() < 0.004:
        return rng.randrange(240, 2400, 12)
    return rng.choice((1, 1, 1, 1, 1, 1, 2, 2, 2, 3, 4, 6, 10, 12))


def _credit(rng: Random, orders: Sequence[Order], count: int, until: date) -> list[Order]:
    """Credit documents for delivered goods. Each returned unit refers to a unit that no other document returns."""
    latest = until - timedelta(days=50)
    delivered = [order for order in orders if order.status == "delivered" and order.placed_at.date() <= latest]
    returned: dict[OrderLine, int] = {}
    documents: list[Order] = []
    while delivered and len(documents) < count:
        bought = delivered.pop(rng.randrange(len(delivered))) if rng.random() < 0.9 else rng.choice(delivered)
        open_lines = [line for line in bought.lines if line.unit_price and line.quantity > returned.get(line, 0)]
        if not open_lines:
            continue
        document = Order(
            placed_at=bought.placed_at + timedelta(days=rng.randrange(3, 46), seconds=rng.randrange(3600)),
            customer_id=bought.customer_id,
            currency=bought.currency,
            country=bought.country,
            status="credited",
            kind="credit",
        )
        for line in rng.sample(open_lines, min(len(open_lines), rng.choice((1, 1, 1, 2)))):
            units = min(line.quantity - returned.get(line, 0), rng.choice((1, 1, 1, 2, 3)))
            returned[line] = returned.get(line, 0) + units
            document.lines.append(
                OrderLine(
                    order_number="",
                    sku=line.sku,
                    description=line.description,
                    quantity=-units,
                    unit_price=line.unit_price,
                    amount=-units * line.unit_price,
                    currency=line.currency,
                )
            )
        document.add_up()
        documents.append(document)
    return documents


def _number(rng: Random, documents: Sequence[Order]) -> None:
    """Number orders and credit documents apart, each upwards with gaps, orders with leading zeros."""
    order_number, credit_number = 20_411, 318
    for document in documents:
        if document.kind == "credit":
            credit_number += rng.choice((1, 1, 2))
            document.number = f"R{credit_number:06d}"
        else:
            order_number += rng.choice((1, 1, 1, 2, 5))
            document.number = f"{order_number:07d}"
        for line in document.lines:
            line.order_number = document.number
