"""What follows what: one table, after this event, submit these commands; and the reader that does it.

A journal reader holding a lease submits follow-ups through the door, each under the key `story/<position>/<step>`, so
that reading a row twice changes nothing. The process that commits wakes it; a process that does not, within a second.
A follow-up may be refused, and that is an answer: an order on hold is not sourced, and its release is told again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
import psycopg
import structlog

from trueup.authority.overrides_state import OverrideGranted
from trueup.authority.standing import SYSTEM
from trueup.authority.state import PolicyPublished, PolicyWithdrawn
from trueup.catalogue import breach_read, lead
from trueup.catalogue.breach import KEYS_MAX, CheckContract
from trueup.catalogue.breach_state import ContainmentReleased, RuleFired, RulePassed
from trueup.catalogue.contract import Contract, EntityName, contracts_on, rules_of
from trueup.catalogue.partner_state import PartnerRegistered
from trueup.catalogue.read_partners import leading_items
from trueup.catalogue.readiness import ReadinessPolicy, readiness
from trueup.catalogue.state import Item, ItemRegistered, LocationRegistered, SiteOperated
from trueup.core import journal, json
from trueup.core.batch import House
from trueup.core.database import Connection, connect
from trueup.core.door import Door
from trueup.core.errors import DatabaseUnreachable, Overloaded, Unknown
from trueup.core.journal import Recorded
from trueup.core.past import Past
from trueup.core.policy import Policies
from trueup.core.verb import Command, Event
from trueup.orders.adoption import AdoptionDecided, AdoptionReturned
from trueup.orders.held import HoldReleased
from trueup.orders.read_adoptions import following as orders_to_follow
from trueup.orders.state import OrderMoved, OrderPlaced
from trueup.orders.workflow import Workflow, bound_command
from trueup.oversight.breach_exposure import pricing, waiting_for_loan, waiting_orders
from trueup.sourcing import read as sourcing
from trueup.sourcing.allocate import ReleaseShortage
from trueup.sourcing.assign import AssignOrder
from trueup.sourcing.past import SourcingPast
from trueup.sourcing.policy import Routing
from trueup.sourcing.state import FulfilmentRejected
from trueup.stock.state import ClaimsReleased, StockMoved

LEASE = 7_205_759_405
ROWS_MAX = 1000
POLL_SECONDS = 1.0
GATHERING_SECONDS = 0.03
GATHERED_ROWS = 64
_ASSIGN, _SHORTAGE = "sourcing.assign", "sourcing.release_shortage"
log = structlog.get_logger("trueup.storyline")


class Scene(msgspec.Struct, frozen=True):
    """What a follow-up may ask: the policies in force, the commands there are, and a connection to read by."""

    policies: Policies
    commands: dict[str, type[Command]]
    connection: Connection


Follow = Callable[[Recorded, Scene], Awaitable[Sequence[Command]]]


async def source_when_placed(row: Recorded, scene: Scene) -> Sequence[Command]:
    """Source an order as soon as it is placed, where the routing policy says so."""
    return _when_placed(row.subject, scene.policies)


def _when_placed(order: str, policies: Policies) -> Sequence[Command]:
    return (AssignOrder(order=order, mode="placement"),) if policies.get(Routing).when.on_placement else ()


async def what_the_workflow_binds(row: Recorded, scene: Scene) -> Sequence[Command]:
    """Submit the command that the order's workflow binds to the transition."""
    command = bound_command(json.decode(row.body, OrderMoved), scene.commands)
    return (command,) if command is not None else ()


async def source_when_released(row: Recorded, scene: Scene) -> Sequence[Command]:
    """Source an order that a hold kept from it, once the hold is released; other holds may still keep it."""
    return await source_when_placed(row, scene)


async def source_again(row: Recorded, scene: Scene) -> Sequence[Command]:
    """Source what a location rejected elsewhere."""
    return (AssignOrder(order=row.subject, mode="rejection"),)


