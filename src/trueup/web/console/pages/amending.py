"""The form that amends a record of master data: its inputs, and what of them was changed."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any, get_args

import msgspec

from trueup.catalogue.amend import ItemPatch
from trueup.catalogue.bulk_amend import CLEARS, columns_of, read_table
from trueup.catalogue.kinds import KINDS
from trueup.catalogue.ownership import Entity, Row, entity_of, values_of
from trueup.catalogue.partner_state import Incoterm
from trueup.catalogue.state import Item, Pack
from trueup.core import json
from trueup.core.carry import Carried
from trueup.core.errors import Refusal
from trueup.core.fields import CustomFields
from trueup.core.quantity import plain

_LABELS = {
    "name": "Name", "gtin": "GTIN", "weight_g": "Weight, g", "category": "Category", "unit_price": "List price",
    "currency": "Currency", "tax_class": "Tax class", "lead_days": "Lead time, days", "length_mm": "Length, mm",
    "width_mm": "Width, mm", "height_mm": "Height, mm", "return_days": "Returnable for, days", "brand": "Brand",
    "net_content": "Net content", "net_content_unit": "Its unit", "formulation": "Formulation or function",
    "certifications": "Certification marks, parted by |", "price_on_pack": "Price on the pack",
    "supplier": "Supplier, a partner's code", "gln": "GLN", "country": "Country", "timezone": "Time zone",
    "in_force_from": "In force from", "in_force_until": "In force until, that day included",
    "minimum_order": "Least value of an order", "payment_days": "Paid after its invoice, days", "incoterm": "Incoterm",
    "claim_days": "Claims after receipt, days", "returns_days": "Takes goods back for, days",
    "answer_within_minutes": "Answers within, minutes", "order_cutoff": "Cut-off of orders, HH:MM there",
}  # fmt: skip
_ROW = ("sku", "code", "effective_from", "gtin_kept_because")
_CHOICES: dict[str, tuple[str, ...]] = {"incoterm": get_args(Incoterm)}
_DAYS = ("in_force_from", "in_force_until")
_PACK = re.compile(r"(?P<name>.+?)\s+(?P<count>[0-9.]+)\s+(?P<contains>\S+?)(?:\s+(?P<gtin>[0-9]{8,14}))?")


class Input(msgspec.Struct, frozen=True):
    """One field of the form: its name, its label and what stands there now, as text.

    choices: what it may be, where that is a list. day: whether it is a date.
    """

    name: str
    label: str
    value: str
    choices: tuple[str, ...] = ()
    day: bool = False


class Amending(msgspec.Struct, frozen=True):
    """Where a record's form goes: the address, the field that names it, the verb. gtin: whether it can have one."""

    action: str
    key: str
    value: str
    verb: str
    gtin: bool


def amending_of(row: Row) -> Amending:
    """Return where the form that amends a record goes."""
    kind = KINDS[entity_of(row)]
    value = getattr(row, kind.key)
    return Amending(f"/{kind.plural}/amend", kind.key, value, f"catalogue.amend_{kind.plural}", isinstance(row, Item))


def labelled(field: str) -> str:
    """Return what people call a field."""
    return _LABELS.get(field) or field.replace("_", " ")


def inputs_of(row: Row, rules: CustomFields) -> list[Input]:
    """Return the inputs with what stands there now; packs and units of an item come as lines of their own."""
    values = dict(values_of(row))
    custom = [(f"fields.{rule.name}", rule.label or rule.name.replace("_", " ")) for rule in rules.fields]
    columns = columns_of(KINDS[entity_of(row)])
    shown = [(name, _LABELS[name]) for name in columns if name not in _ROW] + custom
    inputs = [
        Input(name, label, _text(values.get(name)), _CHOICES.get(name, ()), name in _DAYS) for name, label in shown
    ]
    return [*inputs, *_lines_of(row)] if isinstance(row, Item) else inputs


def _lines_of(item: Item) -> list[Input]:
    units, packs = item.units.items(), item.packs.items()
    return [
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


def proposed_fields(edits: Iterable[Carried], row: Row, keys: Collection[str]) -> list[tuple[str, str]]:
    """Return which fields of a record, by what people call them, a change amends, and to what.

    edits: what the change carries. keys: what the record answers to, its code or SKU among them.
    """
    kind = KINDS[entity_of(row)]
    named = {row.id, getattr(row, kind.key), *keys}
    found: list[tuple[str, str]] = []
    for edit in edits:
        if edit.verb != f"catalogue.amend_{kind.plural}":
            continue
        for patch in edit.command.get("rows", ()):
            if patch.get(kind.key) in named:
                fields = dict(patch.get("fields", {}))
                fields |= fields.pop("fields", None) or {}
                day = f" from {patch['effective_from']}" if patch.get("effective_from") else ""
                found += [(labelled(name), f"{_words(value)}{day}") for name, value in fields.items()]
    return found


def _words(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_words(part)}" for name, part in value.items()) or "none"
    return " | ".join(map(_words, value)) if isinstance(value, list) else str(value)


def patch_of(form: dict[str, str], rules: CustomFields, entity: Entity = "item") -> Any | Refusal:
    """Return what the form changed: a field as the page showed it stays out, so that nobody's later word is undone."""
    key = KINDS[entity].key
    changed: dict[str, str] = {key: form.get(key, "").strip()}
    for name in ("effective_from", "gtin_kept_because"):
        if name in form:
            changed[name] = form[name].strip()
    lines: dict[str, str] = {}
    for name, text in form.items():
        if not name.startswith("was-"):
            continue
        field, now = name.removeprefix("was-"), form.get(name.removeprefix("was-"), "").replace("\r\n", "\n").strip()
        if now != text.replace("\r\n", "\n").strip():
            (lines if field in ("units", "packs") else changed)[field] = now or CLEARS
    read = read_table([changed], rules, entity)
    if read.bad:
        bad = read.bad[0]
        return Refusal(bad.rule, bad.what, bad.fix, bad.column, bad.value)
    return _with_lines(read.good[0].patch, lines) if lines else read.good[0].patch


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
