"""What an impact replay tells: which orders differ and in what, the money of it, who is harmed; nothing is written."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import msgspec
import typer
from tests.replayed import PLACES, Past, Proposal, routing
from tests.requests import rows
from typer.testing import CliRunner

from trueup import house
from trueup.cases.ladder import Ladder
from trueup.cli.replay import replay
from trueup.core import json as json_
from trueup.orders.channel import Channel
from trueup.oversight.impact import harmed_by, impact
from trueup.oversight.impact_orders import CameTo, worse_in
from trueup.sourcing.policy import LocationFilter, Rule

TAX_IN_PRICES: Proposal = {
    ("channel", "web"): Channel(locations=PLACES, short="backorder", tax="table", prices_include_tax=True)
}
ONLY_EAST: Proposal = {
    ("sourcing", "default"): routing(Rule("east", LocationFilter(codes=("EAST",)), otherwise="partial"))
}
WRITTEN = """select (select sum(n_tup_ins + n_tup_upd + n_tup_del) from pg_stat_user_tables),
    (select count(*) from journal), (select count(*) from batch), (select count(*) from door_key),
    pg_current_snapshot()::text"""


async def test_it_names_each_order_with_what_differs_and_sums_the_money(past: Past):
    found = await impact(past.lived, house.build(), TAX_IN_PRICES, since_position=past.window.after)
    assert set(found.counts) == {"total"}
    assert found.differing == found.counts["total"] == len(found.shown) <= found.orders
    (sums,) = found.money
    named = {one.order: one for one in found.shown}
    totals = await rows(past.lived, "select id, total, total_tax from orders where id = any(%s)", list(named))
    assert {order for order, _, _ in totals} == set(named), "each is an order that can be opened"
    for order, total, _ in totals:
        assert named[order].before == f"{total:f} EUR"
    assert sums.totals == -sum(tax for _, _, tax in totals), "what was added as tax is in the prices now"
    assert not any(one.worse for one in found.shown)
    assert await harmed_by(past.lived, house.build(), TAX_IN_PRICES, past.window.after) == ()


async def test_who_would_come_out_worse_is_named(past: Past):
    found = await impact(past.lived, house.build(), ONLY_EAST, since_position=past.window.after)
    worse = {one.order for one in found.shown if one.worse}
    assert worse
    assert set(await harmed_by(past.lived, house.build(), ONLY_EAST, past.window.after)) == worse
    few = await impact(past.lived, house.build(), ONLY_EAST, since_position=past.window.after, limit=1)
    assert (len(few.shown), few.counts, few.money) == (1, found.counts, found.money)


async def test_it_changes_no_row_and_starts_no_transaction_that_could(past: Past):
    await rows(past.lived, "select pg_stat_force_next_flush()")
    before = await rows(past.lived, WRITTEN)
    await impact(past.lived, house.build(), TAX_IN_PRICES, since_position=past.window.after)
    await rows(past.lived, "select pg_stat_force_next_flush()")
    assert await rows(past.lived, WRITTEN) == before


async def test_each_side_in_a_process_of_its_own_tells_the_same(past: Past):
    here = await impact(past.lived, house.build(), ONLY_EAST, since_position=past.window.after, apart=False)
    apart = await impact(past.lived, house.build(), ONLY_EAST, since_position=past.window.after, apart=True)
    assert msgspec.structs.replace(apart, peak_mb=0.0) == msgspec.structs.replace(here, peak_mb=0.0)


async def test_a_kind_that_cannot_be_replayed_says_so(past: Past):
    found = await impact(past.lived, house.build(), {("ladder", "default"): Ladder()}, since_position=past.window.after)
    assert found.unreplayed == {"ladder": Ladder.unreplayed}
    assert found.differing == 0


def test_worse_is_what_a_customer_would_call_so():
    plain = CameTo("T1", "web", "EUR", "placed", parcels=1)
    assert worse_in(plain, msgspec.structs.replace(plain, outcome="refused: stock.short")) == {"outcome"}
    assert worse_in(plain, msgspec.structs.replace(plain, parcels=2)) == {"split"}
    assert worse_in(plain, msgspec.structs.replace(plain, holds=("manual",))) == {"hold"}
    assert worse_in(msgspec.structs.replace(plain, holds=("manual",)), plain) == frozenset()
    assert worse_in(msgspec.structs.replace(plain, outcome="refused: stock.short"), plain) == frozenset()


async def test_the_command_line_replays_a_file(past: Past, tmp_path: Path):
    file = tmp_path / "routing.json"
    file.write_bytes(json_.encode(ONLY_EAST["sourcing", "default"]))
    app = typer.Typer()
    app.command()(replay)
    asked = ["--policy", str(file), "--kind", "sourcing", "--since", str(past.window.after), "--database", past.lived]
    told = await asyncio.to_thread(CliRunner().invoke, app, [*asked, "--json"])
    assert told.exit_code == 0, told.output
    found = await impact(past.lived, house.build(), ONLY_EAST, since_position=past.window.after)
    assert json.loads(told.output)["counts"] == found.counts
    words = await asyncio.to_thread(CliRunner().invoke, app, asked)
    assert f"{found.differing:,} come out differently" in words.output


async def test_the_command_line_says_first_what_cannot_be_replayed_and_what_no_order_reads(past: Past, tmp_path: Path):
    file = tmp_path / "document.json"
    app = typer.Typer()
    app.command()(replay)
    rest = ["--policy", str(file), "--since", str(past.window.after), "--database", past.lived]
    file.write_bytes(json_.encode(Ladder()))
    told = await asyncio.to_thread(CliRunner().invoke, app, ["--kind", "ladder", *rest])
    assert (told.exit_code, "come out differently" in told.output) == (1, False), told.output
    assert told.output.startswith("oversight.unreplayed: ladder cannot be replayed")
    file.write_bytes(json_.encode(TAX_IN_PRICES["channel", "web"]))
    for name, warned in (("nowhere", True), ("web", False)):
        told = await asyncio.to_thread(CliRunner().invoke, app, ["--kind", "channel", "--name", name, *rest])
        assert (told.exit_code, f"nothing reads channel/{name}" in told.output) == (0, warned), told.output
