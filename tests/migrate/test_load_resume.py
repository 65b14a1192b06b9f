"""A load that is killed goes on where it was; nothing is lost and nothing is doubled."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.migrate.loading import contents, failing_checks, fetch, mapping, means, migrate, small_shop

from trueup import house
from trueup.core.door import Door
from trueup.migrate import load
from trueup.migrate.run import run_migration
from trueup.migrate.state import RunRefused


@pytest.mark.parametrize("batches", [1, 3, 6])
async def test_a_killed_load_goes_on(url, tmp_path: Path, monkeypatch, batches: int):
    monkeypatch.setattr(load, "SIZE_MAX", 10)
    shop = small_shop(tmp_path / "shop", orders=60)
    async with Door(url, house.build()) as door:
        killed = asyncio.create_task(
            run_migration(
                means(door, url, tmp_path / "home", tick=_killer(batches)), [shop], mapping(), mapping_name="small-shop"
            )
        )
        with pytest.raises(asyncio.CancelledError):
            await killed
    assert fetch(url, "select status from migration_run") == [("loading",)]
    async with Door(url, house.build()) as door:
        made = await migrate(door, url, tmp_path / "home", shop)
    assert made.rows["applied"] == made.rows["in"] == 20 + 10 + 60 + 240 + 20
    assert fetch(url, "select count(*), count(distinct source_row) from order_line") == [(240, 240)]
    assert made.agrees
    assert not await failing_checks(url)


async def test_a_killed_load_ends_like_one_that_was_not(url, door, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(load, "SIZE_MAX", 10)
    shop = small_shop(tmp_path / "shop", orders=30, lines_7_quantity="?")
    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(
            run_migration(means(door, url, tmp_path / "home", tick=_killer(5)), [shop], mapping(), mapping_name="x")
        )
    resumed = await migrate(door, url, tmp_path / "home", shop)
    before = contents(url)
    again = await migrate(door, url, tmp_path / "home", shop)
    assert (again.rows, again.controls, again.found) == (resumed.rows, resumed.controls, resumed.found)
    assert contents(url) == before


async def test_two_loads_of_one_source_are_not_run_at_once(door, url, tmp_path: Path):
    shop = small_shop(tmp_path / "shop", orders=60)
    both = await asyncio.gather(
        migrate(door, url, tmp_path / "one", shop), migrate(door, url, tmp_path / "two", shop), return_exceptions=True
    )
    refused = [result for result in both if isinstance(result, RunRefused)]
    assert len(refused) == 1
    assert "at work" in str(refused[0])
    assert fetch(url, "select count(*) from order_line") == [(240,)]


def _killer(batches: int):
    """A tick that cancels its own task after so many batches."""
    seen = []

    def tick(step: str, done: int, of: int) -> None:
        if step == "load":
            seen.append(done)
            task = asyncio.current_task()
            if len(seen) == batches and task is not None:
                task.cancel()

    return tick
