"""`trueup demo`: a legacy shop's export becomes governed orders, in one command.

1. generate the export of a fictional retailer, with planted faults and their answer key
2. propose a mapping, validate, and load it through the door
3. set both sides' totals next to each other, and open a priced case for each kind of discrepancy
4. hold what was found against the answer key
5. open the shop: organisation, places, taxes, routing, holds; let it go on trading, and serve API and console
"""

from __future__ import annotations

import asyncio
import csv
import shlex
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import msgspec
import psycopg
import typer

from trueup import house
from trueup.authority.register import RegisterActor
from trueup.authority.standing import SYSTEM
from trueup.cli.migrate import print_report, progress
from trueup.cli.operate import serve_all
from trueup.cli.options import AsJson, Database, Home, Host, Port
from trueup.cli.pricing import price_of
from trueup.core import database, embedded, json
from trueup.core.door import Door
from trueup.core.errors import StartRefused, TrueupError
from trueup.core.settings import Settings, load_settings
from trueup.core.verb import Actor, Command, Outcome
from trueup.migrate.report import Report
from trueup.migrate.run import Means, run_migration
from trueup.sandbox import board, premises
from trueup.sandbox.dialects import dialect_named
from trueup.sandbox.legacy_export import ExportOptions, write_legacy_export
from trueup.sandbox.shop import Offer, Shop, Warehouses
from trueup.web.sign_in import make_link
from trueup.web.site import Site

# Name, e-mail, roles, and the parts of the organisation they see; () is all of it.
PEOPLE: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("Paula Planner", "planner@example.com", ("Administrator", "Data Steward", "Fulfilment Lead", "Order Agent"), ()),
    ("Dario Deputy", "deputy@example.com", ("Data Steward",), ()),
    ("Olga Other", "other@example.com", ("Order Agent",), ()),
    ("Stella Store", "store@example.com", ("Fulfilment Lead",), ("STORE-01",)),
)
# Who trades and works in the warehouses: the shop, who counts again, and the supplier's system.
SERVICES = (
    ("Simulated shop", ("Order Agent", "Fulfilment Lead")),
    ("Second counter", ("Fulfilment Lead",)),
    ("Factory's system", ("Integration Owner",)),
)
ACTS_PER_SECOND = 4.0
CHANNEL = "webshop"
_MARK = "made by trueup demo, which may drop it"


def demo(
    home: Home = None,
    database_url: Database = None,
    host: Host = None,
    port: Port = None,
    seed: Annotated[int, typer.Option("--seed", help="Another seed is another retailer.")] = 1,
    dialect: Annotated[str, typer.Option("--dialect", help="english, german, terse or shuffled export.")] = "english",
    once: Annotated[bool, typer.Option("--once", help="Run the story, print its report, and stop.")] = False,
    as_json: AsJson = False,
) -> None:
    """Generate a legacy shop's export, migrate and reconcile it, and go on trading; prints sign-in links."""
    settings = load_settings(home or _home(), database_url, host, port)
    url, server = _fresh_database(settings)
    try:
        told = asyncio.run(_tell(settings, url, seed, dialect, quiet=as_json))
        if as_json:
            typer.echo(json.encode(told.as_json()).decode())
        else:
            _print(told)
        if not once:
            _serve(settings, url, seed, told)
    finally:
        if server is not None and server.started:
            embedded.stop(server)
    if not told.matched:
        raise typer.Exit(1)


class Told(msgspec.Struct, frozen=True):
    """What the story came to. planted, found: rows by kind of fault; matched: row by row, none missed or invented.

    links: tokens to sign in as the planner, as who decides about operations, and as one of the board.
    """

    report: Report
    planted: dict[str, int]
    found: dict[str, int]
    missed: tuple[str, ...]
    invented: tuple[str, ...]
    links: tuple[str, ...]
    crew: tuple[Actor, Actor, Actor]

    @property
    def matched(self) -> bool:
        """Whether the answer key is matched by row."""
        return not self.missed and not self.invented

    def as_json(self) -> dict[str, Any]:
        """Return the report as scripts read it."""
        return {
            **json.to_plain(self.report),
            "planted": self.planted,
            "found": self.found,
            "missed": list(self.missed),
            "invented": list(self.invented),
        }


def _home() -> Path:
    """Return the demo's own home, beside the one that real work uses."""
    base = load_settings().home
    return base.with_name(f"{base.name}-demo")


