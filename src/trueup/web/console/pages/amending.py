"""The form that amends an item: its inputs, and what of them was changed."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from trueup.catalogue.amend import ItemPatch
from trueup.catalogue.bulk_amend import CLEARS, COLUMNS, read_table
from trueup.catalogue.ownership import values_of
from trueup.catalogue.state import Item, Pack
from trueup.core import json
from trueup.core.errors import Refusal
from trueup.core.fields import CustomFields
from trueup.core.quantity import plain

_LABELS = {
    "name": "Name", "gtin": "GTIN", "weight_g": "Weight, g", "category": "Category", "unit_price": "List price",
    "currency": "Currency", "tax_class": "Tax class", "lead_days": "Lead time, days", "length_mm": "Length, mm",
    "width_mm": "Width, mm", "height_mm": "Height, mm", "return_days": "Returnable for, days", "brand": "Brand",
    "net_content": "Net content", "net_content_unit": "Its unit", "formulation": "Formulation or function",
    "certifications": "Certification marks, parted by |", "price_on_pack": "Price on the pack",
}  # fmt: skip
_ROW = ("sku", "effective_from", "gtin_kept_because")
_PACK = re.compile(r"(?P<name>.+?)\s+(?P<count>[0-9.]+)\s+(?P<contains>\S+?)(?:\s+(?P<gtin>[0-9]{8,14}))?")


class Input(msgspec.Struct, frozen=True):
    """One field of the form: its name, its label and what stands there now, as text."""

    name: str
    label: str
    value: str


def inputs_of(item: Item, rules: CustomFields) -> list[Input]:
    """Return the inputs with what stands there now; packs and units come as lines of their own."""
    values = dict(values_of(item))
    custom = [(f"fields.{rule.name}", rule.label or rule.name.replace("_", " ")) for rule in rules.fields]
    shown = [(name, _LABELS[name]) for name in COLUMNS if name not in _ROW] + custom
    units, packs = item.units.items(), item.packs.items()
    return [
        *(Input(name, label, _text(values.get(name))) for name, label in shown),
        Input("units", "Units, one a line: name, base units", "\n".join(f"{n} {plain(u)}" for n, u in units)),
        Input("packs", "Packs, one a line: name, count, what it contains, GTIN", "\n".join(map(_line, packs))),
    ]


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return " | ".join(value) if isinstance(value, list) else str(value)


def _line(entry: tuple[str, Pack]) -> str:
    name, pack = entry
    return " ".join(part for part in (name, plain(pack.count), pack.contains, pack.gtin or "") if part)


def patch_of(form: dict[str, str], rules: CustomFields) -> ItemPatch | Refusal:
    """Return what the form changed: a field as the page showed it stays out, so that nobody's later word is undone."""
    changed: dict[str, str] = {"sku": form.get("sku", "").strip()}
    for name in ("effective_from", "gtin_kept_because"):
        changed[name] = form.get(name, "").strip()
    lines: dict[str, str] = {}
    for name, text in form.items():
        if not name.startswith("was-"):
            continue
        field, now = name.removeprefix("was-"), form.get(name.removeprefix("was-"), "").replace("\r\n", "\n").strip()
        if now != text.replace("\r\n", "\n").strip():
            (lines if field in ("units", "packs") else changed)[field] = now or CLEARS
    read = read_table([changed], rules)
    if read.bad:
        bad = read.bad[0]
        return Refusal(bad.rule, bad.what, bad.fix, bad.column, bad.value)
    return _with_lines(read.good[0].patch, lines)


def _with_lines(patch: ItemPatch, lines: dict[str, str]) -> ItemPatch | Refusal:
    fields = json.to_plain(patch.fields)
    for name, text in lines.items():
        found = (_units if name == "units" else _packs)("" if text == CLEARS else text)
        if isinstance(found, Refusal):
            return found
        fields[name] = found
    try:
        return json.convert({**json.to_plain(patch), "fields": fields}, ItemPatch)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        return Refusal("form.invalid", f"{what}.", "Correct the field and send the form again.", where.strip(".`"))


def _units(text: str) -> dict[str, str] | Refusal:
    found = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, _, number = line.rpartition(" ")
        if not name:
            return Refusal("form.invalid", f"{line[:60]!r} is no unit.", "Write a name and its base units: case 24.",
                           "units", line[:60])  # fmt: skip
        found[name.strip()] = number
    return found


def _packs(text: str) -> dict[str, Any] | Refusal:
    found = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        match = _PACK.fullmatch(line)
        if match is None:
            return Refusal("form.invalid", f"{line[:60]!r} is no level of packing.",
                           "Write its name, how many, of what, and its GTIN: case 24 each 14006381333938.", "packs",
                           line[:60])  # fmt: skip
        found[match["name"]] = {key: match[key] for key in ("count", "contains", "gtin")}
    return found
