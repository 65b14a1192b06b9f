"""A load puts every row in, once, and says where each ended."""

from __future__ import annotations

from pathlib import Path

from tests.migrate.loading import contents, failing_checks, fetch, mapping, migrate, small_shop

ROWS = 20 + 10 + 25 + 100 + 20


async def test_every_row_is_applied_and_both_sides_agree(door, url, tmp_path: Path):
    made = await migrate(door, url, tmp_path / "home", small_shop(tmp_path / "shop"))
    assert made.rows == {"in": ROWS, "applied": ROWS, "quarantined": 0, "merged": 0, "ignored": 0}
    assert made.agrees, [control for control in made.controls if not control.equal]
    assert fetch(url, "select count(*) from order_line") == [(100,)]
    assert fetch(url, "select count(*) from orders where managed or customer is null") == [(0,)]
    assert fetch(url, "select sum(on_hand) from stock_balance") == [(sum(n * 5 for n in range(20)),)]
    assert not await failing_checks(url)


async def test_one_bad_record_of_a_thousand_is_quarantined_alone(door, url, tmp_path: Path):
    """Behaviour 33: 999 applied, one quarantined with row, field, value and rule."""
    shop = small_shop(tmp_path / "shop", orders=250, lines_500_quantity="twelve")
    made = await migrate(door, url, tmp_path / "home", shop)
    lines = next(file for file in made.files if file.file == "lines.csv")
    assert (lines.rows_in, lines.applied, lines.quarantined) == (1000, 999, 1)
    assert fetch(
        url, "select file, row, column_name, value, rule from migration_row where outcome = 'quarantined'"
    ) == [("lines.csv", 501, "quantity", "twelve", "unreadable_value")]
    assert fetch(url, "select count(*) from order_line") == [(999,)]
    assert made.agrees
    assert not await failing_checks(url)


async def test_what_the_door_refuses_is_quarantined_with_its_words(door, url, tmp_path: Path):
    shop = small_shop(tmp_path / "shop")
    made = await migrate(door, url, tmp_path / "home", shop, using=mapping(currency="EUX"))
    assert made.rows["quarantined"] >= 125
    assert sum(count for name, count in made.rows.items() if name != "in") == made.rows["in"]
    rules = fetch(url, "select distinct rule, column_name, value from migration_row where entity = 'line'")
    assert rules == [("orders.currency", "currency", "EUX")]
    assert fetch(url, "select count(*) from orders") == [(0,)]
    assert made.agrees
    assert any(case.kind == "refused" for case in made.cases)


async def test_the_same_files_again_change_nothing(door, url, tmp_path: Path):
    shop = small_shop(tmp_path / "shop")
    first = await migrate(door, url, tmp_path / "home", shop)
    before = contents(url)
    again = await migrate(door, url, tmp_path / "home", shop)
    assert (again.run, again.rows, again.controls) == (first.run, first.rows, first.controls)
    assert contents(url) == before
    assert fetch(url, "select count(*) from migration_run") == [(1,)]
    assert not await failing_checks(url)


async def test_files_given_twice_and_in_another_order_change_nothing(door, url, tmp_path: Path):
    shop = small_shop(tmp_path / "shop")
    await migrate(door, url, tmp_path / "home", shop)
    before = contents(url)
    files = sorted(shop.iterdir(), reverse=True)
    made = await migrate(door, url, tmp_path / "home", *files, *files)
    assert made.rows["in"] == 2 * ROWS
    assert made.rows["merged"] >= ROWS
    assert made.agrees, [control for control in made.controls if not control.equal]
    assert contents(url) == before
    assert not await failing_checks(url)


async def test_a_larger_export_adds_only_what_is_new(door, url, tmp_path: Path):
    await migrate(door, url, tmp_path / "home", small_shop(tmp_path / "june"))
    made = await migrate(door, url, tmp_path / "home", small_shop(tmp_path / "july", orders=40))
    lines = next(file for file in made.files if file.file == "lines.csv")
    assert (lines.applied, lines.merged) == (60, 100)
    assert fetch(url, "select count(*), count(distinct source_row) from order_line") == [(160, 160)]
    assert made.agrees, [control for control in made.controls if not control.equal]
    assert not await failing_checks(url)


async def test_legacy_numbers_lead_to_ours(door, url, tmp_path: Path):
    await migrate(door, url, tmp_path / "home", small_shop(tmp_path / "shop"))
    assert fetch(url, "select kind, count(*) from crosswalk group by kind order by kind") == [
        ("customer", 10), ("item", 20), ("location", 1), ("order", 25),
    ]  # fmt: skip
    assert fetch(
        url,
        """select count(*) from crosswalk c join orders o on o.id = c.id
        where c.kind = 'order' and o.external_ids ->> 'small-shop' = c.legacy_id""",
    ) == [(25,)]


async def test_each_kind_of_finding_has_one_case_that_does_not_grow_by_repetition(door, url, tmp_path: Path):
    shop = small_shop(tmp_path / "shop", lines_3_quantity="?", lines_9_quantity="none", orders_5_customer="K99")
    made = await migrate(door, url, tmp_path / "home", shop)
    await migrate(door, url, tmp_path / "home", shop)
    assert made.found["unreadable_value"] == 2
    assert {case.kind for case in made.cases} == set(made.found)
    assert all(case.owner_role == "Data Steward" for case in made.cases)
    counted = fetch(url, "select kind, subjects from cases order by kind")
    assert counted == sorted(made.found.items())
