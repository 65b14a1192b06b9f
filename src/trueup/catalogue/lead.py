"""The lead time of an item, for whoever asks: its own, and where it says none what its supplier agreed to."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from trueup.catalogue.partner_state import Partners
from trueup.catalogue.state import Catalogue, Item
from trueup.core.database import Connection
from trueup.core.verb import State

LEAD_DAYS = """coalesce(i.lead_days, case when i.supplier is not null
    then (select s.lead_days from partner s where s.code = i.supplier) end)"""
"""`lead_days` as SQL, of the items `i`; a test holds the two together."""


def lead_days(item: Item, agreed: int | None) -> int | None:
    """Return how many days it takes from ordering an item to receiving it; None is not known.

    agreed: what its supplier's terms say. They hold until others are agreed, before the agreement's first day and past
    its last: what is registered ahead is what one reckons with, and goods that are to be ordered come no faster for an
    agreement that ended, which is a finding.
    """
    return item.lead_days if item.lead_days is not None else agreed


def agreed_with(state: State, item: Item) -> int | None:
    """Return the lead time that the item's supplier agreed to, as the batch has it."""
    if item.supplier is None:
        return None
    supplier = state.of(Partners).partner(item.supplier)
    return supplier.lead_days if supplier is not None else state.of(Catalogue).agreed_lead_days(item.supplier)


async def agreed(connection: Connection, items: Collection[Item]) -> dict[str, int | None]:
    """Return what the suppliers of these items agreed to, by the item's id; what has none is None."""
    codes: Sequence[str] = sorted({item.supplier for item in items if item.supplier is not None})
    found: dict[str, int | None] = {}
    if codes:
        rows = await connection.execute("select code, lead_days from partner where code = any(%s::text[])", [codes])
        found = dict(await rows.fetchall())
    return {item.id: found.get(item.supplier) if item.supplier is not None else None for item in items}
