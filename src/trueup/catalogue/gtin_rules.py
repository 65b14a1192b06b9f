"""When a change of an item asks for a new GTIN: what is told apart at the shelf or in the warehouse has its own.

Source: GS1 GTIN Management Standard, rules 2 to 6 and 8 to 10, in our own words. Rule 1 (a new product) is a new item;
rule 7 (promotions for a time) needs an announcement, which an item's record does not hold.

`gtin_kept_because` is no bypass, and so no loan: the rules are about products, and it states that this one is as it was
and its record was wrong. Whoever owns the field or approves its change sees it; it stays with the item for ever.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from trueup.catalogue.sound import SIDES
from trueup.catalogue.state import Item
from trueup.catalogue.units import EACH
from trueup.core.errors import Refusal, RefusalDetail
from trueup.core.quantity import plain

CHANGE_SHARE = Decimal("0.2")
"""A side or the gross weight that changes by more than this share of what it was makes another trade item."""


class NewGtin(msgspec.Struct, frozen=True):
    """Why one level of packing needs a new GTIN. level: `each`, or a unit of measure."""

    level: str
    rule: str
    field: str
    what: str


def needs_new_gtin(before: Item, after: Item) -> tuple[NewGtin, ...]:
    """Return every reason for which a level of the item needs a new GTIN; none where both are one trade item.

    Only what was known and is known counts: to fill in what was missing changes the record, not the product. What
    changes the base unit changes every level above it.
    """
    reasons = [NewGtin(EACH, *reason) for reason in _of_the_unit(before, after)]
    levels = [*reasons]
    for name in after.packs:
        levels += [NewGtin(name, one.rule, one.field, one.what) for one in reasons]
    return (*levels, *_of_packs(before, after))


def _of_the_unit(before: Item, after: Item) -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    if _differ(before.formulation, after.formulation):
        found.append(("formulation", "formulation", "the declared formulation or function changed"))
    if _differ(before.net_content, after.net_content) or _differ(before.net_content_unit, after.net_content_unit):
        was, now = (
            f"{plain(i.net_content)} {i.net_content_unit}" for i in (before, after) if i.net_content is not None
        )
        found.append(("net_content", "net_content", f"the declared net content changed from {was} to {now}"))
    for field in (*SIDES, "weight_g"):
        was, now = getattr(before, field), getattr(after, field)
        if was and now is not None and abs(now - was) > was * CHANGE_SHARE:
            share = f"{plain(CHANGE_SHARE * 100)} %"
            found.append(("size", field, f"{field} changed from {plain(was)} to {plain(now)}, by more than {share}"))
    if before.certifications is not None and after.certifications is not None:
        moved = sorted(set(before.certifications) ^ set(after.certifications))
        if moved:
            found.append(("certification", "certifications", f"a mark was added or taken off: {', '.join(moved)}"))
    if _differ(before.brand, after.brand):
        found.append(("brand", "brand", f"the primary brand changed from {before.brand} to {after.brand}"))
    if before.components and after.components and set(before.components) != set(after.components):
        found.append(("assortment", "components", "what the assortment is made of changed"))
    if _differ(before.price_on_pack, after.price_on_pack):
        found.append(("price_on_pack", "price_on_pack", "the price printed on the pack changed"))
    return found


def _of_packs(before: Item, after: Item) -> list[NewGtin]:
    found = []
    for name, pack in after.packs.items():
        was = before.packs.get(name)
        if was is not None and (was.contains, was.count) != (pack.contains, pack.count):
            what = f"a {name} held {plain(was.count)} {was.contains} and holds {plain(pack.count)} {pack.contains}"
            found.append(NewGtin(name, "pack_quantity", f"packs.{name}", what))
    return found


def _differ(before: object, after: object) -> bool:
    return before is not None and after is not None and before != after


def keeps_gtin(before: Item, after: Item) -> tuple[NewGtin, ...]:
    """Return the reasons that stand against a change: at levels that have a GTIN, and keep it."""
    return tuple(
        one
        for one in needs_new_gtin(before, after)
        if (was := _gtin(before, one.level)) and was == _gtin(after, one.level)
    )


def needs_no_gtin(before: Item, after: Item, kept_because: str | None, where: str = "") -> Refusal | None:
    """Return why the change may not keep a GTIN, or None where it may, or says why it does."""
    reasons = () if kept_because else keeps_gtin(before, after)
    if not reasons:
        return None
    details = tuple(RefusalDetail(f"{where}{one.field}", one.level, one.what) for one in reasons)
    return Refusal(
        "catalogue.new_gtin",
        f"{before.sku} needs a new GTIN: " + "; ".join(dict.fromkeys(one.what for one in reasons)) + ".",
        "Send the new GTIN of each level with it, or say in gtin_kept_because why the old one stays; it is recorded.",
        details[0].where,
        _gtin(before, reasons[0].level) or "",
        details,
    )


def _gtin(item: Item, level: str) -> str | None:
    if level == EACH:
        return item.gtin
    pack = item.packs.get(level)
    return pack.gtin if pack is not None else None
