"""Amend many records at once from a table: every bad cell is named, and the good rows are staged as one change.

Where many rows are approved at once, nobody reads them all: a random sample is looked at; see `authority.sampled`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import msgspec

from trueup.authority.propose import ProposeChange
from trueup.authority.standing import Standing, require
from trueup.catalogue.amend import ITEMS, ROWS_MAX, Amendable
from trueup.catalogue.kinds import KINDS
from trueup.catalogue.ownership import Entity
from trueup.core import batch, json
from trueup.core.batch import House
from trueup.core.carry import Carried
from trueup.core.database import Connection
from trueup.core.door import Door
from trueup.core.errors import Refusal, Refused
from trueup.core.fields import CustomFields
from trueup.core.verb import Actor, Command, Outcome

TABLE_ROWS_MAX = 20_000
CLEARS = "null"
"""A cell that says this takes the value away; an empty one leaves it as it is."""
_STRUCTURED = ("units", "packs", "fields")
_WHOLE = (
    "lead_days", "return_days", "handling_days", "payment_days", "claim_days", "returns_days", "answer_within_minutes",
)  # fmt: skip
_LISTED = ("certifications", "groups")
_YES_OR_NO = ("pickup",)
_PATH = re.compile(r"(edits\[\d+\]\.)?(rows\[\d+\]\.)?(fields\.)?")
_NEEDS, _MAY_NOT, _PROPOSING = "authority.needs_change", "authority.not_allowed", "authority.propose_change"


def columns_of(kind: Amendable[Any]) -> tuple[str, ...]:
    """Return what a table of one kind of record may have; `fields.<name>` for custom fields besides.

    Certification marks and groups are parted by `|`.
    """
    return (*_of_the_row(kind), *(name for name in kind.fields.__struct_fields__ if name not in _STRUCTURED))


def _of_the_row(kind: Amendable[Any]) -> tuple[str, ...]:
    return tuple(name for name in kind.patch.__struct_fields__ if name not in ("fields", "withdraw_planned"))


COLUMNS = columns_of(ITEMS)
"""What a table of items may have."""


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
    patch: Any


class Bulk(msgspec.Struct, frozen=True):
    """What a table comes to: the rows that can be, and every cell that cannot. entity: what its rows are about."""

    good: tuple[NumberedPatch, ...]
    bad: tuple[BadRow, ...]
    entity: Entity = "item"


class Staged(msgspec.Struct, frozen=True):
    """How the good rows ended: applied, or waiting in a change. rows: how many.

    changes: what they wait in; more than one only where who amends may not propose. begun: days that rows name and that
    are over, so that these rows hold from now on, or from when the change is applied.
    """

    rows: int
    bad: tuple[BadRow, ...]
    outcome: Outcome | None
    changes: tuple[str, ...] = ()
    begun: tuple[date, ...] = ()


def read_table(
    rows: Sequence[Mapping[str, str | None]], rules: CustomFields, entity: Entity = "item", first: int = 2
) -> Bulk:
    """Read the rows of a table, each a column -> its text. first: the number of the first row in the file.

    Raises Refused for a table without SKUs or codes, with a column there is not, or with too many rows. Two rows that
    say the same field of one record for one day are named; the first stands.
    """
    kind = KINDS[entity]
    _refuse_columns(rows, rules, kind)
    good: list[NumberedPatch] = []
    bad: list[BadRow] = []
    said: dict[tuple[str, str, str], int] = {}
    for number, row in enumerate(rows, first):
        cells = {name: text.strip() for name, text in row.items() if text is not None and text.strip()}
        if not cells:
            continue
        twice = _said_before(cells, said, number, kind)
        found = twice or _patch(cells, rules, number, kind)
        if isinstance(found, BadRow):
            bad.append(found)
        else:
            good.append(NumberedPatch(number, found))
    return Bulk(tuple(good), tuple(bad), entity)


def _refuse_columns(rows: Sequence[Mapping[str, str | None]], rules: CustomFields, kind: Amendable[Any]) -> None:
    names = dict.fromkeys(name for row in rows for name in row)
    if not rows:
        raise Refused(Refusal("catalogue.rows", f"The table has no rows: nothing is said of any {kind.entity}.",
                              f"Write a header with {kind.key} and what to amend, and a row for each under it.", "rows",
                              "0"))  # fmt: skip
    known = {*columns_of(kind), *(f"fields.{rule.name}" for rule in rules.fields)}
    unknown = [name for name in names if name not in known]
    if kind.key not in names or unknown:
        what = f"The table names no {kind.plural}: no {kind.key}."
        if unknown:
            what = f"There is no column {unknown[0][:60]!r} of {kind.plural}."
        raise Refused(Refusal("catalogue.columns", what, f"{_meant(names, kind)}Use: {', '.join(sorted(known))}.",
                              "columns", unknown[0][:60] if unknown else kind.key))  # fmt: skip
    if len(rows) > TABLE_ROWS_MAX:
        raise Refused(Refusal("catalogue.rows", f"{len(rows)} rows are too many at once.",
                              f"Send at most {TABLE_ROWS_MAX} in one file.", "rows", str(len(rows))))  # fmt: skip


def _meant(names: Mapping[str, None], kind: Amendable[Any]) -> str:
    """Return which other kind of record has these columns, as a question."""
    own = [name for name in names if not name.startswith("fields.")]
    meant = [
        f"--of {other.plural}"
        for other in KINDS.values()
        if other is not kind and other.key in own and {*own} <= {*columns_of(other)}
    ]
    return f"Is it about something else ({' or '.join(meant)})? " if meant else ""


def _said_before(
    cells: Mapping[str, str], said: dict[tuple[str, str, str], int], number: int, kind: Amendable[Any]
) -> BadRow | None:
    key, day = cells.get(kind.key, ""), cells.get("effective_from", "")
    for name, value in cells.items():
        if name in _of_the_row(kind):
            continue
        before = said.setdefault((key, day, name), number)
        if before != number:
            return BadRow(number, name, value, "catalogue.said_twice", f"Row {before} says {name} of {key} already.",
                          "Keep one of the two rows.")  # fmt: skip
    return None


def _patch(cells: Mapping[str, str], rules: CustomFields, number: int, kind: Amendable[Any]) -> Any | BadRow:
    fields: dict[str, Any] = {}
    custom: dict[str, Any] = {}
    booleans = {rule.name for rule in rules.fields if rule.type == "bool"}
    for name, text in cells.items():
        if name in _of_the_row(kind):
            continue
        head, _, own = name.partition(".")
        value: Any = None if text == CLEARS else text
        if value is not None and (own in booleans if own else name in _YES_OR_NO):
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
    row = {name: cells[name] for name in _of_the_row(kind) if name in cells}
    try:
        return json.convert({**row, "fields": fields}, kind.patch)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$.")
        column = path.rstrip("`").removeprefix("fields.") if path else kind.key
        value = cells.get(column, "")
        return BadRow(number, column, value, "catalogue.value", *_wrong(what, column, value))


def _wrong(what: str, column: str, value: str) -> tuple[str, str]:
    """Return what is wrong with a cell, as people say it, and what to write instead."""
    shown = repr(value[:60])
    if "RFC3339 encoded date" in what:
        return f"{shown} is no day.", "Write YYYY-MM-DD, as in 2026-12-31."
    if column in _WHOLE and "got `str`" in what:
        return f"{shown} is no whole number.", f"Write digits, as in 14; {CLEARS} takes the value away."
    if "bool" in what and "got `str`" in what:
        return f"{shown} is neither true nor false.", "Write true or false."
    return f"{what}.", "Correct the cell."


async def validated(connection: Connection, house: House, actor: Actor, bulk: Bulk, now: datetime) -> Bulk:
    """Ask every row as if it were amended alone, and return those that stand; nothing is written.

    The rules are those of the amendment itself; what needs a change to be applied is asked of the whole later.
    """
    unguarded = msgspec.structs.replace(house, guards=())
    commands = [(actor, _amending(bulk, (one.patch,))) for one in bulk.good]
    good: list[NumberedPatch] = []
    bad = [*bulk.bad]
    answers = await batch.rehearse(connection, unguarded, commands, now) if commands else []
    for one, answer in zip(bulk.good, answers, strict=True):
        refusal = answer.outcome.refusal
        if refusal is None:
            good.append(one)
        else:
            bad.append(_bad_row(one, refusal))
    return Bulk(tuple(good), tuple(sorted(bad, key=lambda row: row.row)), bulk.entity)


def _amending(bulk: Bulk, rows: tuple[Any, ...], reason: str = "") -> Command:
    command: Command = KINDS[bulk.entity].rows(rows=rows, reason=reason)
    return command


def _bad_row(one: NumberedPatch, refusal: Refusal) -> BadRow:
    column = _PATH.sub("", refusal.where, count=1)
    return BadRow(one.row, column, refusal.value, refusal.rule, refusal.what, refusal.fix)


async def stage(
    connection: Connection, house: House, door: Door, actor: Actor, bulk: Bulk, *, title: str, reason: str, key: str
) -> Staged:
    """Amend the good rows; where any of them touches what is governed, propose them all as one change instead.

    A change asks for no right of the verb it carries: who may not amend, and may propose, proposes what is governed.
    key: what a repetition is told by; the same file under the same key is staged once.
    """
    if not bulk.good:
        return Staged(0, bulk.bad, None)
    begun = begun_days(bulk, door.now())
    commands = [_amending(bulk, part, reason[:500]) for part in _parts([one.patch for one in bulk.good])]
    expected = await batch.rehearse(connection, house, [(actor, command) for command in commands], door.now())
    refusals = [one.outcome.refusal for one in expected if one.outcome.refusal is not None]
    rules = {refusal.rule for refusal in refusals}
    waits = any(one.outcome.status == "pending_approval" and "change" in one.outcome.result for one in expected)
    standing: Standing = (await house.load_standing(connection)).at(door.now())
    may = standing.declared is not None and require(standing, actor, _PROPOSING) is None
    if _NEEDS in rules or (may and (waits or _MAY_NOT in rules)):
        verb = f"catalogue.amend_{KINDS[bulk.entity].plural}"
        edits = tuple(Carried(verb, json.to_plain(command)) for command in commands)
        proposal = ProposeChange(title=title[:120], reason=reason[:2000], edits=edits)
        outcome = await door.submit(actor, proposal, f"{key}/change")
        return Staged(len(bulk.good), bulk.bad, outcome, _changes([outcome]), begun)
    if refusals:
        return Staged(len(bulk.good), bulk.bad, Outcome("refused", refusal=refusals[0]))
    outcomes = await door.submit_all(actor, [(f"{key}/{at}", command) for at, command in enumerate(commands)])
    refused = next((outcome for outcome in outcomes if outcome.refusal is not None), outcomes[0])
    return Staged(len(bulk.good), bulk.bad, refused, _changes(outcomes), begun)


def _changes(outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    return tuple(str(outcome.result["change"]) for outcome in outcomes if "change" in outcome.result)


def begun_days(bulk: Bulk, now: datetime) -> tuple[date, ...]:
    """Return the days that rows name and that are over: they hold from now on, as `ItemPatch` says."""
    today = now.astimezone(UTC).date()
    named = {one.patch.effective_from for one in bulk.good}
    return tuple(sorted(day for day in named if day is not None and day < today))


def _parts(patches: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    for at in range(0, len(patches), ROWS_MAX):
        yield tuple(patches[at : at + ROWS_MAX])


def rows_of(edits: Sequence[Carried]) -> list[tuple[Entity, str, dict[str, Any]]]:
    """Return the rows that a change would amend, in their order: the kind, the SKU or code, and the row as data."""
    named = {f"catalogue.amend_{kind.plural}": kind for kind in KINDS.values()}
    return [
        (kind.entity, str(row[kind.key]), row)
        for edit in edits
        if (kind := named.get(edit.verb)) is not None
        for row in edit.command.get("rows", ())
    ]
