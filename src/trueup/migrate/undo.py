"""Undo a load: its orders are withdrawn and its opening stock is taken back, through the door."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal

import msgspec

from trueup.authority.standing import SYSTEM
from trueup.core.batch import SIZE_MAX
from trueup.core.database import Connection, connect
from trueup.core.door import Door
from trueup.core.quantity import Quantity, plain
from trueup.core.verb import Actor, Command
from trueup.migrate import crosswalk, read, state
from trueup.migrate.state import Run, RunRefused
from trueup.orders.record import WithdrawRecord
from trueup.stock.receive import AdjustStock

Tick = Callable[[str, int, int], None]


class StockLeft(msgspec.Struct, frozen=True):
    """Opening stock that could not be taken back, because it is promised or gone: units of an item at a location."""

    sku: str
    location: str
    units: str


class Undone(msgspec.Struct, frozen=True):
    """What an undo did. refused: orders the door would not withdraw. incomplete: runs that lost rows with them."""

    run: str
    orders: int
    refused: tuple[str, ...]
    stock_lines: int
    stock_left: tuple[StockLeft, ...]
    incomplete: tuple[str, ...]


async def undo(door: Door, url: str, run_id: str, *, actor: Actor = SYSTEM, tick: Tick | None = None) -> Undone:
    """Withdraw every order a run brought or added rows to, and take its opening stock back as far as it lies free.

    Items and customers stay: others may use them. A run that had rows in the same orders becomes `incomplete`; running
    it again brings them back. An undo that was killed goes on when it is called again. Raises RunRefused.
    """
    connection = await connect(url, statement_timeout="10min")
    try:
        run = await state.find_run(connection, run_id)
        if run.status == "undone":
            raise RunRefused(f"The run {run_id} is undone already.")
        await state.lock_source(connection, run.source)
        entangled = await _entangled(connection, run)
        await state.set_status(connection, [run.id], "undoing")
        count, refused = await _withdraw(door, connection, run, actor, tick)
        stock_lines, left = await _take_stock_back(door, connection, run, actor)
        await crosswalk.forget_orders(connection, run.source)
        await state.set_status(connection, entangled, "incomplete")
        await state.set_status(connection, [run.id], "undone")
    finally:
        await state.end_session(connection)
    return Undone(run.id, count, tuple(refused), stock_lines, tuple(left), tuple(entangled))


async def _entangled(connection: Connection, run: Run) -> list[str]:
    """Return the other runs that have rows in orders this undo withdraws."""
    rows = await connection.execute(
        """select distinct s.run from migration_shared s join orders o on o.id = s.order_id where o.load = %s
        union
        select distinct o.load from migration_shared s join orders o on o.id = s.order_id
        where s.run = %s and o.load is not null
        union
        select distinct b.run from migration_shared a join migration_shared b using (order_id) where a.run = %s
        order by 1""",
        [run.id] * 3,
    )
    runs = [found for (found,) in await rows.fetchall() if found != run.id]
    active = await connection.execute(
        "select id from migration_run where id = any(%s) and status in ('finished', 'loading') order by id", [runs]
    )
    return [id_ for (id_,) in await active.fetchall()]


async def _withdraw(
    door: Door, connection: Connection, run: Run, actor: Actor, tick: Tick | None
) -> tuple[int, list[str]]:
    found = await connection.execute("select count(*) from orders where load = %s", [run.id])
    total = (await found.fetchall())[0][0]
    shared = await connection.execute(
        "select s.order_id from migration_shared s join orders o on o.id = s.order_id where s.run = %s order by 1",
        [run.id],
    )
    orders = [order for (order,) in await shared.fetchall()]
    count, refused = await _submit(door, actor, run, [(order, WithdrawRecord(order=order)) for order in orders])
    after = ""
    while page := await read.orders_of(connection, run.id, after, limit=SIZE_MAX * 4):
        commands = [(order, WithdrawRecord(order=order, load=run.id)) for order in page]
        done, more = await _submit(door, actor, run, commands)
        count, refused, after = count + done, refused + more, page[-1]
        if tick is not None:
            tick("undo", count, total)
    return count, refused


async def _submit(door: Door, actor: Actor, run: Run, commands: Sequence[tuple[str, Command]]) -> tuple[int, list[str]]:
    """Submit commands by subject; return how many went through, and the subjects that did not."""
    parts = [commands[start : start + SIZE_MAX] for start in range(0, len(commands), SIZE_MAX)]
    outcomes = await asyncio.gather(
        *(door.submit_all(actor, [(f"undo/{run.id}.{run.attempt}/{name}", c) for name, c in part]) for part in parts)
    )
    ended = [outcome for part in outcomes for outcome in part]
    refused = [name for (name, _), outcome in zip(commands, ended, strict=True) if outcome.refusal is not None]
    return len(commands) - len(refused), refused


async def _take_stock_back(door: Door, connection: Connection, run: Run, actor: Actor) -> tuple[int, list[StockLeft]]:
    """Post the counter adjustment of what the opening counts moved, bounded by what nobody was promised."""
    rows = await connection.execute(
        """with moved as (
            select m.item, l.id as location,
                sum(case when m.to_location = l.id then m.quantity else -m.quantity end) as net
            from stock_movement m join location l on l.id in (m.from_location, m.to_location)
            where m.reference like %s and m.from_location is distinct from m.to_location
            group by m.item, l.id
        )
        select i.sku, l.code, m.net, greatest(b.on_hand - b.reserved - b.allocated, 0)
        from moved m join item i on i.id = m.item join location l on l.id = m.location
        join stock_balance b on b.item = m.item and b.location = m.location where m.net <> 0 order by l.code, i.sku""",
        [f"opening {run.id} %"],
    )
    commands: list[tuple[str, Command]] = []
    left: list[StockLeft] = []
    for sku, code, net, free in await rows.fetchall():
        back = min(net, free)
        if net > back:
            left.append(StockLeft(sku, code, plain(net - back)))
        if back:
            commands.append((f"stock/{code}/{sku}", _adjustment(run, sku, code, -back)))
    count, _ = await _submit(door, actor, run, commands)
    return count, left


def _adjustment(run: Run, sku: str, code: str, change: Decimal) -> AdjustStock:
    return AdjustStock(
        location=code,
        sku=sku,
        change=Quantity(change),
        reason="migration_undone",
        reference=f"opening {run.id} undone {run.attempt}",
    )
