"""Many orders at once: a file of JSON lines or of CSV becomes commands, row by row; a broken row loses only itself.

JSON lines: each line is the body of `orders.place`. CSV (UTF-8, comma or semicolon, a header): a row is one line of an
order, and rows that follow one another with the same `order` are one order. Columns, of which only sku and quantity
must be there, and currency unless one is given for all:

    order               groups rows; without it each row is an order
    sku, quantity, unit, unit_price, description
    list_price, contract, substitutions_allowed, line_requested_from, line_requested_to
    currency, channel, type, delivery, location, priority, placed_at, discount, source_total, short
    customer, customer_source, customer_order, payment_terms, requested_from, requested_to, order_contract, tax_id,
    exemption
    ship_country, ship_region, ship_postcode
    name, email, phone, street, postcode, city, region, country: of the contact, and of where it goes
    id:SYSTEM           the number that a system knows the order by
    charge:CODE         an amount besides the goods
    field:NAME          a custom field

What concerns the whole order stands in its first row, and in later ones the same or nothing.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from trueup.core import json
from trueup.core.door import Door
from trueup.core.errors import Refusal, Refused
from trueup.core.verb import Actor, Outcome
from trueup.orders.place import PlaceOrder

ROWS_MAX = 10_000
KEY_LENGTH_MAX = 180
Format = Literal["ndjson", "csv"]

_ORDER = ("currency", "channel", "type", "delivery", "location", "placed_at", "discount", "source_total", "customer",
          "customer_source", "ship_country", "ship_region", "ship_postcode", "short")  # fmt: skip
_TERMS = {"customer_order": "customer_order", "payment_terms": "payment_terms", "requested_from": "requested_from",
          "requested_to": "requested_to", "order_contract": "contract", "tax_id": "tax_id",
          "exemption": "exemption"}  # fmt: skip
_LINE = ("sku", "quantity", "unit", "unit_price", "description")
_LINE_TERMS = {"list_price": "list_price", "contract": "contract", "substitutions_allowed": "substitutions_allowed",
               "line_requested_from": "requested_from", "line_requested_to": "requested_to"}  # fmt: skip
_PERSON = ("name", "email", "phone")
_ADDRESS = ("street", "postcode", "city", "region", "country")
_PREFIXED = ("id:", "charge:", "field:")
_KNOWN = frozenset(
    ("order", "priority", *_ORDER, *_TERMS, *_LINE, *_LINE_TERMS, *_PERSON, *_ADDRESS)
)  # fmt: skip
# A NUL written as an escape, not a backslash followed by the text u0000.
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_BOOLS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class BulkRow(msgspec.Struct, frozen=True):
    """One order of a file: the number of its (first) row, from 1, its name there, and the command or why it is none."""

    row: int
    reference: str
    command: PlaceOrder | None
    refusal: Refusal | None = None


class BulkResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """How one order of a file ended. status: as of any command, or `unreadable`. repeated: told again."""

    row: int
    reference: str
    status: str
    order: str = ""
    number: str = ""
    refusal: Refusal | None = None
    repeated: bool = False


async def place_all(door: Door, actor: Actor, rows: list[BulkRow], key: str) -> list[BulkResult]:
    """Place each order of a file under a key of its own, made of the file's and its row; sent again, it is told again.

    Each is its own command: what one is refused for concerns no other.
    """
    readable = [row for row in rows if row.command is not None]
    commands = [(f"{key}/{row.row}", row.command) for row in readable if row.command is not None]
    outcomes = await door.submit_all(actor, commands)
    ended = dict(zip([row.row for row in readable], outcomes, strict=True))
    return [_result(row, ended.get(row.row)) for row in rows]


def _result(row: BulkRow, outcome: Outcome | None) -> BulkResult:
    if outcome is None:
        return BulkResult(row.row, row.reference, "unreadable", refusal=row.refusal)
    return BulkResult(
        row.row,
        row.reference,
        outcome.status,
        outcome.result.get("order", ""),
        outcome.result.get("number", ""),
        outcome.refusal,
        outcome.repeated,
    )


def read_file(body: bytes, kind: Format, defaults: dict[str, str] | None = None) -> list[BulkRow]:
    """Return the orders of a file. defaults: fields of the order that hold where a row says nothing.

    Raises Refused for a file that is no text, too long, or a CSV whose header names unknown columns or lacks some.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused(_unreadable(f"The file is not UTF-8 at byte {error.start}.", "Save it as UTF-8.")) from None
    rows = list(_json_lines(text, defaults or {}) if kind == "ndjson" else _csv(text, defaults or {}))
    if not rows:
        raise Refused(_unreadable("The file has no rows.", "Send at least one order."))
    if len(rows) > ROWS_MAX:
        raise Refused(_unreadable(f"The file has more than {ROWS_MAX:,} orders.", "Send it in several, each its key."))
    return rows


def _json_lines(text: str, defaults: dict[str, str]) -> Iterator[BulkRow]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            body = msgspec.json.decode(line)
            if not isinstance(body, dict):
                raise msgspec.ValidationError("Expected an object")
            if _NUL.search(line):
                raise msgspec.ValidationError("A text holds the character NUL, which cannot be stored")
            yield _row(number, f"row {number}", {**defaults, **body})
        except (msgspec.MsgspecError, RecursionError) as error:
            yield _broken(number, f"row {number}", error)


