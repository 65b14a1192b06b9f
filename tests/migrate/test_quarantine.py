"""Quarantined rows can be corrected in a file or one by one, and are run again alone."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from tests.migrate.loading import contents, failing_checks, fetch, means, migrate, small_shop

from trueup.core.database import connect
from trueup.migrate.quarantine import correct, export, list_quarantined, read_corrected, rerun
from trueup.migrate.report import Report, report
from trueup.migrate.state import RunRefused, find_run


async def report_of(url: str, run: str) -> Report:
    connection = await connect(url)
    try:
        return await report(connection, await find_run(connection, run))
    finally:
        await connection.close()


async def exported(url: str, run: str, target: Path) -> list[dict[str, str]]:
    connection = await connect(url)
    try:
        await export(connection, run, target)
    finally:
        await connection.close()
    with target.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def write(target: Path, rows: list[dict[str, str]]) -> None:
    with target.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


async def test_an_export_says_what_is_wrong_and_keeps_the_sources_columns(door, url, tmp_path: Path):
    made = await migrate(door, url, tmp_path / "home", small_shop(tmp_path / "shop", lines_7_quantity="1O"))
    rows = await exported(url, made.run, tmp_path / "wrong.csv")
    assert rows == [
        {"_file": "lines.csv", "_row": "8", "_column": "quantity", "_value": "1O", "_rule": "unreadable_value",
         "_fix": "10", "document": "A-00001", "sku": "SKU-007", "quantity": "1O", "unit_price": "8.50"}
    ]  # fmt: skip


async def test_a_corrected_file_is_run_again_alone(door, url, tmp_path: Path):
    spoilt = small_shop(tmp_path / "spoilt", lines_7_quantity="?", lines_60_unit_price="cheap", items_4_unit_price="x")
    clean = small_shop(tmp_path / "clean")
    made = await migrate(door, url, tmp_path / "home", spoilt)
    # The count of the item that was not taken is refused by the door, and follows it.
    assert made.rows["quarantined"] == 4
    rows = await exported(url, made.run, tmp_path / "wrong.csv")
    right: dict[tuple[str, int], list[str]] = {}
    for name in ("lines", "items", "counts"):
        with (clean / f"{name}.csv").open(newline="") as stream:
            right |= {(f"{name}.csv", number): row for number, row in enumerate(csv.reader(stream), 1)}
    for row in rows:
        row.update(zip(right[row["_file"], 1], right[row["_file"], int(row["_row"])], strict=True))
    write(tmp_path / "wrong.csv", rows)
    commands_before = fetch(url, "select count(*) from journal where kind = 'c'")[0][0]
    done = await rerun(means(door, url, tmp_path / "home"), made.run, read_corrected(tmp_path / "wrong.csv"))
    assert (done.rows, done.applied, done.left) == (4, 4, ())
    assert fetch(url, "select count(*) from journal where kind = 'c'")[0][0] - commands_before == 4
    shown = await report_of(url, made.run)
    assert shown.rows == {**made.rows, "applied": made.rows["in"], "quarantined": 0}
    assert shown.agrees, [control for control in shown.controls if not control.equal]
    assert fetch(url, "select count(*) from order_line") == [(100,)]
    assert not await failing_checks(url)


async def test_a_correction_holds_when_the_same_files_come_again(door, url, tmp_path: Path):
    shop = small_shop(tmp_path / "shop", lines_7_quantity="?")
    made = await migrate(door, url, tmp_path / "home", shop)
    await correct(means(door, url, tmp_path / "home"), made.run, "lines.csv", 8, {"quantity": "3"})
    before = contents(url)
    again = await migrate(door, url, tmp_path / "home", shop)
    assert again.rows["quarantined"] == 0
    assert again.agrees, [control for control in again.controls if not control.equal]
    assert contents(url) == before


async def test_what_is_still_wrong_stays_quarantined(door, url, tmp_path: Path):
    shop = small_shop(tmp_path / "shop", lines_7_quantity="?", lines_9_quantity="?")
    made = await migrate(door, url, tmp_path / "home", shop)
    done = await rerun(
        means(door, url, tmp_path / "home"),
        made.run,
        {("lines.csv", 8): {"quantity": "3"}, ("lines.csv", 10): {"quantity": "many"}},
    )
    assert done.applied == 1
    assert [(row.file, row.row, row.value) for row in done.left] == [("lines.csv", 10, "many")]
    shown = await report_of(url, made.run)
    assert (shown.rows["quarantined"], shown.agrees) == (1, True)
    assert not await failing_checks(url)


async def test_an_order_whose_header_was_wrong_comes_with_its_lines(door, url, tmp_path: Path):
    shop = small_shop(tmp_path / "shop", orders_3_placed_at="some day")
    made = await migrate(door, url, tmp_path / "home", shop)
    assert made.rows["quarantined"] == 5
    values = {"placed_at": "2025-03-03 10:02:00"}
    done = await correct(means(door, url, tmp_path / "home"), made.run, "orders.csv", 4, values)
    assert done.applied == 5
    shown = await report_of(url, made.run)
    assert shown.rows["applied"] == shown.rows["in"]
    assert shown.agrees, [control for control in shown.controls if not control.equal]
    assert not await failing_checks(url)


async def test_a_corrected_count_sets_that_item_alone(door, url, tmp_path: Path):
    shop = small_shop(tmp_path / "shop", counts_5_counted="lots")
    made = await migrate(door, url, tmp_path / "home", shop)
    assert fetch(url, "select count(*) from stock_movement") == [(18,)]
    await correct(means(door, url, tmp_path / "home"), made.run, "counts.csv", 6, {"counted": "7"})
    assert fetch(url, "select b.on_hand from stock_balance b join item i on i.id = b.item where sku = 'SKU-004'") == [
        (7,)
    ]
    assert fetch(url, "select count(*) from stock_movement") == [(19,)]
    assert (await report_of(url, made.run)).agrees


async def test_only_quarantined_rows_and_known_columns_are_taken(door, url, tmp_path: Path):
    made = await migrate(door, url, tmp_path / "home", small_shop(tmp_path / "shop", lines_7_quantity="?"))
    with_means = means(door, url, tmp_path / "home")
    with pytest.raises(RunRefused, match="is not quarantined"):
        await correct(with_means, made.run, "lines.csv", 9, {"quantity": "3"})
    with pytest.raises(RunRefused, match="no column 'price'"):
        await correct(with_means, made.run, "lines.csv", 8, {"price": "3"})
    (tmp_path / "odd.csv").write_text("a,b\n1,2\n")
    with pytest.raises(RunRefused, match="_file and _row"):
        read_corrected(tmp_path / "odd.csv")
    assert len(await _listed(url, made.run)) == 1


async def _listed(url: str, run: str) -> list[object]:
    connection = await connect(url)
    try:
        return list(await list_quarantined(connection, run))
    finally:
        await connection.close()
