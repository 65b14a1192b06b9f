"""Amend many items at once from a table: every bad cell is named, and the good rows are staged as one change.

Where many rows are approved at once, nobody reads them all: a random sample is looked at, the same for everybody, drawn
by the digest of what is proposed, so that who asks cannot choose it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from trueup.authority.propose import ProposeChange
from trueup.catalogue.amend import ROWS_MAX, AmendItems, ItemFields, ItemPatch
from trueup.core import batch, json
from trueup.core.batch import House
from trueup.core.carry import Carried
from trueup.core.database import Connection
from trueup.core.door import Door
from trueup.core.errors import Refusal, Refused
from trueup.core.fields import CustomFields
from trueup.core.verb import Actor, Outcome

TABLE_ROWS_MAX = 20_000
SAMPLE_SIZE = 20
CLEARS = "null"
"""A cell that says this takes the value away; an empty one leaves it as it is."""
_STRUCTURED = ("units", "packs", "fields")
_WHOLE = ("lead_days", "return_days")
_LISTED = ("certifications",)
_OF_THE_ROW = ("sku", "effective_from", "gtin_kept_because")
COLUMNS = (*_OF_THE_ROW, *(name for name in ItemFields.__struct_fields__ if name not in _STRUCTURED))
"""What a table may have; `fields.<name>` for custom fields besides. Certification marks are parted by `|`."""


class BadRow(msgspec.Struct, frozen=True):
    """One cell that cannot be: the row as the file counts it, its column and value, the rule, and what to do."""

    row: int
    column: str
    value: str
    rule: str
    what: str
    fix: str


class NumberedPatch(msgspec.Struct, frozen=True):
    """A row that could be read, with its number in the file."""

    row: int
    patch: ItemPatch


class Bulk(msgspec.Struct, frozen=True):
    """What a table comes to: the rows that can be, and every cell that cannot."""

    good: tuple[NumberedPatch, ...]
    bad: tuple[BadRow, ...]


class Staged(msgspec.Struct, frozen=True):
    """How the good rows ended: applied, or waiting in one change. rows: how many."""

    rows: int
    bad: tuple[BadRow, ...]
    outcome: Outcome | None


def read_table(rows: Sequence[Mapping[str, str | None]], rules: CustomFields, first: int = 2) -> Bulk:
    """Read the rows of a table, each a column -> its text. first: the number of the first row in the file.

    Raises Refused for a table without SKUs, with a column there is not, or with too many rows. Two rows that say the
    same field of one SKU for one day are named; the first stands.
    """
    _refuse_columns(rows, rules)
    good: list[NumberedPatch] = []
    bad: list[BadRow] = []
    said: dict[tuple[str, str, str], int] = {}
    for number, row in enumerate(rows, first):
        cells = {name: text.strip() for name, text in row.items() if text is not None and text.strip()}
        if not cells:
            continue
        twice = _said_before(cells, said, number)
        found = twice or _patch(cells, rules, number)
        if isinstance(found, BadRow):
            bad.append(found)
        else:
            good.append(NumberedPatch(number, found))
    return Bulk(tuple(good), tuple(bad))


def _refuse_columns(rows: Sequence[Mapping[str, str | None]], rules: CustomFields) -> None:
    names = dict.fromkeys(name for row in rows for name in row)
    known = {*COLUMNS, *(f"fields.{rule.name}" for rule in rules.fields)}
    unknown = [name for name in names if name not in known]
    if "sku" not in names or unknown:
        what = f"There is no column {unknown[0][:60]!r} of items." if unknown else "The table names no items: no sku."
        raise Refused(Refusal("catalogue.columns", what, f"Use: {', '.join(sorted(known))}.", "columns",
                              unknown[0][:60] if unknown else "sku"))  # fmt: skip
    if len(rows) > TABLE_ROWS_MAX:
        raise Refused(Refusal("catalogue.rows", f"{len(rows)} rows are too many at once.",
                              f"Send at most {TABLE_ROWS_MAX} in one file.", "rows", str(len(rows))))  # fmt: skip


def _said_before(cells: Mapping[str, str], said: dict[tuple[str, str, str], int], number: int) -> BadRow | None:
    sku, day = cells.get("sku", ""), cells.get("effective_from", "")
    for name, value in cells.items():
        if name in _OF_THE_ROW:
            continue
        before = said.setdefault((sku, day, name), number)
        if before != number:
            return BadRow(number, name, value, "catalogue.said_twice", f"Row {before} says {name} of {sku} already.",
                          "Keep one of the two rows.")  # fmt: skip
    return None


def _patch(cells: Mapping[str, str], rules: CustomFields, number: int) -> ItemPatch | BadRow:
    fields: dict[str, Any] = {}
    custom: dict[str, Any] = {}
    booleans = {rule.name for rule in rules.fields if rule.type == "bool"}
    for name, text in cells.items():
        if name in _OF_THE_ROW:
            continue
        head, _, own = name.partition(".")
        value: Any = None if text == CLEARS else text
        if own and value is not None and own in booleans:
            value = {"true": True, "false": False}.get(text.lower(), text)
        elif value is not None and head in _WHOLE and text.isdecimal() and len(text) < 10:
            value = int(text)
        elif value is not None and head in _LISTED:
            value = [part.strip() for part in text.split("|") if part.strip()]
        if own:
            custom[own] = value
        else:
            fields[name] = value
    if custom:
        fields["fields"] = custom
    row = {name: cells[name] for name in _OF_THE_ROW if name in cells}
    try:
        return json.convert({**row, "fields": fields}, ItemPatch)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$.")
        column = path.rstrip("`").removeprefix("fields.") if path else "sku"
        return BadRow(number, column, cells.get(column, ""), "catalogue.value", f"{what}.", "Correct the cell.")


async def validated(connection: Connection, house: House, actor: Actor, bulk: Bulk, now: datetime) -> Bulk:
    """Ask every row as if it were amended alone, and return those that stand; nothing is written.

    The rules are those of the amendment itself; what needs a change to be applied is asked of the whole later.
    """
    unguarded = msgspec.structs.replace(house, guards=())
    commands = [(actor, AmendItems(rows=(one.patch,))) for one in bulk.good]
    good: list[NumberedPatch] = []
    bad = [*bulk.bad]
    answers = await batch.rehearse(connection, unguarded, commands, now) if commands else []
    for one, answer in zip(bulk.good, answers, strict=True):
        refusal = answer.outcome.refusal
        if refusal is None:
            good.append(one)
        else:
            bad.append(_bad_row(one, refusal))
    return Bulk(tuple(good), tuple(sorted(bad, key=lambda row: row.row)))


def _bad_row(one: NumberedPatch, refusal: Refusal) -> BadRow:
    column = refusal.where.removeprefix("rows[0].").removeprefix("fields.")
    return BadRow(one.row, column, refusal.value, refusal.rule, refusal.what, refusal.fix)


async def stage(
    connection: Connection, house: House, door: Door, actor: Actor, bulk: Bulk, *, title: str, reason: str, key: str
) -> Staged:
    """Amend the good rows; where any of them touches what is governed, propose them all as one change instead.

    key: what a repetition is told by; the same file under the same key is staged once.
    """
    if not bulk.good:
        return Staged(0, bulk.bad, None)
    commands = [AmendItems(rows=part, reason=reason[:500]) for part in _parts([one.patch for one in bulk.good])]
    expected = await batch.rehearse(connection, house, [(actor, command) for command in commands], door.now())
    refusals = [one.outcome.refusal for one in expected if one.outcome.refusal is not None]
    if any(refusal.rule == "authority.needs_change" for refusal in refusals):
        edits = tuple(Carried("catalogue.amend_items", json.to_plain(command)) for command in commands)
        proposal = ProposeChange(title=title, reason=reason, edits=edits)
        return Staged(len(bulk.good), bulk.bad, await door.submit(actor, proposal, f"{key}/change"))
    if refusals:
        return Staged(len(bulk.good), bulk.bad, Outcome("refused", refusal=refusals[0]))
    outcomes = await door.submit_all(actor, [(f"{key}/{at}", command) for at, command in enumerate(commands)])
    refused = next((outcome for outcome in outcomes if outcome.refusal is not None), outcomes[0])
    return Staged(len(bulk.good), bulk.bad, refused)


def _parts(patches: Sequence[ItemPatch]) -> Iterator[tuple[ItemPatch, ...]]:
    for at in range(0, len(patches), ROWS_MAX):
        yield tuple(patches[at : at + ROWS_MAX])


def sample_of(digest: str, rows: int, size: int = SAMPLE_SIZE) -> tuple[int, ...]:
    """Return which of so many rows (from 0) are to be looked at: the same for everybody who reads this digest.

    digest: of the change's content, in hex. Each row is ranked by a hash of both, and the lowest are taken: every row
    has the same chance, and one character of the content moves the whole draw.
    """
    ranked = sorted(range(rows), key=lambda row: hashlib.sha256(f"{digest}/{row}".encode()).digest())
    return tuple(sorted(ranked[:size]))


def rows_of(edits: Sequence[Carried]) -> list[tuple[str, dict[str, Any]]]:
    """Return the rows that a change would amend, in their order: the SKU or code, and the row as plain data."""
    named = {"catalogue.amend_items": "sku", "catalogue.amend_locations": "code"}
    return [
        (str(row[named[edit.verb]]), row)
        for edit in edits
        if edit.verb in named
        for row in edit.command.get("rows", ())
    ]
