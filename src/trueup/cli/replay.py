"""`trueup replay`: what a policy would have made of the last days' orders, without writing anything."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from trueup import house
from trueup.cli.options import AsJson, Database, Home, on_database
from trueup.cli.printed import print_refusal
from trueup.core import json
from trueup.core.database import connect
from trueup.core.errors import Refusal, TrueupError
from trueup.core.policy import Known, Policy, read_document
from trueup.orders.channel import Channel
from trueup.orders.holds import HoldRules
from trueup.oversight.impact import DAYS, SHOWN_MAX, Impact, impact

_BY_CHANNEL: tuple[type[Policy], ...] = (Channel, HoldRules)
"""Kinds whose documents are read by the name of an order's channel."""

PolicyFile = Annotated[Path, typer.Option("--policy", help="JSON file with the proposed document.")]
Kind = Annotated[str, typer.Option("--kind", help="Kind of policy: `sourcing`, `channel`, `holds`, ...")]
Name = Annotated[str, typer.Option("--name", help="Name of the document.")]
Days = Annotated[int, typer.Option("--days", min=1, max=366, help="How many days' commands are replayed.")]
Since = Annotated[int | None, typer.Option("--since", min=0, help="Replay what came after this position instead.")]
Limit = Annotated[int, typer.Option("--limit", min=0, max=SHOWN_MAX, help="How many differences are listed.")]


def replay(
    policy: PolicyFile, kind: Kind, name: Name = "default", days: Days = DAYS, since: Since = None, limit: Limit = 20,
    home: Home = None, database_url: Database = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Show what a policy would have made of the last days' orders: which come out differently, and what that costs.

    Nothing is written. A change's page keeps such a replay for who votes. Exit code 1 for a kind whose effect no replay
    can show.
    """
    document = _document(policy, kind)
    if document.unreplayed:
        refusal = Refusal("oversight.unreplayed", f"{kind} cannot be replayed: {document.unreplayed}.",
                          "Propose it without; its vote asks for more people instead.", "kind", kind)  # fmt: skip
        typer.echo(json.encode(refusal).decode()) if as_json else print_refusal(refusal)
        raise typer.Exit(1)
    built = house.build()
    reads = f"what came after position {since}" if since is not None else f"the last {days} days"
    if not as_json:
        typer.echo(
            f"Replaying {reads} under the policies in force and with {kind}/{name}; nothing is written.", err=True
        )
    found = on_database(
        home,
        database_url,
        lambda url: impact(url, built, {(kind, name): document}, days=days, since_position=since, limit=limit),
    )
    if on_database(home, database_url, lambda url: _unread(url, document, name, found)):
        typer.secho(f"no order of that time is of the channel {name!r}: nothing reads {kind}/{name}", fg="yellow",
                    err=True)  # fmt: skip
    if as_json:
        typer.echo(json.encode(found).decode())
    else:
        _print(found)


async def _unread(url: str, document: Policy, name: str, found: Impact) -> bool:
    """Tell whether no order of the window has the channel by whose name the document is read."""
    if not isinstance(document, _BY_CHANNEL) or (document.falls_back and name == "default"):
        return False
    connection = await connect(url, default_transaction_read_only="on")
    try:
        cursor = await connection.execute(
            """select from journal j join orders o on o.id = j.subject
            where j.position > %s and j.position <= %s and o.channel = %s limit 1""",
            [found.after, found.upto, name],
        )
        return await cursor.fetchone() is None
    finally:
        await connection.close()


def _document(file: Path, kind: str) -> Policy:
    """Read and validate the file. Raises TrueupError with the place of what is wrong."""
    try:
        plain = msgspec.json.decode(file.read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        fix = f"name a JSON file with the policy's document; `trueup show /v1/policies/{kind}` shows one"
        raise TrueupError(f"{file}: {said}; {fix}") from error
    known = Known({verb.name: verb.command for verb in house.VERBS})
    read = read_document(house.POLICY_KINDS, kind, plain, known)
    if isinstance(read, Refusal):
        raise TrueupError(f"{read.what} {read.fix}")
    return read


def _print(found: Impact) -> None:
    typer.secho(f"{found.orders:,} orders, {found.differing:,} come out differently", bold=True)
    if found.upto <= found.after:
        typer.secho("  nothing was recorded in that time; look further back with --days", fg="yellow")
    else:
        typer.echo(f"  positions {found.after + 1:,} to {found.upto:,} of the journal")
        if not found.orders:
            typer.secho("  none of what was recorded in that time concerns an order; look further back with --days",
                        fg="yellow")  # fmt: skip
    typer.echo(f"  {found.since:%Y-%m-%d %H:%M} to {found.until:%Y-%m-%d %H:%M} UTC")
    for what, count in found.counts.items():
        typer.echo(f"  {what:<10} {count:,} differences")
    for sums in found.money:
        more = f"shipping {sums.shipping:+}, margin where known {sums.margin:+}"
        typer.echo(f"  in {sums.currency}: totals {sums.totals:+}, {more}")
    for side, tally in (("current", found.current), ("proposed", found.proposed)):
        typer.echo(
            f"  {side}: {tally.commands:,} decided, {tally.refused:,} refused, {tally.added:,} followed anew, "
            f"{tally.left_out:,} did not follow, {tally.broken:,} could not be replayed"
        )
    if sum(found.counts.values()) > len(found.shown):
        typer.echo(
            f"  the first {len(found.shown):,} of {sum(found.counts.values()):,} differences (--limit shows more):"
        )
    for one in found.shown:
        worse = " (worse)" if one.worse else ""
        typer.echo(f"  {one.number or one.order}  {one.what}: {one.before} -> {one.after}{worse}")