async def settle_stock(row: Recorded, scene: Scene) -> Sequence[Command]:
    """After goods came, fill what waits for them; after goods went missing, source elsewhere what they were for."""
    came, gone = _came_and_gone(json.decode(row.body, StockMoved))
    fill = scene.policies.get(Routing).fill
    waiting = await sourcing.waiting_for(scene.connection, sorted(came), fill) if came else ()
    short = await sourcing.short_at(scene.connection, sorted(gone)) if gone else ()
    return _settling(waiting, short)


def _came_and_gone(moved: StockMoved) -> tuple[set[str], set[tuple[str, str]]]:
    """Return the items that goods came in of, and the places (item, location) that goods went missing from."""
    came = {move.item for move in moved.moves if move.to_account == "on_hand"}
    gone = {(m.item, m.from_location) for m in moved.moves if m.from_account == "on_hand" and m.from_location}
    return came, gone


def _settling(waiting: Sequence[str], short: Sequence[sourcing.Short]) -> tuple[Command, ...]:
    return (
        *(ReleaseShortage(order=s.order, item=s.item, location=s.location) for s in short),
        *(AssignOrder(order=order, mode="rejection") for order in dict.fromkeys(s.order for s in short)),
        *(AssignOrder(order=order, mode="receipt") for order in waiting),
    )


async def give_to_who_waits(row: Recorded, scene: Scene) -> Sequence[Command]:
    """After units became free, fill what waits for them. What somebody released by hand from an order stays free."""
    items = _freed(json.decode(row.body, ClaimsReleased))
    if not items:
        return ()
    return _settling(await sourcing.waiting_for(scene.connection, items, scene.policies.get(Routing).fill), ())


def _freed(freed: ClaimsReleased) -> list[str]:
    """Return the items whose units became free for who waits."""
    by_hand = freed.reason == "released" and freed.holder.startswith("ord_")
    if by_hand or freed.reason == "short":
        return []
    return sorted({claim.item for claim in freed.claims})


def follow_ups(policies: Policies) -> frozenset[str]:
    """Return the names of the verbs that can follow something by themselves, rather than a person or a clock."""
    edges = (edge for workflow in policies.all(Workflow).values() for edge in workflow.transitions)
    return frozenset({_ASSIGN, _SHORTAGE, *(edge.submit.command for edge in edges if edge.submit is not None)})


def is_follow_up(verb: str, command: Command, policies: Policies) -> bool:
    """Tell whether a command of Trueup's own follows something by itself, rather than a person or a clock."""
    if isinstance(command, AssignOrder):
        return command.mode in ("placement", "rejection", "receipt")
    return verb in follow_ups(policies)


class InMemory:
    """The same table for a replay, which carries its rows in memory: no cursor, and nothing is asked of a database."""

    def __init__(self, pasts: Sequence[Past]) -> None:
        self._rows = next(past for past in pasts if isinstance(past, SourcingPast))

    def __call__(self, event: Event, policies: Policies, commands: dict[str, type[Command]]) -> Sequence[Command]:
        """Return the commands that follow an event."""
        if event.name not in STORY:
            return ()
        match event:
            case OrderPlaced():
                return _when_placed(event.order.id, policies)
            case HoldReleased():
                return _when_placed(event.order, policies)
            case OrderMoved(command=str()):
                bound = bound_command(event, commands)
                return (bound,) if bound is not None else ()
            case FulfilmentRejected():
                return (AssignOrder(order=event.order, mode="rejection"),)
            case StockMoved():
                came, gone = _came_and_gone(event)
                return _settling(self._waiting(came, policies), self._rows.short_at(sorted(gone)) if gone else ())
            case ClaimsReleased():
                return _settling(self._waiting(_freed(event), policies), ())
        return ()

    def _waiting(self, items: Collection[str], policies: Policies) -> Sequence[str]:
        return self._rows.waiting_for(items, policies.get(Routing).fill) if items else ()


async def check_the_item(row: Recorded, scene: Scene) -> Sequence[Command]:
    """Run the contracts on an item that was written."""
    return await _checks(scene, "item", row.subject)


async def check_the_location(row: Recorded, scene: Scene) -> Sequence[Command]:
    """Run the contracts on a location that was written."""
    return await _checks(scene, "location", row.subject)


async def check_the_partner(row: Recorded, scene: Scene) -> Sequence[Command]:
    """Run the contracts on a partner that was written."""
    return await _checks(scene, "partner", row.subject)


