"""`trueup source`: source what waits, say why an order comes from where it does, and list the queues."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from trueup import house
from trueup.authority.read import in_force
from trueup.authority.standing import SYSTEM
from trueup.cli.options import AsJson, Database, Home, on_database
from trueup.core import database, json
from trueup.core.database import Connection
from trueup.core.door import Door
from trueup.core.errors import Refusal, TrueupError
from trueup.core.ids import new_id
from trueup.core.policy import Known, read_document
from trueup.core.quantity import plain
from trueup.orders import read as orders
from trueup.sourcing import read, read_waiting
from trueup.sourcing.assign import AssignOrder
from trueup.sourcing.broker import broker
from trueup.sourcing.finish_run import FinishRun
from trueup.sourcing.policy import Routing
from trueup.sourcing.read_decisions import DecisionRow, decisions
from trueup.sourcing.schedule import READ_MAX, to_source
from trueup.sourcing.simulate import ORDERS_MAX, Simulation, simulate

app = typer.Typer(no_args_is_help=True)
Limit = Annotated[int, typer.Option("--limit", min=1, max=READ_MAX, help="At most so many orders.")]
_REFUSED = "refused"


@app.command("run")
def run(limit: Limit = 1000, home: Home = None, database_url: Database = None, as_json: AsJson = False) -> None:
    """Source the orders that are not allocated in full, in the policy's sequence; prints how they ended."""
    report = on_database(home, database_url, lambda url: _run(url, limit))
    if as_json:
        typer.echo(json.encode(report).decode())
        return
    typer.echo(f"{report['asked']} orders asked for")
    for outcome, count in report["outcomes"].items():
        typer.secho(f"  {outcome:<12}{count:>8,}", fg="green" if outcome == "assigned" else None)
    for line in report["refused"][:20]:
        typer.secho(f"  {line['number']}: {line['what']}", fg="yellow")


@app.command("broker")
def broker_now(
    limit: Limit = READ_MAX, home: Home = None, database_url: Database = None, as_json: AsJson = False
) -> None:
    """Source the waiting orders of brokered groups as one optimisation; prints its cost beside the rules'."""
    report = on_database(home, database_url, lambda url: _brokered(url, limit))
    if as_json:
        typer.echo(json.encode(report).decode())
        return
    if report is None:
        typer.echo("No order of a brokered group waits; the routing policy says which groups are brokered.")
        return
    typer.echo(f"{report.run}: {report.assigned:,} of {report.orders:,} orders planned in {plain(report.seconds)} s")
    typer.echo(f"  cost {plain(report.cost)} {report.currency}; by the rules {plain(report.sequential_cost)}")
    if report.report["by_rules"]:
        typer.echo(f"  {report.report['by_rules']:,} were sourced by their rules, which no plan can say")
    if report.fallen_back:
        typer.secho(f"  {report.fallen_back:,} were sourced by the rules, since stock had moved", fg="yellow")


@app.command("simulate")
def simulate_policy(
    document: Annotated[Path, typer.Argument(help="A routing policy as JSON.", exists=True, dir_okay=False)],
    limit: Annotated[int, typer.Option("--orders", min=1, max=ORDERS_MAX, help="So many of the latest orders.")] = 500,
    home: Home = None,
    database_url: Database = None,
    as_json: AsJson = False,
) -> None:
    """Source recent orders anew under another routing policy and compare; nothing is written."""
    proposed = read_document({Routing.kind: Routing}, Routing.kind, _json_of(document), Known(commands={}))
    if isinstance(proposed, Refusal):
        raise TrueupError(f"{document}: {proposed.what}")
    assert isinstance(proposed, Routing)
    found = on_database(home, database_url, lambda url: _simulated(url, proposed, limit))
    if as_json:
        typer.echo(json.encode(found).decode())
        return
    typer.echo(f"{'':<14}{'now':>14}{'proposed':>14}")
    for name in found.current.__struct_fields__:
        now, then = getattr(found.current, name), getattr(found.proposed, name)
        typer.secho(f"{name.replace('_', ' '):<14}{now!s:>14}{then!s:>14}", fg="yellow" if now != then else None)
    typer.echo(f"{found.differing:,} orders come out differently")
    for order in found.orders[:10]:
        typer.echo(f"  {order.number}: {'; '.join(order.current)}  ->  {'; '.join(order.proposed)}")


@app.command("explain")
def explain(
    order: Annotated[str, typer.Argument(help="The order's id or our number.")],
    home: Home = None,
    database_url: Database = None,
    as_json: AsJson = False,
) -> None:
    """Say why an order comes from where it does: each decision, newest first, with every candidate."""
    found = on_database(home, database_url, lambda url: _explain(url, order))
    if as_json:
        typer.echo(json.encode({"order": order, "decisions": [json.to_plain(row) for row in found]}).decode())
        return
    if not found:
        typer.echo("It was not sourced yet.")
    for row in found:
        for line in _told(row):
            typer.echo(line)


