"""Ask the rule itself: the slice that the door claims by, read without locks; what is told is what is granted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from trueup.core.batch import roundtrip
from trueup.core.database import Connection
from trueup.core.policy import Policies
from trueup.core.quantity import ZERO, plain
from trueup.stock.state import Balance, Place, Stock

Reasons = Sequence[tuple[Decimal, str]]


async def stock_at(
    connection: Connection, policies: Policies, now: datetime, places: Iterable[Place], by_key: Iterable[Place] = ()
) -> Stock:
    """Return the slice of the stock at places, by the ids of item and location: all that limits a claim there is known.

    by_key: places by any key of the item and the location's code; of a phantom kit, its parts there, too. Claims that
    ended by `now` are given back, as a batch does first.
    """
    stock = Stock()
    stock.under(policies)
    for place in places:
        stock.want_at(*place)
    for key, code in by_key:
        stock.want(key, code)
    loading = stock.load(lock=False, now=now)
    try:
        statements = next(loading)
        while True:
            statements = loading.send(await roundtrip(connection, statements))
    except StopIteration:
        pass
    takes = stock.takes()
    for event in stock.due(now):
        takes[type(event)](event)
    return stock


def in_words(
    stock: Stock, place: Place, channel: str, *, lapsed: Decimal = ZERO, owed: Decimal = ZERO, owned: bool = True
) -> str:
    """Say how what a channel may claim at a place comes about."""
    balance = stock.balance(*place)
    kept, caps = stock.limits.reasons(balance, place, channel)
    available = stock.available(*place, channel)
    return words_of(balance, kept, caps, available, lapsed=lapsed, owed=owed, owned=owned)


def words_of(
    balance: Balance, kept: Reasons, caps: Reasons, available: Decimal, *,
    lapsed: Decimal = ZERO, owed: Decimal = ZERO, owned: bool = True,
) -> str:  # fmt: skip
    """Say in words how a figure comes about, leaving out what is zero.

    kept, caps: units that are kept back, and that may be claimed at most, each with its reason. lapsed: units reserved
    until a time that has passed. owed: units promised that stock no longer covers. owned: ours, not a supplier's.
    """
    less = (
        (balance.expired, "in expired lots"),
        (balance.reserved, "reserved"),
        (balance.allocated, "allocated"),
        (balance.safety, "safety stock"),
        *kept,
    )
    there = "on hand" if owned else "reported by the supplier, not ours"
    parts = [f"{plain(balance.on_hand)} {there}", *(f"- {plain(units)} {what}" for units, what in less if units)]
    text = " ".join(parts)
    for units, what in caps:
        text += f", at most {plain(units)} {what}"
    text += f" = {plain(available)} available"
    if lapsed:
        text += f"; {plain(lapsed)} reserved until a time that has passed, which no longer count"
    if owed:
        text += f"; {plain(owed)} promised but no longer covered"
    return text
