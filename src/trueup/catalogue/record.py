"""What records of master data have in common: fields that somebody amended, and how whole rows are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from trueup.core import json
from trueup.core.verb import Statement

R = TypeVar("R", bound=msgspec.Struct)


class Amended(msgspec.Struct, frozen=True, omit_defaults=True):
    """One field that changed, from what to what, as plain data."""

    field: str
    before: Any = None
    after: Any = None


def merged(known: R, after: R, changes: Sequence[Amended]) -> R:
    """Take only the fields that were amended: another amendment of the same act may have changed others before."""
    was: Any = known
    now: Any = after
    values: dict[str, Any] = {}
    fields = dict(was.fields)
    for one in changes:
        head, _, name = one.field.partition(".")
        if name and name in now.fields:
            fields[name] = now.fields[name]
        elif name:
            fields.pop(name, None)
        else:
            values[head] = getattr(after, head)
    return msgspec.structs.replace(known, **values, fields=fields, version=was.version + 1)


def columns(row: msgspec.Struct) -> dict[str, Any]:
    """Return what the table holds for a row: its values by column, JSON as plain data, and null where it is empty."""
    values = {name: getattr(row, name) for name in row.__struct_fields__}
    for name in ("components", "units", "fields", "packs"):
        if name in values:
            values[name] = json.to_plain(values[name]) or None
    return values


def upsert(table: str, rows: Sequence[msgspec.Struct], at: Mapping[str, datetime]) -> Statement:
    """Write whole rows by the names of their columns; what has an id keeps it, and the time it first came."""
    names = [name for name in rows[0].__struct_fields__ if name not in ("id", "sku", "code")]
    changes = ", ".join(f"{name} = excluded.{name}" for name in names)
    written = [columns(row) for row in rows]
    return Statement(
        f"""insert into {table} select * from jsonb_populate_recordset(null::{table}, %s::jsonb)
        on conflict (id) do update set {changes}""",
        [json.encode([{**row, "at": at[row["id"]]} for row in written]).decode()],
    )
