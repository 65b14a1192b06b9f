"""Which carriers ship for us, as the shipping methods name them, without being a partner that terms are agreed with."""

from __future__ import annotations

import msgspec

from trueup.core.database import Connection
from trueup.core.policy import Policies
from trueup.stock.promise import ShippingMethods


class NobodysCarrier(msgspec.Struct, frozen=True):
    """A finding: shipping methods name a carrier that no partner of this kind is called, by code or by name."""

    carrier: str
    methods: tuple[str, ...]


async def carriers_nobody_bears(connection: Connection, policies: Policies) -> tuple[NobodysCarrier, ...]:
    """Return the carriers of shipping methods that no partner bears, by name. Nothing is refused for it."""
    named: dict[str, list[str]] = {}
    for document in policies.all(ShippingMethods).values():
        for method in document.methods:
            named.setdefault(method.carrier, []).append(method.name)
    rows = await connection.execute(
        "select code, name from partner where kind = 'carrier' and (code = any(%s::text[]) or name = any(%s::text[]))",
        [sorted(named), sorted(named)],
    )
    known = {text for row in await rows.fetchall() for text in row}
    return tuple(
        NobodysCarrier(carrier, tuple(dict.fromkeys(methods)))
        for carrier, methods in sorted(named.items())
        if carrier not in known
    )