@app.command("queues")
def queues(home: Home = None, database_url: Database = None, as_json: AsJson = False) -> None:
    """List the queues with the orders that wait in them for a person, longest waiting first."""
    found = on_database(home, database_url, _queues)
    if as_json:
        typer.echo(json.encode(found).decode())
        return
    if not found["queues"]:
        typer.echo("No order waits in a queue.")
    for queue in found["queues"]:
        typer.secho(f"{queue['queue']}: {queue['orders']} orders", bold=True)
        for row in found["orders"]:
            if row["queue"] == queue["queue"]:
                typer.echo(f"  {row['number']}  {row['units']} units  since {row['since'][:16]}  {row['reason']}")
    if found["more"]:
        typer.echo("There are more: the console lists them all.")


async def _run(url: str, limit: int) -> dict[str, Any]:
    connection = await database.connect(url)
    try:
        waiting = [order for _, order in await to_source(connection, await in_force(connection, Routing), limit)]
        numbers = await _numbers(connection, waiting)
    finally:
        await connection.close()
    occasion = new_id("run")
    async with Door(url, house.build()) as door:
        keyed = [(f"{occasion}/{order}", AssignOrder(order=order, mode="demand")) for order in waiting]
        outcomes = await door.submit_all(SYSTEM, keyed)
    ended = Counter(str(outcome.result.get("outcome", _REFUSED)) for outcome in outcomes)
    return {
        "asked": len(waiting),
        "outcomes": dict(sorted(ended.items(), key=lambda entry: -entry[1])),
        "refused": [
            {"order": order, "number": numbers[order], "rule": outcome.refusal.rule, "what": outcome.refusal.what}
            for order, outcome in zip(waiting, outcomes, strict=True)
            if outcome.refusal is not None
        ],
    }


async def _brokered(url: str, limit: int) -> FinishRun | None:
    connection = await database.connect(url)
    try:
        built = house.build()
        standing = await built.load_standing(connection)
        async with Door(url, built) as door:
            return await broker(connection, door, SYSTEM, standing.policies, limit=limit)
    finally:
        await connection.close()


async def _simulated(url: str, proposed: Routing, limit: int) -> Simulation:
    connection = await database.connect(url)
    try:
        policies = (await house.build().load_standing(connection)).policies
        return await simulate(connection, policies, proposed, datetime.now(UTC), limit)
    finally:
        await connection.close()


def _json_of(path: Path) -> Any:
    try:
        return msgspec.json.decode(path.read_bytes())
    except msgspec.DecodeError as error:
        raise TrueupError(f"{path} is not JSON: {error}") from None


async def _numbers(connection: Connection, ids: list[str]) -> dict[str, str]:
    rows = await connection.execute("select id, number from orders where id = any(%s::text[])", [ids])
    return dict(await rows.fetchall())


async def _explain(url: str, order: str) -> tuple[DecisionRow, ...]:
    connection = await database.connect(url)
    try:
        found = await orders.order(connection, order)
        if found is None:
            raise TrueupError(f"there is no order {order!r}; look it up by its number")
        return await decisions(connection, found.id)
    finally:
        await connection.close()


async def _queues(url: str) -> dict[str, Any]:
    connection = await database.connect(url)
    try:
        counts = await read_waiting.queue_counts(connection)
        page = await read.queued(connection, read.QueueQuery(limit=200))
    finally:
        await connection.close()
    return {
        "queues": [json.to_plain(count) for count in counts],
        "orders": [json.to_plain(row) for row in page.items],
        "more": page.next is not None,
    }


def _told(row: DecisionRow) -> list[str]:
    """Return one decision in lines."""
    decision = row.decision
    by = decision.note or (f"rule {decision.rule!r}" if decision.rule else "no rule")
    lines = [f"{row.at:%Y-%m-%d %H:%M} UTC  {decision.outcome}, {decision.mode}: {by}"]
    for share in decision.shares:
        lines.append(f"  line {share.line}: {plain(share.quantity)} from {share.location}")
    for left in decision.short:
        where = f"in queue {decision.queue!r}" if decision.queue else "for stock"
        ends = f"owed by {decision.owed_by}" if decision.owed_by else f"waits {where}"
        lines.append(f"  line {left.line}: {plain(left.quantity)} {ends}")
    for tried in decision.tried:
        lines.append(f"  asked {tried.rule!r}: {tried.outcome}")
        for seen in tried.candidates:
            away = "" if seen.distance_km is None else f", {seen.distance_km:,.0f} km"
            can = ", ".join(f"{plain(units)} {sku}" for sku, units in seen.units.items())
            told = (
                f"{seen.rank}. {seen.location}{away}: {can}" if seen.rank else f"-  {seen.location}{away}: {seen.why}"
            )
            lines.append(f"    {told}")
    return lines