def _csv(text: str, defaults: dict[str, str]) -> Iterator[BulkRow]:
    if "\0" in text:
        raise Refused(_unreadable("The file holds the character NUL, which cannot be stored.", "Take it out."))
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=";" if first.count(";") > first.count(",") else ",")
    try:
        header = [name.strip() for name in next(reader, [])]
        _demand_columns(header, defaults)
        records = [(number, dict(zip(header, map(str.strip, cells), strict=False)), len(cells))
                   for number, cells in enumerate(reader, 1) if any(cells)]  # fmt: skip
    except csv.Error as error:
        raise Refused(_unreadable(f"The file is no CSV: {error}.", "Quote cells as RFC 4180 says.")) from None
    for same in _grouped(records):
        number, record, _ = same[0]
        reference = record.get("order") or f"row {number}"
        wide = next((at for at, _, cells in same if cells > len(header)), None)
        if wide is not None:
            what = f"Row {wide} has more cells than the header has columns."
            yield BulkRow(number, reference, None, _unreadable(what, "Quote cells that hold the delimiter.", wide))
            continue
        clash = _clash([one for _, one, _ in same])
        if clash is not None:
            what = f"The rows of order {reference!r} disagree about {clash!r}."
            yield BulkRow(
                number, reference, None, _unreadable(what, "Let them say the same, or only the first.", clash)
            )
            continue
        try:
            yield _row(number, reference, _body([one for _, one, _ in same], defaults))
        except (msgspec.MsgspecError, ValueError) as error:
            yield _broken(number, reference, error)


def _grouped(records: list[tuple[int, dict[str, str], int]]) -> list[list[tuple[int, dict[str, str], int]]]:
    """Put rows that follow one another with the same order together; such a name that comes back is another order."""
    groups: list[list[tuple[int, dict[str, str], int]]] = []
    for record in records:
        name = record[1].get("order")
        if name and groups and groups[-1][0][1].get("order") == name:
            groups[-1].append(record)
        else:
            groups.append([record])
    return groups


def _demand_columns(header: list[str], defaults: dict[str, str]) -> None:
    unknown = [name for name in header if name not in _KNOWN and not name.startswith(_PREFIXED)]
    twice = sorted({name for name in header if header.count(name) > 1})
    lacking = [name for name in ("sku", "quantity") if name not in header]
    lacking += [name for name in ("currency",) if name not in header and name not in defaults]
    for names, what in ((unknown, "names unknown columns"), (twice, "names columns twice"), (lacking, "lacks columns")):
        if names:
            fix = f"Columns: {', '.join(sorted(_KNOWN))}, and id:SYSTEM, charge:CODE, field:NAME."
            raise Refused(_unreadable(f"The header {what}: {', '.join(names)[:200]}.", fix, names[0][:80]))


def _clash(rows: list[dict[str, str]]) -> str | None:
    """Return a column of the order, not of its lines, in which a later row says something else than the first."""
    of_lines = {*_LINE, *_LINE_TERMS}
    for name, value in rows[0].items():
        if name not in of_lines and any(row.get(name, "") not in ("", value) for row in rows[1:]):
            return name
    return None


def _body(rows: list[dict[str, str]], defaults: dict[str, str]) -> dict[str, Any]:
    """Return the plain body of an order's rows; cells that are empty say nothing."""
    first = {name: value for name, value in rows[0].items() if value}
    body: dict[str, Any] = {**defaults, **{name: first[name] for name in _ORDER if name in first}}
    if "priority" in first:
        body["priority"] = int(first["priority"])
    terms = {field: first[name] for name, field in _TERMS.items() if name in first}
    contact: dict[str, Any] = {name: first[name] for name in _PERSON if name in first}
    address = {name: first[name] for name in _ADDRESS if name in first}
    prefixed = {prefix: {name.removeprefix(prefix): value for name, value in first.items() if name.startswith(prefix)}
                for prefix in _PREFIXED}  # fmt: skip
    if terms:
        body["business"] = terms
    if address:
        contact["ship_to"] = address
    if contact:
        body["contact"] = contact
    if prefixed["id:"]:
        body["external_ids"] = prefixed["id:"]
    if prefixed["charge:"]:
        body["charges"] = [{"code": code, "amount": amount} for code, amount in prefixed["charge:"].items()]
    if prefixed["field:"]:
        body["fields"] = prefixed["field:"]
    body["lines"] = [_line(row) for row in rows]
    return body


def _line(row: dict[str, str]) -> dict[str, Any]:
    line: dict[str, Any] = {name: row[name] for name in _LINE if row.get(name)}
    terms: dict[str, Any] = {field: row[name] for name, field in _LINE_TERMS.items() if row.get(name)}
    if "substitutions_allowed" in terms:
        said = terms["substitutions_allowed"].lower()
        if said not in _BOOLS:
            raise ValueError(f"substitutions_allowed is {said[:20]!r}, neither true nor false")
        terms["substitutions_allowed"] = _BOOLS[said]
    return {**line, "business": terms} if terms else line


def _row(number: int, reference: str, body: dict[str, Any]) -> BulkRow:
    command = json.decode(msgspec.json.encode(body), PlaceOrder)
    if isinstance(command.contact, str):
        raise msgspec.ValidationError("Expected an object, got a string - at `$.contact`")
    return BulkRow(number, reference, command)


def _broken(number: int, reference: str, error: Exception) -> BulkRow:
    what, _, where = str(error).partition(" - at `$")
    fix = "Correct this row and send it again under a new key; the others are done."
    return BulkRow(number, reference, None, Refusal("orders.bulk_row", f"{what[:300]}.", fix, where.strip(".`")))


def _unreadable(what: str, fix: str, where: object = "") -> Refusal:
    return Refusal("orders.bulk_file", what, fix, str(where))
