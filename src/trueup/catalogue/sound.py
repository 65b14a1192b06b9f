"""What cannot be said of a record of master data at all, whoever says it; what is merely missing, readiness tells."""

from __future__ import annotations

from zoneinfo import available_timezones

from trueup.catalogue import gtin
from trueup.catalogue.partner_state import Partner
from trueup.catalogue.state import EACH, Item, Location
from trueup.core.errors import Refusal
from trueup.core.money import is_currency
from trueup.core.quantity import plain

SIDES = ("length_mm", "width_mm", "height_mm")


def unsound_item(item: Item, where: str = "") -> Refusal | None:
    """Return why an item cannot be like this, or None. where: the path to its fields in the request."""
    found = _unsound(item)
    if found is None:
        return None
    rule, what, fix, field, value = found
    return Refusal(rule, what, fix, f"{where}{field}", value)


def _unsound(item: Item) -> tuple[str, str, str, str, str] | None:
    """Return the code, what is wrong, what to do, the field and its value."""
    if item.currency is not None and not is_currency(item.currency):
        return ("catalogue.currency", f"{item.currency!r} is not a currency.", "Use an ISO 4217 code.",
                "currency", item.currency)  # fmt: skip
    if item.weight_g is not None and item.weight_g < 0:
        return ("catalogue.weight", "A weight is zero or more grams.", "Leave it out where it is not known.",
                "weight_g", plain(item.weight_g))  # fmt: skip
    for side in (*SIDES, "net_content"):
        length = getattr(item, side)
        if length is not None and length <= 0:
            return ("catalogue.dimension", f"The {side} is above zero.", "Leave it out where it is not known.",
                    side, plain(length))  # fmt: skip
    if item.price_on_pack is not None and item.price_on_pack < 0:
        return ("catalogue.price_on_pack", "A price on the pack is zero or more.", "Leave it out where there is none.",
                "price_on_pack", plain(item.price_on_pack))  # fmt: skip
    if (item.net_content is None) != (item.net_content_unit is None):
        field = "net_content" if item.net_content is None else "net_content_unit"
        return ("catalogue.net_content", "A declared net content is a figure and its unit.", "Send both, or neither.",
                field, "")  # fmt: skip
    if item.expires and item.tracking == "none":
        return ("catalogue.expiry", "Only lots and serial numbers carry an expiry date.",
                "Set tracking to lot or serial, or leave expires out.", "expires", "true")  # fmt: skip
    for name, number in item.units.items():
        if number <= 0 or name == EACH:
            return ("catalogue.unit", f"{plain(number)} {EACH} is no {name!r}.",
                    f"Say how many {EACH} one is, above zero; {EACH} itself is one and needs no entry.",
                    f"units.{name}", plain(number))  # fmt: skip
    return _unsound_pack(item)


def _unsound_pack(item: Item) -> tuple[str, str, str, str, str] | None:
    """Return what is wrong with a level of packing by itself; how levels fit together is a finding."""
    used = {item.gtin} if item.gtin is not None else set()
    for name, pack in item.packs.items():
        if name == EACH or pack.count <= 0:
            return ("catalogue.pack", f"A {name!r} cannot hold {plain(pack.count)} {pack.contains}.",
                    f"Say what one holds, above zero; {EACH} is what everything is made of.",
                    f"packs.{name}", plain(pack.count))  # fmt: skip
        fault = gtin.fault(pack.gtin) if pack.gtin is not None else None
        if fault is not None:
            return ("catalogue.gtin", f"{pack.gtin!r} is no GTIN: {fault}.", "Correct it, or leave it out.",
                    f"packs.{name}.gtin", str(pack.gtin))  # fmt: skip
        if pack.gtin is not None and pack.gtin in used:
            return ("catalogue.gtin_twice", f"{pack.gtin} names another level of this item already.",
                    "Each level of packing has a GTIN of its own.", f"packs.{name}.gtin", pack.gtin)  # fmt: skip
        used |= {pack.gtin} if pack.gtin is not None else set()
    return None


def unsound_location(place: Location, where: str = "") -> Refusal | None:
    """Return why a location cannot be like this, or None. where: the path to its fields in the request."""
    refusal = _no_timezone(place.timezone, where)
    if refusal is not None:
        return refusal
    if (place.latitude is None) != (place.longitude is None):
        return Refusal("catalogue.position", "A position has a latitude and a longitude.", "Send both, or neither.",
                       f"{where}{'latitude' if place.latitude is None else 'longitude'}")  # fmt: skip
    for name, value, most in (("latitude", place.latitude, 90), ("longitude", place.longitude, 180)):
        if value is not None and abs(value) > most:
            return Refusal("catalogue.position", f"There is no {name} {plain(value)}.",
                           f"Send degrees from -{most} to {most}.", f"{where}{name}", plain(value))  # fmt: skip
    return None


def unsound_partner(partner: Partner, where: str = "") -> Refusal | None:
    """Return why a partner cannot be like this, or None. where: the path to its fields in the request."""
    refusal = _no_timezone(partner.timezone, where)
    if refusal is not None:
        return refusal
    fault = gtin.gln_fault(partner.gln) if partner.gln is not None else None
    if fault is not None:
        return Refusal("catalogue.gln", f"{partner.gln!r} is no GLN: {fault}.",
                       "Correct it in the source; the last digit checks the others.", f"{where}gln",
                       str(partner.gln))  # fmt: skip
    if partner.currency is not None and not is_currency(partner.currency):
        return Refusal("catalogue.currency", f"{partner.currency!r} is not a currency.", "Use an ISO 4217 code.",
                       f"{where}currency", partner.currency)  # fmt: skip
    if partner.minimum_order is not None and (partner.minimum_order < 0 or partner.currency is None):
        return Refusal("catalogue.minimum_order", "The least value of an order is zero or more, in a currency.",
                       "Send it with a currency, or leave it out where none is agreed.", f"{where}minimum_order",
                       plain(partner.minimum_order))  # fmt: skip
    first, last = partner.in_force_from, partner.in_force_until
    if first is not None and last is not None and last < first:
        return Refusal("catalogue.in_force", f"An agreement from {first} cannot end on {last}.",
                       "Send a last day that is not before the first, or leave it out.", f"{where}in_force_until",
                       str(last))  # fmt: skip
    return None


def _no_timezone(timezone: str, where: str) -> Refusal | None:
    if timezone in available_timezones():
        return None
    return Refusal("catalogue.timezone", f"{timezone[:60]!r} is not a time zone.",
                   "Use an IANA name such as Europe/Berlin.", f"{where}timezone", timezone[:60])  # fmt: skip
