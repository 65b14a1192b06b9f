"""Lost races and lost connections: the batch runs again, and whoever is not told can ask again with the same key."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from tests.conftest import stocked
from tests.proof import prove
from tests.requests import figures, order_of, rows, statuses, until

from trueup import house
from trueup.authority.standing import SYSTEM
from trueup.core import batch, database
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.errors import DatabaseUnreachable, Unknown
from trueup.core.verb import Outcome

OURS = "select pid from pg_stat_activity where application_name = 'trueup' and datname = current_database()"


def superuser(url: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(url, autocommit=True)


def terminate(url: str, condition: str = "true") -> int:
    with superuser(url) as connection:
        found = connection.execute(f"select pg_terminate_backend(pid) from ({OURS} and {condition}) b").fetchall()
    return len(found)


async def insist(door: Door, key: str) -> Outcome:
    """Place an order, asking again with the same key for as long as nobody can tell."""
    while True:
        try:
            return await door.submit(SYSTEM, order_of(MUG=1), key)
        except (Unknown, DatabaseUnreachable):
            await asyncio.sleep(0.05)


async def test_backends_that_are_terminated_under_load_lose_nothing(door: Door, url: str):
    await stocked(door, MUG=10_000)
    ended = 0
    stop = threading.Event()

    def kill() -> None:
        nonlocal ended
        while not stop.wait(0.2):
            ended += terminate(url)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        for turn in range(8):
            outcomes = await asyncio.gather(*(insist(door, f"{turn} {number}") for number in range(75)))
            assert statuses(outcomes) == {"applied": 75}
            await asyncio.sleep(0.1)
    finally:
        stop.set()
        killer.join()
    assert ended > 3
    assert (await figures(url))["reserved"] == 600
    await prove(url)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(database._TIMEOUTS, "lock_timeout", "150ms")


async def test_a_lock_that_is_held_too_long_is_waited_for_again(impatient: None, url: str, clock: TurnedClock):
    async with Door(url, house.build(), clock=clock) as door:
        await stocked(door, MUG=10)
        with superuser(url) as holder:
            holder.execute("begin")
            holder.execute("select * from stock_balance for update")
            placing = asyncio.create_task(door.submit(SYSTEM, order_of(MUG=1), "one"))
            await asyncio.sleep(0.4)
            assert not placing.done()
            holder.execute("rollback")
        assert (await placing).status == "applied"
    await prove(url)


async def test_a_deadlock_is_run_again(door: Door, url: str):
    await stocked(door, MUG=10, PLATE=10)
    first, second = [item for (item,) in await rows(url, "select item from stock_balance order by item")]
    lock = "select * from stock_balance where item = %s for update"
    with superuser(url) as holder:
        holder.execute("set deadlock_timeout = '20s'")
        holder.execute("begin")
        holder.execute(lock, [second])
        placing = asyncio.create_task(door.submit(SYSTEM, order_of(MUG=1, PLATE=1), "one"))
        await until(lambda: waits_for_a_lock(url))
        await asyncio.to_thread(holder.execute, lock, [first])
        holder.execute("rollback")
    assert (await placing).status == "applied"
    assert (await figures(url))["reserved"] == 1
    await prove(url)


async def waits_for_a_lock(url: str) -> bool:
    with superuser(url) as connection:
        return bool(connection.execute(f"{OURS} and wait_event_type = 'Lock'").fetchall())


@pytest.mark.parametrize("error", [psycopg.errors.SerializationFailure, psycopg.errors.TooManyConnections])
async def test_other_lost_races_are_run_again(
    door: Door, url: str, monkeypatch: pytest.MonkeyPatch, error: type[psycopg.Error]
):
    await stocked(door, MUG=10)
    apply, failures = batch._apply, iter([error("lost"), error("lost again")])

    async def losing(*arguments: object) -> None:
        for failure in failures:
            raise failure
        await apply(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(batch, "_apply", losing)
    outcome = await door.submit(SYSTEM, order_of(MUG=1), "one")
    assert (outcome.status, outcome.repeated) == ("applied", False)
    await prove(url)


@contextmanager
def commits_waiting(url: str) -> Iterator[None]:
    """Let every COMMIT become durable and then wait for a standby that does not exist: its answer never comes."""
    with superuser(url) as connection:
        connection.execute("alter system set synchronous_standby_names = 'nobody'")
        connection.execute("select pg_reload_conf()")
        time.sleep(0.2)
        try:
            yield
        finally:
            connection.execute("alter system reset synchronous_standby_names")
            connection.execute("select pg_reload_conf()")


async def commit_waits(url: str) -> bool:
    with superuser(url) as connection:
        return bool(connection.execute(f"{OURS} and wait_event = 'SyncRep'").fetchall())


async def test_a_lost_answer_to_commit_is_told_by_the_same_key(door: Door, url: str):
    await stocked(door, MUG=10)
    with commits_waiting(url):
        placing = asyncio.create_task(door.submit(SYSTEM, order_of(MUG=1), "one"))
        await until(lambda: commit_waits(url))
        assert terminate(url, "wait_event = 'SyncRep'") == 1
    outcome = await placing
    assert (outcome.status, outcome.repeated) == ("applied", True)
    assert await rows(url, "select id from orders") == [(outcome.result["order"],)]
    await prove(url)


async def test_what_nobody_can_tell_is_unknown_until_the_key_is_asked_again(
    door: Door, url: str, monkeypatch: pytest.MonkeyPatch
):
    await stocked(door, MUG=10)

    async def unreachable() -> None:
        raise DatabaseUnreachable("the network is gone")

    with commits_waiting(url):
        placing = asyncio.create_task(door.submit(SYSTEM, order_of(MUG=1), "one"))
        await until(lambda: commit_waits(url))
        monkeypatch.setattr(door, "_connect", unreachable)
        terminate(url, "wait_event = 'SyncRep'")
    with pytest.raises(Unknown, match="same key"):
        await placing
    monkeypatch.undo()
    outcome = await door.submit(SYSTEM, order_of(MUG=1), "one")
    assert (outcome.status, outcome.repeated) == ("applied", True)
    assert len(await rows(url, "select id from orders")) == 1
    await prove(url)


async def test_when_nothing_was_sent_it_says_so_and_the_door_recovers(
    door: Door, url: str, monkeypatch: pytest.MonkeyPatch
):
    await stocked(door, MUG=10)

    async def unreachable() -> None:
        raise DatabaseUnreachable("the network is gone")

    monkeypatch.setattr(door, "_connect", unreachable)
    terminate(url)
    outcomes = await asyncio.gather(
        *(door.submit(SYSTEM, order_of(MUG=1), f"{n}") for n in range(20)), return_exceptions=True
    )
    assert {type(outcome) for outcome in outcomes} == {DatabaseUnreachable}
    monkeypatch.undo()
    assert (await door.submit(SYSTEM, order_of(MUG=1), "1")).status == "applied"
    assert (await figures(url))["reserved"] == 1
    await prove(url)