def _fresh_database(settings: Settings) -> tuple[str, embedded.Embedded | None]:
    """Return an empty database: a demo's own is made anew, one that holds anybody's orders is refused."""
    before = _drop_earlier_demo(settings) if settings.database is None else None
    shutil.rmtree(settings.home / "demo", ignore_errors=True)
    url, server = database.prepare(settings)
    with psycopg.connect(url, autocommit=True) as connection:
        if connection.execute("select 1 from orders limit 1").fetchone():
            raise StartRefused(
                "the demo wants an empty database, and this one holds orders; "
                "give it a home of its own with --home DIR, or an empty database with --database URL"
            )
        if server is not None:
            connection.execute(f"comment on database trueup is '{_MARK}'")
    return url, before if before is not None and before.started else server


def _drop_earlier_demo(settings: Settings) -> embedded.Embedded:
    """Drop the database of this home if a demo made it, which a comment on it says."""
    server = embedded.start(settings.home, fast_and_unsafe=settings.unsafe)
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        comment = connection.execute(
            "select shobj_description(oid, 'pg_database') from pg_database where datname = 'trueup'"
        ).fetchone()
        if comment == (_MARK,):
            connection.execute("drop database trueup with (force)")
    return server


async def _tell(settings: Settings, url: str, seed: int, dialect: str, *, quiet: bool) -> Told:
    folder = settings.home / "demo"
    export, key = folder / "export", folder / "answer_key.csv"
    export.mkdir(parents=True, exist_ok=True)
    options = ExportOptions(
        seed=seed, until=datetime.now(UTC).date() - timedelta(days=1), dialect=dialect_named(dialect, seed)
    )
    write_legacy_export(export, options, key)
    async with Door(url, house.build()) as door:
        await _accept(door, premises.organisation(CHANNEL), "organisation")
        people = await _register_people(door)
        ids = people[-len(SERVICES) :]
        crew = [Actor(id_, "service", name, frozenset(roles)) for id_, (name, roles) in zip(ids, SERVICES, strict=True)]
        with progress(quiet=quiet) as tick:
            means = Means(door, url, settings.home / "demo", price_of=price_of, tick=tick)
            report = await run_migration(means, [export], None)
        await _accept(door, premises.everything(CHANNEL, datetime.now(UTC).date()), "opening")
        deciders = await _govern(door, url, Actor(people[0], "person", PEOPLE[0][0]))
    reported = await _reported(url, report.run)
    planted = _planted(key)
    links = tuple([await make_link(url, id_) for id_ in (people[0], deciders[0], deciders[2])])
    return Told(
        report,
        dict(sorted(Counter(kind for _, _, kind in planted).items())),
        dict(sorted(Counter(kind for _, _, kind in reported).items())),
        tuple(sorted(f"{file}:{row} {kind}" for file, row, kind in planted - reported)),
        tuple(sorted(f"{file}:{row} {kind}" for file, row, kind in reported - planted)),
        links,
        (crew[0], crew[1], crew[2]),
    )


async def _register_people(door: Door) -> list[str]:
    """Register the demo's people and its services; return their ids, the services' last."""
    people = [RegisterActor(name=name, email=email, roles=roles, scope=scope) for name, email, roles, scope in PEOPLE]
    services = [RegisterActor(name=name, kind="service", roles=roles) for name, roles in SERVICES]
    return [outcome.result["actor"] for outcome in await _accept(door, [*people, *services], "people")]


async def _govern(door: Door, url: str, planner: Actor) -> list[str]:
    """Register who decides and who owns data, declare governance, and let the planner ask; return who decides' ids."""
    people = [RegisterActor(name=name, email=email, roles=roles) for name, email, roles in board.PEOPLE]
    ids = [outcome.result["actor"] for outcome in await _accept(door, people, "board")]
    appointed = board.appointments(ids)
    made = await _accept(door, [*board.founding(), *appointed], "owners")
    for appointment, outcome in zip(appointed, made[-len(appointed) :], strict=True):
        for id_, command in board.accepted(appointment, outcome.result["appointment"]):
            await _accept(door, [command], f"accepted/{command.appointment}/{id_}", Actor(id_, "person", ""))
    await _accept(door, [board.DECLARED], "governance")
    await _accept(door, [board.loan(premises.CODES[1], datetime.now(UTC))], "loan", planner)
    connection = await database.connect(url)
    try:
        policies = (await house.build().load_standing(connection)).policies
    finally:
        await connection.close()
    asked = await _accept(door, board.proposals(policies, CHANNEL), "changes", planner)
    first = asked[0].result
    await _accept(
        door, board.voted(first["change"], first["digest"]), "vote", Actor(ids[0], "person", board.PEOPLE[0][0])
    )
    return ids


