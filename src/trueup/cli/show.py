"""`trueup show PATH name=value ...`: every read of the API from a terminal, read-only and without a server."""

from __future__ import annotations

from datetime import UTC, datetime
from shlex import quote
from typing import Annotated, Any
from urllib.parse import parse_qsl, unquote, urlencode

import msgspec
import typer

from trueup import house
from trueup.authority.standing import Standing, outside, require
from trueup.cli.acting import As, acting
from trueup.cli.fields import BodyFile, nearest, read_body, split
from trueup.cli.options import AsJson, Database, Home, on_database
from trueup.cli.printed import lines_of, plain, print_refusal, table
from trueup.core import database, json
from trueup.core.database import Connection
from trueup.core.errors import Refusal, Refused, TrueupError
from trueup.core.verb import Actor
from trueup.stock.kept_shelves import Shelves
from trueup.web.api.bodies import names_in, read_query
from trueup.web.api.problems import refusal_of_error
from trueup.web.api.promises import QUESTIONS, Question, confined
from trueup.web.api.routes import READS
from trueup.web.api.table import Asked, Read

ROWS: tuple[Read | Question, ...] = (*READS, *QUESTIONS)


class Address(msgspec.Struct, frozen=True):
    """What was asked: the row of the API's table, its path as written, and the parts of it that have names."""

    row: Read | Question
    path: str
    parts: dict[str, str]


def show(
    path: Annotated[
        str | None, typer.Argument(help="As in /v1/transfers or /v1/orders/100023; none lists them.")
    ] = None,
    fields: Annotated[list[str] | None, typer.Argument(help="name=value of the query, or of the question.")] = None,
    file: BodyFile = None,
    who: As = None,
    home: Home = None,
    database_url: Database = None,
    as_json: AsJson = False,
) -> None:
    """Show what the API answers: every read of it, without a server.

    As in: trueup show /v1/stock/lots sku=TSHIRT. Without a path it lists what can be asked. A question with a body
    (/v1/promises) takes it from --file. Exit code 1 if there is no such thing.
    """
    if path is None:
        _list(as_json)
        return
    bare, _, query = path.partition("?")
    address = find(bare)
    pairs = [*(f"{name}={value}" for name, value in parse_qsl(query, keep_blank_values=True)), *(fields or [])]
    try:
        found = on_database(home, database_url, lambda url: _answer(url, address, pairs, file, who))
    except Refused as error:
        if as_json:
            typer.echo(json.encode({"refusal": error.refusal}).decode())
        else:
            print_refusal(error.refusal)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.encode(found).decode())
    else:
        _print(address, pairs, plain(found))


def find(path: str) -> Address:
    """Return what a path means, with or without `/v1`. Raises TrueupError naming the nearest when it is none."""
    bare = path.strip("/").removeprefix("v1/")
    written = [unquote(part) for part in bare.split("/")]
    for row in sorted(ROWS, key=lambda row: len(names_in(row.path))):
        wanted = row.path.removeprefix("/v1/").split("/")
        if len(wanted) == len(written) and all(
            here and (want == here or want.startswith("{")) for want, here in zip(wanted, written, strict=True)
        ):
            parts = {want[1:-1]: here for want, here in zip(wanted, written, strict=True) if want.startswith("{")}
            return Address(row, f"/v1/{bare}", parts)
    known = [row.path for row in ROWS]
    near = nearest(f"/v1/{bare}", known) or nearest(written[0], known)
    meant = f"did you mean {', '.join(near)}?" if near else "`trueup show` lists what can be read"
    raise TrueupError(f"there is nothing to read at /v1/{bare}; {meant}")


async def _answer(url: str, address: Address, pairs: list[str], file: str | None, who: str | None) -> Any:
    connection = await database.connect(url, default_transaction_read_only="on")
    try:
        standing: Standing = (await house.build().load_standing(connection)).at(datetime.now(UTC))
        actor = await acting(connection, standing, who)
        if isinstance(address.row, Question):
            return await _ask(connection, address.row, read_body(address.row.takes, pairs, file), standing, actor)
        return await _read(connection, address, address.row, pairs, standing, actor)
    except Exception as error:
        refusal = refusal_of_error(error)
        if refusal is None:
            raise
        raise Refused(refusal) from None
    finally:
        await connection.close()


async def _read(
    connection: Connection, address: Address, row: Read, pairs: list[str], standing: Standing, actor: Actor
) -> Any:
    scope = standing.within(actor)
    refusal = require(standing, actor, row.right) or (outside(actor) if scope is not None and not row.scoped else None)
    if refusal is not None:
        raise Refused(refusal)
    query = read_query(urlencode(split(pairs)).encode(), row.query)
    asked = Asked(address.parts, query, datetime.now(UTC), standing.policies, scope, actor.id)
    found = await row.answer(connection, asked)
    if found is None:
        raise Refused(
            Refusal("read.unknown", f"There is nothing at {address.path}.", "Look it up in its list.", "path")
        )
    return found


async def _ask(connection: Connection, row: Question, asked: Any, standing: Standing, actor: Actor) -> Any:
    refusal = require(standing, actor, "read")
    if refusal is not None:
        raise Refused(refusal)
    asked = confined(asked, actor, standing.within(actor))
    return await row.answer(connection, asked, standing.policies, datetime.now(UTC), Shelves())


def _list(as_json: bool) -> None:
    rows = [
        {"path": row.path, "what": row.summary, "fields": " ".join(_names(row))}
        for row in sorted(ROWS, key=lambda row: row.path)
    ]
    typer.echo(json.encode({"reads": rows}).decode() if as_json else "\n".join(table(rows, 1000)))


def _names(row: Read | Question) -> tuple[str, ...]:
    kind = row.takes if isinstance(row, Question) else row.query
    return kind.__struct_fields__


def _print(address: Address, pairs: list[str], found: Any) -> None:
    """Print a list as a table with what else is said about it above, and anything else as a record."""
    items = found.get("items")
    if not isinstance(items, list):
        typer.echo("\n".join(lines_of(found)))
        return
    more = {
        name: value for name, value in found.items() if name not in ("items", "next") and value not in (None, False)
    }
    for line in (*lines_of(more), *(table(items) if items else ["nothing"])):
        typer.echo(line)
    following = found.get("next")
    names = _names(address.row)
    field = next((name for name in ("cursor", "after") if name in names), None)
    if items and following is not None and field is not None:
        kept = [pair for pair in pairs if not pair.startswith(f"{field}=")]
        typer.secho(
            " ".join(["next: trueup show", address.path, *map(quote, kept), f"{field}={following}"]), err=True, dim=True
        )
