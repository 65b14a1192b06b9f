"""`trueup amend FILE`: amend many records from a table; bad cells are named, and the good rows are staged as one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from trueup import house
from trueup.catalogue.bulk_amend import Staged, read_table, stage, validated
from trueup.catalogue.kinds import KINDS
from trueup.cli.acting import As, acting
from trueup.cli.options import AsJson, Database, Home, on_database
from trueup.core import json
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.core.errors import Refused, TrueupError
from trueup.core.fields import CustomFields
from trueup.migrate.sources_text import SourceRefused, open_text, read_chunks


class Of(StrEnum):
    """What the rows of a table are about."""

    items = "items"
    locations = "locations"
    partners = "partners"


def amend(
    file: Annotated[Path, typer.Argument(help="CSV with a header: sku or code, and the fields to amend.")],
    of: Annotated[Of, typer.Option("--of", help="What the rows are about.")] = Of.items,
    title: Annotated[str, typer.Option("--title", help="Of the change, where one is needed.")] = "",
    reason: Annotated[str, typer.Option("--reason", help="Why, for the record.")] = "",
    who: As = None,
    home: Home = None,
    database_url: Database = None,
    as_json: AsJson = False,
) -> None:
    """Amend items, locations or partners from a file. An empty cell leaves a field as it is; `null` takes it away.

    Where a row touches what is governed, all good rows are proposed as one change. The same file again is told the
    same. Exit code 1 if any row was bad or refused.
    """
    if not file.is_file():
        raise TrueupError(f"{file} is no file; name a CSV whose header has the key and the fields to amend")
    rows = list(_rows(file))
    entity = next(entity for entity, kind in KINDS.items() if kind.plural == of.value)
    digest = hashlib.sha256(file.read_bytes() + reason.encode()).hexdigest()[:40]

    async def run(url: str) -> Staged:
        built = house.build()
        connection = await connect(url)
        try:
            standing = await built.load_standing(connection)
            actor = await acting(connection, standing, who)
            read = read_table(rows, standing.policies.get(CustomFields, entity), entity)
            async with Door(url, built) as door:
                good = await validated(connection, built, actor, read, door.now())
                return await stage(
                    connection, built, door, actor, good,
                    title=title or f"Amend {len(good.good)} {of.value}", reason=reason or f"the file {file.name}",
                    key=f"amend/{digest}",
                )  # fmt: skip
        finally:
            await connection.close()

    try:
        staged = on_database(home, database_url, run)
    except Refused as error:
        raise TrueupError(f"{error.refusal.what} {error.refusal.fix}") from error
    typer.echo(json.encode(staged).decode()) if as_json else _print(staged)
    raise typer.Exit(1 if staged.bad or (staged.outcome is not None and staged.outcome.refusal is not None) else 0)


def _rows(file: Path) -> Iterator[dict[str, str | None]]:
    try:
        text = open_text(file, file.name)
        for chunk in read_chunks(text):
            for at in range(len(chunk.lines)):
                if chunk.faults[at] is not None:
                    raise TrueupError(f"{file.name}, line {chunk.lines[at]}: {chunk.faults[at]}")
                yield {name: column[at] for name, column in zip(text.columns, chunk.columns, strict=True)}
    except SourceRefused as error:
        raise TrueupError(str(error)) from error


def _print(staged: Staged) -> None:
    for one in staged.bad:
        where = f"row {one.row}, {one.column} {one.value!r}"
        typer.secho(f"{where}: {one.what} {one.fix} ({one.rule})", fg="red")
    outcome = staged.outcome
    count = f"{staged.rows} row{'' if staged.rows == 1 else 's'}"
    if outcome is None:
        typer.echo("no row could be staged; nothing was written")
    elif outcome.refusal is not None:
        typer.secho(f"refused: {outcome.refusal.what} {outcome.refusal.fix}", fg="red")
    elif "change" in outcome.result:
        typer.echo(f"{count} staged in the change {outcome.result['change']}")
    else:
        typer.echo(f"{count} amended")
