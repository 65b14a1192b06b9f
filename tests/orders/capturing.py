"""What tests of capture share: channels by policy, prices with units, and what an order holds in the database."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Any

import msgspec
from tests.conftest import expect_all, stocked
from tests.requests import rows

from trueup.authority.publish import PublishPolicy
from trueup.authority.standing import SYSTEM
from trueup.core.door import Door
from trueup.core.money import Amount
from trueup.core.quantity import Quantity
from trueup.orders.place import Charge, PlaceLine, PlaceOrder

GERMANY: dict[str, Any] = {"home": "DE", "entries": [{"country": "DE", "rate": "19"},
                                     {"country": "DE", "rate": "7", "tax_class": "reduced"},
                                     {"country": "FR", "rate": "20"},
                                     {"country": "FR", "rate": "5.5", "tax_class": "reduced"}],
           "union": ["DE", "FR"], "exemptions": [{"code": "EMBASSY", "reason": "VATEX-EU-151"}]}  # fmt: skip


async def publish(door: Door, kind: str, name: str = "default", **document: Any) -> None:
    """Put a policy document in force."""
    command = PublishPolicy(policy_kind=kind, policy_name=name, document=document, reason="test")
    expect_all([await door.submit(SYSTEM, command, f"publish {uuid.uuid4()}")])


async def channel(door: Door, **document: Any) -> None:
    """Put terms of the channel `web` in force."""
    await publish(door, "channel", "web", **document)


async def taxed(door: Door, **document: Any) -> None:
    """Let the channel `web` be taxed by the table of Germany and France."""
    await publish(door, "tax", **GERMANY)
    await channel(door, tax="table", **document)


def basket(*lines: tuple[str, int | str, str], charges: tuple[tuple[str, str], ...] = (), **more: Any) -> PlaceOrder:
    """An order of (SKU, units, price of one) and charges (code, amount)."""
    return PlaceOrder(
        currency=more.pop("currency", "EUR"),
        lines=tuple(PlaceLine(sku, Quantity(units), Amount(price)) for sku, units, price in lines),
        charges=tuple(Charge(code, Amount(amount)) for code, amount in charges),
        **more,
    )


async def placed(door: Door, order: PlaceOrder, key: str = "place") -> str:
    """Place an order and return its id."""
    outcome = await door.submit(SYSTEM, order, key)
    expect_all([outcome])
    return str(outcome.result["order"])


async def money(url: str, order: str) -> dict[str, Decimal]:
    """Return an order's totals."""
    names = ("goods", "charges", "discount", "tax")
    found = await rows(
        url, f"select {', '.join(f'total_{name}' for name in names)}, total from orders where id = %s", order
    )
    return dict(zip((*names, "total"), found[0], strict=True))


async def lines(url: str, order: str, *columns: str) -> list[tuple[Any, ...]]:
    """Return columns of an order's lines, by number."""
    return await rows(url, f"select {', '.join(columns)} from order_line where order_id = %s order by line", order)


def with_(order: PlaceOrder, **changes: Any) -> PlaceOrder:
    """Return an order with other fields."""
    return msgspec.structs.replace(order, **changes)


__all__ = ["GERMANY", "basket", "channel", "lines", "money", "placed", "publish", "stocked", "taxed", "with_"]