async def _checks(scene: Scene, entity: EntityName, id_: str) -> list[Command]:
    """Return the checks of a row, and of those whose uniqueness it may have put right."""
    commands: list[Command] = []
    for name, contract in contracts_on(scene.policies, entity).items():
        unique = [rule.name for rule in rules_of(contract) if rule.entity == entity and rule.check.kind == "unique"]
        twins = await breach_read.failing_any(scene.connection, name, entity, unique) if unique else []
        keys = tuple(dict.fromkeys([id_, *twins]))[:KEYS_MAX]
        commands.append(CheckContract(contract=name, entity=entity, keys=keys))
    return commands


async def check_everything(row: Recorded, scene: Scene) -> Sequence[Command]:
    """Run a contract on everything once a version of it is in force, or none any more."""
    kind, _, name = row.subject.partition("/")
    if kind != Contract.kind:
        return ()
    return await breach_read.checks_of(scene.connection, name, scene.policies.find(Contract, name))


async def price_the_breach(row: Recorded, scene: Scene) -> Sequence[Command]:
    """Say what the breach costs per hour, of the open orders it touches."""
    return (await pricing(scene.connection, row.subject, row.at),)


async def source_what_waited(row: Recorded, scene: Scene) -> Sequence[Command]:
    """Source the orders that a containment let wait, once the rule passes or somebody lifted it."""
    kind: type[RulePassed | ContainmentReleased] = RulePassed if row.name == RulePassed.name else ContainmentReleased
    ended = json.decode(row.body, kind)
    waiting = await waiting_orders(scene.connection, ended.subjects)
    return tuple(AssignOrder(order=order, mode="receipt") for order in waiting)


async def source_what_was_lent(row: Recorded, scene: Scene) -> Sequence[Command]:
    """Source the orders that wait for what an override lets be given from now on."""
    granted = json.decode(row.body, OverrideGranted)
    waiting = await waiting_for_loan(scene.connection, granted.override)
    return tuple(AssignOrder(order=order, mode="receipt") for order in waiting)


async def source_when_ready(row: Recorded, scene: Scene) -> Sequence[Command]:
    """Source what waited for an item's data, where readiness is enforced and the item is shippable by now."""
    policy = scene.policies.get(ReadinessPolicy)
    if not policy.enforce:
        return ()
    return await _sourced(scene, policy, [json.decode(row.body, ItemRegistered).item])


async def source_when_supplied(row: Recorded, scene: Scene) -> Sequence[Command]:
    """Source what waited for a lead time that an item has of its supplier by now, where readiness is enforced."""
    policy = scene.policies.get(ReadinessPolicy)
    partner = json.decode(row.body, PartnerRegistered).partner
    if not policy.enforce or partner.lead_days is None:
        return ()
    return await _sourced(scene, policy, await leading_items(scene.connection, partner.code))


async def _sourced(scene: Scene, policy: ReadinessPolicy, items: Sequence[Item]) -> Sequence[Command]:
    """Return the sourcing of what waits for these items, of those that are shippable."""
    agreed = await lead.agreed(scene.connection, items)
    ready = [item.id for item in items if readiness(item, policy, agreed[item.id]).reaches("shippable")]
    waiting = await waiting_orders(scene.connection, ready) if ready else ()
    return tuple(AssignOrder(order=order, mode="receipt") for order in waiting)


async def carry_in_flight(row: Recorded, scene: Scene) -> Sequence[Command]:
    """Move the orders in flight that are to walk by another version of their workflow, or by their former one again."""
    return [command for _, command in await orders_to_follow(scene.connection)]


STORY: dict[str, tuple[Follow, ...]] = {
    OrderPlaced.name: (source_when_placed,),
    AdoptionDecided.name: (carry_in_flight,),
    AdoptionReturned.name: (carry_in_flight,),
    OrderMoved.name: (what_the_workflow_binds,),
    FulfilmentRejected.name: (source_again,),
    HoldReleased.name: (source_when_released,),
    StockMoved.name: (settle_stock,),
    ClaimsReleased.name: (give_to_who_waits,),
    ItemRegistered.name: (check_the_item, source_when_ready),
    LocationRegistered.name: (check_the_location,),
    PartnerRegistered.name: (check_the_partner, source_when_supplied),
    SiteOperated.name: (check_the_location,),
    PolicyPublished.name: (check_everything,),
    PolicyWithdrawn.name: (check_everything,),
    RuleFired.name: (price_the_breach,),
    RulePassed.name: (price_the_breach, source_what_waited),
    ContainmentReleased.name: (source_what_waited,),
    OverrideGranted.name: (source_what_was_lent,),
}


