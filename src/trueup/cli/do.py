"""`trueup do VERB name=value ...`: every act of the API from a terminal, through the door and by its rules."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from trueup import house
from trueup.authority.standing import Standing
from trueup.cli.acting import As, acting
from trueup.cli.fields import BodyFile, Pairs, read_body
from trueup.cli.options import AsJson, Database, Home, on_database
from trueup.cli.printed import lines_of, plain, print_refusal
from trueup.cli.verbs import ADDRESSES, verb_named
from trueup.core import database, json
from trueup.core.batch import Rehearsed
from trueup.core.door import Door
from trueup.core.errors import Refusal, Refused, TrueupError, Unknown
from trueup.core.ids import new_id
from trueup.core.verb import Command, Outcome, Verb
from trueup.web.changed import explained_by


def do(
    verb: Annotated[str, typer.Argument(help="What to do, as in stock.adjust; `trueup verbs` lists them.")],
    fields: Pairs = None,
    file: BodyFile = None,
    key: Annotated[str | None, typer.Option("--key", help="Idempotency key; the same again is told the same.")] = None,
    rehearse: Annotated[bool, typer.Option("--rehearse", help="Show what would happen; nothing is written.")] = False,
    who: As = None,
    home: Home = None,
    database_url: Database = None,
    as_json: AsJson = False,
) -> None:
    """Do what a verb says: every act of the API, through the door.

    As in: trueup do stock.adjust sku=TSHIRT location=NYC change=-1 reason=broken reference=r1. Values are text, or
    JSON where the field takes a number, a list or an object. Exit code 1 if it is refused.
    """
    used = None if rehearse else key or new_id("cli")
    try:
        command = _command(verb_named(verb), fields or [], file)
        done = on_database(home, database_url, lambda url: _submit(url, command, used, who))
    except Refused as error:
        done = Rehearsed(Outcome("refused", refusal=error.refusal), ())
    except Unknown as error:
        raise TrueupError(f"{error}. Run it again with --key {used}: that tells how it ended.") from None
    expected = [{"name": event.name, "subject": event.subject, "body": event} for event in done.events]
    if as_json:
        typer.echo(json.encode({"outcome": done.outcome, "events": expected} if rehearse else done.outcome).decode())
    elif done.outcome.refusal is not None:
        print_refusal(done.outcome.refusal)
    else:
        _print(done.outcome, plain(expected), rehearse)
    if done.outcome.refusal is not None:
        raise typer.Exit(1)


def _print(outcome: Outcome, events: list[dict[str, Any]], rehearsed: bool) -> None:
    before = ", as before" if outcome.repeated else ""
    typer.secho(f"would be {outcome.status}" if rehearsed else outcome.status + before, fg="green")
    for line in lines_of(plain(outcome.result), "  "):
        typer.echo(line)
    for event in events:
        typer.echo(f"{event['name']} {event['subject']}")
        for line in lines_of(event["body"], "  "):
            typer.echo(line)


def _command(verb: Verb[Command], pairs: list[str], file: str | None) -> Command:
    """Read the command. Raises Refused for a wrong field, and for one that this verb's address fills itself."""
    command = read_body(verb.command, pairs, file)
    for row in ADDRESSES[verb.command]:
        for name, value in row.fixed.items():
            if getattr(command, name) != value:
                raise Refused(Refusal("request.invalid", f"`{name}` is not for you to say.", "Leave it out.", name))
    return command


async def _submit(url: str, command: Command, key: str | None, who: str | None) -> Rehearsed:
    """Submit the command, or without a key rehearse it; a refusal of what changed meanwhile tells what did."""
    built = house.build()
    connection = await database.connect(url, default_transaction_read_only="on")
    try:
        standing: Standing = (await built.load_standing(connection)).at(datetime.now(UTC))
        actor = await acting(connection, standing, who)
        door = Door(url, built, writers=1)
        if key is None:
            return (await door.rehearse([(actor, command)]))[0]
        async with door:
            outcome = await door.submit(actor, command, key)
        return Rehearsed(await explained_by(connection, standing.actors, command, outcome), ())
    finally:
        await connection.close()
