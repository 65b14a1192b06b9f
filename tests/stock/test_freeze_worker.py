"""A job is stopped by a freeze like anyone, and the worker's job starts freezes and ends what waited for them."""

from __future__ import annotations

from datetime import timedelta

from tests.conftest import expect_all, stocked
from tests.proof import prove
from tests.requests import figures, receipt, rows
from tests.stock.test_freeze import frozen

from trueup import house, worker
from trueup.authority.standing import SYSTEM
from trueup.core.clock import TurnedClock
from trueup.core.door import Door
from trueup.core.jobs import make_app
from trueup.core.verb import Outcome
from trueup.stock.freeze import AnnounceFreeze


async def test_the_worker_starts_what_is_due_and_puts_through_what_waited(door: Door, url: str, clock: TurnedClock):
    await stocked(door, MUG=10)
    later = AnnounceFreeze(
        location="MAIN",
        from_at=clock.now() + timedelta(hours=1),
        to_at=clock.now() + timedelta(hours=2),
        reason="stocktake",
    )
    expect_all([await door.submit(SYSTEM, later, "announce")])
    app = make_app(url)
    worker.register_freezes(app, url, door, house.build())
    async with app.open_async():
        clock.turn(timedelta(hours=1))
        await app.configure_task("follow_freezes").defer_async(timestamp=0)
        await app.run_worker_async(wait=False)
        assert await rows(url, "select started_at is not null from stock_freeze") == [(True,)]
        assert (await door.submit(SYSTEM, receipt(5), "receipt")).status == "queued"
        clock.turn(timedelta(hours=1))
        await app.configure_task("follow_freezes").defer_async(timestamp=1)
        await app.run_worker_async(wait=False)
    assert (await figures(url))["on_hand"] == 15
    await prove(url)


async def test_a_job_is_stopped_like_anyone(door: Door, url: str):
    await stocked(door, MUG=10)
    await frozen(door)
    told: list[Outcome] = []
    app = make_app(url)

    @app.task(name="nightly import", pass_context=False)
    async def import_receipts() -> None:
        told.append(await door.submit(SYSTEM, receipt(5), "nightly import"))

    async with app.open_async():
        await app.configure_task("nightly import").defer_async()
        await app.run_worker_async(wait=False)
    assert [outcome.status for outcome in told] == ["queued"]
    assert (await figures(url))["on_hand"] == 10
    await prove(url)