class Storyline:
    """The reader of one process; of several processes, the one that holds the lease tells the story."""

    def __init__(self, door: Door, url: str, house: House) -> None:
        self._door = door
        self._url = url
        self._house = house
        self._commands = {verb.name: verb.command for verb in house.verbs.values()}
        self._awake = asyncio.Event()
        self._standing: Any = None

    def wake(self) -> None:
        """Tell it that something was committed."""
        self._awake.set()

    async def run(self) -> None:
        """Follow the journal until cancelled; a lost database is asked again."""
        while True:
            try:
                connection = await connect(self._url)
                try:
                    await self._lead(connection)
                finally:
                    await connection.close()
            except (psycopg.OperationalError, DatabaseUnreachable, Overloaded, Unknown) as error:
                log.info("storyline waits", why=str(error)[:200])
            except Exception:
                log.exception("storyline failed")
            await asyncio.sleep(POLL_SECONDS)

    async def _lead(self, connection: Connection) -> None:
        while not await _scalar(connection, "select pg_try_advisory_lock(%s)", LEASE):  # noqa: ASYNC110
            await asyncio.sleep(POLL_SECONDS)
        while True:
            self._awake.clear()
            found = await self.step(connection)
            if not found:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._awake.wait(), POLL_SECONDS)
            elif found < GATHERED_ROWS:
                # A step costs the same for one row as for many: the next few commits are followed together.
                await asyncio.sleep(GATHERING_SECONDS)

    async def step(self, connection: Connection) -> int:
        """Follow up to ROWS_MAX rows past the cursor; return how many there were, 0 where it has caught up."""
        cursor = await _scalar(connection, "select coalesce(max(position), 0) from storyline_cursor")
        head = await journal.head(connection)
        rows = await journal.read(connection, cursor, ROWS_MAX, upto=head, names=tuple(STORY))
        if rows:
            await self._follow(connection, rows)
        reached = rows[-1].position if len(rows) == ROWS_MAX else head
        if reached > cursor:
            await connection.execute(
                """insert into storyline_cursor (name, position) values ('storyline', %s)
                on conflict (name) do update set position = excluded.position""",
                [reached],
            )
        return len(rows)

    async def _follow(self, connection: Connection, rows: Sequence[Recorded]) -> None:
        if self._standing is None or self._standing.epoch != await _scalar(connection, "select value from epoch"):
            self._standing = await self._house.load_standing(connection)
        scene = Scene(self._standing.policies, self._commands, connection)
        keyed = [
            (f"story/{row.position}/{at}.{number}", command)
            for row in rows
            for at, follow in enumerate(STORY[row.name])
            for number, command in enumerate(await follow(row, scene))
        ]
        await self._door.submit_all(SYSTEM, keyed)


async def _scalar(connection: Connection, sql: str, *parameters: Any) -> Any:
    row = await (await connection.execute(sql, parameters)).fetchone()
    return row[0] if row else None


@asynccontextmanager
async def following(door: Door, url: str, house: House) -> AsyncIterator[Storyline]:
    """Follow the journal for as long as the context lasts, woken by this door's commits."""
    story = Storyline(door, url, house)
    door.on_commit = story.wake
    task = asyncio.create_task(story.run(), name="storyline")
    try:
        yield story
    finally:
        door.on_commit = _nobody
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _nobody() -> None:
    """Wake nobody."""


async def settled(door: Door, url: str, house: House) -> None:
    """Follow everything there is to follow and return; for tests, imports and the sandbox."""
    story = Storyline(door, url, house)
    connection = await connect(url)
    try:
        while await story.step(connection):
            pass
    finally:
        await connection.close()