async def _accept(door: Door, commands: Sequence[Command], what: str, who: Actor = SYSTEM) -> list[Outcome]:
    """Send what must be accepted."""
    outcomes = await door.submit_all(who, [(f"demo/{what}/{at}", command) for at, command in enumerate(commands)])
    for outcome in outcomes:
        if outcome.refusal is not None:
            raise TrueupError(f"the demo's shop could not open: {outcome.refusal.what}")
    return outcomes


def _planted(key: Path) -> set[tuple[str, int, str]]:
    with key.open(newline="", encoding="utf-8") as file:
        rows = [(entry["file"], int(entry["row"]), entry["kind"]) for entry in csv.DictReader(file)]
    return {row for row in rows if not row[2].startswith("ignored:")}


async def _reported(url: str, run: str) -> set[tuple[str, int, str]]:
    connection = await database.connect(url)
    try:
        rows = await connection.execute(
            "select file, row, kind from migration_row where run = %s and kind is not null", [run]
        )
        return {(Path(file).name, row, kind) for file, row, kind in await rows.fetchall()}
    finally:
        await connection.close()


def _print(told: Told) -> None:
    print_report(told.report)
    if told.matched:
        count = sum(told.planted.values())
        typer.secho(f"All {count} planted faults were found, row by row, and nothing else was reported.", fg="green")
    for title, rows in (("planted and not found", told.missed), ("reported and not planted", told.invented)):
        for row in rows:
            typer.secho(f"{title}: {row}", fg="red")


def _serve(settings: Settings, url: str, seed: int, told: Told) -> None:
    @asynccontextmanager
    async def trading(site: Site) -> AsyncIterator[None]:
        stopped = False

        shop = Shop(
            site.door, told.crew[0], await _offers(url), seed=seed, source=CHANNEL, stores=premises.STORES,
            warehouses=Warehouses(told.crew, premises.SUPPLIER, site.reading, frozenset({premises.TEA})),
        )  # fmt: skip
        task = asyncio.create_task(shop.run(ACTS_PER_SECOND, lambda: stopped), name="simulated shop")
        try:
            yield
        finally:
            stopped = True
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def ready(address: str) -> None:
        typer.echo(f"\nThe shop goes on trading. Console and API: {address}")
        for line in who_is_who(settings, address, told.links):
            typer.secho(line, bold="/sign-in/" in line)
        typer.echo("Stop with Ctrl-C; `trueup demo` starts the story over.")

    serve_all(settings, url, beside=(trading,), on_ready=ready)


def who_is_who(settings: Settings, address: str, links: Sequence[str]) -> list[str]:
    """Return the lines that say whom each link signs in, who else there is, and how to reach both by other commands."""
    everybody = [(name, email, roles) for name, email, roles, _ in PEOPLE] + list(board.PEOPLE)
    lines = ["Sign in as one of these; each link works once, within 15 minutes:"]
    for (name, _, roles), link in zip((everybody[0], board.PEOPLE[0], board.PEOPLE[2]), links, strict=True):
        lines.append(f"  {name} ({', '.join(roles)}): {address}/sign-in/{link}")
    where = [f"--url {address}"]
    if settings.database is None:
        lines.append("Other commands reach this demo, in another terminal, after:")
        lines.append(f"  export TRUEUP_HOME={shlex.quote(str(settings.home))}")
    else:
        where.append("--database URL")
    lines.append(f"A link for anybody, of whom some changes wait for: trueup link E-MAIL {' '.join(where)}")
    lines += [f"  {email:24} {name} ({', '.join(roles) or 'by appointment'})" for name, email, roles in everybody]
    return lines


async def _offers(url: str) -> list[Offer]:
    """Return what the migrated shop has in stock and a price for."""
    connection = await database.connect(url)
    try:
        rows = await connection.execute(
            """select i.sku, l.code, i.unit_price, i.currency
            from stock_balance b join item i on i.id = b.item join location l on l.id = b.location
            where b.on_hand > 0 and i.unit_price > 0 and i.currency is not null order by i.sku, l.code"""
        )
        return [Offer(*row) for row in await rows.fetchall()]
    finally:
        await connection.close()
