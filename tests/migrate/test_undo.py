"""A load can be taken back as a whole, and loaded again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.conftest import expect_all
from tests.migrate.loading import contents, failing_checks, fetch, migrate, small_shop

from trueup.authority.standing import SYSTEM
from trueup.core.database import connect
from trueup.core.quantity import Quantity
from trueup.migrate.report import report
from trueup.migrate.state import RunRefused, find_run
from trueup.migrate.undo import undo
from trueup.stock.reserve import ReserveLine, ReserveStock


async def test_undo_takes_everything_back_but_items_and_customers(door, url, tmp_path: Path):
    made = await migrate(door, url, tmp_path / "home", small_shop(tmp_path / "shop"))
    done = await undo(door, url, made.run)
    assert (done.orders, done.refused, done.stock_left, done.incomplete) == (25, (), (), ())
    assert fetch(url, "select count(*) from orders") == fetch(url, "select count(*) from order_line") == [(0,)]
    assert fetch(url, "select sum(on_hand) from stock_balance") == [(0,)]
    assert fetch(url, "select count(*) from item") == [(20,)]
    assert fetch(url, "select status from migration_run") == [("undone",)]
    connection = await connect(url)
    shown = await report(connection, await find_run(connection, made.run))
    await connection.close()
    assert shown.agrees, [control for control in shown.controls if not control.equal]
    assert not await failing_checks(url)


async def test_loading_again_after_an_undo_applies_again(door, url, tmp_path: Path):
    shop = small_shop(tmp_path / "shop", lines_7_quantity="?")
    made = await migrate(door, url, tmp_path / "home", shop)
    before = contents(url)
    for attempt in (2, 3):
        await undo(door, url, made.run)
        again = await migrate(door, url, tmp_path / "home", shop)
        assert (again.run, again.rows, again.controls) == (made.run, made.rows, made.controls)
        assert contents(url) == before
        assert fetch(url, "select attempt, status from migration_run") == [(attempt, "finished")]
    assert not await failing_checks(url)


async def test_undo_leaves_what_was_promised_meanwhile(door, url, tmp_path: Path):
    made = await migrate(door, url, tmp_path / "home", small_shop(tmp_path / "shop"))
    until = datetime.now(UTC) + timedelta(days=400)
    claim = ReserveStock(location="MAIN", lines=(ReserveLine("SKU-010", Quantity(4)),), expires_at=until)
    expect_all([await door.submit(SYSTEM, claim, "claim")])
    done = await undo(door, url, made.run)
    assert [(left.sku, left.units) for left in done.stock_left] == [("SKU-010", "4")]
    assert fetch(url, "select sum(on_hand), sum(reserved) from stock_balance") == [(4, 4)]
    assert not await failing_checks(url)


async def test_undo_names_the_runs_that_lost_rows_with_it(door, url, tmp_path: Path):
    shop = small_shop(tmp_path / "shop")
    first = await migrate(door, url, tmp_path / "home", shop)
    with (shop / "lines.csv").open("a") as stream:
        stream.write("A-00003,SKU-019,9,20.50\n")
    second = await migrate(door, url, tmp_path / "home", shop)
    assert second.agrees, [control for control in second.controls if not control.equal]
    done = await undo(door, url, first.run)
    assert done.incomplete == (second.run,)
    assert fetch(url, "select count(*) from orders") == [(0,)]
    again = await migrate(door, url, tmp_path / "home", shop)
    assert again.run == second.run
    assert again.agrees, [control for control in again.controls if not control.equal]
    assert fetch(url, "select count(*) from order_line") == [(101,)]


async def test_undo_of_the_later_run_withdraws_the_shared_order_too(door, url, tmp_path: Path):
    shop = small_shop(tmp_path / "shop")
    first = await migrate(door, url, tmp_path / "home", shop)
    original = (shop / "lines.csv").read_bytes()
    (shop / "lines.csv").write_bytes(original + b"A-00003,SKU-019,9,20.50\r\n")
    second = await migrate(door, url, tmp_path / "home", shop)
    done = await undo(door, url, second.run)
    assert (done.orders, done.incomplete) == (1, (first.run,))
    (shop / "lines.csv").write_bytes(original)
    again = await migrate(door, url, tmp_path / "home", shop)
    assert again.agrees, [control for control in again.controls if not control.equal]
    assert fetch(url, "select count(*) from order_line") == [(100,)]


async def test_what_is_undone_cannot_be_undone_again(door, url, tmp_path: Path):
    made = await migrate(door, url, tmp_path / "home", small_shop(tmp_path / "shop"))
    await undo(door, url, made.run)
    with pytest.raises(RunRefused, match="undone already"):
        await undo(door, url, made.run)
    with pytest.raises(RunRefused, match="no migration run"):
        await undo(door, url, "mig_unknown")
