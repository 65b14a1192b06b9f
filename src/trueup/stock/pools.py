"""Set a channel's pool: units that only it may sell, or how many it may sell at most; and what it may claim now."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec

from trueup.catalogue.state import Catalogue, Item
from trueup.core.database import Connection
from trueup.core.errors import Refusal
from trueup.core.policy import Policies
from trueup.core.quantity import ZERO, Quantity, plain
from trueup.core.verb import Accepted, Command, Concerns, Context, Decision, State, Verb
from trueup.stock.asking import in_words, stock_at
from trueup.stock.limits import PoolMode, PoolSet
from trueup.stock.reserve import bad_line, unknown_location
from trueup.stock.state import Stock

LISTED_MAX = 1000


class SetPool(Command, frozen=True, kw_only=True):
    """Give a channel a pool of an item at a location (its code), in units; what it claims counts in it.

    mode: `reserve`, only this channel may sell these units; `cap`, it sells at most so many at once (open claims), of a
    phantom kit too. quantity: zero or more; null ends the pool.
    """

    location: str
    sku: str
    channel: Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
    mode: PoolMode
    quantity: Quantity | None


def set_pool(state: State, command: SetPool, context: Context) -> Decision:
    """Set, change or end the pool; claims that stand already are kept and counted.

    Refuses unknown names, a negative quantity, and a ring-fence of a phantom kit: that has no stock to fence.
    """
    place = state.of(Catalogue).location(command.location)
    if place is None:
        return unknown_location(command.location)
    item = state.of(Catalogue).item(command.sku)
    if item is None or (command.quantity is not None and command.quantity < 0):
        return bad_line("quantity", command.sku, command.quantity or ZERO, item)
    if item.phantom and command.mode == "reserve":
        return Refusal("stock.phantom", f"{item.sku} is a phantom kit and has no stock of its own.",
                       "Keep units of its parts for the channel, or cap the kit.", "sku", command.sku)  # fmt: skip
    limits = state.of(Stock).limits
    known = limits.pools.get((item.id, place.id), {}).get((command.channel, command.mode))
    result = {"item": item.id, "location": place.id, "channel": command.channel, "mode": command.mode}
    if (known.quantity if known else None) == command.quantity:
        return Accepted((), item.id, result, "merged")
    part = item.components[0] if item.phantom else None
    used = known.used if known else _used(state, item, place.id, command.channel)
    event = PoolSet(
        item=item.id,
        location=place.id,
        channel=command.channel,
        mode=command.mode,
        quantity=command.quantity,
        used=used,
        at=context.now,
        part=part.item if part else None,
        per=part.quantity if part else None,
    )
    return Accepted([event], item.id, {**result, "used": plain(used)})


def _used(state: State, item: Item, location: str, channel: str) -> Decimal:
    """Return the units that the channel's open claims hold, by what was loaded and what the batch claimed since."""
    stock = state.of(Stock)
    part = item.components[0] if item.phantom else None
    units = stock.limits.uses.get((item.id, location, channel))
    if units is None:
        counted = part.item if part else item.id
        units = sum(
            (
                claim.quantity
                for held in stock.claims.values()
                for claim in held.values()
                if (claim.item, claim.location, claim.channel) == (counted, location, channel)
                and (part is None or claim.kit == item.id)
            ),
            ZERO,
        )
    return units / part.quantity if part else units


class Claimable(msgspec.Struct, frozen=True):
    """What a request may still claim of an item at a location, in units, and why. channel: empty is none in particular.

    owned: whether the units are ours; what a supplier reports at its own place is not.
    """

    sku: str
    location: str
    channel: str
    available: Decimal
    owned: bool
    explanation: str


class PoolRow(msgspec.Struct, frozen=True):
    """One pool. quantity: of units kept or allowed; used: by the channel's open claims."""

    sku: str
    location: str
    channel: str
    mode: str
    quantity: Decimal
    used: Decimal


async def pools(
    connection: Connection,
    location: str | None = None,
    channel: str | None = None,
    sku: str | None = None,
    sites: Collection[str] | None = None,
) -> tuple[PoolRow, ...]:
    """Return the pools, of one location (its code), channel or item (any key) where they are named; at most LISTED_MAX.

    sites: codes of locations it may show; None is all.
    """
    cursor = await connection.execute(
        """select i.sku, l.code, p.channel, p.mode, p.quantity, p.used
        from stock_pool p join item i on i.id = p.item join location l on l.id = p.location
        where (%s::text is null or l.code = %s) and (%s::text is null or p.channel = %s)
            and (%s::text is null or p.item = (select item from item_key where key = %s))
            and (%s::text[] is null or l.code = any(%s::text[]))
        order by i.sku, l.code, p.channel, p.mode limit %s""",
        [location, location, channel, channel, sku, sku, *[None if sites is None else sorted(sites)] * 2, LISTED_MAX],
    )
    return tuple(PoolRow(*row) for row in await cursor.fetchall())


async def claimable(
    connection: Connection, policies: Policies, sku: str, location: str, channel: str, now: datetime
) -> Claimable | None:
    """Return what a channel may claim of an item (any of its keys) at a location (its code); None if one is unknown.

    It asks the slice that the door's rules ask, so that what is shown is what is granted.
    """
    found = await connection.execute(
        """select i.id, i.sku, l.id, l.code, l.kind from item_key k join item i on i.id = k.item, location l
        where k.key = %s and l.code = %s""",
        [sku, location],
    )
    row = await found.fetchone()
    if row is None:
        return None
    item, name, place, code, kind = row
    stock = await stock_at(connection, policies, now, (), [(sku, location)])
    owned = kind != "supplier"
    words = in_words(stock, (item, place), channel, owned=owned)
    return Claimable(name, code, channel, stock.available(item, place, channel), owned, words)


def _wants(state: State, command: SetPool, policies: Policies) -> None:
    state.of(Catalogue).want_location(command.location)
    state.of(Catalogue).want_item(command.sku)
    state.of(Stock).want(command.sku, command.location)
    state.of(Stock).limits.want_use(command.sku, command.location, command.channel)


VERBS = (
    Verb(
        name="stock.set_pool",
        command=SetPool,
        decide=set_pool,
        wants=_wants,
        concerns=lambda state, command: Concerns((command.location,), (command.channel,)),
    ),
)
