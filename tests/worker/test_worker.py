"""The worker's jobs: they run once, on the real queue, and do what their names say."""

from __future__ import annotations

from tests.conftest import stocked

from trueup import house, worker
from trueup.core import journal
from trueup.core.database import connect
from trueup.core.door import Door
from trueup.core.jobs import make_app


async def test_a_deferred_seal_covers_the_whole_journal(url: str, door: Door) -> None:
    await stocked(door, MUG=3)
    app = make_app(url)
    worker.register(app, url, house.build())
    async with app.open_async():
        await app.configure_task("seal").defer_async(timestamp=0)
        await app.run_worker_async(wait=False)
    connection = await connect(url)
    try:
        verified = await journal.verify(connection)
        left = await (
            await connection.execute("select count(*) from procrastinate_jobs where task_name = 'seal'")
        ).fetchone()
    finally:
        await connection.close()
    assert verified.rows == verified.sealed_to > 0
    assert not verified.breaks
    assert left == (0,), "a job that succeeded is gone"


async def test_tidying_forgets_old_keys_and_keeps_young_ones(url: str, door: Door) -> None:
    await stocked(door, MUG=3)
    connection = await connect(url)
    try:
        await connection.execute("update door_key set at = now() - interval '31 days' where key = 'location'")
        await worker.tidy_now(url)
        rows = await (await connection.execute("select key from door_key order by key")).fetchall()
    finally:
        await connection.close()
    assert ("location",) not in rows
    assert ("item MUG",) in rows


async def test_proving_keeps_every_checks_result(url: str, door: Door) -> None:
    await stocked(door, MUG=3)
    built = house.build()
    assert await worker.prove_now(url, built) == 0
    connection = await connect(url)
    try:
        rows = await (await connection.execute("select name from check_result order by name")).fetchall()
    finally:
        await connection.close()
    assert [name for (name,) in rows] == sorted(check.name for check in built.checks)
