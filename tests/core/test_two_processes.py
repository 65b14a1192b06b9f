"""Two server processes on one database: one effect, one answer, one order of things; a reader misses nothing."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import psycopg
from tests.conftest import stocked
from tests.proof import prove
from tests.requests import rows

from trueup.core import journal
from trueup.core.database import connect
from trueup.core.door import Door

ROOT = Path(__file__).resolve().parents[2]
ORDERS = 400


Told = dict[str, tuple[str, str]]


async def started(url: str, prefix: str) -> asyncio.subprocess.Process:
    """Start a process that places orders, and wait until its door is open."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.crash.placer", url, prefix, "0", str(ORDERS), "60",
        cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    return process


async def told(process: asyncio.subprocess.Process) -> Told:
    """Let it begin; return what it was told by key."""
    output, _ = await process.communicate(b"go\n")
    assert process.returncode == 0
    lines = (line.split() for line in output.decode().splitlines())
    return {key: (order, which) for key, order, which in lines}


async def place_in_two(url: str, first: str, second: str) -> list[Told]:
    """Let two processes place orders at the same time, under keys with these prefixes."""
    processes = await asyncio.gather(started(url, first), started(url, second))
    return list(await asyncio.gather(*map(told, processes)))


async def follow(url: str, done: asyncio.Event) -> list[int]:
    """Read what the journal gains, as a cursor does, until the writers are done and nothing is left."""
    connection = await connect(url)
    seen: list[int] = []
    try:
        while True:
            finished = done.is_set()
            page = await journal.read(connection, seen[-1] if seen else 0, 37)
            seen += [row.position for row in page]
            if not page and finished:
                return seen
            await asyncio.sleep(0 if page else 0.002)
    finally:
        await connection.close()


async def test_the_same_keys_sent_to_both_have_one_effect_and_one_answer(door: Door, url: str):
    await stocked(door, MUG=10_000, PLATE=10_000, BOWL=10_000)
    done = asyncio.Event()
    reading = asyncio.create_task(follow(url, done))
    mine, theirs = await place_in_two(url, "key", "key")
    done.set()
    seen = await reading
    assert len(mine) == ORDERS + ORDERS // 5
    assert {key: order for key, (order, _) in mine.items()} == {key: order for key, (order, _) in theirs.items()}
    for key in mine:
        assert {mine[key][1], theirs[key][1]} == {"first", "repeated"}, key
    first = sum(which == "first" for _, which in mine.values())
    assert 0 < first < len(mine), "both processes did some of the work"
    assert await rows(url, "select count(*) from orders") == [(ORDERS,)]
    head = await rows(url, "select max(position) from journal")
    assert seen == list(range(1, head[0][0] + 1)), "the reader missed nothing, and read nothing twice"
    await prove(url)


async def test_positions_are_in_causal_order(door: Door, url: str):
    await stocked(door, MUG=10_000, PLATE=10_000, BOWL=10_000)
    await place_in_two(url, "a", "b")
    assert await rows(
        url,
        """select p.subject from journal p join journal c using (subject)
        where p.name = 'orders.placed' and c.name = 'orders.cancelled' and c.position < p.position""",
    ) == []  # fmt: skip
    writers = await rows(
        url, "select count(distinct b.process) from batch b where exists (select from journal j where j.batch = b.id)"
    )
    assert writers == [(3,)], "the test's own and two more"
    interleaved = await rows(
        url,
        """select count(*) from (select process, lag(process) over (order by position) as before
            from journal j join batch b on b.id = j.batch) s where process <> before""",
    )
    assert interleaved[0][0] > 2, "they wrote in turns, so that order was at stake"
    await prove(url)


def test_control_a_reader_on_sequence_values_misses_a_row(url: str):
    with (
        psycopg.connect(url, autocommit=True) as reader,
        psycopg.connect(url) as slow,
        psycopg.connect(url) as quick,
    ):
        reader.execute("create table scratch (position bigserial primary key, word text)")
        slow.execute("insert into scratch (word) values ('first')")
        quick.execute("insert into scratch (word) values ('second')")
        quick.commit()
        seen = [position for (position,) in reader.execute("select position from scratch where position > 0")]
        slow.commit()
        seen += [p for (p,) in reader.execute("select position from scratch where position > %s", [max(seen)])]
        written = [p for (p,) in reader.execute("select position from scratch order by position")]
    assert written == [1, 2]
    assert seen == [2], "the control must miss the row that was numbered first and committed last"


async def test_the_journal_gives_no_position_while_another_batch_holds_one(door: Door, url: str):
    await stocked(door, MUG=10)
    with psycopg.connect(url) as slow, psycopg.connect(url) as quick:
        take = """insert into journal (position, batch, at, kind, name, subject, actor, body)
            select max(position) + 1, gen_random_uuid(), now(), 'e', 'n', 's', 'a', '' from journal"""
        slow.execute("select pg_advisory_xact_lock(%s)", [journal.LOCK])
        slow.execute(take)
        quick.execute("set lock_timeout = '100ms'")
        try:
            quick.execute("select pg_advisory_xact_lock(%s)", [journal.LOCK])
        except psycopg.errors.LockNotAvailable:
            waited = True
        else:
            waited = False
        slow.rollback()
    assert waited
